/*
 * retention - frames and insights that are older than is wished for are removed.
 *
 * A sweep goes through the sessions of this publisher, RETENTION_SLICE rows a turn, and begins
 * anew some time after its end. What counts is when things came, never a device's clock:
 *
 *     a closed session   its frames go when it ended that long ago
 *     an open one        those before its newest mark that is that old; a mark says which
 *                        frame came when, one every ten minutes (retention_mark)
 *     insights           by the time at which they were published
 *
 * The last RETENTION_KEEP frames of an open session stay: it is rebuilt from them. Its numbers of
 * what it has stored stay as they are. A sweep gives the disk its space back.
 */
#ifndef PUBLISHER_RETENTION_H
#define PUBLISHER_RETENTION_H

#include "services/publisher/outbox.h"
#include "services/publisher/publisher_metrics.h"
#include "services/publisher/session_table.h"

#define RETENTION_SLICE   200
#define RETENTION_KEEP    5000 /* checkpoints, replays and the search for duplicates reach less */
#define RETENTION_MARK_MS 600000

struct retention {
	struct loop *loop;
	struct store *store;
	struct session_table *table;
	struct outbox *outbox;
	struct publisher_metrics *metrics;
	unsigned number, publishers;
	int64_t frames_ms, insights_ms; /* 0: for ever */

	struct timer timer;
	unsigned partition;  /* being swept */
	struct key cursor;   /* of its sessions: the next is at or behind it */
	struct uuid account; /* the last one seen: its list of insights is swept once */
	bool has_deleted;
	int64_t given_back_ms;
};

/* The fields up to `insights_ms` are set by the owner. */
void retention_start(struct retention *retention);
void retention_stop(struct retention *retention);

/* With a checkpoint: remembers how far the session is, when it is time for that. */
void retention_mark(struct session *session, struct store_batch *batch);

#endif
