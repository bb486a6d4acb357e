#include "services/auth/usage.h"

#include "services/auth/idmap.h"
#include "services/auth/rows.h"

struct used {
	struct uuid account;
	int64_t used_ms;
};

struct usage {
	struct store *store;
	struct idmap by_key; /* since the last flush */
};

struct usage *usage_new(struct store *store)
{
	struct usage *usage = xcalloc(1, sizeof *usage);

	usage->store = store;
	return usage;
}

static void forget_all(struct usage *usage)
{
	struct idmap_slot *slot;

	for (size_t i = 0; (slot = idmap_next(&usage->by_key, &i));)
		mem_free(slot->value);
	idmap_done(&usage->by_key);
}

void usage_free(struct usage *usage)
{
	if (!usage)
		return;
	forget_all(usage);
	mem_free(usage);
}

bool usage_note(struct usage *usage, const struct uuid *account, const struct uuid *key,
                int64_t used_ms)
{
	struct used *used = idmap_get(&usage->by_key, key);

	if (!used) {
		if (usage->by_key.n >= USAGE_MOST)
			return false;
		used = xcalloc(1, sizeof *used);
		used->account = *account;
		used->used_ms = usage_last(usage, account, key);
		idmap_put(&usage->by_key, key, used);
	}
	if (used_ms > used->used_ms)
		used->used_ms = used_ms;
	return true;
}

int64_t usage_last(struct usage *usage, const struct uuid *account, const struct uuid *key)
{
	const struct used *used = idmap_get(&usage->by_key, key);
	int64_t used_ms = 0;

	if (used)
		return used->used_ms;
	return rows_last_used(usage->store, account, key, &used_ms) == OK ? used_ms : 0;
}

enum err usage_flush(struct usage *usage)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();
	struct idmap_slot *slot;
	enum err err;

	if (usage->by_key.n == 0)
		return OK;
	for (size_t i = 0; (slot = idmap_next(&usage->by_key, &i));) {
		const struct used *used = slot->value;

		rows_put_last_used(batch, &used->account, &slot->id, used->used_ms);
	}
	err = store_write(usage->store, batch);
	if (err == OK)
		forget_all(usage);
	return err;
}
