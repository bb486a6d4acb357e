#include "services/auth/rows.h"

#include "common/layout.h"
#include "common/once.h"
#include "services/auth/rows_internal.h"
#include "services/auth/user_rows.h"

#include <sodium.h>
#include <string.h>

static struct key own_key(char table)
{
	struct key key;

	key_start(&key, PARTITION_OWN, NULL, table);
	return key;
}

struct key rows_id_key(char table, const struct uuid *account, const struct uuid *id)
{
	struct key key;

	key_start(&key, PARTITION_OWN, account, table);
	key_add_uuid(&key, id);
	return key;
}

static struct key account_key(const struct uuid *account)
{
	struct key key;

	key_start(&key, PARTITION_OWN, account, 'a');
	return key;
}

struct key rows_email_key(const char *email)
{
	struct key key = own_key('E');

	key_add(&key, email, strlen(email));
	return key;
}

struct key rows_digest_key(struct bytes digest)
{
	struct key key = own_key('d');

	key_add(&key, digest.data, digest.len);
	return key;
}

static struct key notice_key(uint64_t number)
{
	struct key key = own_key(ROWS_NOTICES);

	key_add_u64(&key, number);
	return key;
}

static struct key edge_key(const Events__EdgeRow *row)
{
	struct key key = own_key(ROWS_EDGES);
	struct uuid incarnation;

	MUST(wire_id(row->incarnation, &incarnation));
	key_add_u32(&key, row->slot);
	key_add_uuid(&key, &incarnation);
	return key;
}

/* ---- events ---- */

void rows_put(struct store_batch *view, struct key key, struct bytes value)
{
	batch_put(view, key_bytes(&key), value);
}

void rows_put_message(struct store_batch *view, struct key key, const ProtobufCMessage *message)
{
	struct buf buf = { 0 };

	rows_put(view, key, wire_pack(&buf, message));
	buf_free(&buf);
}

void rows_delete(struct store_batch *view, struct key key)
{
	batch_delete(view, key_bytes(&key));
}

static struct bytes id_bytes(const struct uuid *id)
{
	return BYTES(id->byte, sizeof id->byte);
}

struct uuid rows_id_of(ProtobufCBinaryData field)
{
	struct uuid id;

	MUST(wire_id(field, &id));
	return id;
}

static void apply_account(const Events__AccountRow *row, struct store_batch *view)
{
	struct uuid id = rows_id_of(row->id);

	rows_put_message(view, account_key(&id), &row->base);
	rows_put(view, rows_email_key(row->email), id_bytes(&id));
}

/* By the hash: an id of a customer may be longer than a key of the store. */
static struct key external_key(const struct uuid *account, const char *external_id)
{
	uint8_t hash[16];
	struct key key;

	(void)crypto_generichash(hash, sizeof hash, (const uint8_t *)external_id,
	                         strlen(external_id), NULL, 0);
	key_start(&key, PARTITION_OWN, account, 'x');
	key_add(&key, hash, sizeof hash);
	return key;
}

static void put_child(const struct uuid *account, const struct uuid *parent, const struct uuid *id,
                      struct store_batch *view)
{
	struct key place = rows_id_key('c', account, parent);

	key_add_uuid(&place, id);
	rows_put(view, place, BYTES("", 0));
}

static void put_indexes(const Auth__Key *key, const struct uuid *account, const struct uuid *id,
                        struct store_batch *view)
{
	struct key place;
	struct uuid parent;

	if (key->external_id) {
		place = external_key(account, key->external_id);
		key_add_uuid(&place, id);
		rows_put(view, place, BYTES("", 0));
	}
	if (key->minted_by && uuid_parse(key->minted_by, &parent))
		put_child(account, &parent, id, view);
}

/* by: a successor descends from who has rotated, too. */
enum err rows_fill(struct store *store, const struct uuid *account, struct store_batch *batch)
{
	AUTO(scan_close) struct store_scan *scan = rows_scan_table(store, account, 'k');
	struct bytes key, value;
	enum err err = OK;

	while (err == OK && scan_next(scan, &key, &value)) {
		AUTO(wire_free)
		ProtobufCMessage *row = wire_unpack(&events__key_row__descriptor, value);
		struct uuid id;

		if (!row || !uuid_parse(((const Events__KeyRow *)row)->key->id, &id))
			return ERR_MALFORMED;
		put_indexes(((const Events__KeyRow *)row)->key, account, &id, batch);
		err = layout_write(store, batch);
	}
	return err == OK ? scan_err(scan) : err;
}

static void apply_minted(const Events__KeyRow *row, const struct uuid *by, struct store_batch *view)
{
	struct uuid place[2] = { rows_id_of(row->account) };

	MUST(uuid_parse(row->key->id, &place[1]));
	rows_put_message(view, rows_id_key('k', &place[0], &place[1]), &row->base);
	rows_put(view, rows_digest_key(BYTES(row->digest.data, row->digest.len)),
	         BYTES(place, sizeof place));
	rows_put(view, rows_id_key('K', NULL, &place[1]), id_bytes(&place[0]));
	put_indexes(row->key, &place[0], &place[1], view);
	if (by)
		put_child(&place[0], by, &place[1], view);
}

static void apply_revoked(const Events__KeyRevoked *revoked, struct bytes packed,
                          struct store_batch *view)
{
	struct uuid account = rows_id_of(revoked->account), id = rows_id_of(revoked->key);
	Auth__Notice notice = AUTH__NOTICE__INIT;

	notice.number = revoked->notice;
	notice.account = revoked->account;
	notice.key = revoked->key;
	notice.reason = revoked->reason;
	rows_delete(view, rows_id_key('k', &account, &id));
	rows_delete(view, rows_id_key('l', &account, &id));
	rows_put(view, rows_id_key('r', &account, &id), packed);
	rows_put_message(view, notice_key(notice.number), &notice.base);
}

static void apply_changed(const Events__KeyChanged *changed, struct store_batch *view)
{
	struct uuid account = rows_id_of(changed->row->account), id;

	MUST(uuid_parse(changed->row->key->id, &id));
	rows_put_message(view, rows_id_key('k', &account, &id), &changed->row->base);
	put_indexes(changed->row->key, &account, &id, view);
	if (changed->notice)
		rows_put_message(view, notice_key(changed->notice->number), &changed->notice->base);
}

static void apply_settled(const Events__RevokeSettled *settled, struct store_batch *view)
{
	struct uuid account = rows_id_of(settled->account), id = rows_id_of(settled->key);

	rows_put_message(view, rows_id_key('s', &account, &id), &settled->receipt->base);
}

static struct key reads_key(uint32_t slot, ProtobufCBinaryData incarnation)
{
	struct key key = own_key('Q');
	struct uuid id = rows_id_of(incarnation);

	key_add_u32(&key, slot);
	key_add_uuid(&key, &id);
	return key;
}

static void apply_read(const Events__HealthRead *read, int64_t at_ms, struct store_batch *view)
{
	struct key value = { 0 };

	key_add_u64(&value, read->number);
	key_add_u64(&value, (uint64_t)at_ms);
	rows_put(view, reads_key(read->slot, read->incarnation), key_bytes(&value));
}

void rows_apply(const Events__AuthEvent *event, struct bytes packed, struct store_batch *view)
{
	struct uuid by;

	switch (event->event_case) {
	case EVENTS__AUTH_EVENT__EVENT_ACCOUNT_CREATED:
		apply_account(event->account_created, view);
		break;
	case EVENTS__AUTH_EVENT__EVENT_KEY_MINTED:
		apply_minted(event->key_minted,
		             event->has_by && wire_id(event->by, &by) ? &by : NULL, view);
		break;
	case EVENTS__AUTH_EVENT__EVENT_KEY_REVOKED:
		apply_revoked(event->key_revoked, packed, view);
		break;
	case EVENTS__AUTH_EVENT__EVENT_KEY_CHANGED:
		apply_changed(event->key_changed, view);
		break;
	case EVENTS__AUTH_EVENT__EVENT_HEALTH_READ:
		apply_read(event->health_read, event->at_ms, view);
		break;
	case EVENTS__AUTH_EVENT__EVENT_REVOKE_SETTLED:
		apply_settled(event->revoke_settled, view);
		break;
	case EVENTS__AUTH_EVENT__EVENT_EDGE_REGISTERED:
		rows_put_message(view, edge_key(event->edge_registered),
		                 &event->edge_registered->base);
		break;
	case EVENTS__AUTH_EVENT__EVENT_EDGE_GONE:
		rows_delete(view, edge_key(event->edge_gone));
		break;
	case EVENTS__AUTH_EVENT__EVENT_KEPT:
		once_apply(event->kept, event->at_ms, view);
		break;
	default:
		MUST(user_rows_apply(event, view)); /* else one that this version does not know */
	}
}

/* ---- reading ---- */

enum err rows_get_message(struct store *store, struct key key,
                          const ProtobufCMessageDescriptor *type, ProtobufCMessage **ret)
{
	struct buf value = { 0 };
	enum err err = store_get(store, key_bytes(&key), &value);
	ProtobufCMessage *message = NULL;

	if (err == OK) {
		message = wire_unpack(type, BYTES(value.data, value.len));
		err = message ? OK : ERR_MALFORMED;
	}
	buf_free(&value);
	if (err == OK)
		*ret = message;
	return err;
}

enum err rows_get_ids(struct store *store, struct key key, struct uuid *ret, size_t n)
{
	struct buf value = { 0 };
	enum err err = store_get(store, key_bytes(&key), &value);

	if (err == OK && value.len != n * sizeof *ret)
		err = ERR_MALFORMED;
	if (err == OK)
		memcpy(ret, value.data, value.len);
	buf_free(&value);
	return err;
}

enum err rows_key(struct store *store, const struct uuid *account, const struct uuid *id,
                  Events__KeyRow **ret)
{
	return rows_get_message(store, rows_id_key('k', account, id), &events__key_row__descriptor,
	                        (ProtobufCMessage **)ret);
}

enum err rows_by_digest(struct store *store, const uint8_t digest[DIGEST_BYTES],
                        struct uuid *ret_account, struct uuid *ret_id)
{
	struct uuid place[2];
	enum err err = rows_get_ids(store, rows_digest_key(BYTES(digest, DIGEST_BYTES)), place, 2);

	if (err == OK) {
		*ret_account = place[0];
		*ret_id = place[1];
	}
	return err;
}

enum err rows_owner(struct store *store, const struct uuid *id, struct uuid *ret_account)
{
	return rows_get_ids(store, rows_id_key('K', NULL, id), ret_account, 1);
}

enum err rows_revoked(struct store *store, const struct uuid *account, const struct uuid *id,
                      Events__AuthEvent **ret)
{
	return rows_get_message(store, rows_id_key('r', account, id),
	                        &events__auth_event__descriptor, (ProtobufCMessage **)ret);
}

enum err rows_receipt(struct store *store, const struct uuid *account, const struct uuid *id,
                      Auth__Receipt **ret)
{
	return rows_get_message(store, rows_id_key('s', account, id), &auth__receipt__descriptor,
	                        (ProtobufCMessage **)ret);
}

enum err rows_account(struct store *store, const struct uuid *id, Events__AccountRow **ret)
{
	return rows_get_message(store, account_key(id), &events__account_row__descriptor,
	                        (ProtobufCMessage **)ret);
}

enum err rows_account_by_email(struct store *store, const char *email, struct uuid *ret)
{
	struct uuid user;

	return rows_user_by_email(store, email, ret, &user);
}

enum err rows_reads_taken(struct store *store, const Auth__AuditReads *reads, uint64_t *ret)
{
	struct key key = reads_key(reads->slot, reads->incarnation);
	struct buf value = { 0 };
	enum err err = store_get(store, key_bytes(&key), &value);

	*ret = err == OK && value.len == 16 ? key_read_u64(value.data) : 0;
	buf_free(&value);
	return err == ERR_NOT_FOUND ? OK : err;
}

void last_use_done(struct last_use *use)
{
	mem_free(use->address);
	mem_free(use->agent);
	*use = (struct last_use){ 0 };
}

/* 8 bytes of time, then a raeh.Origin, which may be empty. */
static enum err read_last_use(struct bytes value, struct last_use *ret)
{
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	Raeh__Origin *origin;

	if (value.len < 8)
		return ERR_MALFORMED;
	message = wire_unpack(&raeh__origin__descriptor, BYTES(value.data + 8, value.len - 8));
	if (!message)
		return ERR_MALFORMED;
	origin = (Raeh__Origin *)message;
	ret->ms = (int64_t)key_read_u64(value.data);
	ret->address = TAKE(origin->address);
	ret->agent = TAKE(origin->agent);
	return OK;
}

enum err rows_last_use(struct store *store, const struct uuid *account, const struct uuid *id,
                       struct last_use *ret)
{
	struct key key = rows_id_key('u', account, id);
	struct buf value = { 0 };
	enum err err = store_get(store, key_bytes(&key), &value);

	*ret = (struct last_use){ 0 };
	if (err == OK)
		err = read_last_use(BYTES(value.data, value.len), ret);
	else if (err == ERR_NOT_FOUND)
		err = OK;
	buf_free(&value);
	return err;
}

void rows_put_last_use(struct store_batch *batch, const struct uuid *account, const struct uuid *id,
                       const struct last_use *use)
{
	struct key key = rows_id_key('u', account, id), ms = { 0 };
	Raeh__Origin origin = RAEH__ORIGIN__INIT;
	struct buf value = { 0 }, packed = { 0 };
	struct bytes bytes;

	origin.address = use->address;
	origin.agent = use->agent;
	key_add_u64(&ms, (uint64_t)use->ms);
	bytes = key_bytes(&ms);
	buf_append(&value, bytes.data, bytes.len);
	bytes = wire_pack(&packed, &origin.base);
	buf_append(&value, bytes.data, bytes.len);
	batch_put(batch, key_bytes(&key), BYTES(value.data, value.len));
	buf_free(&packed);
	buf_free(&value);
}

void rows_trim_notices(struct store_batch *batch, uint64_t through)
{
	struct key from = notice_key(0), to = notice_key(through + 1);

	batch_delete_range(batch, key_bytes(&from), key_bytes(&to));
}

static struct store_scan *scan_prefix(struct store *store, struct key prefix, bool backwards)
{
	struct key end;

	key_end_of(&prefix, &end);
	return scan_open(store, key_bytes(&prefix), key_bytes(&end), backwards);
}

struct store_scan *rows_scan_table(struct store *store, const struct uuid *account, char table)
{
	struct key prefix;

	key_start(&prefix, PARTITION_OWN, account, table);
	return scan_prefix(store, prefix, true);
}

struct store_scan *rows_scan_keys(struct store *store, const struct uuid *account,
                                  const struct uuid *before)
{
	struct key from, to;

	if (!before)
		return rows_scan_table(store, account, 'k');
	key_start(&from, PARTITION_OWN, account, 'k');
	to = rows_id_key('k', account, before);
	return scan_open(store, key_bytes(&from), key_bytes(&to), true);
}

bool rows_next_id(struct store_scan *scan, struct uuid *ret)
{
	struct bytes key, value;

	if (!scan_next(scan, &key, &value))
		return false;
	MUST(key.len > sizeof *ret);
	memcpy(ret, (const uint8_t *)key.data + key.len - sizeof *ret, sizeof *ret);
	return true;
}

struct store_scan *rows_scan_children(struct store *store, const struct uuid *account,
                                      const struct uuid *id)
{
	return scan_prefix(store, rows_id_key('c', account, id), false);
}

struct store_scan *rows_scan_external(struct store *store, const struct uuid *account,
                                      const char *external_id)
{
	return scan_prefix(store, external_key(account, external_id), false);
}

struct store_scan *rows_scan_own(struct store *store, char table)
{
	return scan_prefix(store, own_key(table), false);
}
