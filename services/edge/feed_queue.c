#include "services/edge/feed_queue.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/wire.h"

#define LONG_MS 500 /* waited so long, an insight comes with others */

struct batch {
	struct list link;
	ProtobufCMessage *message; /* owns what is published */
	const Publisher__InsightsPublished *published;
	size_t at, end;
	size_t bytes;
	int64_t came_ms; /* boot time */
	bool fetched;
};

static struct batch *first_of(const struct feed_queue *queue)
{
	return LIST_OWNER(list_first((struct list *)&queue->batches), struct batch, link);
}

static void drop(struct feed_queue *queue, struct batch *batch)
{
	queue->bytes -= batch->bytes;
	list_remove(&batch->link);
	wire_free(batch->message);
	mem_free(batch);
}

void feed_queue_init(struct feed_queue *queue)
{
	*queue = (struct feed_queue){ .through_ms = INT64_MIN };
	list_init(&queue->batches);
}

void feed_queue_done(struct feed_queue *queue)
{
	while (!list_empty(&queue->batches))
		drop(queue, first_of(queue));
}

void feed_queue_add(struct feed_queue *queue, ProtobufCMessage *message,
                    const Publisher__InsightsPublished *published, size_t first, size_t end,
                    size_t bytes, bool fetched)
{
	struct batch *batch = xcalloc(1, sizeof *batch);

	MUST(first < end && end <= published->n_insights);
	batch->message = message;
	batch->published = published;
	batch->at = first;
	batch->end = end;
	batch->bytes = bytes;
	batch->came_ms = clock_boot_ms();
	batch->fetched = fetched;
	queue->bytes += bytes;
	list_append(&queue->batches, &batch->link);
}

void feed_queue_tidy(struct feed_queue *queue)
{
	struct batch *batch = first_of(queue);

	if (batch && batch->at == batch->end)
		drop(queue, batch);
}

/* A batch that is popped to its end stays until the queue is tidied. */
const Publisher__NumberedInsight *feed_queue_head(const struct feed_queue *queue)
{
	for (struct list *link = queue->batches.next; link != &queue->batches; link = link->next) {
		const struct batch *batch = LIST_OWNER(link, struct batch, link);

		if (batch->at < batch->end)
			return batch->published->insights[batch->at];
	}
	return NULL;
}

const Publisher__NumberedInsight *feed_queue_pop(struct feed_queue *queue, bool *ret_fast)
{
	struct batch *batch = first_of(queue);
	const Publisher__NumberedInsight *numbered;

	MUST(batch && batch->at < batch->end);
	numbered = batch->published->insights[batch->at++];
	queue->told = numbered->number;
	queue->made_ms = numbered->insight->ts;
	*ret_fast = batch->fetched || clock_boot_ms() - batch->came_ms > LONG_MS;
	return numbered;
}
