#include "services/auth/hours.h"

#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS        3600000
#define OLD_A_ROW      4 /* that go with each new row */
#define REPORT_KEPT_MS (24 * (int64_t)HOUR_MS)

/* ---- rows ---- */

static struct key hour_key(const struct uuid *account, uint64_t hour, const struct uuid *key)
{
	struct key row;

	key_start(&row, PARTITION_OWN, account, 'h');
	key_add_u64(&row, hour);
	if (key)
		key_add_uuid(&row, key);
	return row;
}

static struct key report_key(const Auth__KeysUsed *used)
{
	struct uuid incarnation;
	struct key row;

	MUST(wire_id(used->incarnation, &incarnation)); /* looked at before */
	key_start(&row, PARTITION_OWN, NULL, 'R');
	key_add_u32(&row, used->slot);
	key_add_uuid(&row, &incarnation);
	return row;
}

/* ---- counting ---- */

static enum err was_counted(struct store *store, const Auth__KeysUsed *used, bool *ret)
{
	struct key row = report_key(used);
	struct buf value = { 0 };
	enum err err = store_get(store, key_bytes(&row), &value);

	*ret = err == OK && value.len == 16 && used->number <= key_read_u64(value.data);
	buf_free(&value);
	return err == ERR_NOT_FOUND ? OK : err;
}

static void put_number(struct store_batch *batch, const Auth__KeysUsed *used)
{
	struct key row = report_key(used), value = { 0 };

	key_add_u64(&value, used->number);
	key_add_u64(&value, (uint64_t)clock_wall_ms());
	batch_put(batch, key_bytes(&row), key_bytes(&value));
}

static void drop_old(struct store *store, const struct uuid *account, uint64_t hour,
                     struct store_batch *batch)
{
	struct key from = hour_key(account, 0, NULL);
	struct key to = hour_key(account, hour > HOURS_KEPT ? hour - HOURS_KEPT : 0, NULL);
	AUTO(scan_close) struct store_scan *scan = NULL;
	struct bytes key, value;

	if (hour <= HOURS_KEPT)
		return;
	scan = scan_open(store, key_bytes(&from), key_bytes(&to), false);
	for (int n = 0; n < OLD_A_ROW && scan_next(scan, &key, &value); n++)
		batch_delete(batch, key);
}

/* What the row holds and what is new, into the batch. */
static enum err add_use(struct store *store, const Auth__KeyUse *use, struct store_batch *batch)
{
	Events__UsageRow row = EVENTS__USAGE_ROW__INIT;
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	int64_t now_ms = clock_wall_ms(), at_ms = use->at_ms < now_ms ? use->at_ms : now_ms;
	struct uuid key, whose, account;
	struct buf buf = { 0 };
	struct key place;
	uint64_t hour;
	enum err err;

	if (!wire_id(use->key, &key) || at_ms <= 0 || rows_owner(store, &key, &account) != OK)
		return OK; /* a key that was never made, or of an account that is gone */
	if (!use->has_user || !wire_id(use->user, &whose))
		whose = key;
	hour = (uint64_t)(at_ms / HOUR_MS);
	place = hour_key(&account, hour, &whose);
	err = store_get(store, key_bytes(&place), &buf);
	if (err == OK)
		message = wire_unpack(&events__usage_row__descriptor, BYTES(buf.data, buf.len));
	else if (err == ERR_NOT_FOUND)
		drop_old(store, &account, hour, batch);
	if (message)
		row = *(const Events__UsageRow *)message;
	row.requests += use->requests;
	row.connections += use->connections;
	row.frames += use->frames;
	row.bytes += use->bytes;
	row.insights += use->insights;
	if (err == OK || err == ERR_NOT_FOUND)
		batch_put(batch, key_bytes(&place), wire_pack(&buf, &row.base));
	buf_free(&buf);
	return err == ERR_NOT_FOUND ? OK : err;
}

static bool is_of_user(const Auth__KeyUse *use, const Auth__KeyUse *other)
{
	return use->has_user && other->has_user && use->user.len == other->user.len &&
	       memcmp(use->user.data, other->user.data, use->user.len) == 0;
}

/* A user may have several logins, and a row is written once: with the first of them come the
 * others. False: it has come already. */
static bool sum_up(const Auth__KeysUsed *used, size_t i, Auth__KeyUse *ret)
{
	*ret = *used->uses[i];
	for (size_t k = 0; ret->has_user && k < used->n_uses; k++) {
		const Auth__KeyUse *other = used->uses[k];

		if (k == i || !is_of_user(ret, other))
			continue;
		if (k < i)
			return false;
		ret->requests += other->requests;
		ret->connections += other->connections;
		ret->frames += other->frames;
		ret->bytes += other->bytes;
		ret->insights += other->insights;
	}
	return true;
}

enum err hours_add(struct store *store, const Auth__KeysUsed *used)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();
	Auth__KeyUse use;
	bool counted;
	enum err err = was_counted(store, used, &counted);

	for (size_t i = 0; err == OK && !counted && i < used->n_uses; i++)
		if (sum_up(used, i, &use))
			err = add_use(store, &use, batch);
	if (err != OK || counted)
		return err;
	put_number(batch, used);
	return store_write(store, batch);
}

/* The numbers of the reports of use or of reads, as both have one form. */
static void tidy(struct store *store, char table)
{
	AUTO(scan_close) struct store_scan *scan = rows_scan_own(store, table);
	AUTO(batch_free) struct store_batch *batch = batch_new();
	int64_t now_ms = clock_wall_ms();
	struct bytes key, value;

	while (scan_next(scan, &key, &value))
		if (value.len != 16 ||
		    now_ms - (int64_t)key_read_u64((const uint8_t *)value.data + 8) >
		            REPORT_KEPT_MS)
			batch_delete(batch, key);
	if (batch_bytes(batch) > 0 && store_write(store, batch) != OK)
		log_warn("usage-not-tidied", "why=\"%s\"", store_why(store));
}

void hours_tidy(struct store *store)
{
	tidy(store, 'R');
	tidy(store, 'Q');
}
