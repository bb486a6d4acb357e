/*
 * journal - the events of one actor, in order, and the view that they make.
 *
 *     command -> validate -> event -> journal_append -> apply(event) -> commit -> reply
 *
 * journal_append() is asynchronous: it returns at once and calls on_committed later,
 * from the loop, when the events are durable. Nothing may be answered or broadcast
 * before. The view changes only in apply(), which writes into the batch it is given;
 * the journal stores its position in the same batch, so that after a crash at any
 * point view and journal agree.
 *
 * apply() is called once for every event, in order of seq, some time between append
 * and on_committed: a service may assume neither. It may read the store, which then shows
 * what every earlier append made, but nothing of its own append. When another writer was first
 * (never with the local engine; a tested possibility), on_committed gets ERR_CONFLICT
 * and nothing was applied: validate again and retry. ERR_LIMIT: the disk is full,
 * nothing was applied. ERR_IO: the store broke (store_why()) after apply() was called;
 * nothing was written: end the process, a restart finds journal and view agreeing.
 *
 * Layout in the store, under the journal's own partition (keys.h): one record an event,
 *
 *     seq -> hash of the record before (32) | hash of this payload with its salt (32) |
 *            salt (16) | payload
 *
 * hash = BLAKE2b-256, a record's over its first 64 bytes, zeros before the first; so the
 * kept journal is an audit trail in which a flipped byte shows. seq counts from 1.
 *
 * What people have a right to see erased goes with journal_redact(): salt and payload make way
 * for a mark, the 64 bytes stay, and the chain holds. Nobody can tell from the hash what it was.
 */
#ifndef COMMON_JOURNAL_H
#define COMMON_JOURNAL_H

#include "common/store.h"

#define JOURNAL_HASH 32

struct journal;

typedef void journal_apply_fn(void *ctx, uint64_t seq, struct bytes event,
                              struct store_batch *view);
typedef void journal_committed_fn(void *ctx, enum err err);

/* Borrows store and ctx. Calls apply() for what the view has not seen yet. A store that
 * cannot be read ends the process. */
struct journal *journal_open(struct store *store, struct loop *loop, journal_apply_fn *apply,
                             void *ctx);
/* Answers not yet given are not given. */
void journal_close(struct journal *journal);
AUTO_FREE(struct journal, journal_close)

/* Copies the events (at least one). Not from apply(). fn is always called, once, from a
 * later turn of the loop. */
void journal_append(struct journal *journal, const struct bytes *events, size_t n,
                    journal_committed_fn *fn, void *ctx);

uint64_t journal_last_seq(const struct journal *journal);

/* Events with from_seq <= seq, oldest first, until fn says false. */
typedef bool journal_read_fn(void *ctx, uint64_t seq, struct bytes event);
void journal_read(struct journal *journal, uint64_t from_seq, journal_read_fn *fn, void *ctx);

/* One event. ERR_NOT_FOUND: there is none, or it was redacted. */
CHECKED enum err journal_get(struct journal *journal, uint64_t seq, struct buf *ret);

/* Erases the event with the batch. Not one that the view has still to be told of. ERR_NOT_FOUND:
 * there is none. */
CHECKED enum err journal_redact(struct journal *journal, uint64_t seq, struct store_batch *batch);

/* What was redacted leaves the disk soon after the batch is written. May be called from apply(). */
void journal_give_back(struct store_batch *batch);

/* ERR_MALFORMED and the first bad seq when the hash chain does not hold. */
CHECKED enum err journal_verify(struct journal *journal, uint64_t *ret_bad_seq);

/* The same of a store alone, for who looks from outside (store_open_to_read()). */
struct journal_check {
	uint64_t last_seq;               /* of the sound ones: they begin with 1 */
	uint64_t redacted;               /* of these                             */
	uint8_t last_hash[JOURNAL_HASH]; /* of record last_seq; zeros: there is none */
	uint64_t bad_seq;                /* the first that is not as it was written  */
	const char *why;                 /* … in words: "it is missing"; NULL: all are sound */
};
/* ERR_MALFORMED, or ERR_IO: bad_seq and why say where. */
CHECKED enum err journal_check(struct store *store, struct journal_check *ret);
/* look: is asked of every sound record, in order; why it is bad all the same, or NULL. event is
 * nothing where it is redacted. */
typedef const char *journal_look_fn(void *ctx, uint64_t seq, bool is_redacted, struct bytes event);
CHECKED enum err journal_check_with(struct store *store, journal_look_fn *look, void *ctx,
                                    struct journal_check *ret);

/* For tests: every append waits delay_ms more before it is applied, and each nth one
 * (0 = none) is answered ERR_CONFLICT. */
void journal_set_faults(struct journal *journal, int64_t delay_ms, unsigned conflict_every);

#endif
