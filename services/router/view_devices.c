/* The part of view.h that is about devices. */
#include "services/router/view.h"

#include "common/layout.h"
#include "common/wire.h"
#include "services/router/row.h"

#include <string.h>

enum err view_last_session(struct store *store, const struct uuid *account, const char *device_id,
                           struct uuid *ret)
{
	struct key from = row_device_sessions_key(account, device_id), to;
	struct bytes key, value;
	struct store_scan *scan;
	enum err err;

	key_end_of(&from, &to);
	scan = scan_open(store, key_bytes(&from), key_bytes(&to), true);
	if (scan_next(scan, &key, &value)) {
		memcpy(ret, (const uint8_t *)key.data + key.len - sizeof *ret, sizeof *ret);
		err = OK;
	} else {
		err = scan_err(scan);
		err = err == OK ? ERR_NOT_FOUND : err;
	}
	scan_close(scan);
	return err;
}

enum err view_device_since(struct store *store, const struct uuid *account,
                           const struct uuid *model, const char *device_id, int64_t *ret_ms)
{
	struct key key = row_device_key(account, 'v', model, device_id);
	Events__DeviceRow *row;
	enum err err = row_read(store, &key, &events__device_row__descriptor, &row);

	if (err != OK)
		return err;
	*ret_ms = row->created_at;
	wire_free(&row->base);
	return OK;
}

enum err view_each_device(struct store *store, const struct uuid *account,
                          const struct uuid *before, view_device_fn *fn, void *ctx)
{
	struct bytes key, value;
	struct store_scan *scan;
	struct key from, to;
	struct uuid session;
	enum err err;

	key_start(&from, PARTITION_OWN, account, 'D');
	to = from;
	if (before)
		key_add_uuid(&to, before);
	else
		key_end_of(&from, &to);
	scan = scan_open(store, key_bytes(&from), key_bytes(&to), true);
	while (scan_next(scan, &key, &value)) {
		memcpy(&session, (const uint8_t *)key.data + key.len - sizeof session,
		       sizeof session);
		if (!fn(ctx, &session))
			break;
	}
	err = scan_err(scan);
	scan_close(scan);
	return err;
}

enum err view_erasing(struct store *store, const struct uuid *account, const char *device_id)
{
	struct key of_account = row_erasing_key(account, "");
	struct key of_device = row_erasing_key(account, device_id);
	struct buf row = { 0 };
	enum err err = store_get(store, key_bytes(&of_account), &row);

	if (err == ERR_NOT_FOUND)
		err = store_get(store, key_bytes(&of_device), &row);
	buf_free(&row);
	return err;
}

enum err view_each_erasing(struct store *store, view_erasing_fn *fn, void *ctx)
{
	struct bytes key, value;
	struct store_scan *scan;
	struct key from, to;
	enum err err;

	key_start(&from, PARTITION_OWN, NULL, 'X');
	key_end_of(&from, &to);
	scan = scan_open(store, key_bytes(&from), key_bytes(&to), false);
	while (scan_next(scan, &key, &value)) {
		struct bytes row = key_row(key);
		struct view_going one = { .id_len = value.len };

		MUST(row.len >= sizeof one.account && row.len < sizeof one.device_id &&
		     value.len <= sizeof one.id);
		memcpy(&one.account, row.data, sizeof one.account);
		memcpy(one.device_id, (const uint8_t *)row.data + sizeof one.account,
		       row.len - sizeof one.account);
		memcpy(one.id, value.data, value.len);
		fn(ctx, &one);
	}
	err = scan_err(scan);
	scan_close(scan);
	return err;
}

/* ---- indexes of older data ---- */

typedef enum err fill_fn(struct store *store, const struct uuid *account,
                         const Events__SessionRow *row, struct store_batch *batch);

static enum err fill_session(struct store *store, const struct uuid *account,
                             const Events__SessionRow *row, struct store_batch *batch)
{
	struct key key = row_device_sessions_key(account, row->session->device_id);
	struct uuid id;

	(void)store;
	MUST(wire_id(row->id, &id)); /* we wrote it */
	key_add_uuid(&key, &id);
	batch_put(batch, key_bytes(&key), BYTES("", 0));
	key = row_key(account, row->has_close_code ? 'c' : 'w', &id);
	batch_put(batch, key_bytes(&key), BYTES("", 0));
	return OK;
}

/* When all sessions of the device are known. */
static enum err fill_device(struct store *store, const struct uuid *account,
                            const Events__SessionRow *row, struct store_batch *batch)
{
	const char *device_id = row->session->device_id;
	struct uuid id, last;
	struct key key;
	enum err err = view_last_session(store, account, device_id, &last);

	MUST(wire_id(row->id, &id));
	if (err != OK || !uuid_equal(&last, &id))
		return err;
	key = row_key(account, 'D', &id);
	batch_put(batch, key_bytes(&key), BYTES(device_id, strlen(device_id)));
	return OK;
}

static enum err fill_each(struct store *store, const struct uuid *account,
                          struct store_batch *batch, fill_fn *fill)
{
	struct key from, to;
	struct bytes key, value;
	struct store_scan *scan;
	enum err err = OK;

	key_start(&from, PARTITION_OWN, account, 's');
	key_end_of(&from, &to);
	scan = scan_open(store, key_bytes(&from), key_bytes(&to), false);
	while (err == OK && scan_next(scan, &key, &value)) {
		AUTO(wire_free)
		ProtobufCMessage *row = wire_unpack(&events__session_row__descriptor, value);

		err = row ? fill(store, account, (const Events__SessionRow *)row, batch)
		          : ERR_MALFORMED;
		if (err == OK)
			err = layout_write(store, batch);
	}
	if (err == OK)
		err = scan_err(scan);
	scan_close(scan);
	return err;
}

enum err view_fill(struct store *store, const struct uuid *account, struct store_batch *batch)
{
	enum err err = fill_each(store, account, batch, fill_session);

	if (err == OK)
		err = store_write(store, batch);
	batch_clear(batch);
	return err == OK ? fill_each(store, account, batch, fill_device) : err;
}
