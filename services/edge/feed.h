/*
 * feed - the insights of every publisher, in order, to the subscribers of their accounts.
 *
 * Publishers number what they broadcast, without holes, over restarts too. The feed
 * delivers each number once and in order: one it has seen is dropped, a hole is fetched.
 *
 * A subscriber that cannot drain its queue is told so and let go; nobody waits for it.
 */
#ifndef EDGE_FEED_H
#define EDGE_FEED_H

#include "common/bus.h"
#include "common/list.h"
#include "common/uuid.h"
#include "publisher.pb-c.h"
#include "services/edge/net.h"

struct feed;

/* Embedded in who listens. */
struct feed_subscriber {
	struct list link;
	struct uuid account;
	bool joined; /* past on_ready */
	/* One insight; text is its JSON, made once for all. */
	void (*on_insight)(struct feed_subscriber *subscriber, const Publisher__Insight *insight,
	                   struct net_shared *text);
	/* For those who came before the feed knew where it stands. */
	void (*on_ready)(struct feed_subscriber *subscriber);
};

struct feed *feed_new(struct loop *loop, struct bus *bus, unsigned publishers);
void feed_free(struct feed *feed);
AUTO_FREE(struct feed, feed_free)

/* The feed stands at a known number of every publisher. */
bool feed_ready(const struct feed *feed);
/* From on_ready (called from inside when the feed is ready) nothing of the account is missed. */
void feed_join(struct feed *feed, struct feed_subscriber *subscriber);
void feed_leave(struct feed *feed, struct feed_subscriber *subscriber);

struct feed_counts {
	uint64_t insights, repeated, holes, subscribers;
};
const struct feed_counts *feed_counts(const struct feed *feed);

#endif
