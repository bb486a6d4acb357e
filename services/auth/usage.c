#include "services/auth/usage.h"

#include "common/map.h"
#include "services/auth/rows.h"

struct used {
	struct map_node by_key;
	struct uuid account, key;
	int64_t used_ms;
};

struct usage {
	struct store *store;
	struct map by_key; /* since the last flush */
};

struct usage *usage_new(struct store *store)
{
	struct usage *usage = xcalloc(1, sizeof *usage);

	usage->store = store;
	map_init(&usage->by_key, sizeof(struct uuid));
	return usage;
}

static struct used *find(const struct usage *usage, const struct uuid *key)
{
	return MAP_OWNER(map_find(&usage->by_key, key), struct used, by_key);
}

static void forget(void *self, struct map_node *node)
{
	struct usage *usage = self;

	map_remove(&usage->by_key, node);
	mem_free(MAP_OWNER(node, struct used, by_key));
}

void usage_free(struct usage *usage)
{
	if (!usage)
		return;
	map_each(&usage->by_key, forget, usage);
	map_done(&usage->by_key);
	mem_free(usage);
}

bool usage_note(struct usage *usage, const struct uuid *account, const struct uuid *key,
                int64_t used_ms)
{
	struct used *used = find(usage, key);

	if (!used) {
		if (usage->by_key.count >= USAGE_MOST)
			return false;
		used = xcalloc(1, sizeof *used);
		used->account = *account;
		used->key = *key;
		used->used_ms = usage_last(usage, account, key);
		map_add(&usage->by_key, &used->by_key, &used->key);
	}
	if (used_ms > used->used_ms)
		used->used_ms = used_ms;
	return true;
}

int64_t usage_last(struct usage *usage, const struct uuid *account, const struct uuid *key)
{
	const struct used *used = find(usage, key);
	int64_t used_ms = 0;

	if (used)
		return used->used_ms;
	return rows_last_used(usage->store, account, key, &used_ms) == OK ? used_ms : 0;
}

static void put(void *batch, struct map_node *node)
{
	const struct used *used = MAP_OWNER(node, struct used, by_key);

	rows_put_last_used(batch, &used->account, &used->key, used->used_ms);
}

enum err usage_flush(struct usage *usage)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();
	enum err err;

	if (usage->by_key.count == 0)
		return OK;
	map_each(&usage->by_key, put, batch);
	err = store_write(usage->store, batch);
	if (err == OK)
		map_each(&usage->by_key, forget, usage);
	return err;
}
