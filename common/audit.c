#include "common/audit.h"

#include "common/audit_row.h"
#include "common/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILL_A_WRITE  1000
#define REDACT_A_CALL 500
#define SLACK_MS      3600000 /* the wall clock may have been set: rows are in order of seq */

/* ---- the index ---- */

void audit_apply(const struct audit_source *source, const ProtobufCMessage *event, uint64_t seq,
                 struct store_batch *view)
{
	struct audit_row made;
	struct buf buf = { 0 };
	struct key key;

	if (!audit_row_of(source, event, &made))
		return;
	key = audit_row_key(&made.account, seq);
	batch_put(view, key_bytes(&key), wire_pack(&buf, &made.row.base));
	buf_free(&buf);
}

struct filling {
	const struct audit_source *source;
	struct store *store;
	struct store_batch *batch;
	size_t n;
	enum err err;
};

static bool fill_one(void *ctx, uint64_t seq, struct bytes bytes)
{
	struct filling *filling = ctx;
	AUTO(wire_free) ProtobufCMessage *event = wire_unpack(filling->source->event, bytes);

	if (event)
		audit_apply(filling->source, event, seq, filling->batch);
	if (++filling->n % FILL_A_WRITE == 0) {
		filling->err = store_write(filling->store, filling->batch);
		batch_clear(filling->batch);
	}
	return filling->err == OK;
}

enum err audit_fill(const struct audit_source *source, struct store *store, struct journal *journal)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();
	struct filling filling = { source, store, batch, 0, OK };
	static const uint8_t mark = AUDIT_FILLED;
	struct key key = audit_filled_key();
	enum err err = audit_filled(store);

	if (err != ERR_NOT_FOUND)
		return err;
	journal_read(journal, 1, fill_one, &filling);
	if (filling.err != OK)
		return filling.err;
	batch_put(batch, key_bytes(&key), BYTES(&mark, 1));
	err = store_write(store, batch);
	return err == ERR_LIMIT ? OK : err; /* the disk is full: the next start tries again */
}

/* ---- lists ---- */

struct wanted {
	const struct audit_source *source;
	struct journal *journal;
	const struct uuid *account;
	size_t limit;
	int64_t from_ms, to_ms;
	bool has_key;
	struct uuid key;
	const char *action, *without;
	uint64_t before;
};

/* The number behind our letter; without one all of it is behind us. */
static bool read_cursor(const char *cursor, char letter, uint64_t *ret)
{
	const char *at = strchr(cursor, letter);
	char *end;

	if (strspn(cursor, "ar0123456789") != strlen(cursor))
		return false;
	*ret = 0;
	if (!at)
		return true;
	*ret = strtoull(at + 1, &end, 10);
	return end != at + 1;
}

static bool read_wanted(const Raeh__ListAudit *list, struct wanted *ret, char why[AUDIT_WHY])
{
	ret->limit = list->has_limit ? list->limit : AUDIT_LIMIT;
	ret->from_ms = list->has_from_at ? list->from_at : INT64_MIN;
	ret->to_ms = list->has_to_at ? list->to_at : INT64_MAX;
	ret->action = list->action;
	ret->without = list->without;
	ret->has_key = list->key_id;
	ret->before = UINT64_MAX;
	if (ret->limit < 1 || ret->limit > AUDIT_LIMIT_MOST)
		(void)snprintf(why, AUDIT_WHY, "limit: expected 1 to %d, got %zu", AUDIT_LIMIT_MOST,
		               ret->limit);
	else if (list->key_id && !uuid_parse(list->key_id, &ret->key))
		(void)snprintf(why, AUDIT_WHY, "key_id: expected a UUID");
	else if (list->cursor && !read_cursor(list->cursor, ret->source->letter, &ret->before))
		(void)snprintf(why, AUDIT_WHY, "cursor: expected one from a Link header");
	else
		return true;
	return false;
}

static bool is_key(bool has, ProtobufCBinaryData field, const struct uuid *key)
{
	struct uuid id;

	return has && wire_id(field, &id) && uuid_equal(&id, key);
}

static bool passes(const struct wanted *wanted, const Events__AuditRow *row)
{
	if (row->at_ms < wanted->from_ms || row->at_ms > wanted->to_ms ||
	    audit_is_among(wanted->source->hidden, row->action))
		return false;
	if (wanted->action && strcmp(wanted->action, row->action) != 0)
		return false;
	if (wanted->without && strcmp(wanted->without, row->action) == 0)
		return false;
	return !wanted->has_key || is_key(row->has_by, row->by, &wanted->key) ||
	       is_key(row->has_target, row->target, &wanted->key);
}

static char *id_text(bool has, ProtobufCBinaryData field)
{
	char *text;
	struct uuid id;

	if (!has || !wire_id(field, &id))
		return NULL;
	text = xcalloc(1, UUID_TEXT);
	uuid_text(&id, text);
	return text;
}

/* What the record says of where it was done from; redacted: it says nothing any more. */
static void read_record(const struct wanted *wanted, uint64_t seq, Raeh__AuditEntry *entry)
{
	AUTO(wire_free) ProtobufCMessage *event = NULL;
	const Raeh__Origin *origin;
	struct buf buf = { 0 };

	if (journal_get(wanted->journal, seq, &buf) == OK)
		event = wire_unpack(wanted->source->event, BYTES(buf.data, buf.len));
	buf_free(&buf);
	entry->redacted = !event;
	if (!event)
		return;
	origin = audit_origin(event);
	if (!origin)
		return;
	entry->address = origin->address ? xstrdup(origin->address) : NULL;
	entry->agent = origin->agent ? xstrdup(origin->agent) : NULL;
}

static void add(const struct wanted *wanted, uint64_t seq, const Events__AuditRow *row,
                Raeh__AuditPage *page)
{
	Raeh__AuditEntry *entry = xcalloc(1, sizeof *entry);

	raeh__audit_entry__init(entry);
	entry->id = xasprintf("%c%llu", wanted->source->letter, (unsigned long long)seq);
	entry->created_at = row->at_ms;
	entry->action = xstrdup(row->action);
	entry->by = id_text(row->has_by, row->by);
	entry->target = id_text(row->has_target, row->target);
	entry->resource = row->resource ? xstrdup(row->resource) : NULL;
	entry->count = row->count;
	read_record(wanted, seq, entry);
	page->place->seqs[page->place->n_seqs++] = seq;
	page->list->items[page->list->n_items++] = entry;
}

/* False: older than anything wanted. */
static bool look(const struct wanted *wanted, uint64_t seq, struct bytes value,
                 Raeh__AuditPage *page)
{
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&events__audit_row__descriptor, value);
	const Events__AuditRow *row = (const Events__AuditRow *)message;

	if (!row)
		return true;
	page->place->scanned_to_at = row->at_ms;
	if (passes(wanted, row))
		add(wanted, seq, row, page);
	return wanted->from_ms == INT64_MIN || row->at_ms >= wanted->from_ms - SLACK_MS;
}

static enum err scan(const struct wanted *wanted, struct store *store, Raeh__AuditPage *page)
{
	struct key from = audit_row_key(wanted->account, 0),
	           to = audit_row_key(wanted->account, wanted->before);
	AUTO(scan_close)
	struct store_scan *rows = scan_open(store, key_bytes(&from), key_bytes(&to), true);
	struct bytes key, value;

	for (size_t n = 0; scan_next(rows, &key, &value); n++) {
		if (n == AUDIT_SCAN_MOST || page->list->n_items == wanted->limit)
			return OK; /* next is where it stopped */
		page->place->next = key_read_u64(key_row(key).data);
		if (!look(wanted, page->place->next, value, page))
			break;
	}
	page->place->next = 0;
	return scan_err(rows);
}

enum err audit_list(const struct audit_source *source, struct store *store, struct journal *journal,
                    const struct uuid *account, const Raeh__ListAudit *list, char why[AUDIT_WHY],
                    Raeh__AuditPage **ret)
{
	struct wanted wanted = { .source = source, .journal = journal, .account = account };
	Raeh__AuditPage *page;
	enum err err;

	if (!read_wanted(list, &wanted, why))
		return ERR_MALFORMED;
	page = xcalloc(1, sizeof *page);
	raeh__audit_page__init(page);
	page->list = xcalloc(1, sizeof *page->list);
	raeh__audit_list__init(page->list);
	page->place = xcalloc(1, sizeof *page->place);
	raeh__audit_place__init(page->place);
	page->list->items = xcalloc(wanted.limit, sizeof(Raeh__AuditEntry *));
	page->place->seqs = xcalloc(wanted.limit, sizeof *page->place->seqs);
	err = wanted.before > 0 ? scan(&wanted, store, page) : OK;
	if (err == OK)
		*ret = page;
	else
		wire_free(&page->base);
	return err;
}

/* ---- erasing ---- */

/* A path may name a device. */
static void drop_resource(struct bytes key, struct bytes value, struct store_batch *batch)
{
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&events__audit_row__descriptor, value);
	Events__AuditRow *row = (Events__AuditRow *)message;
	struct buf buf = { 0 };

	if (!row || !row->resource)
		return;
	mem_free(TAKE(row->resource));
	batch_put(batch, key, wire_pack(&buf, &row->base));
	buf_free(&buf);
}

/* ERR_NOT_FOUND: not wanted, or erased already. */
static enum err redact_one(struct journal *journal, uint64_t seq, struct store_batch *batch,
                           audit_wanted_fn *wanted, void *ctx)
{
	struct buf event = { 0 };
	enum err err = wanted ? journal_get(journal, seq, &event) : OK;

	if (err == OK && wanted && !wanted(ctx, BYTES(event.data, event.len)))
		err = ERR_NOT_FOUND;
	buf_free(&event);
	return err == OK ? journal_redact(journal, seq, batch) : err;
}

enum err audit_redact(struct store *store, struct journal *journal, const struct uuid *account,
                      uint64_t *after, struct store_batch *batch, audit_wanted_fn *wanted,
                      void *ctx)
{
	struct key from = audit_row_key(account, *after + 1),
	           to = audit_row_key(account, UINT64_MAX);
	AUTO(scan_close)
	struct store_scan *rows = scan_open(store, key_bytes(&from), key_bytes(&to), false);
	struct bytes key, value;
	enum err err;

	for (size_t n = 0; n < REDACT_A_CALL; n++) {
		if (!scan_next(rows, &key, &value)) {
			err = scan_err(rows);
			return err == OK && n == 0 ? ERR_NOT_FOUND : err;
		}
		*after = key_read_u64(key_row(key).data);
		err = redact_one(journal, *after, batch, wanted, ctx);
		if (err != OK && err != ERR_NOT_FOUND)
			return err;
		if (err == OK || !wanted)
			drop_resource(key, value, batch);
	}
	return OK;
}
