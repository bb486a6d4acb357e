/*
 * replay - an account's insights, oldest first, page by page, for subscribers that catch up.
 *
 *     i rows of the wanted types ─merged by id─► whole milliseconds ─sorted by number─► page
 *
 * A page is one bounded piece of work: it ends with the first millisecond behind REPLAY_ROWS
 * rows or REPLAY_BYTES. Insights of one millisecond are never parted (their ids do not tell their
 * order, their numbers do), so a page is as long as one millisecond can make it.
 *
 * Nothing that is not yet durable is in it. Without `more` every number up to `newest` has been
 * looked at: who goes on from `next` above `newest` misses nothing.
 */
#ifndef PUBLISHER_REPLAY_H
#define PUBLISHER_REPLAY_H

#include "services/publisher/history.h"

#define REPLAY_ROWS  200
#define REPLAY_BYTES (256u << 10)

/* Answers the call. */
void replay_answer(struct history *history, const struct asker *asker, struct bus_call *call,
                   const Publisher__ReplayInsights *replay);

#endif
