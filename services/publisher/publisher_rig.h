/*
 * publisher_rig - for tests: a publisher on a virtual loop, a store in memory and a bus
 * that only remembers. Time stands still unless rig_run() moves it.
 */
#ifndef PUBLISHER_RIG_H
#define PUBLISHER_RIG_H

#include "common/clock.h"
#include "common/frame.h"
#include "common/principal.h"
#include "common/wire.h"
#include "services/publisher/analysis.h"
#include "services/publisher/publisher.h"
#include "publisher.pb-c.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

#define RIG_WALL_MS INT64_C(1760000000000)
#define RIG_MODEL   "0190a5b2-0000-7000-8000-000000000001"

struct rig {
	struct bus bus; /* first */
	struct loop *loop;
	struct store *store;
	struct publisher *publisher;
	uint8_t secret[SECRET_BYTES];
	int64_t now_us;
	unsigned number, publishers;
	size_t sessions_most;
	bus_call_fn *fn;
	void *ctx;
	/* Every insight broadcast, in order; `heartbeats` counts messages without any. */
	Publisher__InsightsPublished *news[4096];
	size_t n_news, heartbeats;
	uint64_t newest;
	int64_t through_ms; /* what is numbered above is to be later */
	struct uuid account;
};

struct rig_call {
	struct bus_call call; /* first */
	bool answered, dropped;
	struct buf reply;
};

static inline int64_t rig_now_us(void *ctx)
{
	return ((struct rig *)ctx)->now_us;
}

static inline void rig_bus_close(struct bus *bus)
{
	(void)bus;
}

static inline enum err rig_bus_serve(struct bus *bus, const char *name, int priority,
                                     bus_call_fn *fn, void *ctx)
{
	struct rig *rig = (struct rig *)bus;

	cr_assert(strncmp(name, "publisher-", 10) == 0);
	cr_assert_eq(priority, 1);
	rig->fn = fn;
	rig->ctx = ctx;
	return OK;
}

static inline void rig_bus_reply(struct bus_call *base, struct bytes reply)
{
	struct rig_call *call = (struct rig_call *)base;

	cr_assert(!call->answered && !call->dropped, "a call was answered twice");
	call->answered = true;
	buf_append(&call->reply, reply.data, reply.len);
}

static inline void rig_bus_drop(struct bus_call *base)
{
	struct rig_call *call = (struct rig_call *)base;

	cr_assert(!call->answered && !call->dropped);
	call->dropped = true;
}

static inline enum err rig_bus_publish(struct bus *bus, const char *name, struct bytes event)
{
	struct rig *rig = (struct rig *)bus;
	Publisher__InsightsPublished *news = (Publisher__InsightsPublished *)wire_unpack(
	        &publisher__insights_published__descriptor, event);

	(void)name;
	cr_assert(news && event.len <= BUS_MAX_BYTES && news->has_through_ms);
	for (size_t i = 0; i < news->n_insights; i++)
		cr_assert(news->insights[i]->number <= rig->newest ||
		                  news->insights[i]->insight->ts > rig->through_ms,
		          "number %d was made earlier than promised",
		          (int)news->insights[i]->number);
	rig->newest = news->newest;
	rig->through_ms = news->through_ms;
	if (news->n_insights == 0) {
		rig->heartbeats++;
		wire_free(&news->base);
		return OK;
	}
	cr_assert(rig->n_news < ARRAY_LEN(rig->news));
	rig->news[rig->n_news++] = news;
	return OK;
}

static inline const char *rig_bus_why(const struct bus *bus)
{
	(void)bus;
	return "";
}

static const struct bus_ops rig_bus_ops = {
	.close = rig_bus_close,
	.serve = rig_bus_serve,
	.reply = rig_bus_reply,
	.drop = rig_bus_drop,
	.publish = rig_bus_publish,
	.why = rig_bus_why,
};

/* ---- life ---- */

static inline void rig_start(struct rig *rig)
{
	rig->publisher = publisher_new(&(struct publisher_deps){
	        .loop = rig->loop,
	        .bus = &rig->bus,
	        .store = rig->store,
	        .secret = rig->secret,
	        .number = rig->number,
	        .publishers = rig->publishers,
	        .sessions_most = rig->sessions_most,
	});
	cr_assert(rig->publisher);
}

static inline struct rig *rig_new(int64_t sync_delay_ms)
{
	struct rig *rig = xcalloc(1, sizeof *rig);

	cr_assert(sodium_init() >= 0);
	rig->bus.ops = &rig_bus_ops;
	rig->now_us = 1000000;
	clock_set_source(rig_now_us, rig, RIG_WALL_MS);
	rig->loop = loop_new_virtual();
	rig->store = store_open_memory(rig->loop, sync_delay_ms);
	rig->publishers = 1;
	rig->account = uuid_new(RIG_WALL_MS);
	memset(rig->secret, 7, sizeof rig->secret);
	rig_start(rig);
	return rig;
}

static inline void rig_stop(struct rig *rig)
{
	publisher_free(rig->publisher);
	rig->publisher = NULL;
}

static inline void rig_forget_news(struct rig *rig)
{
	while (rig->n_news > 0)
		wire_free(&rig->news[--rig->n_news]->base);
}

static inline void rig_free(struct rig *rig)
{
	rig_stop(rig);
	rig_forget_news(rig);
	store_close(rig->store);
	loop_free(rig->loop);
	mem_free(rig);
}

static inline void rig_run(struct rig *rig, int64_t ms)
{
	loop_dispatch(rig->loop);
	for (; ms > 0; ms--) {
		rig->now_us += 1000;
		loop_dispatch(rig->loop);
	}
}

/* The power fails: what was not synced is gone. */
static inline void rig_crash(struct rig *rig)
{
	rig_stop(rig);
	store_memory_crash(rig->store);
	rig_start(rig);
	rig_run(rig, 20);
}

/* ---- requests ---- */

static inline struct rig_call *rig_send(struct rig *rig, Publisher__PublisherRequest *request)
{
	struct rig_call *call = xcalloc(1, sizeof *call);
	struct buf packed = { 0 };

	call->call.ops = &rig_bus_ops;
	rig->fn(rig->ctx, &call->call, wire_pack(&packed, &request->base));
	buf_free(&packed);
	return call;
}

/* The reply, NULL when the call was dropped. The caller frees it. */
static inline Publisher__PublisherReply *rig_reply(struct rig_call *call)
{
	Publisher__PublisherReply *reply = NULL;

	cr_assert(call->answered || call->dropped, "the call was not answered");
	if (call->answered) {
		reply = (Publisher__PublisherReply *)wire_unpack(
		        &publisher__publisher_reply__descriptor,
		        BYTES(call->reply.data, call->reply.len));
		cr_assert(reply);
	}
	buf_free(&call->reply);
	mem_free(call);
	return reply;
}

static inline Publisher__PublisherReply *rig_ask(struct rig *rig,
                                                 Publisher__PublisherRequest *request)
{
	struct rig_call *call = rig_send(rig, request);

	for (int ms = 0; ms < 1000 && !call->answered && !call->dropped; ms++)
		rig_run(rig, 1);
	return rig_reply(call);
}

/* ---- sessions ---- */

struct rig_session {
	struct uuid account, id, supersedes;
	uint32_t partition;
	const char *device_id;
	uint64_t next; /* item to send */
};

static inline struct uuid rig_id(uint32_t partition)
{
	static uint64_t count;
	static uint64_t salt;

	if (salt == 0)
		salt = randombytes_random();
	return uuid_numbered(clock_wall_ms(), (salt << 24 | ++count) << 6 | partition);
}

static inline struct rig_session rig_session(struct rig *rig, uint32_t partition)
{
	return (struct rig_session){ .account = rig->account,
		                     .id = rig_id(partition),
		                     .partition = partition,
		                     .device_id = "watch-1" };
}

static inline Raeh__Principal *rig_principal(struct rig *rig, const struct uuid *account,
                                             uint32_t scopes, const char *device_id)
{
	Raeh__Principal principal = RAEH__PRINCIPAL__INIT;
	struct uuid key = { { 9 } };
	uint8_t mac[32];

	principal.account = wire_bytes_of(account);
	principal.key = wire_bytes_of(&key);
	principal.scopes = scopes;
	principal.device_id = (char *)device_id;
	principal_sign(&principal, rig->secret, mac);
	return (Raeh__Principal *)wire_copy(&principal.base);
}

/* Slot 0 is green light at 25 Hz, slot 3 acceleration of three axes; both 16 bits. */
static inline Publisher__Opening *rig_opening(struct rig *rig, const struct rig_session *session)
{
	Publisher__Opening opening = PUBLISHER__OPENING__INIT;
	Raeh__Slot light = RAEH__SLOT__INIT, motion = RAEH__SLOT__INIT;
	Raeh__Slot *slots[2] = { &light, &motion };
	ProtobufCBinaryData old = wire_bytes_of(&session->supersedes);
	Publisher__Opening *copy;

	light.modality_channel_id = motion.modality_channel_id = (char *)RIG_MODEL;
	light.modality = (char *)"ppg_green";
	motion.modality = (char *)"acc_3axis";
	light.sample_rate_hz = motion.sample_rate_hz = 25;
	light.bit_depth = motion.bit_depth = 16;
	light.num_channels = 1;
	motion.num_channels = 3;
	motion.slot_id = 3;
	opening.device_id = (char *)session->device_id;
	opening.device_model_id = (char *)RIG_MODEL;
	opening.slots = slots;
	opening.n_slots = 2;
	opening.n_supersedes = uuid_is_nil(&session->supersedes) ? 0 : 1;
	opening.supersedes = &old;
	opening.started_at = clock_wall_ms();
	opening.principal = rig_principal(rig, &session->account, SCOPE_INGEST, NULL);
	copy = (Publisher__Opening *)wire_copy(&opening.base);
	wire_free(&opening.principal->base);
	return copy;
}

/* 25 samples: one second of light that begins at t0. */
#define RIG_FRAME_BYTES (FRAME_HEAD_BYTES + 50)
static inline void rig_frame(int64_t t0_ms, int16_t seed, uint8_t ret[RIG_FRAME_BYTES])
{
	struct frame frame = { .slot_id = 0, .sample_count = 25, .t0_epoch_ms = t0_ms };

	frame_head(&frame, ret);
	for (int i = 0; i < 25; i++) {
		int16_t sample = (int16_t)(seed + i * 100 % 1300);

		memcpy(ret + FRAME_HEAD_BYTES + 2 * i, &sample, 2);
	}
}

/* A run of items under way; all borrowed until it is sent. */
struct rig_run {
	const struct rig_session *session;
	uint64_t first;
	bool opening, closing;
	size_t n_frames;
	const ProtobufCBinaryData *frames;
	Publisher__Opening *instead; /* of the usual opening */
};

static inline struct rig_call *rig_send_runs(struct rig *rig, const struct rig_run *runs, size_t n)
{
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__Items items = PUBLISHER__ITEMS__INIT;
	Publisher__SessionItems *list = xcalloc(n, sizeof *list);
	Publisher__SessionItems **pointers = xcalloc(n, sizeof *pointers);
	Publisher__Closing closing = PUBLISHER__CLOSING__INIT;
	struct rig_call *call;

	closing.close_code = 1000;
	closing.close_reason = (char *)"bye";
	closing.ended_at = clock_wall_ms();
	for (size_t i = 0; i < n; i++) {
		publisher__session_items__init(&list[i]);
		list[i].account = wire_bytes_of(&runs[i].session->account);
		list[i].session = wire_bytes_of(&runs[i].session->id);
		list[i].partition = runs[i].session->partition;
		list[i].first = runs[i].first;
		if (runs[i].opening)
			list[i].opening = runs[i].instead ? runs[i].instead
			                                  : rig_opening(rig, runs[i].session);
		list[i].n_frames = runs[i].n_frames;
		list[i].frames = (ProtobufCBinaryData *)runs[i].frames;
		list[i].closing = runs[i].closing ? &closing : NULL;
		pointers[i] = &list[i];
	}
	items.n_sessions = n;
	items.sessions = pointers;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_ITEMS;
	request.items = &items;
	call = rig_send(rig, &request);
	for (size_t i = 0; i < n; i++)
		if (list[i].opening && !runs[i].instead)
			wire_free(&list[i].opening->base);
	mem_free(list);
	mem_free(pointers);
	return call;
}

/* What is said to one run; close_code 0: none. */
struct rig_taken {
	uint64_t next;
	uint32_t close_code;
	bool later;
	char reason[128];
};

static inline struct rig_taken rig_taken(Publisher__PublisherReply *reply, size_t i)
{
	struct rig_taken taken = { 0 };

	cr_assert(reply && reply->result_case == PUBLISHER__PUBLISHER_REPLY__RESULT_ITEMS_TAKEN);
	cr_assert(i < reply->items_taken->n_sessions);
	taken.next = reply->items_taken->sessions[i]->next;
	taken.close_code = reply->items_taken->sessions[i]->close_code;
	taken.later = reply->items_taken->sessions[i]->later;
	if (reply->items_taken->sessions[i]->close_reason)
		strncat(taken.reason, reply->items_taken->sessions[i]->close_reason, 127);
	return taken;
}

static inline struct rig_taken rig_take(struct rig *rig, const struct rig_run *run)
{
	struct rig_call *call = rig_send_runs(rig, run, 1);
	Publisher__PublisherReply *reply;
	struct rig_taken taken;

	for (int ms = 0; ms < 1000 && !call->answered && !call->dropped; ms++)
		rig_run(rig, 1);
	reply = rig_reply(call);
	taken = rig_taken(reply, 0);
	wire_free(&reply->base);
	return taken;
}

/* Opens it and goes on to item 1. */
static inline void rig_open(struct rig *rig, struct rig_session *session)
{
	struct rig_taken taken =
	        rig_take(rig, &(struct rig_run){ .session = session, .opening = true });

	cr_assert_eq(taken.next, 1);
	cr_assert_eq(taken.close_code, 0);
	session->next = 1;
}

/* One second of light at t0 as the next item; returns what the publisher then expects. */
static inline uint64_t rig_second(struct rig *rig, struct rig_session *session, int64_t t0_ms)
{
	uint8_t bytes[RIG_FRAME_BYTES];
	ProtobufCBinaryData frame = { sizeof bytes, bytes };
	struct rig_taken taken;

	rig_frame(t0_ms, 0, bytes);
	taken = rig_take(rig, &(struct rig_run){ .session = session,
	                                         .first = session->next,
	                                         .frames = &frame,
	                                         .n_frames = 1 });
	session->next = taken.next;
	return taken.next;
}

static inline struct rig_taken rig_close(struct rig *rig, struct rig_session *session)
{
	struct rig_taken taken = rig_take(
	        rig,
	        &(struct rig_run){ .session = session, .first = session->next, .closing = true });

	session->next = taken.next;
	return taken;
}

/* ---- reads ---- */

static inline Publisher__PublisherReply *rig_read(struct rig *rig, const struct uuid *account,
                                                  const char *device_id,
                                                  Publisher__PublisherRequest *request)
{
	Publisher__PublisherReply *reply;

	request->principal = rig_principal(rig, account, SCOPE_READ, device_id);
	reply = rig_ask(rig, request);
	wire_free(&request->principal->base);
	return reply;
}

static inline Publisher__PublisherReply *rig_get(struct rig *rig, const struct uuid *account,
                                                 const char *device_id, const char *id)
{
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__GetSession get = PUBLISHER__GET_SESSION__INIT;

	get.id = (char *)id;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_GET_SESSION;
	request.get_session = &get;
	return rig_read(rig, account, device_id, &request);
}

static inline Publisher__PublisherReply *rig_detail(struct rig *rig,
                                                    const struct rig_session *session)
{
	char text[UUID_TEXT];
	Publisher__PublisherReply *reply;

	uuid_text(&session->id, text);
	reply = rig_get(rig, &session->account, NULL, text);
	cr_assert_eq(reply->result_case, PUBLISHER__PUBLISHER_REPLY__RESULT_SESSION);
	return reply;
}

static inline Publisher__PublisherReply *rig_list(struct rig *rig, const char *device_id,
                                                  Publisher__ListInsights *list)
{
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;

	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_LIST_INSIGHTS;
	request.list_insights = list;
	return rig_read(rig, &rig->account, device_id, &request);
}

static inline Publisher__PublisherReply *
rig_insights(struct rig *rig, const struct rig_session *session, const char *type)
{
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__SessionInsights list = PUBLISHER__SESSION_INSIGHTS__INIT;
	char text[UUID_TEXT];

	uuid_text(&session->id, text);
	list.id = text;
	list.type = (char *)type;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_SESSION_INSIGHTS;
	request.session_insights = &list;
	return rig_read(rig, &session->account, NULL, &request);
}

#endif
