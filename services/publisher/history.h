/*
 * history - what was stored, for who may read it.
 *
 * A list is read over a snapshot in slices of HISTORY_SLICE rows, one slice a turn of
 * the loop, so that no reader holds up the frames. At most HISTORY_JOBS are at it; one
 * that would look at more than HISTORY_ROWS rows, or for longer than HISTORY_MS, is
 * refused with 503 and told to ask for less. Nothing that is not yet durable is shown.
 *
 * The account comes from the principal alone. Ids that are malformed, of another account
 * or another device answer as ids that were never made.
 */
#ifndef PUBLISHER_HISTORY_H
#define PUBLISHER_HISTORY_H

#include "common/bus.h"
#include "services/publisher/outbox.h"
#include "services/publisher/publisher_metrics.h"
#include "services/publisher/publisher_turns.h"
#include "services/publisher/session_table.h"

#define HISTORY_SLICE       500
#define HISTORY_JOBS        32
#define HISTORY_ROWS        1000000
#define HISTORY_MS          5000
#define HISTORY_REPLY_BYTES (3u << 20)
#define HISTORY_LIMIT       50
#define HISTORY_LIMIT_MOST  200

#define HISTORY_NO_SESSION "no such session"
#define HISTORY_NO_STORE   "the store does not answer"

struct history {
	struct loop *loop;
	struct store *store;
	struct session_table *table;
	struct publisher_metrics *metrics;
	struct turns *turns; /* what they have committed is durable and may be shown */
	unsigned number, publishers;

	struct list jobs;
	size_t n_jobs;
	struct timer timer;
};

/* Who asks. */
struct asker {
	struct uuid account;
	const char *device_id; /* NULL: all devices of the account */
};

/* The fields up to `publishers` are set by the owner. */
void history_init(struct history *history);
/* Drops the calls that wait. */
void history_done(struct history *history);

/* Each answers its call, now or later. */
void history_get_session(struct history *history, const struct asker *asker, struct bus_call *call,
                         const Publisher__GetSession *get);
void history_get_gaps(struct history *history, const struct asker *asker, struct bus_call *call,
                      const Publisher__GetGaps *get);
void history_get_clock(struct history *history, const struct asker *asker, struct bus_call *call,
                       const Publisher__GetClock *get);
void history_session_insights(struct history *history, const struct asker *asker,
                              struct bus_call *call, const Publisher__SessionInsights *list);
void history_list_insights(struct history *history, const struct asker *asker,
                           struct bus_call *call, const Publisher__ListInsights *list);
/* Of a bounded number of rows, at once (history_frames.c). */
void history_frame_runs(struct history *history, const struct asker *asker, struct bus_call *call,
                        const Publisher__FrameRuns *asked);
void history_read_frames(struct history *history, const struct asker *asker, struct bus_call *call,
                         const Publisher__ReadFrames *asked);

/* ---- for the parts of history ---- */

/* OK: there is such a session, and the asker may know it. ERR_NOT_FOUND, ERR_IO. */
CHECKED enum err history_find_session(struct history *history, const struct asker *asker,
                                      const char *id, struct session_name *ret);
void history_refuse(struct bus_call *call, uint32_t status, const char *detail);

#endif
