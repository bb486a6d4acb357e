#include "common/once_rows.h"

#include "common/clock.h"
#include "common/keys.h"
#include "common/once.h"
#include "common/wire.h"

#include <string.h>

#define TABLE_KEPT  '1'
#define TABLE_TIMES '2'
#define EXPIRE_MOST 1000 /* rows at a time */

static struct key kept_key(const struct uuid *account, const struct uuid *name)
{
	struct key key;

	key_start(&key, PARTITION_OWN, account, TABLE_KEPT);
	key_add_uuid(&key, name);
	return key;
}

static struct key time_key(int64_t at_ms)
{
	struct key key;

	key_start(&key, PARTITION_OWN, NULL, TABLE_TIMES);
	key_add_u64(&key, (uint64_t)at_ms);
	return key;
}

void once_apply(const Raeh__Kept *kept, int64_t at_ms, struct store_batch *view)
{
	Raeh__KeptRow row = RAEH__KEPT_ROW__INIT;
	struct uuid account, name;
	struct key key, time = time_key(at_ms);
	struct buf buf = { 0 };

	MUST(wire_id(kept->account, &account) && wire_id(kept->name, &name)); /* we wrote it */
	key = kept_key(&account, &name);
	if (kept->state == RAEH__KEPT__STATE__FORGOTTEN) {
		batch_delete(view, key_bytes(&key));
		return;
	}
	row.at_ms = at_ms;
	row.kept = (Raeh__Kept *)kept;
	batch_put(view, key_bytes(&key), wire_pack(&buf, &row.base));
	key_add_uuid(&time, &account);
	key_add_uuid(&time, &name);
	batch_put(view, key_bytes(&time), BYTES("", 0));
	buf_free(&buf);
}

enum err once_find(struct store *store, const struct uuid *account, const struct uuid *name,
                   Raeh__KeptRow **ret)
{
	struct key key = kept_key(account, name);
	struct buf value = { 0 };
	enum err err = store_get(store, key_bytes(&key), &value);
	Raeh__KeptRow *row = NULL;

	if (err == OK) {
		row = (Raeh__KeptRow *)wire_unpack(&raeh__kept_row__descriptor,
		                                   BYTES(value.data, value.len));
		err = row ? OK : ERR_IO;
	}
	buf_free(&value);
	if (err == OK && row->at_ms + ONCE_KEEP_MS <= clock_wall_ms()) {
		wire_free(&row->base);
		err = ERR_NOT_FOUND;
	}
	if (err == OK)
		*ret = row;
	return err;
}

/* The rows of one time; a row that was written anew later stays. */
static void expire_row(struct store *store, struct bytes time, struct store_batch *batch)
{
	struct bytes tail = key_row(time);
	const uint8_t *data = tail.data;
	struct uuid account, name;
	Raeh__KeptRow *row;
	struct key key;
	enum err err;

	batch_delete(batch, time);
	if (tail.len != 8 + sizeof account + sizeof name)
		return;
	memcpy(&account, data + 8, sizeof account);
	memcpy(&name, data + 8 + sizeof account, sizeof name);
	err = once_find(store, &account, &name, &row);
	if (err == OK) {
		wire_free(&row->base);
		return;
	}
	key = kept_key(&account, &name);
	batch_delete(batch, key_bytes(&key));
}

void once_expire(struct store *store)
{
	struct key from = time_key(0), to = time_key(clock_wall_ms() - ONCE_KEEP_MS + 1);
	AUTO(scan_close)
	struct store_scan *scan = scan_open(store, key_bytes(&from), key_bytes(&to), false);
	AUTO(batch_free) struct store_batch *batch = batch_new();
	struct bytes key, value;
	unsigned n = 0;

	while (n < EXPIRE_MOST && scan_next(scan, &key, &value)) {
		expire_row(store, key, batch);
		n++;
	}
	if (n > 0 && store_write(store, batch) != OK)
		return; /* the next time */
}
