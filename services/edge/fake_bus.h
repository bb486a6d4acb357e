/*
 * fake_bus - a bus of which the test is every other process.
 *
 * What the edge asks waits here, in order, until the test answers it (world_answer) or its
 * deadline passes, in virtual time. What the edge serves or subscribes to, the test calls.
 * Included by the *_test.c of this folder alone.
 */
#ifndef EDGE_FAKE_BUS_H
#define EDGE_FAKE_BUS_H

#include "auth.pb-c.h"
#include "common/bus.h"
#include "common/clock.h"
#include "common/list.h"
#include "common/log.h"
#include "common/principal.h"
#include "common/token.h"
#include "common/wire.h"
#include "edge.pb-c.h"
#include "publisher.pb-c.h"
#include "router.pb-c.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define FAKE_NAMES    8
#define FAKE_LEASE_MS 30000
#define FAKE_WALL_MS  1700000000000

struct question {
	struct list link;
	char name[BUS_NAME_MAX];
	struct buf data;
	int64_t asked_ms, due_ms;
	bus_reply_fn *fn;
	void *ctx;
};

struct fake_name {
	char name[BUS_NAME_MAX];
	bus_call_fn *call;
	bus_event_fn *event;
	void *ctx;
};

static struct fake_world {
	struct bus bus;
	struct loop *loop;
	int64_t now_us;
	struct list questions;
	struct fake_name served[FAKE_NAMES], heard[FAKE_NAMES];
	size_t n_served, n_heard;
	struct buf reply; /* to the newest call */
	unsigned replies;
	void (*each_ms)(void);
} world;

/* ---- the engine ---- */

static inline enum err fake_serve(struct bus *bus, const char *name, int priority, bus_call_fn *fn,
                                  void *ctx)
{
	struct fake_name *served = &world.served[world.n_served++];

	(void)bus;
	(void)priority;
	MUST(world.n_served <= FAKE_NAMES);
	(void)snprintf(served->name, sizeof served->name, "%s", name);
	served->call = fn;
	served->ctx = ctx;
	return OK;
}

static inline enum err fake_subscribe(struct bus *bus, const char *name, int priority,
                                      bus_event_fn *fn, void *ctx)
{
	struct fake_name *heard = &world.heard[world.n_heard++];

	(void)bus;
	(void)priority;
	MUST(world.n_heard <= FAKE_NAMES);
	(void)snprintf(heard->name, sizeof heard->name, "%s", name);
	heard->event = fn;
	heard->ctx = ctx;
	return OK;
}

static inline void fake_reply(struct bus_call *call, struct bytes reply)
{
	world.reply.len = 0;
	buf_append(&world.reply, reply.data, reply.len);
	world.replies++;
	mem_free(call);
}

static inline void fake_request(struct bus *bus, const char *name, struct bytes request,
                                int64_t deadline_ms, bus_reply_fn *fn, void *ctx)
{
	struct question *question = xcalloc(1, sizeof *question);

	(void)bus;
	cr_assert_leq(request.len, BUS_MAX_BYTES, "%s is asked with %zu bytes", name, request.len);
	(void)snprintf(question->name, sizeof question->name, "%s", name);
	buf_append(&question->data, request.data, request.len);
	question->asked_ms = clock_boot_ms();
	question->due_ms = question->asked_ms + deadline_ms;
	question->fn = fn;
	question->ctx = ctx;
	list_append(&world.questions, &question->link);
}

static inline const char *fake_why(const struct bus *bus)
{
	(void)bus;
	return "";
}

static inline int64_t fake_now_us(void *ctx)
{
	(void)ctx;
	return world.now_us;
}

/* ---- life ---- */

static inline void world_open(void)
{
	static const struct bus_ops ops = {
		.serve = fake_serve,
		.subscribe = fake_subscribe,
		.reply = fake_reply,
		.request = fake_request,
		.why = fake_why,
	};

	world = (struct fake_world){ .bus.ops = &ops, .now_us = 1000000000 };
	list_init(&world.questions);
	clock_set_source(fake_now_us, NULL, FAKE_WALL_MS);
	world.loop = loop_new_virtual();
}

static inline void question_free(struct question *question)
{
	list_remove(&question->link);
	buf_free(&question->data);
	mem_free(question);
}

/* After the actor: the bus calls nobody back. */
static inline void world_close(void)
{
	while (!list_empty(&world.questions))
		question_free(LIST_OWNER(list_first(&world.questions), struct question, link));
	buf_free(&world.reply);
	loop_free(world.loop);
	clock_set_source(NULL, NULL, 0);
}

/* ---- what the edge asks ---- */

/* The oldest question to that name; NULL: none. */
static inline struct question *asked(const char *name)
{
	LIST_EACH(link, &world.questions)
	{
		struct question *question = LIST_OWNER(link, struct question, link);

		if (strcmp(question->name, name) == 0)
			return question;
	}
	return NULL;
}

static inline unsigned asked_count(const char *name)
{
	unsigned n = 0;

	LIST_EACH(link, &world.questions)
	n += strcmp(LIST_OWNER(link, struct question, link)->name, name) == 0;
	return n;
}

/* The nth (from 0) question to that name. */
static inline struct question *asked_nth(const char *name, unsigned nth)
{
	LIST_EACH(link, &world.questions)
	{
		struct question *question = LIST_OWNER(link, struct question, link);

		if (strcmp(question->name, name) == 0 && nth-- == 0)
			return question;
	}
	return NULL;
}

static inline ProtobufCMessage *question_as(const struct question *question,
                                            const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *message;

	cr_assert(question != NULL, "nothing was asked");
	message = wire_unpack(type, BYTES(question->data.data, question->data.len));
	cr_assert(message != NULL, "%s was asked what it cannot read", question->name);
	return message;
}

/* The oldest question about a credential; NULL: none. */
static inline struct question *asked_verify(void)
{
	LIST_EACH(link, &world.questions)
	{
		struct question *question = LIST_OWNER(link, struct question, link);
		AUTO(wire_free) ProtobufCMessage *message = NULL;

		if (strcmp(question->name, "auth") != 0)
			continue;
		message = question_as(question, &auth__auth_request__descriptor);
		if (((Auth__AuthRequest *)message)->command_case ==
		    AUTH__AUTH_REQUEST__COMMAND_VERIFY)
			return question;
	}
	return NULL;
}

static inline void world_answer_bytes(struct question *question, enum err err, struct bytes data)
{
	bus_reply_fn *fn;
	void *ctx;

	cr_assert(question != NULL, "nothing was asked");
	fn = question->fn;
	ctx = question->ctx;
	question_free(question);
	fn(ctx, err, data);
}

static inline void world_answer(struct question *question, const ProtobufCMessage *reply)
{
	struct buf buf = { 0 };

	world_answer_bytes(question, OK, wire_pack(&buf, reply));
	buf_free(&buf);
}

static inline void world_lose(struct question *question)
{
	world_answer_bytes(question, ERR_UNAVAILABLE, BYTES(NULL, 0));
}

/* ---- time ---- */

/* An answer may ask anew: look at the list anew each time. */
static inline struct question *overdue(void)
{
	LIST_EACH(link, &world.questions)
	{
		struct question *question = LIST_OWNER(link, struct question, link);

		if (question->due_ms <= clock_boot_ms())
			return question;
	}
	return NULL;
}

static inline void meet_deadlines(void)
{
	struct question *question;

	while ((question = overdue()) != NULL)
		world_lose(question);
}

static inline void turn(void)
{
	loop_dispatch(world.loop);
	if (world.each_ms)
		world.each_ms();
}

static inline void pass(int64_t ms)
{
	for (; ms > 0; ms--) {
		world.now_us += 1000;
		meet_deadlines();
		turn();
	}
}

/* ---- what others ask of the edge ---- */

static inline void world_call(const char *name, const ProtobufCMessage *request)
{
	struct bus_call *call = xcalloc(1, sizeof *call);
	struct buf buf = { 0 };
	struct bytes data = wire_pack(&buf, request);

	call->ops = world.bus.ops;
	for (size_t i = 0; i < world.n_served; i++)
		if (strcmp(world.served[i].name, name) == 0) {
			world.served[i].call(world.served[i].ctx, call, data);
			buf_free(&buf);
			return;
		}
	cr_assert_fail("nobody serves %s", name);
}

static inline void world_publish_bytes(const char *name, struct bytes event)
{
	for (size_t i = 0; i < world.n_heard; i++)
		if (strcmp(world.heard[i].name, name) == 0)
			world.heard[i].event(world.heard[i].ctx, event);
}

static inline void world_publish(const char *name, const ProtobufCMessage *event)
{
	struct buf buf = { 0 };

	world_publish_bytes(name, wire_pack(&buf, event));
	buf_free(&buf);
}

/* ---- auth's side ---- */

static inline struct uuid id_of(unsigned n)
{
	return uuid_numbered(FAKE_WALL_MS, n);
}

/* Answers the oldest lease question: held, standing at newest. */
static const uint8_t fake_token_seed[TOKEN_SEED_BYTES] = { 5 };

static inline void give_lease(uint64_t newest)
{
	Auth__LeaseReply reply = AUTH__LEASE_REPLY__INIT;
	uint8_t token_key[TOKEN_KEY_BYTES];

	reply.has_lease_ms = 1;
	reply.lease_ms = FAKE_LEASE_MS;
	reply.newest = newest;
	token_key_of(fake_token_seed, token_key);
	reply.has_token_key = 1;
	reply.token_key = (ProtobufCBinaryData){ sizeof token_key, token_key };
	world_answer(asked("auth.lease"), &reply.base);
}

static inline void refuse_lease(unsigned status)
{
	Auth__LeaseReply reply = AUTH__LEASE_REPLY__INIT;
	Raeh__Error error = RAEH__ERROR__INIT;

	error.status = status;
	error.detail = (char *)"not registered";
	reply.error = &error;
	reply.newest = 0;
	world_answer(asked("auth.lease"), &reply.base);
}

struct fake_key {
	unsigned key, account;
	uint64_t notice;
	uint32_t scopes;
	const char *device_id;
	uint32_t frames_per_s;
	int64_t expires_ms;
};

/* The question must be a Verify; answers it with a verdict. */
static inline void give_verdict(struct question *question, struct fake_key key)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Auth__Verdict verdict = AUTH__VERDICT__INIT;
	Raeh__Principal principal = RAEH__PRINCIPAL__INIT;
	struct uuid key_id = id_of(key.key), account = id_of(key.account ? key.account : 900);
	static const uint8_t secret[SECRET_BYTES];
	uint8_t mac[32];

	principal.key = wire_bytes_of(&key_id);
	principal.account = wire_bytes_of(&account);
	principal.scopes = key.scopes ? key.scopes : SCOPES_ALL;
	principal.device_id = (char *)key.device_id;
	principal.notice = key.notice;
	principal.has_frames_per_s = key.frames_per_s != 0;
	principal.frames_per_s = key.frames_per_s;
	principal.has_expires_ms = key.expires_ms != 0;
	principal.expires_ms = key.expires_ms;
	principal_sign(&principal, secret, mac);
	verdict.principal = &principal;
	reply.result_case = AUTH__AUTH_REPLY__RESULT_VERDICT;
	reply.verdict = &verdict;
	world_answer(question, &reply.base);
}

static inline void auth_is_done(void)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Raeh__Empty done = RAEH__EMPTY__INIT;

	reply.result_case = AUTH__AUTH_REPLY__RESULT_DONE;
	reply.done = &done;
	world_answer(asked("auth"), &reply.base);
}

static inline void refuse_key(struct question *question, unsigned status)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Raeh__Error error = RAEH__ERROR__INIT;

	error.status = status;
	error.detail = (char *)"refused";
	reply.error = &error;
	world_answer(question, &reply.base);
}

struct notice_of {
	Auth__Notice notice;
	struct uuid account, key;
};

static inline Auth__Notice *notice_fill(struct notice_of *ret, uint64_t number, unsigned key)
{
	ret->key = id_of(key);
	ret->account = id_of(900);
	auth__notice__init(&ret->notice);
	ret->notice.number = number;
	ret->notice.account = wire_bytes_of(&ret->account);
	ret->notice.key = wire_bytes_of(&ret->key);
	ret->notice.reason = (char *)"revoked";
	return &ret->notice;
}

#endif
