#include "services/auth/usage.h"

#include "common/map.h"

struct used {
	struct map_node by_key;
	struct uuid account, key;
	struct last_use last;
	int64_t from_ms; /* of the use that last's origin is of; 0: one before the last flush */
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
	last_use_done(&MAP_OWNER(node, struct used, by_key)->last);
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

static void put_text(char **field, const char *text)
{
	mem_free(*field);
	*field = text ? xstrdup(text) : NULL;
}

bool usage_note(struct usage *usage, const struct uuid *account, const struct uuid *key,
                int64_t used_ms, const Raeh__Origin *from)
{
	struct used *used = find(usage, key);

	if (!used) {
		if (usage->by_key.count >= USAGE_MOST)
			return false;
		used = xcalloc(1, sizeof *used);
		used->account = *account;
		used->key = *key;
		usage_last(usage, account, key, &used->last);
		map_add(&usage->by_key, &used->by_key, &used->key);
	}
	if (used_ms > used->last.ms)
		used->last.ms = used_ms;
	if (from && (from->address || from->agent) && used_ms >= used->from_ms) {
		used->from_ms = used_ms;
		put_text(&used->last.address, from->address);
		put_text(&used->last.agent, from->agent);
	}
	return true;
}

void usage_last(struct usage *usage, const struct uuid *account, const struct uuid *key,
                struct last_use *ret)
{
	const struct used *used = find(usage, key);

	*ret = (struct last_use){ 0 };
	if (used) {
		ret->ms = used->last.ms;
		put_text(&ret->address, used->last.address);
		put_text(&ret->agent, used->last.agent);
	} else if (rows_last_use(usage->store, account, key, ret) != OK) {
		*ret = (struct last_use){ 0 };
	}
}

static void put(void *batch, struct map_node *node)
{
	const struct used *used = MAP_OWNER(node, struct used, by_key);

	rows_put_last_use(batch, &used->account, &used->key, &used->last);
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
