/*
 * journal_record - one record of a journal as bytes. Private to the journal.
 */
#ifndef COMMON_JOURNAL_RECORD_H
#define COMMON_JOURNAL_RECORD_H

#include "common/journal.h"
#include "common/keys.h"

struct record_head {
	uint8_t before[JOURNAL_HASH];  /* hash of the bytes that begin the record before */
	uint8_t payload[JOURNAL_HASH]; /* hash of salt and payload */
	uint8_t salt[16];
};
#define RECORD_LINKED   (2 * JOURNAL_HASH) /* the part that the next record vouches for */
#define RECORD_REDACTED "redacted"         /* stands behind it in place of salt and payload */
_Static_assert(sizeof(struct record_head) == 80, "a record's head has no padding");

struct key record_key(uint64_t seq);
struct key record_position_key(void);

/* What the record behind this one holds as `before`. */
void record_link(struct bytes record, uint8_t ret[JOURNAL_HASH]);
void record_hash_payload(const uint8_t *salt, struct bytes payload, uint8_t ret[JOURNAL_HASH]);
/* False: redacted, or no record. */
bool record_payload(struct bytes record, struct bytes *ret);

struct store_scan *record_scan(struct store *store, uint64_t from_seq, bool backwards);
/* False at the end. A record with a broken key or head comes as it is. */
bool record_next(struct store_scan *scan, uint64_t *ret_seq, struct bytes *ret_record);

#endif
