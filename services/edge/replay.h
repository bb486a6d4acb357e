/*
 * replay - what a subscriber has not heard yet, from the publishers' history, then live.
 *
 *     PAGES    the history of every publisher, page by page, merged by (ts, publisher, number), up
 *       │      to where the feed stood at the beginning
 *     JOINING  in the feed; what comes is held, while the history is read up to where the feed
 *       │      stood on joining
 *     HOLDING  what was held is told
 *       │      nothing is held any more, and the feed is past where the replay began
 *     on_live  the owner goes on as a subscriber of the feed
 *
 * Nothing is told twice and nothing is left out, and all of it comes in the order of the feed:
 * where that stands is a place in the order, and history is told exactly up to there. Who holds
 * more than REPLAY_HELD_BYTES leaves the feed and begins again where it is.
 *
 * The owner says how much it can take (has_room), so a slow reader is paced by its own socket. At
 * most REPLAY_IN_AIR pages are asked for at a time by all replays of an edge; the others wait
 * their turn.
 */
#ifndef EDGE_REPLAY_H
#define EDGE_REPLAY_H

#include "services/edge/feed.h"
#include "services/edge/filter.h"

#define REPLAY_IN_AIR     16
#define REPLAY_HELD_BYTES (64u * 1024)
#define REPLAY_AWAY_MS    20000 /* a publisher that answers nothing for so long */

/* All replays of an edge. */
struct replays {
	struct loop *loop;
	struct bus *bus;
	struct feed *feed;
	struct list waiting; /* sources whose page is due */
	struct list in_air;  /* pages asked for           */
	unsigned n_in_air;
};
void replays_init(struct replays *replays, struct loop *loop, struct bus *bus, struct feed *feed);
void replays_done(struct replays *replays);

struct replay;

/* ctx is the replay's. None of them may be called from inside replay_new(). */
struct replay_owner {
	/* NULL: nobody knows now whether the key is good: asked again soon. */
	const Raeh__Principal *(*principal)(void *ctx);
	bool (*has_room)(void *ctx);
	bool (*wants)(void *ctx, const Publisher__Insight *insight);
	void (*on_insight)(void *ctx, const char *id, struct bytes json);
	/* The last call: the replay is gone when it returns. */
	void (*on_live)(void *ctx);
	/* A publisher stays away: the owner frees the replay, or waits longer. */
	void (*on_away)(void *ctx);
};

/* Where it begins with one publisher: at this id or a later ms, and above this number. */
struct replay_from {
	struct uuid id;
	uint64_t above;
};
/* `after` an insight, exactly; source: the publisher asked. */
struct replay_from replay_after(const struct uuid *id, unsigned source, unsigned sources);
struct replay_from replay_since(int64_t ms);

/* from: one a source of the feed, copied. Borrows the rest. The owner lets the subscriber tell it
 * of what the feed says: replay_joined(), replay_hold(). */
struct replay *replay_new(struct replays *replays, const struct replay_from *from,
                          struct feed_subscriber *subscriber, const struct filter *filter,
                          const struct replay_owner *owner, void *ctx);
/* The subscriber stays in the feed, if it is there. */
void replay_free(struct replay *replay);
/* There is room again. */
void replay_go_on(struct replay *replay);
/* From the subscriber's on_ready and on_insight. */
void replay_joined(struct replay *replay);
void replay_hold(struct replay *replay, const struct feed_item *item);

#endif
