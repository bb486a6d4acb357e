#include "services/publisher/publisher_turns.h"

#include "common/clock.h"
#include "common/log.h"
#include "services/publisher/publisher_raw.h"

#include <stdio.h>

#define TAIL_MOST 1000 /* insights broadcast again at the start */
#define TAIL_MS   60000

struct answer {
	struct bus_call *call;
	struct buf reply;
};

struct turn {
	struct list in_waiting;
	struct turns *turns;
	uint64_t newest;    /* insight written by then   */
	int64_t through_ms; /* what was not is later     */
	int64_t began_us;
	struct answer *answer;
	size_t n, cap;
};

/* ---- broadcasts ---- */

int64_t turns_through_ms(struct turns *turns)
{
	if (turns->outbox->newest == turns->committed)
		turns->through_ms = outbox_promise(turns->outbox);
	return turns->through_ms;
}

static void publish(struct turns *turns)
{
	enum err err;

	raw_add_u64(&turns->message, 2, turns->committed); /* InsightsPublished.newest */
	raw_add_u64(&turns->message, 3, (uint64_t)turns_through_ms(turns));
	err = bus_publish(turns->bus, turns->channel,
	                  BYTES(turns->message.data, turns->message.len));
	if (err != OK)
		log_warn("broadcast", "err=%s why=\"%s\"", err_name(err), bus_why(turns->bus));
	turns->message.len = 0;
}

void turns_heartbeat(struct turns *turns)
{
	if (turns->ready)
		publish(turns);
}

/* Insights from <= n <= committed, in as many messages as it takes. */
static void publish_from(struct turns *turns, uint64_t from)
{
	while (from <= turns->committed) {
		uint64_t last = outbox_read(turns->outbox, from, turns->committed, SIZE_MAX,
		                            &turns->message);

		if (last < from)
			break; /* trimmed already */
		publish(turns);
		from = last + 1;
	}
}

/* ---- turns ---- */

static struct turn *turn_new(struct turns *turns)
{
	struct turn *turn = xcalloc(1, sizeof *turn);

	turn->turns = turns;
	turn->began_us = clock_boot_us();
	return turn;
}

static void turn_free(struct turn *turn)
{
	for (size_t i = 0; i < turn->n; i++)
		buf_free(&turn->answer[i].reply);
	mem_free(turn->answer);
	list_remove(&turn->in_waiting);
	mem_free(turn);
}

static void drop_turn(struct turn *turn)
{
	store_forget(turn->turns->store, turn);
	for (size_t i = 0; i < turn->n; i++)
		bus_drop(turn->answer[i].call);
	turn_free(turn);
}

static void wait_for_sync(struct turn *turn, store_synced_fn *fn)
{
	turn->newest = turn->turns->outbox->newest;
	turn->through_ms = outbox_promise(turn->turns->outbox);
	list_append(&turn->turns->waiting, &turn->in_waiting);
	store_sync(turn->turns->store, fn, turn);
}

static void measure(struct turns *turns, const struct turn *turn)
{
	uint64_t us = (uint64_t)(clock_boot_us() - turn->began_us);

	turns->metrics->syncs_total++;
	turns->metrics->sync_wait_us_total += us;
	if (us > turns->metrics->sync_wait_us_max)
		turns->metrics->sync_wait_us_max = us;
}

static void on_synced(void *self)
{
	struct turn *turn = self;
	struct turns *turns = turn->turns;
	uint64_t before = turns->committed;

	measure(turns, turn);
	for (size_t i = 0; i < turn->n; i++)
		bus_reply(turn->answer[i].call,
		          BYTES(turn->answer[i].reply.data, turn->answer[i].reply.len));
	turns->committed = turn->newest;
	turns->through_ms = turn->through_ms;
	turn_free(turn);
	publish_from(turns, before + 1);
}

static void on_first_synced(void *self)
{
	struct turn *turn = self;
	struct turns *turns = turn->turns;

	turns->committed = turn->newest;
	turns->through_ms = turn->through_ms;
	turns->ready = true;
	turn_free(turn);
	publish_from(turns, outbox_since(turns->outbox, clock_wall_ms() - TAIL_MS, TAIL_MOST));
}

static void on_end(void *self)
{
	struct turns *turns = self;

	wait_for_sync(TAKE(turns->turn), on_synced);
}

void turns_answer(struct turns *turns, struct bus_call *call, struct buf *reply)
{
	struct turn *turn = turns->turn;

	if (!turn) {
		turn = turns->turn = turn_new(turns);
		timer_set(turns->loop, &turns->end, 0, on_end, turns);
	}
	if (turn->n == turn->cap) {
		turn->cap = turn->cap ? 2 * turn->cap : 8;
		turn->answer = xrealloc(turn->answer, turn->cap, sizeof *turn->answer);
	}
	turn->answer[turn->n++] = (struct answer){ call, *reply };
	*reply = (struct buf){ 0 };
}

void turns_answer_read(struct turns *turns, struct bus_call *call, struct buf *reply)
{
	if (turns->turn || !list_empty(&turns->waiting)) {
		turns_answer(turns, call, reply);
		return;
	}
	bus_reply(call, BYTES(reply->data, reply->len));
	buf_free(reply);
}

/* ---- life ---- */

void turns_init(struct turns *turns, const char *name)
{
	(void)snprintf(turns->channel, sizeof turns->channel, "%s.insights", name);
	list_init(&turns->waiting);
}

void turns_begin(struct turns *turns)
{
	wait_for_sync(turn_new(turns), on_first_synced);
}

void turns_done(struct turns *turns)
{
	timer_stop(turns->loop, &turns->end);
	if (turns->turn)
		drop_turn(turns->turn);
	LIST_EACH(node, &turns->waiting)
	drop_turn(LIST_OWNER(node, struct turn, in_waiting));
	buf_free(&turns->message);
}
