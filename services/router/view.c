#include "services/router/view.h"

#include "common/wire.h"
#include "services/router/row.h"

#include <string.h>

enum err view_model(struct store *store, const struct uuid *account, const struct uuid *id,
                    Events__ModelRow **ret)
{
	struct key key = row_key(account, 'm', id);

	return row_read(store, &key, &events__model_row__descriptor, ret);
}

enum err view_model_named(struct store *store, const struct uuid *account, const char *name,
                          struct uuid *ret)
{
	struct key key = row_name_key(account, name);

	return row_read_id(store, &key, ret);
}

enum err view_session(struct store *store, const struct uuid *account, const struct uuid *id,
                      Events__SessionRow **ret)
{
	struct key key = row_key(account, 's', id);

	return row_read(store, &key, &events__session_row__descriptor, ret);
}

enum err view_newest_session(struct store *store, const struct uuid *account,
                             const struct uuid *model, const char *device_id, struct uuid *ret)
{
	struct key key = row_device_key(account, 'o', model, device_id);

	return row_read_id(store, &key, ret);
}

/* ---- scans ---- */

typedef bool row_fn(void *ctx, struct bytes key, struct bytes value);

static enum err each_between(struct store *store, const struct key *from, const struct key *end,
                             bool backwards, row_fn *fn, void *ctx)
{
	struct store_scan *scan = scan_open(store, key_bytes(from), key_bytes(end), backwards);
	struct bytes key, value;
	enum err err;

	while (scan_next(scan, &key, &value))
		if (!fn(ctx, key, value))
			break;
	err = scan_err(scan);
	scan_close(scan);
	return err;
}

static enum err each_from(struct store *store, const struct key *from, const struct key *prefix,
                          bool backwards, row_fn *fn, void *ctx)
{
	struct key end;

	key_end_of(prefix, &end);
	return each_between(store, from, &end, backwards, fn, ctx);
}

/* Newest first, those before an id or (NULL) all. */
static enum err each_before(struct store *store, const struct key *prefix,
                            const struct uuid *before, row_fn *fn, void *ctx)
{
	struct key end;

	if (before) {
		end = *prefix;
		key_add_uuid(&end, before);
	} else {
		key_end_of(prefix, &end);
	}
	return each_between(store, prefix, &end, true, fn, ctx);
}

static enum err each_row(struct store *store, const struct key *prefix, bool backwards, row_fn *fn,
                         void *ctx)
{
	return each_from(store, prefix, prefix, backwards, fn, ctx);
}

static bool found_one(void *ctx, struct bytes key, struct bytes value)
{
	(void)key;
	(void)value;
	*(bool *)ctx = true;
	return false;
}

static bool count_one(void *ctx, struct bytes key, struct bytes value)
{
	(void)key;
	(void)value;
	(*(size_t *)ctx)++;
	return true;
}

enum err view_device(struct store *store, const struct uuid *account, const struct uuid *model,
                     const char *device_id)
{
	struct key key = row_device_key(account, 'v', model, device_id ? device_id : "");
	struct buf buf = { 0 };
	bool found = false;
	enum err err;

	if (device_id) {
		err = store_get(store, key_bytes(&key), &buf);
		buf_free(&buf);
		return err;
	}
	err = each_row(store, &key, false, found_one, &found);
	return err == OK && !found ? ERR_NOT_FOUND : err;
}

enum err view_count_models(struct store *store, const struct uuid *account, size_t *ret)
{
	struct key key;

	*ret = 0;
	key_start(&key, PARTITION_OWN, account, 'm');
	return each_row(store, &key, false, count_one, ret);
}

struct model_walk {
	view_model_fn *fn;
	void *ctx;
	enum err err;
};

static bool on_model_row(void *ctx, struct bytes key, struct bytes value)
{
	struct model_walk *walk = ctx;
	Events__ModelRow *row =
	        (Events__ModelRow *)wire_unpack(&events__model_row__descriptor, value);
	bool more;

	(void)key;
	if (!row) {
		walk->err = ERR_IO;
		return false;
	}
	more = walk->fn(walk->ctx, row);
	wire_free(&row->base);
	return more;
}

enum err view_each_model(struct store *store, const struct uuid *account, const struct uuid *before,
                         view_model_fn *fn, void *ctx)
{
	struct model_walk walk = { fn, ctx, OK };
	struct key key;
	enum err err;

	key_start(&key, PARTITION_OWN, account, 'm');
	err = each_before(store, &key, before, on_model_row, &walk);
	return err != OK ? err : walk.err;
}

struct session_walk {
	struct store *store;
	const struct view_sessions *which;
	view_session_fn *fn;
	void *ctx;
	size_t seen;
	struct uuid *next;
	enum err err;
};

static bool is_between(const Events__SessionRow *row, const struct view_sessions *which)
{
	return row->session->started_at >= which->from_ms &&
	       row->session->started_at <= which->to_ms;
}

static bool has_status(const Events__SessionRow *row, enum view_status status)
{
	return status == VIEW_ANY || (status == VIEW_CLOSED) == (row->has_close_code != 0);
}

/* The keys of 's', 'w', 'c' and 'd' all end with the session's id. */
static bool on_session_key(void *ctx, struct bytes key, struct bytes value)
{
	struct session_walk *walk = ctx;
	Events__SessionRow *row;
	struct uuid id;
	bool more;

	(void)value;
	memcpy(&id, (const uint8_t *)key.data + key.len - sizeof id, sizeof id);
	walk->err = view_session(walk->store, walk->which->account, &id, &row);
	if (walk->err != OK)
		return false;
	more = !has_status(row, walk->which->status) || !is_between(row, walk->which) ||
	       walk->fn(walk->ctx, row);
	wire_free(&row->base);
	if (more && ++walk->seen == VIEW_SEEN_MAX) {
		*walk->next = id;
		return false;
	}
	return more;
}

enum err view_each_session(struct store *store, const struct view_sessions *which,
                           view_session_fn *fn, void *ctx, struct uuid *ret_next)
{
	static const char table[] = { [VIEW_ANY] = 's', [VIEW_OPEN] = 'w', [VIEW_CLOSED] = 'c' };
	struct session_walk walk = { store, which, fn, ctx, 0, ret_next, OK };
	struct key key;
	enum err err;

	*ret_next = (struct uuid){ 0 };
	if (which->device_id)
		key = row_device_sessions_key(which->account, which->device_id);
	else
		key_start(&key, PARTITION_OWN, which->account, table[which->status]);
	err = each_before(store, &key, which->before, on_session_key, &walk);
	return err != OK ? err : walk.err;
}

struct held_walk {
	view_held_fn *fn;
	void *ctx;
	enum err err;
};

static bool parse_held(struct bytes key, struct bytes value, struct view_held *ret)
{
	struct bytes row = key_row(key);
	const uint8_t *p = row.data;

	if (row.len != 36 || value.len != sizeof ret->account)
		return false;
	ret->slot = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	memcpy(&ret->incarnation, p + 4, 16);
	memcpy(&ret->session, p + 20, 16);
	memcpy(&ret->account, value.data, 16);
	return true;
}

static bool on_held(void *ctx, struct bytes key, struct bytes value)
{
	struct held_walk *walk = ctx;
	struct view_held held;

	if (!parse_held(key, value, &held)) {
		walk->err = ERR_IO;
		return false;
	}
	return walk->fn(walk->ctx, &held);
}

enum err view_each_held(struct store *store, uint32_t slot, const struct uuid *incarnation,
                        view_held_fn *fn, void *ctx)
{
	struct held_walk walk = { fn, ctx, OK };
	struct key key = row_edge_key(slot, incarnation);
	enum err err = each_row(store, &key, false, on_held, &walk);

	return err != OK ? err : walk.err;
}

struct first_held {
	struct view_held held;
	bool found;
};

static bool take_first(void *ctx, const struct view_held *held)
{
	*(struct first_held *)ctx = (struct first_held){ *held, true };
	return false;
}

enum err view_next_edge(struct store *store, uint32_t slot, const struct uuid *incarnation,
                        uint32_t *ret_slot, struct uuid *ret_incarnation)
{
	struct first_held first = { 0 };
	struct held_walk walk = { take_first, &first, OK };
	struct key from = row_edge_key(slot, incarnation), table;
	enum err err;

	key_start(&table, PARTITION_OWN, NULL, 'e');
	err = each_from(store, &from, &table, false, on_held, &walk);
	if (err != OK || walk.err != OK)
		return err != OK ? err : walk.err;
	if (!first.found)
		return ERR_NOT_FOUND;
	*ret_slot = first.held.slot;
	*ret_incarnation = first.held.incarnation;
	return OK;
}

enum err view_all_held(struct store *store, view_held_fn *fn, void *ctx)
{
	struct held_walk walk = { fn, ctx, OK };
	struct key table;
	enum err err;

	key_start(&table, PARTITION_OWN, NULL, 'e');
	err = each_row(store, &table, false, on_held, &walk);
	return err != OK ? err : walk.err;
}
