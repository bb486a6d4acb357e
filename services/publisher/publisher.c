#include "services/publisher/publisher.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/principal.h"
#include "common/wire.h"
#include "services/publisher/history.h"
#include "services/publisher/items.h"
#include "services/publisher/publisher_raw.h"
#include "services/publisher/publisher_reply.h"

#include <stdio.h>
#include <string.h>

#define HEARTBEAT_MS 1000
#define TRIM_STEPS   64 /* sessions let go of in a heartbeat or a turn */
#define FETCH_MOST   1000
#define TAIL_MOST    1000
#define TAIL_MS      60000

struct answer {
	struct bus_call *call;
	struct buf reply;
};

/* What waits for one sync. */
struct turn {
	struct list in_turns;
	struct publisher *publisher;
	uint64_t newest; /* insight written by then */
	int64_t began_us;
	struct answer *answer;
	size_t n, cap;
};

struct publisher {
	struct publisher_deps deps;
	char name[BUS_NAME_MAX], channel[BUS_NAME_MAX];
	struct session_table table;
	struct outbox outbox;
	struct items items;
	struct history history;
	struct publisher_metrics metrics;
	struct turn *turn; /* the one being gathered, or NULL */
	struct list turns; /* waiting for their sync, oldest first */
	struct timer turn_end, heartbeat;
	uint64_t committed; /* insights up to here are durable and announced */
	struct buf message;
};

/* ---- broadcasts ---- */

static void publish(struct publisher *publisher)
{
	enum err err;

	raw_add_u64(&publisher->message, 2, publisher->committed); /* InsightsPublished.newest */
	err = bus_publish(publisher->deps.bus, publisher->channel,
	                  BYTES(publisher->message.data, publisher->message.len));
	if (err != OK)
		log_warn("broadcast", "err=%s why=\"%s\"", err_name(err),
		         bus_why(publisher->deps.bus));
	publisher->message.len = 0;
}

/* Insights from <= n <= committed, in as many messages as it takes. */
static void publish_from(struct publisher *publisher, uint64_t from)
{
	while (from <= publisher->committed) {
		uint64_t last = outbox_read(&publisher->outbox, from, publisher->committed,
		                            SIZE_MAX, &publisher->message);

		if (last < from)
			break; /* trimmed already */
		publish(publisher);
		from = last + 1;
	}
	publisher->message.len = 0;
}

static void on_heartbeat(void *self)
{
	struct publisher *publisher = self;

	timer_set(publisher->deps.loop, &publisher->heartbeat, HEARTBEAT_MS, on_heartbeat,
	          publisher);
	publish(publisher);
	session_table_trim(&publisher->table, TRIM_STEPS);
}

/* ---- turns ---- */

static void turn_free(struct turn *turn)
{
	for (size_t i = 0; i < turn->n; i++)
		buf_free(&turn->answer[i].reply);
	mem_free(turn->answer);
	list_remove(&turn->in_turns);
	mem_free(turn);
}

static void measure(struct publisher *publisher, const struct turn *turn)
{
	uint64_t us = (uint64_t)(clock_boot_us() - turn->began_us);

	publisher->metrics.syncs_total++;
	publisher->metrics.sync_wait_us_total += us;
	if (us > publisher->metrics.sync_wait_us_max)
		publisher->metrics.sync_wait_us_max = us;
}

static void on_synced(void *self)
{
	struct turn *turn = self;
	struct publisher *publisher = turn->publisher;
	uint64_t before = publisher->committed;

	measure(publisher, turn);
	for (size_t i = 0; i < turn->n; i++)
		bus_reply(turn->answer[i].call,
		          BYTES(turn->answer[i].reply.data, turn->answer[i].reply.len));
	publisher->committed = turn->newest;
	turn_free(turn);
	publish_from(publisher, before + 1);
}

static void on_turn_end(void *self)
{
	struct publisher *publisher = self;
	struct turn *turn = TAKE(publisher->turn);

	turn->newest = publisher->outbox.newest;
	list_append(&publisher->turns, &turn->in_turns);
	store_sync(publisher->deps.store, on_synced, turn);
	if (publisher->table.map.count > publisher->table.most)
		session_table_trim(&publisher->table, TRIM_STEPS);
}

static struct turn *this_turn(struct publisher *publisher)
{
	if (!publisher->turn) {
		publisher->turn = xcalloc(1, sizeof *publisher->turn);
		publisher->turn->publisher = publisher;
		publisher->turn->began_us = clock_boot_us();
		timer_set(publisher->deps.loop, &publisher->turn_end, 0, on_turn_end, publisher);
	}
	return publisher->turn;
}

/* Takes the reply's bytes. */
static void answer_when_synced(struct publisher *publisher, struct bus_call *call,
                               struct buf *reply)
{
	struct turn *turn = this_turn(publisher);

	if (turn->n == turn->cap) {
		turn->cap = turn->cap ? 2 * turn->cap : 8;
		turn->answer = xrealloc(turn->answer, turn->cap, sizeof *turn->answer);
	}
	turn->answer[turn->n++] = (struct answer){ call, *reply };
	*reply = (struct buf){ 0 };
}

/* ---- requests ---- */

static void answer_now(struct bus_call *call, struct buf *reply)
{
	bus_reply(call, BYTES(reply->data, reply->len));
	buf_free(reply);
}

static void refuse(struct bus_call *call, uint32_t status, const char *detail)
{
	struct buf reply = { 0 };

	reply_error(&reply, status, status == 503 ? 1 : 0, detail);
	answer_now(call, &reply);
}

static void on_items(struct publisher *publisher, struct bus_call *call,
                     const Publisher__PublisherRequest *request)
{
	struct buf reply = { 0 };

	items_take(&publisher->items, request->items, &reply);
	answer_when_synced(publisher, call, &reply);
}

static void on_close_orphan(struct publisher *publisher, struct bus_call *call,
                            const Publisher__PublisherRequest *request)
{
	enum err err = items_close_orphan(&publisher->items, request->close_orphan);
	struct buf reply = { 0 };

	if (err == ERR_MALFORMED) {
		refuse(call, 400,
		       "close_orphan: ids or a partition that are not of this publisher");
	} else if (err != OK) {
		refuse(call, 503, "the store does not take it now");
	} else {
		reply_done(&reply);
		answer_when_synced(publisher, call, &reply);
	}
}

static void on_fetch_insights(struct publisher *publisher, struct bus_call *call,
                              const Publisher__PublisherRequest *request)
{
	const Publisher__FetchInsights *fetch = request->fetch_insights;
	size_t limit = fetch->limit < FETCH_MOST ? fetch->limit : FETCH_MOST;
	struct buf reply = { 0 };

	if (fetch->from > 0)
		(void)outbox_read(&publisher->outbox, fetch->from, publisher->committed, limit,
		                  &publisher->message);
	raw_add_u64(&publisher->message, 2, publisher->committed);
	raw_add_bytes(&reply, 12, /* PublisherReply.insights_published */
	              BYTES(publisher->message.data, publisher->message.len));
	publisher->message.len = 0;
	answer_now(call, &reply);
}

static void on_metrics(struct publisher *publisher, struct bus_call *call,
                       const Publisher__PublisherRequest *request)
{
	struct buf text = { 0 }, reply = { 0 };

	(void)request;
	publisher->metrics.sessions_in_memory = publisher->table.map.count;
	publisher->metrics.sessions_loaded_total = publisher->table.loaded;
	publisher->metrics.frames_replayed_total = publisher->table.replayed;
	metrics_text("publisher", publisher->name, publisher_metric, ARRAY_LEN(publisher_metric),
	             &publisher->metrics, &text);
	buf_append(&text, "", 1);
	reply_metrics(&reply, (const char *)text.data);
	buf_free(&text);
	answer_now(call, &reply);
}

static bool asker_of(struct publisher *publisher, struct bus_call *call,
                     const Publisher__PublisherRequest *request, struct asker *ret)
{
	if (principal_check(request->principal, publisher->deps.secret, &ret->account) != OK) {
		refuse(call, 401, "the request is not signed for an account");
		return false;
	}
	if (!(request->principal->scopes & SCOPE_READ)) {
		refuse(call, 403, "the key has no scope read");
		return false;
	}
	ret->device_id = request->principal->device_id;
	return true;
}

static void on_get_session(struct publisher *publisher, struct bus_call *call,
                           const Publisher__PublisherRequest *request)
{
	struct asker asker;

	if (asker_of(publisher, call, request, &asker))
		history_get_session(&publisher->history, &asker, call, request->get_session);
}

static void on_session_insights(struct publisher *publisher, struct bus_call *call,
                                const Publisher__PublisherRequest *request)
{
	struct asker asker;

	if (asker_of(publisher, call, request, &asker))
		history_session_insights(&publisher->history, &asker, call,
		                         request->session_insights);
}

static void on_list_insights(struct publisher *publisher, struct bus_call *call,
                             const Publisher__PublisherRequest *request)
{
	struct asker asker;

	if (asker_of(publisher, call, request, &asker))
		history_list_insights(&publisher->history, &asker, call, request->list_insights);
}

/* Every command this service understands, by its number in proto/publisher.proto. Each answers
 * its call. */
static void (*const handlers[])(struct publisher *, struct bus_call *,
                                const Publisher__PublisherRequest *) = {
	[PUBLISHER__PUBLISHER_REQUEST__COMMAND_ITEMS] = on_items,
	[PUBLISHER__PUBLISHER_REQUEST__COMMAND_CLOSE_ORPHAN] = on_close_orphan,
	[PUBLISHER__PUBLISHER_REQUEST__COMMAND_FETCH_INSIGHTS] = on_fetch_insights,
	[PUBLISHER__PUBLISHER_REQUEST__COMMAND_GET_SESSION] = on_get_session,
	[PUBLISHER__PUBLISHER_REQUEST__COMMAND_SESSION_INSIGHTS] = on_session_insights,
	[PUBLISHER__PUBLISHER_REQUEST__COMMAND_LIST_INSIGHTS] = on_list_insights,
	[PUBLISHER__PUBLISHER_REQUEST__COMMAND_METRICS] = on_metrics,
};

static void on_call(void *self, struct bus_call *call, struct bytes bytes)
{
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&publisher__publisher_request__descriptor, bytes);
	const Publisher__PublisherRequest *request = (const Publisher__PublisherRequest *)message;
	size_t command = request ? request->command_case : 0;

	if (command >= ARRAY_LEN(handlers) || !handlers[command])
		refuse(call, 400, "not a request that a publisher understands");
	else
		handlers[command](self, call, request);
}

/* ---- life ---- */

/* What the process before this one wrote may not be durable yet: one sync, then the last
 * minute is broadcast again, for edges that missed its end. */
static void on_first_sync(void *self)
{
	struct turn *turn = self;
	struct publisher *publisher = turn->publisher;

	publisher->committed = turn->newest;
	turn_free(turn);
	publish_from(publisher,
	             outbox_since(&publisher->outbox, clock_wall_ms() - TAIL_MS, TAIL_MOST));
}

static void begin(struct publisher *publisher)
{
	struct turn *turn = xcalloc(1, sizeof *turn);

	turn->publisher = publisher;
	turn->newest = publisher->outbox.newest;
	list_append(&publisher->turns, &turn->in_turns);
	store_sync(publisher->deps.store, on_first_sync, turn);
	timer_set(publisher->deps.loop, &publisher->heartbeat, HEARTBEAT_MS, on_heartbeat,
	          publisher);
}

static void init_parts(struct publisher *publisher)
{
	const struct publisher_deps *deps = &publisher->deps;

	session_table_init(&publisher->table, deps->store,
	                   deps->sessions_most ? deps->sessions_most : PUBLISHER_SESSIONS_MOST);
	publisher->items = (struct items){
		.store = deps->store,
		.table = &publisher->table,
		.outbox = &publisher->outbox,
		.metrics = &publisher->metrics,
		.secret = deps->secret,
		.number = deps->number,
		.publishers = deps->publishers,
	};
	items_init(&publisher->items);
	publisher->history = (struct history){
		.loop = deps->loop,
		.store = deps->store,
		.table = &publisher->table,
		.metrics = &publisher->metrics,
		.committed = &publisher->committed,
		.number = deps->number,
		.publishers = deps->publishers,
	};
	history_init(&publisher->history);
}

struct publisher *publisher_new(const struct publisher_deps *deps)
{
	AUTO(publisher_free) struct publisher *publisher = xcalloc(1, sizeof *publisher);
	enum err err;

	MUST(deps->publishers >= 1 && deps->publishers <= PARTITIONS &&
	     deps->number < deps->publishers);
	publisher->deps = *deps;
	(void)snprintf(publisher->name, sizeof publisher->name, "publisher-%u", deps->number);
	(void)snprintf(publisher->channel, sizeof publisher->channel, "%s.insights",
	               publisher->name);
	list_init(&publisher->turns);
	init_parts(publisher);
	err = outbox_init(&publisher->outbox, deps->store);
	if (err != OK) {
		log_error("store", "err=%s why=\"%s\"", err_name(err), store_why(deps->store));
		return NULL;
	}
	err = bus_serve(deps->bus, publisher->name, 1, on_call, publisher);
	if (err != OK) {
		log_error("serve", "name=%s err=%s why=\"%s\"", publisher->name, err_name(err),
		          bus_why(deps->bus));
		return NULL;
	}
	begin(publisher);
	return TAKE(publisher);
}

static void drop_turn(struct turn *turn)
{
	if (!turn)
		return;
	store_forget(turn->publisher->deps.store, turn);
	for (size_t i = 0; i < turn->n; i++)
		bus_drop(turn->answer[i].call);
	turn_free(turn);
}

void publisher_free(struct publisher *publisher)
{
	if (!publisher)
		return;
	timer_stop(publisher->deps.loop, &publisher->turn_end);
	timer_stop(publisher->deps.loop, &publisher->heartbeat);
	history_done(&publisher->history);
	drop_turn(publisher->turn);
	LIST_EACH(node, &publisher->turns)
	drop_turn(LIST_OWNER(node, struct turn, in_turns));
	session_table_park(&publisher->table);
	session_table_done(&publisher->table);
	items_done(&publisher->items);
	outbox_done(&publisher->outbox);
	buf_free(&publisher->message);
	mem_free(publisher);
}
