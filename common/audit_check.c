/* Whether the trail is what the journal says, and nothing was redacted for no reason. */
#include "common/audit_row.h"

#include "common/wire.h"

#include <string.h>

#define HEAD_BYTES 19 /* partition, account, table: of a row's key */

struct numbers {
	uint64_t *seq;
	size_t n, cap;
};

struct checking {
	const struct audit_source *source;
	struct store *store;
	struct numbers redacted; /* records, in order */
	uint64_t shown;          /* records with the row that they should have */
	uint64_t last_erasure;   /* of any account */
	/* while the rows are looked through */
	uint64_t rows;             /* of records that are not redacted */
	bool *has_row;             /* of each redacted record */
	struct uuid account;       /* that of the rows now */
	struct numbers of_account; /* its rows of redacted records */
	uint64_t erased_to;        /* what it has erased came before this record */
	uint64_t bad_seq;          /* the first that is redacted for no reason; 0: none */
};

static void add(struct numbers *numbers, uint64_t seq)
{
	if (numbers->n == numbers->cap) {
		numbers->cap = numbers->cap ? 2 * numbers->cap : 64;
		numbers->seq = xrealloc(numbers->seq, numbers->cap, sizeof *numbers->seq);
	}
	numbers->seq[numbers->n++] = seq;
}

/* Its place, or n. */
static size_t find(const struct numbers *numbers, uint64_t seq)
{
	size_t from = 0, to = numbers->n;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (numbers->seq[middle] < seq)
			from = middle + 1;
		else
			to = middle;
	}
	return from < numbers->n && numbers->seq[from] == seq ? from : numbers->n;
}

/* ---- the records ---- */

static bool same_id(bool has_a, ProtobufCBinaryData a, bool has_b, ProtobufCBinaryData b)
{
	return has_a == has_b && (!has_a || (a.len == b.len && memcmp(a.data, b.data, a.len) == 0));
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* A target may be missing: an older version knew of fewer. */
static bool says_the_same(const Events__AuditRow *row, const Events__AuditRow *event)
{
	return row->at_ms == event->at_ms && strcmp(row->action, event->action) == 0 &&
	       same_id(row->has_by, row->by, event->has_by, event->by) &&
	       (!row->has_target || same_id(true, row->target, event->has_target, event->target)) &&
	       same_text(row->resource, event->resource) && row->count == event->count;
}

static bool is_erasure(const struct checking *checking, const char *action)
{
	for (const char *const *one = checking->source->erasures; *one; one++)
		if (strcmp(*one, action) == 0)
			return true;
	return false;
}

static const char *look_at_record(void *ctx, uint64_t seq, bool is_redacted, struct bytes bytes)
{
	struct checking *checking = ctx;
	AUTO(wire_free) ProtobufCMessage *event = NULL, *row = NULL;
	struct buf value = { 0 };
	struct audit_row made;
	struct key key;
	enum err err;

	if (is_redacted) {
		add(&checking->redacted, seq);
		return NULL;
	}
	event = wire_unpack(checking->source->event, bytes);
	if (!event)
		return "it is no event of this journal";
	if (!audit_row_of(checking->source, event, &made))
		return NULL;
	if (is_erasure(checking, made.row.action))
		checking->last_erasure = seq;
	key = audit_row_key(&made.account, seq);
	err = store_get(checking->store, key_bytes(&key), &value);
	if (err == OK)
		row = wire_unpack(&events__audit_row__descriptor, BYTES(value.data, value.len));
	buf_free(&value);
	if (err == ERR_NOT_FOUND)
		return "the audit trail does not show it";
	if (!row || !says_the_same((const Events__AuditRow *)row, &made.row))
		return "the audit trail shows something else";
	checking->shown++;
	return NULL;
}

/* ---- the rows ---- */

static void blame(struct checking *checking, uint64_t seq)
{
	if (checking->bad_seq == 0 || seq < checking->bad_seq)
		checking->bad_seq = seq;
}

/* All rows of the account were seen. */
static void conclude_account(struct checking *checking)
{
	struct numbers *rows = &checking->of_account;

	for (size_t i = 0; i < rows->n; i++)
		if (rows->seq[i] > checking->erased_to)
			blame(checking, rows->seq[i]);
	rows->n = 0;
	checking->erased_to = 0;
}

/* The rows of an account went with it: whose these records were nobody knows. */
static void conclude_rest(struct checking *checking)
{
	for (size_t i = 0; i < checking->redacted.n; i++)
		if (!checking->has_row[i] && checking->redacted.seq[i] > checking->last_erasure)
			blame(checking, checking->redacted.seq[i]);
}

static void look_at_row(struct checking *checking, uint64_t seq, struct bytes value)
{
	AUTO(wire_free)
	ProtobufCMessage *row = wire_unpack(&events__audit_row__descriptor, value);
	size_t at = find(&checking->redacted, seq);

	if (at < checking->redacted.n) {
		checking->has_row[at] = true;
		add(&checking->of_account, seq);
	} else {
		checking->rows++;
	}
	if (row && is_erasure(checking, ((const Events__AuditRow *)row)->action))
		checking->erased_to = checking->source->erases_all ? UINT64_MAX : seq;
}

/* Every row of the process, of which those of the trail are looked at. */
static enum err look_at_rows(struct checking *checking)
{
	const struct key filled = audit_filled_key();
	const uint8_t table = filled.data[HEAD_BYTES - 1];
	uint8_t end[2] = { (PARTITION_OWN + 1) >> 8, (PARTITION_OWN + 1) & 0xff };
	AUTO(scan_close)
	struct store_scan *scan =
	        scan_open(checking->store, BYTES(filled.data, 2), BYTES(end, sizeof end), false);
	struct bytes key, value;
	struct uuid account;

	while (scan_next(scan, &key, &value)) {
		if (key.len != HEAD_BYTES + 8 ||
		    ((const uint8_t *)key.data)[HEAD_BYTES - 1] != table)
			continue;
		memcpy(&account, (const uint8_t *)key.data + 2, sizeof account);
		if (!uuid_equal(&account, &checking->account))
			conclude_account(checking);
		checking->account = account;
		look_at_row(checking, key_read_u64(key_row(key).data), value);
	}
	conclude_account(checking);
	conclude_rest(checking);
	return scan_err(scan);
}

/* ---- both ---- */

static enum err bad(struct journal_check *ret, uint64_t seq, const char *why)
{
	ret->bad_seq = seq;
	ret->why = why;
	return ERR_MALFORMED;
}

static enum err judge(const struct checking *checking, struct journal_check *ret)
{
	if (checking->bad_seq != 0)
		return bad(ret, checking->bad_seq,
		           "it was redacted, and nothing was deleted since");
	if (checking->rows != checking->shown)
		return bad(ret, ret->last_seq,
		           "up to here the audit trail shows what no record says");
	return OK;
}

enum err audit_check(const struct audit_source *source, struct store *store,
                     struct journal_check *ret)
{
	struct checking checking = { .source = source, .store = store };
	enum err err = audit_filled(store);

	if (err == ERR_NOT_FOUND) /* the rows are not made yet: the next start does */
		return journal_check(store, ret);
	err = journal_check_with(store, look_at_record, &checking, ret);
	checking.has_row = xcalloc(checking.redacted.n + 1, sizeof *checking.has_row);
	if (err == OK)
		err = look_at_rows(&checking);
	if (err == OK)
		err = judge(&checking, ret);
	else if (err == ERR_IO && !ret->why)
		(void)bad(ret, ret->last_seq, "the audit trail cannot be read");
	mem_free(checking.has_row);
	mem_free(checking.redacted.seq);
	mem_free(checking.of_account.seq);
	return err;
}
