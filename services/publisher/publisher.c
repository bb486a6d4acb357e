#include "services/publisher/publisher.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/principal.h"
#include "common/wire.h"
#include "services/publisher/erase.h"
#include "services/publisher/history.h"
#include "services/publisher/items.h"
#include "services/publisher/publisher_raw.h"
#include "services/publisher/publisher_reply.h"
#include "services/publisher/publisher_turns.h"
#include "services/publisher/retention.h"
#include "services/publisher/replay.h"

#include <stdio.h>
#include <string.h>

#define HEARTBEAT_MS 1000
#define TRIM_STEPS   64 /* sessions let go of in a heartbeat or after a batch */
#define FETCH_MOST   1000

struct publisher {
	struct publisher_deps deps;
	char name[BUS_NAME_MAX];
	struct session_table table;
	struct outbox outbox;
	struct items items;
	struct history history;
	struct publisher_metrics metrics;
	struct turns turns;
	struct retention retention;
	struct timer heartbeat;
	struct timer work; /* while a long frame is being analysed */
};

static void on_heartbeat(void *self)
{
	struct publisher *publisher = self;

	timer_set(publisher->deps.loop, &publisher->heartbeat, HEARTBEAT_MS, on_heartbeat,
	          publisher);
	turns_heartbeat(&publisher->turns);
	session_table_trim(&publisher->table, TRIM_STEPS);
}

/* One slice a turn: whatever else has come is served in between. */
static void on_work(void *self)
{
	struct publisher *publisher = self;

	if (session_works_slice(&publisher->items.works))
		timer_set(publisher->deps.loop, &publisher->work, 0, on_work, publisher);
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
	turns_answer(&publisher->turns, call, &reply);
	if (publisher->items.works.n > 0 && publisher->work.place == 0)
		timer_set(publisher->deps.loop, &publisher->work, 0, on_work, publisher);
	if (publisher->table.map.count > publisher->table.most)
		session_table_trim(&publisher->table, TRIM_STEPS);
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
		turns_answer(&publisher->turns, call, &reply);
	}
}

static void on_erase_session(struct publisher *publisher, struct bus_call *call,
                             const Publisher__PublisherRequest *request)
{
	Publisher__PublisherReply reply = PUBLISHER__PUBLISHER_REPLY__INIT;
	Publisher__Erased erased = PUBLISHER__ERASED__INIT;
	struct buf packed = { 0 };
	bool more = false;
	enum err err = erase_session(&publisher->items, request->erase_session, &erased, &more);

	if (err == ERR_MALFORMED) {
		refuse(call, 400,
		       "erase_session: ids or a partition that are not of this publisher");
	} else if (err != OK) {
		refuse(call, 503, "the store does not take it now");
	} else {
		reply.has_more = reply.more = more;
		reply.result_case = PUBLISHER__PUBLISHER_REPLY__RESULT_ERASED;
		reply.erased = &erased;
		(void)wire_pack(&packed, &reply.base);
		turns_answer(&publisher->turns, call, &packed);
	}
}

/* What it shows must be durable: before the first sync nobody knows what is. Asked again soon. */
static bool drop_early(struct publisher *publisher, struct bus_call *call)
{
	if (publisher->turns.ready)
		return false;
	bus_drop(call);
	return true;
}

static void on_fetch_insights(struct publisher *publisher, struct bus_call *call,
                              const Publisher__PublisherRequest *request)
{
	const Publisher__FetchInsights *fetch = request->fetch_insights;
	size_t limit = fetch->limit < FETCH_MOST ? fetch->limit : FETCH_MOST;
	uint64_t committed = publisher->turns.committed;
	struct buf fields = { 0 }, reply = { 0 };

	if (drop_early(publisher, call))
		return;
	if (fetch->from > 0)
		(void)outbox_read(&publisher->outbox, fetch->from, committed, limit, &fields);
	raw_add_u64(&fields, 2, committed);
	raw_add_u64(&fields, 3, (uint64_t)turns_through_ms(&publisher->turns));
	raw_add_bytes(&reply, 12, /* PublisherReply.insights_published */
	              BYTES(fields.data, fields.len));
	buf_free(&fields);
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

static bool asker_with(struct publisher *publisher, struct bus_call *call,
                       const Publisher__PublisherRequest *request, uint32_t scope,
                       struct asker *ret)
{
	char why[64];

	if (drop_early(publisher, call))
		return false;
	if (principal_check(request->principal, publisher->deps.secret, &ret->account) != OK) {
		refuse(call, 401, "the request is not signed for an account");
		return false;
	}
	if (!(request->principal->scopes & scope)) {
		(void)snprintf(why, sizeof why, "the key has no scope %s", scope_name(scope));
		refuse(call, 403, why);
		return false;
	}
	ret->device_id = request->principal->device_id;
	return true;
}

static bool asker_of(struct publisher *publisher, struct bus_call *call,
                     const Publisher__PublisherRequest *request, struct asker *ret)
{
	return asker_with(publisher, call, request, SCOPE_READ, ret);
}

static void on_replay_insights(struct publisher *publisher, struct bus_call *call,
                               const Publisher__PublisherRequest *request)
{
	struct asker asker;

	if (asker_with(publisher, call, request, SCOPE_SUBSCRIBE, &asker))
		replay_answer(&publisher->history, &asker, call, request->replay_insights);
}

static void on_get_session(struct publisher *publisher, struct bus_call *call,
                           const Publisher__PublisherRequest *request)
{
	struct asker asker;

	if (asker_of(publisher, call, request, &asker))
		history_get_session(&publisher->history, &asker, call, request->get_session);
}

static void on_get_gaps(struct publisher *publisher, struct bus_call *call,
                        const Publisher__PublisherRequest *request)
{
	struct asker asker;

	if (asker_of(publisher, call, request, &asker))
		history_get_gaps(&publisher->history, &asker, call, request->get_gaps);
}

static void on_get_clock(struct publisher *publisher, struct bus_call *call,
                         const Publisher__PublisherRequest *request)
{
	struct asker asker;

	if (asker_of(publisher, call, request, &asker))
		history_get_clock(&publisher->history, &asker, call, request->get_clock);
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

static void on_frame_runs(struct publisher *publisher, struct bus_call *call,
                          const Publisher__PublisherRequest *request)
{
	struct asker asker;

	if (asker_of(publisher, call, request, &asker))
		history_frame_runs(&publisher->history, &asker, call, request->frame_runs);
}

static void on_read_frames(struct publisher *publisher, struct bus_call *call,
                           const Publisher__PublisherRequest *request)
{
	struct asker asker;

	if (asker_of(publisher, call, request, &asker))
		history_read_frames(&publisher->history, &asker, call, request->read_frames);
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
	[PUBLISHER__PUBLISHER_REQUEST__COMMAND_REPLAY_INSIGHTS] = on_replay_insights,
	[PUBLISHER__PUBLISHER_REQUEST__COMMAND_ERASE_SESSION] = on_erase_session,
	[PUBLISHER__PUBLISHER_REQUEST__COMMAND_FRAME_RUNS] = on_frame_runs,
	[PUBLISHER__PUBLISHER_REQUEST__COMMAND_READ_FRAMES] = on_read_frames,
	[PUBLISHER__PUBLISHER_REQUEST__COMMAND_GET_GAPS] = on_get_gaps,
	[PUBLISHER__PUBLISHER_REQUEST__COMMAND_GET_CLOCK] = on_get_clock,
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
		.turns = &publisher->turns,
		.number = deps->number,
		.publishers = deps->publishers,
	};
	history_init(&publisher->history);
	publisher->turns = (struct turns){
		.loop = deps->loop,
		.bus = deps->bus,
		.store = deps->store,
		.outbox = &publisher->outbox,
		.metrics = &publisher->metrics,
	};
	turns_init(&publisher->turns, publisher->name);
	publisher->retention = (struct retention){
		.loop = deps->loop,
		.store = deps->store,
		.table = &publisher->table,
		.outbox = &publisher->outbox,
		.metrics = &publisher->metrics,
		.number = deps->number,
		.publishers = deps->publishers,
		.frames_ms = deps->retain_frames_ms,
		.insights_ms = deps->retain_insights_ms,
	};
}

struct publisher *publisher_new(const struct publisher_deps *deps)
{
	AUTO(publisher_free) struct publisher *publisher = xcalloc(1, sizeof *publisher);
	enum err err;

	MUST(deps->publishers >= 1 && deps->publishers <= PARTITIONS &&
	     deps->number < deps->publishers);
	publisher->deps = *deps;
	(void)snprintf(publisher->name, sizeof publisher->name, "publisher-%u", deps->number);
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
	turns_begin(&publisher->turns);
	retention_start(&publisher->retention);
	timer_set(deps->loop, &publisher->heartbeat, HEARTBEAT_MS, on_heartbeat, publisher);
	return TAKE(publisher);
}

void publisher_free(struct publisher *publisher)
{
	if (!publisher)
		return;
	timer_stop(publisher->deps.loop, &publisher->heartbeat);
	timer_stop(publisher->deps.loop, &publisher->work);
	retention_stop(&publisher->retention);
	history_done(&publisher->history);
	turns_done(&publisher->turns);
	session_table_park(&publisher->table);
	session_table_done(&publisher->table);
	items_done(&publisher->items);
	outbox_done(&publisher->outbox);
	mem_free(publisher);
}
