/*
 * feed_queue - what one publisher has made and the feed has not delivered yet, in order.
 *
 * It holds the messages as they came; an insight is borrowed until the next pop.
 */
#ifndef EDGE_FEED_QUEUE_H
#define EDGE_FEED_QUEUE_H

#include "common/list.h"
#include "publisher.pb-c.h"

struct feed_queue {
	struct list batches;
	size_t bytes;    /* of these, as they came */
	uint64_t told;   /* the number popped last */
	int64_t made_ms; /* when that was made     */
	/* What is still to come, and not in the queue, was made later than this. */
	int64_t through_ms;
	bool is_behind; /* it has not said so for long: nobody waits for it */
};

void feed_queue_init(struct feed_queue *queue);
void feed_queue_done(struct feed_queue *queue);

/* The insights first <= i < end of a message, which is freed with the last of them. */
void feed_queue_add(struct feed_queue *queue, ProtobufCMessage *message,
                    const Publisher__InsightsPublished *published, size_t first, size_t end,
                    size_t bytes, bool fetched);

/* The oldest; NULL: it is empty. */
const Publisher__NumberedInsight *feed_queue_head(const struct feed_queue *queue);
/* *ret_fast: it was fetched, or waited here: it comes with others, faster than they were made. */
const Publisher__NumberedInsight *feed_queue_pop(struct feed_queue *queue, bool *ret_fast);
/* Frees what was popped. */
void feed_queue_tidy(struct feed_queue *queue);

#endif
