#include "common/layout.h"

#include "common/keys.h"
#include "common/log.h"

#define BATCH_BYTES ((size_t)256 * 1024)

static struct key layout_key(void)
{
	struct key key;

	key_start(&key, PARTITION_OWN, NULL, 'V');
	return key;
}

/* 0: written before there were layouts. */
static enum err read_layout(struct store *store, uint8_t *ret)
{
	struct key key = layout_key();
	struct buf value = { 0 };
	enum err err = store_get(store, key_bytes(&key), &value);

	*ret = err == OK && value.len == 1 ? value.data[0] : 0;
	buf_free(&value);
	return err == ERR_NOT_FOUND ? OK : err;
}

/* The account of the first row at or behind *from, which is moved behind that account's rows. */
static enum err next_account(struct store *store, struct key *from, struct uuid *ret)
{
	struct bytes key, value;
	struct store_scan *scan;
	struct key end;
	enum err err;

	key_start(&end, PARTITION_OWN + 1, NULL, 0);
	scan = scan_open(store, key_bytes(from), key_bytes(&end), false);
	if (scan_next(scan, &key, &value))
		err = key_account(key, ret) ? OK : ERR_MALFORMED;
	else
		err = scan_err(scan) == OK ? ERR_NOT_FOUND : ERR_IO;
	scan_close(scan);
	if (err == OK)
		key_start(from, PARTITION_OWN, ret, (char)0xff);
	return err;
}

enum err layout_write(struct store *store, struct store_batch *batch)
{
	enum err err;

	if (batch_bytes(batch) < BATCH_BYTES)
		return OK;
	err = store_write(store, batch);
	batch_clear(batch);
	return err;
}

static enum err fill_all(struct store *store, struct store_batch *batch, layout_fill_fn *fill)
{
	struct uuid account;
	struct key from;
	enum err err;

	key_start(&from, PARTITION_OWN, NULL, (char)0xff); /* rows of nobody have no indexes */
	while ((err = next_account(store, &from, &account)) == OK) {
		err = fill(store, &account, batch);
		if (err != OK)
			return err;
	}
	return err == ERR_NOT_FOUND ? OK : err;
}

enum err layout_upgrade(struct store *store, uint8_t newest, layout_fill_fn *fill)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();
	struct key key = layout_key();
	uint8_t found;
	enum err err = read_layout(store, &found);

	if (err != OK || found >= newest)
		return err;
	err = fill_all(store, batch, fill);
	if (err == OK) {
		batch_put(batch, key_bytes(&key), BYTES(&newest, sizeof newest));
		err = store_write(store, batch);
	}
	if (err == OK)
		log_info("layout", "from=%u to=%u", found, newest);
	return err == ERR_LIMIT ? OK : err;
}
