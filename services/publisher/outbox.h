/*
 * outbox - every insight of this process, numbered from 1 without holes.
 *
 * An insight is written in the batch of the frames that made it due, as four rows: by
 * session in full (x), by type and account (i), as out (t), and by number (O). The last
 * are what is broadcast and fetched, read back from the store once they are durable; the
 * newest OUTBOX_KEPT stay.
 *
 * Numbers are given when a row goes into a batch; a batch that is refused gives them back.
 * The ids' times never step back against the numbers by less than OUTBOX_STEP_MS, so that who
 * knows an id finds everything numbered behind it at its ms or later.
 */
#ifndef PUBLISHER_OUTBOX_H
#define PUBLISHER_OUTBOX_H

#include "services/publisher/session.h"

#define OUTBOX_KEPT       100000
#define OUTBOX_TRIM_STEP  1000
#define OUTBOX_READ_BYTES (1u << 20) /* of one message made of these rows */
#define OUTBOX_STEP_MS    60000      /* a clock that is set back further is followed */

struct outbox_fresh {
	const struct session *session;
	enum insight_type type;
	int64_t t_ms;
};

struct outbox {
	struct store *store;
	uint64_t newest;                   /* the last number given */
	uint64_t trimmed;                  /* all numbers below have gone */
	uint64_t written, written_trimmed; /* these two, as the store has them */
	int64_t made_ms;                   /* the next id's, or later */
	struct outbox_fresh *fresh;        /* what the batch holds */
	size_t n_fresh, cap_fresh;
	struct buf row, packed;
};

/* Finds its numbers in the store. */
CHECKED enum err outbox_init(struct outbox *outbox, struct store *store);
void outbox_done(struct outbox *outbox);

/* Now, or earlier: what is added from here on has a later ts. */
int64_t outbox_promise(struct outbox *outbox);

/* False: that (session, type, t) is out already, or the value is no number. */
bool outbox_add(struct outbox *outbox, struct store_batch *batch, struct session *session,
                const struct analysis_insight *insight);
/* When due, deletes the oldest in the same batch. */
void outbox_trim(struct outbox *outbox, struct store_batch *batch);
/* The same for at most `most` made before that time, but for the newest of all. */
void outbox_trim_before(struct outbox *outbox, struct store_batch *batch, int64_t before_ms,
                        size_t most);
/* The batch is written, or was refused. */
void outbox_settle(struct outbox *outbox, bool written);

/* Appends the fields `insights` of an InsightsPublished: numbers from <= n <= to, at most limit,
 * at most OUTBOX_READ_BYTES. Returns the last number read, from - 1 when there is none. */
uint64_t outbox_read(struct outbox *outbox, uint64_t from, uint64_t to, size_t limit,
                     struct buf *ret);
/* The oldest number above `newest - limit` whose insight was made at or after since_ms. */
uint64_t outbox_since(struct outbox *outbox, int64_t since_ms, size_t limit);

/* ---- the rows, for history.c ---- */

/* Before the packed Insight in an x row: type (1), ts (8). */
#define OUTBOX_X_HEAD 9
/* An i row: partition (2), session (16), device tag (8). */
#define OUTBOX_I_BYTES 26
/* The same for equal device ids: a filter before the insight itself is read. */
uint64_t outbox_device_tag(const char *device_id);
void outbox_x_key(struct key *key, const struct session_name *name, uint64_t number);
void outbox_i_key(struct key *key, const struct uuid *account, enum insight_type type);
/* Deletes the insight of an x row, in all tables; its number stays, and says nothing. */
void outbox_remove(struct outbox *outbox, struct store_batch *batch,
                   const struct session_name *name, uint64_t number, struct bytes x_row);
/* The number of an insight from its id. */
uint64_t outbox_number(const struct uuid *id);

#endif
