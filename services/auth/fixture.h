/*
 * fixture - an auth in a test: virtual time, a store in memory, a bus that a test can cut.
 *
 * Included by the *_test.c of this folder alone. An edge here is what auth sees of one: it
 * answers apply_notices after a delay, or not at all.
 */
#ifndef AUTH_FIXTURE_H
#define AUTH_FIXTURE_H

#include "common/clock.h"
#include "services/auth/core.h"
#include "services/auth/revoke.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNUSED        __attribute__((unused))
#define FAKE_EDGES    8
#define FAKE_LEASE_MS 30000

struct fake_edge {
	uint32_t slot;
	struct uuid incarnation;
	uint64_t applied;
	bool cut;         /* hears nothing */
	uint32_t sockets; /* closed by each notice */
	int64_t delay_ms; /* before it answers */
	unsigned heard;   /* requests */
	unsigned lose;    /* the next that many answers are lost */
};

struct fake_call {
	struct bus_call base;
	bool answered, dropped;
	struct buf reply;
	struct fake_call *next;
};

struct fake_request {
	struct fake_request *next;
	struct timer timer;
	bus_reply_fn *fn;
	void *ctx;
	enum err err;
	struct buf reply;
};

struct fake_service {
	char name[BUS_NAME_MAX];
	bus_call_fn *fn;
	void *ctx;
};

static struct {
	struct loop *loop;
	struct bus bus;
	struct store *store;
	struct hasher *hasher;
	struct auth *auth;
	int64_t now_us;
	struct fake_service service[4];
	size_t n_service;
	struct fake_edge edge[FAKE_EDGES];
	size_t n_edge;
	struct fake_call *calls;
	struct fake_request *requests;
	struct buf broadcast; /* the last one */
	unsigned broadcasts;
	int64_t lease_ms;
} fx;

static int64_t fixture_us(void *ctx)
{
	(void)ctx;
	return fx.now_us;
}

/* ---- the bus ---- */

static enum err fake_serve(struct bus *bus, const char *name, int priority, bus_call_fn *fn,
                           void *ctx)
{
	struct fake_service *service = &fx.service[fx.n_service++];

	(void)bus;
	(void)priority;
	cr_assert_leq(fx.n_service, ARRAY_LEN(fx.service));
	(void)snprintf(service->name, sizeof service->name, "%s", name);
	service->fn = fn;
	service->ctx = ctx;
	return OK;
}

static void fake_reply(struct bus_call *base, struct bytes reply)
{
	struct fake_call *call = (struct fake_call *)base;

	cr_assert(!call->answered && !call->dropped, "a call was answered twice");
	cr_assert_leq(reply.len, BUS_MAX_BYTES);
	call->answered = true;
	buf_append(&call->reply, reply.data, reply.len);
}

static void fake_drop(struct bus_call *base)
{
	struct fake_call *call = (struct fake_call *)base;

	cr_assert(!call->answered && !call->dropped, "a call was answered twice");
	call->dropped = true;
}

static struct fake_edge *edge_named(const char *name, const Edge__EdgeRequest *request)
{
	for (size_t i = 0; i < fx.n_edge; i++) {
		struct uuid incarnation;
		char text[BUS_NAME_MAX];

		(void)snprintf(text, sizeof text, "edge-%u", fx.edge[i].slot);
		cr_assert(wire_id(request->incarnation, &incarnation));
		if (strcmp(text, name) == 0 && uuid_equal(&incarnation, &fx.edge[i].incarnation))
			return &fx.edge[i];
	}
	return NULL;
}

static void edge_hears(struct fake_edge *edge, const Edge__EdgeRequest *request,
                       struct buf *ret_reply)
{
	const Auth__Notices *notices = request->apply_notices;
	Edge__EdgeReply reply = EDGE__EDGE_REPLY__INIT;
	Auth__SocketsClosed sockets = AUTH__SOCKETS_CLOSED__INIT, *closed[NOTICES_A_MESSAGE];

	if (request->command_case == EDGE__EDGE_REQUEST__COMMAND_SOCKETS_OF) {
		sockets.ingest = edge->sockets;
		reply.sockets = &sockets;
		(void)wire_pack(ret_reply, &reply.base);
		return;
	}
	edge->heard++;
	cr_assert_eq(request->command_case, EDGE__EDGE_REQUEST__COMMAND_APPLY_NOTICES);
	cr_assert_leq(notices->n_notices, NOTICES_A_MESSAGE);
	sockets.ingest = edge->sockets;
	sockets.subscribe = 1;
	for (size_t i = 0; i < notices->n_notices; i++) {
		if (notices->notices[i]->number == edge->applied + 1)
			edge->applied++;
		closed[i] = &sockets;
	}
	reply.has_applied = true;
	reply.applied = edge->applied;
	reply.n_closed = notices->n_notices;
	reply.closed = closed;
	(void)wire_pack(ret_reply, &reply.base);
}

static void forget_request(struct fake_request *request)
{
	struct fake_request **at = &fx.requests;

	while (*at != request)
		at = &(*at)->next;
	*at = request->next;
	timer_stop(fx.loop, &request->timer);
	buf_free(&request->reply);
	mem_free(request);
}

static void on_request_due(void *self)
{
	struct fake_request *request = self;

	request->fn(request->ctx, request->err, BYTES(request->reply.data, request->reply.len));
	forget_request(request);
}

static void fake_request(struct bus *bus, const char *name, struct bytes bytes, int64_t deadline_ms,
                         bus_reply_fn *fn, void *ctx)
{
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&edge__edge_request__descriptor, bytes);
	struct fake_request *request = xcalloc(1, sizeof *request);
	struct fake_edge *edge = edge_named(name, (const Edge__EdgeRequest *)message);
	int64_t delay_ms = deadline_ms;

	(void)bus;
	request->fn = fn;
	request->ctx = ctx;
	request->err = ERR_UNAVAILABLE;
	request->next = fx.requests;
	fx.requests = request;
	if (edge && !edge->cut) {
		edge_hears(edge, (const Edge__EdgeRequest *)message, &request->reply);
		if (edge->lose > 0) {
			edge->lose--;
		} else if (edge->delay_ms < deadline_ms) {
			request->err = OK;
			delay_ms = edge->delay_ms;
		}
	}
	timer_set(fx.loop, &request->timer, delay_ms, on_request_due, request);
}

static enum err fake_publish(struct bus *bus, const char *name, struct bytes event)
{
	(void)bus;
	cr_assert_str_eq(name, "auth.notices");
	if (event.len == 0)
		return OK; /* no notice: it makes the channel */
	fx.broadcast.len = 0;
	buf_append(&fx.broadcast, event.data, event.len);
	fx.broadcasts++;
	return OK;
}

static const char *fake_why(const struct bus *bus)
{
	(void)bus;
	return "fake";
}

static const struct bus_ops fake_ops = {
	.serve = fake_serve,
	.reply = fake_reply,
	.drop = fake_drop,
	.request = fake_request,
	.publish = fake_publish,
	.why = fake_why,
};

/* ---- life ---- */

static void start_auth(void)
{
	struct auth_deps deps = { .loop = fx.loop,
		                  .bus = &fx.bus,
		                  .store = fx.store,
		                  .hasher = fx.hasher,
		                  .process = "auth",
		                  .lease_ms = fx.lease_ms };

	memset(deps.digest_secret, 1, sizeof deps.digest_secret);
	memset(deps.bus_secret, 2, sizeof deps.bus_secret);
	fx.n_service = 0;
	cr_assert_eq(auth_new(&deps, &fx.auth), OK);
}

static void stop_auth(void)
{
	auth_free(fx.auth);
	fx.auth = NULL;
	while (fx.requests)
		forget_request(fx.requests);
}

static UNUSED void given_an_auth(void)
{
	fx.now_us = 1000000;
	clock_set_source(fixture_us, NULL, 1760000000000);
	fx.loop = loop_new_virtual();
	fx.bus.ops = &fake_ops;
	fx.store = store_open_memory(fx.loop, 5);
	fx.hasher = hasher_new(fx.loop, 0);
	fx.lease_ms = FAKE_LEASE_MS;
	start_auth();
}

static UNUSED void done(void)
{
	stop_auth();
	hasher_free(fx.hasher);
	store_close(fx.store);
	while (fx.calls) {
		struct fake_call *call = fx.calls;

		cr_assert(call->answered || call->dropped, "a call was forgotten");
		fx.calls = call->next;
		buf_free(&call->reply);
		mem_free(call);
	}
	buf_free(&fx.broadcast);
	loop_free(fx.loop);
	clock_set_source(NULL, NULL, 0);
}

/* The power goes: what was not synced is lost. */
static UNUSED void power_cut_and_restart(void)
{
	stop_auth();
	store_memory_crash(fx.store);
	start_auth();
}

static UNUSED void restart(void)
{
	stop_auth();
	start_auth();
}

static void run_for(int64_t ms)
{
	int64_t end_ms = clock_boot_ms() + ms;

	loop_dispatch(fx.loop);
	while (clock_boot_ms() < end_ms) {
		int64_t due_ms = loop_next_due_ms(fx.loop);

		if (due_ms > clock_boot_ms())
			fx.now_us = (due_ms < end_ms ? due_ms : end_ms) * 1000;
		loop_dispatch(fx.loop);
	}
}

/* ---- asking ---- */

static struct fake_call *ask(const char *name, const ProtobufCMessage *message)
{
	struct fake_call *call = xcalloc(1, sizeof *call);
	struct buf buf = { 0 };

	call->base.ops = &fake_ops;
	call->next = fx.calls;
	fx.calls = call;
	(void)wire_pack(&buf, message);
	for (size_t i = 0; i < fx.n_service; i++)
		if (strcmp(fx.service[i].name, name) == 0) {
			fx.service[i].fn(fx.service[i].ctx, &call->base, BYTES(buf.data, buf.len));
			buf_free(&buf);
			return call;
		}
	cr_assert_fail("nobody serves %s", name);
	return NULL;
}

static Auth__AuthReply *reply_of(const struct fake_call *call)
{
	static ProtobufCMessage *kept[256]; /* freed with the process of the test */
	static size_t n;
	ProtobufCMessage *message;

	cr_assert(call->answered, "not answered yet");
	message = wire_unpack(&auth__auth_reply__descriptor,
	                      BYTES(call->reply.data, call->reply.len));
	cr_assert(message != NULL);
	cr_assert_lt(n, ARRAY_LEN(kept));
	kept[n++] = message;
	return (Auth__AuthReply *)message;
}

static UNUSED uint32_t status_of(const struct fake_call *call)
{
	const Auth__AuthReply *reply = reply_of(call);

	return reply->error ? reply->error->status : 200;
}

static uint8_t op_bytes[16];

static ProtobufCBinaryData new_op(void)
{
	op_bytes[15]++;
	if (op_bytes[15] == 0)
		op_bytes[14]++;
	return (ProtobufCBinaryData){ sizeof op_bytes, op_bytes };
}

static UNUSED struct fake_call *ask_create(const char *email, const char *password)
{
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__CreateAccount create = AUTH__CREATE_ACCOUNT__INIT;

	create.email = (char *)email;
	create.password = (char *)password;
	request.has_op_id = true;
	request.op_id = new_op();
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_CREATE_ACCOUNT;
	request.create_account = &create;
	return ask("auth.admin", &request.base);
}

static UNUSED const char *account_id(const char *email)
{
	struct fake_call *call = ask_create(email, NULL);

	run_for(100);
	cr_assert_eq(status_of(call), 200);
	return reply_of(call)->account->account_id;
}

/* scopes as "a,b", or NULL. */
static void fill_mint(Auth__MintKey *mint, const char *label, const char *scopes)
{
	static char text[256], *list[16];

	auth__mint_key__init(mint);
	mint->label = (char *)label;
	mint->scopes = list;
	(void)snprintf(text, sizeof text, "%s", scopes ? scopes : "");
	for (char *rest = NULL, *one = strtok_r(text, ",", &rest); one;
	     one = strtok_r(NULL, ",", &rest))
		list[mint->n_scopes++] = one;
}

static UNUSED struct fake_call *admin_mint(const char *account, const char *scopes)
{
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__MintKey mint;

	fill_mint(&mint, "a label", scopes);
	request.account = (char *)account;
	request.has_op_id = true;
	request.op_id = new_op();
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_MINT_KEY;
	request.mint_key = &mint;
	return ask("auth.admin", &request.base);
}

static UNUSED Auth__Key *new_key(const char *account, const char *scopes)
{
	struct fake_call *call = admin_mint(account, scopes);

	run_for(100);
	cr_assert_eq(status_of(call), 200);
	return reply_of(call)->key;
}

static UNUSED struct fake_call *ask_verify(const char *credential)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__Verify verify = AUTH__VERIFY__INIT;

	verify.credential = (char *)credential;
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_VERIFY;
	request.verify = &verify;
	return ask("auth", &request.base);
}

/* The principal of a key that lives. */
static UNUSED Raeh__Principal *principal_of(const char *credential)
{
	struct fake_call *call = ask_verify(credential);

	run_for(0);
	cr_assert_eq(status_of(call), 200);
	return reply_of(call)->verdict->principal;
}

static UNUSED struct fake_call *ask_mint_op(Raeh__Principal *principal, const Auth__MintKey *mint,
                                            ProtobufCBinaryData op_id)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;

	request.principal = principal;
	request.has_op_id = true;
	request.op_id = op_id;
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_MINT_KEY;
	request.mint_key = (Auth__MintKey *)mint;
	return ask("auth", &request.base);
}

static UNUSED struct fake_call *ask_mint(Raeh__Principal *principal, const char *scopes)
{
	Auth__MintKey mint;

	fill_mint(&mint, "a label", scopes);
	return ask_mint_op(principal, &mint, new_op());
}

static UNUSED struct fake_call *ask_revoke(Raeh__Principal *principal, const char *id)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__RevokeKey revoke = AUTH__REVOKE_KEY__INIT;

	revoke.id = (char *)id;
	request.principal = principal;
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_REVOKE_KEY;
	request.revoke_key = &revoke;
	return ask("auth", &request.base);
}

static UNUSED struct fake_call *admin_revoke(const char *id)
{
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__RevokeKey revoke = AUTH__REVOKE_KEY__INIT;

	revoke.id = (char *)id;
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_REVOKE_KEY;
	request.revoke_key = &revoke;
	return ask("auth.admin", &request.base);
}

static UNUSED struct fake_call *ask_list(Raeh__Principal *principal, int limit)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__ListKeys list = AUTH__LIST_KEYS__INIT;

	list.has_limit = limit >= 0;
	list.limit = (uint32_t)limit;
	request.principal = principal;
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_LIST_KEYS;
	request.list_keys = &list;
	return ask("auth", &request.base);
}

static UNUSED struct fake_call *ask_get(Raeh__Principal *principal, const char *id)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__GetKey get = AUTH__GET_KEY__INIT;

	get.id = (char *)id;
	request.principal = principal;
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_GET_KEY;
	request.get_key = &get;
	return ask("auth", &request.base);
}

/* ---- edges ---- */

static UNUSED Auth__LeaseReply *lease_reply_of(const struct fake_call *call)
{
	ProtobufCMessage *message;

	cr_assert(call->answered, "not answered yet");
	message = wire_unpack(&auth__lease_reply__descriptor,
	                      BYTES(call->reply.data, call->reply.len));
	cr_assert(message != NULL);
	return (Auth__LeaseReply *)message;
}

static UNUSED struct fake_edge *new_edge(uint32_t slot)
{
	struct fake_edge *edge = &fx.edge[fx.n_edge++];

	cr_assert_leq(fx.n_edge, FAKE_EDGES);
	*edge = (struct fake_edge){ .slot = slot, .delay_ms = 1 };
	edge->incarnation = uuid_new(clock_wall_ms());
	return edge;
}

static UNUSED struct fake_call *ask_register(const struct fake_edge *edge, bool holds_slot_lock)
{
	Auth__LeaseRequest request = AUTH__LEASE_REQUEST__INIT;
	Auth__Register command = AUTH__REGISTER__INIT;

	command.holds_slot_lock = holds_slot_lock;
	request.slot = edge->slot;
	request.incarnation = wire_bytes_of(&edge->incarnation);
	request.command_case = AUTH__LEASE_REQUEST__COMMAND_REGISTER_EDGE;
	request.register_edge = &command;
	return ask("auth.lease", &request.base);
}

static UNUSED struct fake_call *ask_renew(const struct fake_edge *edge, uint64_t applied)
{
	Auth__LeaseRequest request = AUTH__LEASE_REQUEST__INIT;
	Auth__Renew command = AUTH__RENEW__INIT;

	command.applied = applied;
	request.slot = edge->slot;
	request.incarnation = wire_bytes_of(&edge->incarnation);
	request.command_case = AUTH__LEASE_REQUEST__COMMAND_RENEW;
	request.renew = &command;
	return ask("auth.lease", &request.base);
}

static UNUSED struct fake_call *ask_deregister(const struct fake_edge *edge)
{
	Auth__LeaseRequest request = AUTH__LEASE_REQUEST__INIT;
	Raeh__Empty command = RAEH__EMPTY__INIT;

	request.slot = edge->slot;
	request.incarnation = wire_bytes_of(&edge->incarnation);
	request.command_case = AUTH__LEASE_REQUEST__COMMAND_DEREGISTER;
	request.deregister = &command;
	return ask("auth.lease", &request.base);
}

/* Registered, under a lease, standing at the newest notice. */
static UNUSED struct fake_edge *live_edge(uint32_t slot)
{
	struct fake_edge *edge = new_edge(slot);
	struct fake_call *call = ask_register(edge, true);
	AUTO(wire_free) ProtobufCMessage *message = NULL;

	run_for(100);
	message = &lease_reply_of(call)->base;
	cr_assert(((Auth__LeaseReply *)message)->has_lease_ms);
	edge->applied = ((Auth__LeaseReply *)message)->newest;
	return edge;
}

#endif
