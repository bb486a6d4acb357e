/*
 * turns - answers and insights leave when what they say is durable.
 *
 * Everything that one turn of the loop has answered waits for one sync; then the answers
 * go out, and what the outbox holds since the last time is broadcast, read back from the
 * store.
 */
#ifndef PUBLISHER_TURNS_H
#define PUBLISHER_TURNS_H

#include "common/bus.h"
#include "services/publisher/outbox.h"
#include "services/publisher/publisher_metrics.h"

struct turn;

struct turns {
	struct loop *loop;
	struct bus *bus;
	struct store *store;
	struct outbox *outbox;
	struct publisher_metrics *metrics;

	char channel[BUS_NAME_MAX];
	struct turn *turn;   /* being gathered, or NULL */
	struct list waiting; /* for their sync, oldest first */
	struct timer end;
	bool ready;         /* the first sync is done: `committed` is true */
	uint64_t committed; /* insights up to here are durable */
	int64_t through_ms; /* all others will have a later ts */
	struct buf message;
};

/* The fields up to `metrics` are set by the owner. name: of the process on the bus. */
void turns_init(struct turns *turns, const char *name);
/* What the process before this one wrote may not be durable: one sync, then the insights of the
 * last minute are broadcast again, for edges that missed its end. */
void turns_begin(struct turns *turns);
/* Drops the calls that wait. */
void turns_done(struct turns *turns);

/* Answers the call after the sync of this turn. Takes the reply's bytes. */
void turns_answer(struct turns *turns, struct bus_call *call, struct buf *reply);

/* The same for an answer that shows what others have written: at once when all is durable. */
void turns_answer_read(struct turns *turns, struct bus_call *call, struct buf *reply);

/* The ts that every insight above `committed` is later than. */
int64_t turns_through_ms(struct turns *turns);

/* Broadcasts which insight is the newest. */
void turns_heartbeat(struct turns *turns);

#endif
