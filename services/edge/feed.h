/*
 * feed - the insights of every publisher, in order, to the subscribers of their accounts.
 *
 * Publishers number what they broadcast, without holes, over restarts too. The feed
 * delivers each number once and in order: one it has seen is dropped, a hole is fetched.
 *
 * The order is that of (ts, publisher, number), which history has too, and so the same at every
 * edge: who knows one insight knows which ones came before it. An insight is held until every
 * other publisher has said that it makes nothing earlier any more (through_ms); one that has
 * not said so is asked. A publisher that does not answer is waited for FEED_HOLD_MS, once; what
 * it still has comes when it is back, behind its place. Of one publisher nothing is held.
 *
 * A subscriber that cannot drain its queue is told so and let go; nobody waits for it. (One that
 * only could not take a hole at once catches up by itself: replay.h.)
 */
#ifndef EDGE_FEED_H
#define EDGE_FEED_H

#include "common/bus.h"
#include "common/list.h"
#include "common/uuid.h"
#include "publisher.pb-c.h"
#include "services/edge/net.h"

#define FEED_HOLD_MS    10000
#define FEED_HELD_BYTES (4u << 20) /* of one publisher; what comes beyond is fetched later */

struct feed;

/* One insight on its way to the subscribers, borrowed for the call. */
struct feed_item {
	const Publisher__Insight *insight;
	struct net_shared *text; /* its JSON, made once for all */
	struct bytes json;       /* the same, bare              */
	unsigned source;         /* its publisher, and its number there */
	uint64_t number;
	bool fetched; /* with others of a hole, or held: faster than they were made */
};

/* Embedded in who listens. */
struct feed_subscriber {
	struct list link;
	struct uuid account;
	bool joined; /* past on_ready */
	void (*on_insight)(struct feed_subscriber *subscriber, const struct feed_item *item);
	/* For those who came before the feed knew where it stands. */
	void (*on_ready)(struct feed_subscriber *subscriber);
};

struct feed *feed_new(struct loop *loop, struct bus *bus, unsigned publishers);
void feed_free(struct feed *feed);
AUTO_FREE(struct feed, feed_free)

/* The feed stands at a known number of every publisher: all of them together are a place in the
 * order. */
bool feed_ready(const struct feed *feed);
/* From on_ready (called from inside when the feed is ready) nothing of the account is missed. */
void feed_join(struct feed *feed, struct feed_subscriber *subscriber);
void feed_leave(struct feed *feed, struct feed_subscriber *subscriber);

/* Where the feed stands with one publisher: every number up to this one was delivered, and what
 * is numbered above was made then or later. */
struct feed_place {
	uint64_t number;
	int64_t made_ms;
};
unsigned feed_sources(const struct feed *feed);
struct feed_place feed_place(const struct feed *feed, unsigned source);
/* Nothing that this publisher made before ms is still to come. */
bool feed_is_past(const struct feed *feed, unsigned source, int64_t ms);

struct feed_counts {
	uint64_t insights, repeated, holes, subscribers;
	uint64_t away; /* how often a publisher was not waited for any longer */
};
const struct feed_counts *feed_counts(const struct feed *feed);

#endif
