/* Records as bytes, and whether the chain of them holds. */
#include "common/journal_record.h"

#include <sodium.h>
#include <string.h>

void record_link(struct bytes record, uint8_t ret[JOURNAL_HASH])
{
	size_t len = record.len < RECORD_LINKED ? record.len : RECORD_LINKED;

	(void)crypto_generichash(ret, JOURNAL_HASH, record.data, len, NULL, 0);
}

void record_hash_payload(const uint8_t *salt, struct bytes payload, uint8_t ret[JOURNAL_HASH])
{
	crypto_generichash_state state;

	(void)crypto_generichash_init(&state, NULL, 0, JOURNAL_HASH);
	(void)crypto_generichash_update(&state, salt, sizeof((struct record_head *)0)->salt);
	(void)crypto_generichash_update(&state, payload.data, payload.len);
	(void)crypto_generichash_final(&state, ret, JOURNAL_HASH);
}

struct key record_key(uint64_t seq)
{
	struct key key;

	key_start(&key, PARTITION_OWN, NULL, 'j');
	key_add_u64(&key, seq);
	return key;
}

struct key record_position_key(void)
{
	struct key key;

	key_start(&key, PARTITION_OWN, NULL, 'p');
	return key;
}

struct store_scan *record_scan(struct store *store, uint64_t from_seq, bool backwards)
{
	struct key from = record_key(from_seq), table, end;

	key_start(&table, PARTITION_OWN, NULL, 'j');
	key_end_of(&table, &end);
	return scan_open(store, key_bytes(&from), key_bytes(&end), backwards);
}

bool record_next(struct store_scan *scan, uint64_t *ret_seq, struct bytes *ret_record)
{
	struct bytes key;

	do {
		if (!scan_next(scan, &key, ret_record))
			return false;
	} while (key_row(key).len != 8);
	*ret_seq = key_read_u64(key_row(key).data);
	return true;
}

bool record_payload(struct bytes record, struct bytes *ret)
{
	if (record.len < sizeof(struct record_head))
		return false;
	*ret = BYTES((const uint8_t *)record.data + sizeof(struct record_head),
	             record.len - sizeof(struct record_head));
	return true;
}

/* ---- the chain ---- */

static bool is_redacted(struct bytes record)
{
	size_t len = strlen(RECORD_REDACTED);

	return record.len == RECORD_LINKED + len &&
	       memcmp((const uint8_t *)record.data + RECORD_LINKED, RECORD_REDACTED, len) == 0;
}

/* Whether what it says of itself is so; of a redacted one nothing is known but its link. */
static bool is_sound(struct bytes record)
{
	const struct record_head *head = record.data;
	uint8_t hash[JOURNAL_HASH];
	struct bytes payload;

	if (is_redacted(record))
		return true;
	if (!record_payload(record, &payload))
		return false;
	record_hash_payload(head->salt, payload, hash);
	return memcmp(head->payload, hash, JOURNAL_HASH) == 0;
}

static const char *fault_of(uint64_t seq, uint64_t expected, struct bytes record,
                            const uint8_t before[JOURNAL_HASH])
{
	if (seq > expected)
		return "it is missing";
	if (seq < expected)
		return "it has a number that cannot be";
	if (record.len < RECORD_LINKED || memcmp(record.data, before, JOURNAL_HASH) != 0)
		return "it does not follow the record before it, or its head was changed";
	return is_sound(record) ? NULL : "it is not what was written";
}

/* How far the service has come: records up to there were lost when there are fewer. */
static uint64_t position_of(struct store *store)
{
	struct key key = record_position_key();
	struct buf value = { 0 };
	uint64_t ret = 0;

	if (store_get(store, key_bytes(&key), &value) == OK && value.len == 8)
		ret = key_read_u64(value.data);
	buf_free(&value);
	return ret;
}

static enum err bad(struct journal_check *ret, uint64_t seq, const char *why)
{
	ret->bad_seq = seq;
	ret->why = why;
	return ERR_MALFORMED;
}

static const char *look_at(journal_look_fn *look, void *ctx, uint64_t seq, struct bytes record)
{
	struct bytes event = { 0 };
	bool redacted = is_redacted(record);

	if (!look || (!redacted && !record_payload(record, &event)))
		return NULL;
	return look(ctx, seq, redacted, event);
}

enum err journal_check(struct store *store, struct journal_check *ret)
{
	return journal_check_with(store, NULL, NULL, ret);
}

enum err journal_check_with(struct store *store, journal_look_fn *look, void *ctx,
                            struct journal_check *ret)
{
	AUTO(scan_close) struct store_scan *scan = record_scan(store, 0, false);
	uint64_t seq, expected = 1;
	struct bytes record;
	const char *fault;
	enum err err;

	MUST(sodium_init() >= 0);
	*ret = (struct journal_check){ 0 };
	for (; record_next(scan, &seq, &record); expected++) {
		fault = fault_of(seq, expected, record, ret->last_hash);
		if (!fault)
			fault = look_at(look, ctx, seq, record);
		if (fault)
			return bad(ret, seq < expected ? seq : expected, fault);
		record_link(record, ret->last_hash);
		ret->last_seq = seq;
		ret->redacted += is_redacted(record);
	}
	err = scan_err(scan);
	if (err != OK) {
		ret->bad_seq = expected;
		ret->why = "it cannot be read";
	} else if (ret->last_seq < position_of(store)) {
		err = bad(ret, expected, "it is missing");
	}
	return err;
}
