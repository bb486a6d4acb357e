/*
 * world - what the router's tests stand on: a virtual loop, a store in memory, a bus that
 * only remembers, and the words to ask and to answer.
 */
#ifndef ROUTER_WORLD_H
#define ROUTER_WORLD_H

#include "auth.pb-c.h"
#include "common/clock.h"
#include "common/keys.h"
#include "common/principal.h"
#include "common/wire.h"
#include "edge.pb-c.h"
#include "events.pb-c.h"
#include "publisher.pb-c.h"
#include "router.pb-c.h"
#include "services/router/router.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define WALL_OFFSET_MS INT64_C(1760000000000)
#define WORLD_MAX      512

/* A question that the router was asked. */
struct question {
	struct bus_call call;
	struct buf reply;
	bool answered;
};
/* A request that the router made. */
struct request {
	char name[BUS_NAME_MAX];
	struct buf bytes;
	bus_reply_fn *fn;
	void *ctx;
	bool answered;
};

struct world {
	struct bus bus;
	struct loop *loop;
	struct store *store;
	struct router *router;
	uint8_t secret[SECRET_BYTES];
	bus_call_fn *served;
	void *served_ctx;
	struct question *question[WORLD_MAX];
	struct request request[WORLD_MAX];
	struct buf event[WORLD_MAX];
	size_t n_questions, n_requests, n_events;
	int64_t now_us;
};

static struct world world;

static inline int64_t world_clock(void *ctx)
{
	(void)ctx;
	return world.now_us;
}

static inline void world_close(struct bus *bus)
{
	(void)bus;
}

static inline enum err world_serve(struct bus *bus, const char *name, int priority, bus_call_fn *fn,
                                   void *ctx)
{
	(void)bus;
	(void)priority;
	cr_assert_str_eq(name, "router");
	world.served = fn;
	world.served_ctx = ctx;
	return OK;
}

static inline void world_reply(struct bus_call *call, struct bytes reply)
{
	struct question *question = (struct question *)call;

	cr_assert(!question->answered, "a question was answered twice");
	question->answered = true;
	buf_append(&question->reply, reply.data, reply.len);
}

static inline void world_drop(struct bus_call *call)
{
	((struct question *)call)->answered = true;
}

static inline void world_request(struct bus *bus, const char *name, struct bytes bytes,
                                 int64_t deadline_ms, bus_reply_fn *fn, void *ctx)
{
	struct request *request = &world.request[world.n_requests++];

	(void)bus;
	cr_assert_lt(world.n_requests, WORLD_MAX);
	cr_assert_gt(deadline_ms, 0);
	*request = (struct request){ .fn = fn, .ctx = ctx };
	(void)snprintf(request->name, sizeof request->name, "%s", name);
	buf_append(&request->bytes, bytes.data, bytes.len);
}

static inline enum err world_publish(struct bus *bus, const char *name, struct bytes event)
{
	(void)bus;
	cr_assert_str_eq(name, "router.events");
	cr_assert_lt(world.n_events, WORLD_MAX);
	buf_append(&world.event[world.n_events++], event.data, event.len);
	return OK;
}

static inline enum err world_subscribe(struct bus *bus, const char *name, int priority,
                                       bus_event_fn *fn, void *ctx)
{
	(void)bus;
	(void)name;
	(void)priority;
	(void)fn;
	(void)ctx;
	return ERR_UNAVAILABLE;
}

static inline const char *world_why(const struct bus *bus)
{
	(void)bus;
	return "the world's bus does not fail";
}

static const struct bus_ops world_ops = {
	world_close,   world_serve,   world_reply,     world_drop,
	world_request, world_publish, world_subscribe, world_why
};

/* ---- time and life ---- */

static inline void pass(int64_t ms)
{
	int64_t end_us = world.now_us + ms * 1000;

	loop_dispatch(world.loop);
	while (loop_next_due_ms(world.loop) <= end_us / 1000) {
		int64_t due_us = loop_next_due_ms(world.loop) * 1000;

		if (due_us > world.now_us)
			world.now_us = due_us;
		loop_dispatch(world.loop);
	}
	world.now_us = end_us;
	loop_dispatch(world.loop);
}

static inline void start_router(void)
{
	const struct router_deps deps = { world.loop, &world.bus, world.store, world.secret, 4 };

	world.served = NULL;
	cr_assert_eq(router_new(&deps, &world.router), OK);
	for (int i = 0; i < 100 && !world.served; i++)
		pass(1);
	cr_assert_not_null(world.served);
}

static inline void setup(void)
{
	cr_assert_geq(sodium_init(), 0);
	world = (struct world){ .bus = { &world_ops }, .now_us = 1000000 };
	clock_set_source(world_clock, NULL, WALL_OFFSET_MS);
	memset(world.secret, 7, sizeof world.secret);
	world.loop = loop_new_virtual();
	world.store = store_open_memory(world.loop, 1);
	start_router();
}

/* Nothing that was asked of the router or by it goes on. */
static inline void stop_router(void)
{
	router_free(world.router);
	world.router = NULL;
	for (size_t i = 0; i < world.n_requests; i++)
		buf_free(&world.request[i].bytes);
	world.n_requests = 0;
}

static inline void restart(void)
{
	stop_router();
	store_memory_crash(world.store);
	start_router();
}

static inline void teardown(void)
{
	stop_router();
	for (size_t i = 0; i < world.n_questions; i++) {
		buf_free(&world.question[i]->reply);
		mem_free(world.question[i]);
	}
	for (size_t i = 0; i < world.n_events; i++)
		buf_free(&world.event[i]);
	store_close(world.store);
	loop_free(world.loop);
	clock_set_source(NULL, NULL, 0);
}

/* ---- who asks ---- */

struct user {
	struct uuid account, key;
	uint32_t scopes;
	const char *device_id;
};
static const struct user alice = { { { 1 } }, { { 11 } }, SCOPES_DEFAULT, NULL };
static const struct user bob = { { { 2 } }, { { 12 } }, SCOPES_DEFAULT, NULL };

/* Sends request as user; NULL: without a principal. */
static inline struct question *send_as(const struct user *user, Router__RouterRequest *request)
{
	struct question *question = xcalloc(1, sizeof *question);
	Raeh__Principal principal = RAEH__PRINCIPAL__INIT;
	struct buf buf = { 0 };
	uint8_t mac[32];

	cr_assert_lt(world.n_questions, WORLD_MAX);
	world.question[world.n_questions++] = question;
	question->call.ops = &world_ops;
	if (user) {
		principal.account = wire_bytes_of(&user->account);
		principal.key = wire_bytes_of(&user->key);
		principal.scopes = user->scopes;
		principal.device_id = (char *)user->device_id;
		principal_sign(&principal, world.secret, mac);
		request->principal = &principal;
	}
	world.served(world.served_ctx, &question->call, wire_pack(&buf, &request->base));
	request->principal = NULL;
	buf_free(&buf);
	return question;
}

/* The caller's: wire_free(). */
static inline Router__RouterReply *reply_to(struct question *question)
{
	ProtobufCMessage *reply;

	for (int i = 0; i < 1000 && !question->answered; i++)
		pass(1);
	cr_assert(question->answered, "no answer within a second");
	reply = wire_unpack(&router__router_reply__descriptor,
	                    BYTES(question->reply.data, question->reply.len));
	cr_assert_not_null(reply);
	return (Router__RouterReply *)reply;
}

static inline Router__RouterReply *ask_as(const struct user *user, Router__RouterRequest *request)
{
	return reply_to(send_as(user, request));
}

#define DONE_WITH(reply) wire_free(&(reply)->base)

static inline void assert_error(Router__RouterReply *reply, uint32_t status, uint32_t close_code,
                                const char *detail)
{
	cr_assert_not_null(reply->error, "expected status %u, got a result", status);
	cr_assert_eq(reply->error->status, status, "expected %u, got %u: %s", status,
	             reply->error->status, reply->error->detail);
	cr_assert_eq(reply->error->close_code, close_code, "expected %u, got %u: %s", close_code,
	             reply->error->close_code, reply->error->detail);
	if (detail)
		cr_assert_str_eq(reply->error->detail, detail);
	DONE_WITH(reply);
}

/* ---- models ---- */

static inline Router__ChannelSpec channel(const char *modality, double rate_hz)
{
	Router__ChannelSpec spec = ROUTER__CHANNEL_SPEC__INIT;

	spec.modality = (char *)modality;
	spec.sample_rate_hz = rate_hz;
	return spec;
}

static inline Router__RouterReply *create_model(const struct user *user,
                                                Router__CreateModel *create, uint8_t op)
{
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;
	const struct uuid op_id = { { op } };

	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_CREATE_MODEL;
	request.create_model = create;
	request.has_op_id = op != 0;
	request.op_id = wire_bytes_of(&op_id);
	return ask_as(user, &request);
}

/* Its id, as text in ret, for a model with one green channel (or none). */
static inline void given_model(const struct user *user, const char *name, size_t channels,
                               char ret[UUID_TEXT])
{
	Router__CreateModel create = ROUTER__CREATE_MODEL__INIT;
	Router__ChannelSpec specs[3] = { channel("ppg_green", 100), channel("acc_3axis", 50),
		                         channel("ppg_red", 25) };
	Router__ChannelSpec *places[3] = { &specs[0], &specs[1], &specs[2] };
	Router__RouterReply *reply;

	create.name = (char *)name;
	create.n_modality_channels = channels;
	create.modality_channels = places;
	reply = create_model(user, &create, 0);
	cr_assert_null(reply->error);
	memcpy(ret, reply->model->id, UUID_TEXT);
	DONE_WITH(reply);
}

/* ---- sessions ---- */

struct device {
	const char *model, *id;
	uint32_t edge_slot;
	uint8_t incarnation;
};

static inline struct uuid session_id(const struct user *user, const struct device *device,
                                     uint32_t n)
{
	struct uuid model;
	uint16_t partition = 0;

	if (uuid_parse(device->model, &model))
		partition = partition_of(&user->account, &model, device->id);
	return uuid_numbered(clock_wall_ms(), (uint64_t)n << 6 | partition);
}

static inline struct question *send_open(const struct user *user, const struct device *device,
                                         const struct uuid *session)
{
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;
	Router__OpenSession open = ROUTER__OPEN_SESSION__INIT;
	const struct uuid incarnation = { { device->incarnation } };

	open.session = wire_bytes_of(session);
	open.device_model_id = (char *)device->model;
	open.device_id = (char *)device->id;
	open.edge_slot = device->edge_slot;
	open.edge_incarnation = wire_bytes_of(&incarnation);
	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_OPEN_SESSION;
	request.open_session = &open;
	return send_as(user, &request);
}

static inline Router__RouterReply *
open_session(const struct user *user, const struct device *device, const struct uuid *session)
{
	return reply_to(send_open(user, device, session));
}

static inline struct uuid given_session(const struct user *user, const struct device *device)
{
	static uint32_t n;
	struct uuid id = session_id(user, device, ++n);
	Router__RouterReply *reply = open_session(user, device, &id);

	cr_assert_null(reply->error, "%s", reply->error ? reply->error->detail : "");
	DONE_WITH(reply);
	return id;
}

static inline struct question *send_close(const struct user *user, const struct uuid *session,
                                          uint32_t code)
{
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;
	Router__CloseSession close = ROUTER__CLOSE_SESSION__INIT;

	close.account = wire_bytes_of(&user->account);
	close.session = wire_bytes_of(session);
	close.close_code = code;
	close.close_reason = (char *)"the device said goodbye";
	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_CLOSE_SESSION;
	request.close_session = &close;
	return send_as(NULL, &request);
}

static inline Router__RouterReply *list_sessions(const struct user *user, uint32_t limit,
                                                 const char *status)
{
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;
	Router__ListSessions list = ROUTER__LIST_SESSIONS__INIT;

	list.has_limit = limit != 0;
	list.limit = limit;
	list.status = (char *)status;
	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_LIST_SESSIONS;
	request.list_sessions = &list;
	return ask_as(user, &request);
}

static inline void assert_status(const struct user *user, const struct uuid *session,
                                 const char *status)
{
	Router__RouterReply *reply = list_sessions(user, 200, NULL);
	char id[UUID_TEXT];
	bool found = false;

	uuid_text(session, id);
	for (size_t i = 0; i < reply->sessions->n_items; i++)
		if (strcmp(reply->sessions->items[i]->id, id) == 0) {
			cr_assert_str_eq(reply->sessions->items[i]->status, status);
			cr_assert_eq(reply->sessions->items[i]->has_ended_at,
			             strcmp(status, "closed") == 0);
			found = true;
		}
	cr_assert(found, "the session is not listed");
	DONE_WITH(reply);
}

/* ---- the others ---- */

/* The first unanswered request to name, or NULL. */
static inline struct request *asked(const char *name)
{
	for (size_t i = 0; i < world.n_requests; i++)
		if (!world.request[i].answered && strcmp(world.request[i].name, name) == 0)
			return &world.request[i];
	return NULL;
}

static inline void answer_request(struct request *request, enum err err,
                                  const ProtobufCMessage *reply)
{
	struct buf buf = { 0 };

	request->answered = true;
	request->fn(request->ctx, err, reply ? wire_pack(&buf, reply) : BYTES(NULL, 0));
	buf_free(&buf);
}

#endif
