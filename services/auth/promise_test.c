/*
 * The revocation promise under a hostile world, by chance and reproducibly (the seed is printed):
 *
 *     when a revoke is answered, no edge under a lease of its own count uses the key, ever after.
 *
 * Messages between edges and auth are lost, doubled and late (some by more than a lease); edges
 * are killed and replaced or cut off; auth dies as a process or with the power. An edge here
 * follows the rules of proto/auth.proto and counts its lease from the sending.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/wire.h"
#include "services/auth/auth.h"

#include "auth.pb-c.h"
#include "edge.pb-c.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS    3
#define KEYS     24
#define LEASE_MS 5000
#define STEP_MS  20
#define STEPS    6000
#define SEEDS    40

struct edge {
	struct uuid incarnation;
	bool cut, registered, lock_proven;
	int64_t until_ms;        /* its own count of its lease */
	uint64_t applied, since; /* since: newest when it registered */
	bool uses[KEYS];         /* a socket is open by this key */
	uint64_t dead_by[KEYS];  /* tombstones */
};

struct key {
	char credential[42], id[UUID_TEXT];
	struct uuid uuid;
	bool asked, answered;
};

enum ask { ASK_REGISTER, ASK_RENEW, ASK_VERIFY, ASK_REVOKE, ASK_OTHER };

/* One request on its way to auth, or its answer on its way back. */
struct message {
	struct message *next;
	struct timer timer;
	enum ask ask;
	const char *name;
	size_t slot, key;
	struct uuid incarnation; /* of the edge that asked */
	int64_t sent_ms;
	struct buf bytes;
};

struct call {
	struct bus_call base;
	struct message asked; /* bytes empty */
	struct call *next;
};

/* auth's own request on its way to an edge and back. */
struct push {
	struct push *next;
	struct timer timer, deadline;
	size_t slot;
	struct buf request, reply;
	bool is_back;
	bus_reply_fn *fn;
	void *ctx;
};

static struct {
	struct loop *loop;
	struct bus bus;
	struct store *store;
	struct hasher *hasher;
	struct auth *auth; /* NULL: down */
	int64_t up_again_ms, now_us;
	uint64_t random;
	bool calm; /* no new trouble */
	struct {
		char name[BUS_NAME_MAX];
		bus_call_fn *fn;
		void *ctx;
	} service[3];
	size_t n_service;
	struct edge edge[SLOTS];
	struct key key[KEYS];
	struct message *messages;
	struct call *calls;
	struct push *pushes;
	struct buf last_answer; /* to ASK_OTHER */
	unsigned acked, total, restarts;
} sim;

static uint64_t roll(uint64_t below)
{
	sim.random ^= sim.random << 13;
	sim.random ^= sim.random >> 7;
	sim.random ^= sim.random << 17;
	return (sim.random >> 11) % below;
}

static bool chance(unsigned percent)
{
	return !sim.calm && roll(100) < percent;
}

static int64_t sim_us(void *ctx)
{
	(void)ctx;
	return sim.now_us;
}

static bool has_lease(const struct edge *edge)
{
	return edge->registered && clock_boot_ms() < edge->until_ms;
}

/* ---- messages ---- */

/* Mostly quick, sometimes late, now and then later than a lease. */
static int64_t some_delay_ms(void)
{
	if (chance(3))
		return (int64_t)roll(3 * LEASE_MS);
	return (int64_t)(chance(10) ? roll(1000) : roll(10));
}

static void forget_message(struct message *message)
{
	struct message **at = &sim.messages;

	while (*at != message)
		at = &(*at)->next;
	*at = message->next;
	timer_stop(sim.loop, &message->timer);
	buf_free(&message->bytes);
	mem_free(message);
}

static void fly(const struct message *form, struct bytes bytes, loop_fn *arrive)
{
	struct message *message = xmemdup(form, sizeof *form);

	message->timer = (struct timer){ 0 };
	message->bytes = (struct buf){ 0 };
	buf_append(&message->bytes, bytes.data, bytes.len);
	message->next = sim.messages;
	sim.messages = message;
	timer_set(sim.loop, &message->timer, some_delay_ms(), arrive, message);
}

static void arrive_at_auth(void *self)
{
	struct message *message = self;
	struct call *call;

	for (size_t i = 0; sim.auth && i < sim.n_service; i++)
		if (strcmp(sim.service[i].name, message->name) == 0) {
			call = xcalloc(1, sizeof *call);
			call->base.ops = sim.bus.ops;
			call->asked = *message;
			call->next = sim.calls;
			sim.calls = call;
			sim.service[i].fn(sim.service[i].ctx, &call->base,
			                  BYTES(message->bytes.data, message->bytes.len));
			break;
		}
	forget_message(message);
}

static void ask(struct message form, const ProtobufCMessage *request)
{
	struct buf buf = { 0 };
	struct bytes bytes = wire_pack(&buf, request);
	bool cut = form.ask != ASK_REVOKE && form.ask != ASK_OTHER && sim.edge[form.slot].cut;

	form.sent_ms = clock_boot_ms();
	if (!cut && !chance(10))
		fly(&form, bytes, arrive_at_auth);
	/* Again, as the bus does; a registration most of all: it may do the most harm. */
	for (int i = 0; i < 3 && !cut && chance(form.ask == ASK_REGISTER ? 70 : 15); i++)
		fly(&form, bytes, arrive_at_auth);
	buf_free(&buf);
}

/* ---- the edge's rules ---- */

static void take_notices(struct edge *edge, Auth__Notice **notice, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct uuid id;

		if (!edge->registered || notice[i]->number != edge->applied + 1)
			continue;
		edge->applied++;
		cr_assert(wire_id(notice[i]->key, &id));
		for (size_t k = 0; k < KEYS; k++)
			if (uuid_equal(&sim.key[k].uuid, &id)) {
				edge->uses[k] = false;
				edge->dead_by[k] = notice[i]->number;
			}
	}
}

static void on_registered(struct edge *edge, const Auth__LeaseReply *reply, int64_t sent_ms)
{
	if (edge->registered)
		return; /* the answer to a copy */
	if (reply->error)
		return;
	memset(edge->uses, 0, sizeof edge->uses);
	memset(edge->dead_by, 0, sizeof edge->dead_by);
	edge->registered = true;
	edge->applied = edge->since = reply->newest;
	edge->until_ms = sent_ms + reply->lease_ms;
}

static void on_renewed(struct edge *edge, const Auth__LeaseReply *reply, int64_t sent_ms)
{
	if (!edge->registered)
		return;
	if (reply->error) {
		edge->registered = reply->error->status != 409;
		return;
	}
	take_notices(edge, reply->notices, reply->n_notices);
	if (reply->has_lease_ms && sent_ms + reply->lease_ms > edge->until_ms)
		edge->until_ms = sent_ms + reply->lease_ms;
}

static void on_verdict(struct edge *edge, const Auth__AuthReply *reply, size_t key)
{
	uint64_t notice;

	if (reply->error || !edge->registered)
		return;
	notice = reply->verdict->principal->notice;
	if (notice >= edge->since && notice >= edge->dead_by[key])
		edge->uses[key] = true;
}

static void on_receipt(const Auth__AuthReply *reply, size_t key)
{
	if (reply->error)
		return;
	sim.acked += reply->receipt->edges_acked;
	sim.total += reply->receipt->edges_total;
	sim.key[key].answered = true;
}

static void arrive_at_asker(void *self)
{
	struct message *message = self;
	bool is_lease = message->ask == ASK_REGISTER || message->ask == ASK_RENEW;
	AUTO(wire_free)
	ProtobufCMessage *reply = wire_unpack(is_lease ? &auth__lease_reply__descriptor
	                                               : &auth__auth_reply__descriptor,
	                                      BYTES(message->bytes.data, message->bytes.len));
	struct edge *edge = &sim.edge[message->slot];
	bool for_edge = message->ask != ASK_REVOKE && message->ask != ASK_OTHER;

	cr_assert(reply != NULL);
	if (for_edge && (edge->cut || !uuid_equal(&edge->incarnation, &message->incarnation)))
		;
	else if (message->ask == ASK_REGISTER)
		on_registered(edge, (Auth__LeaseReply *)reply, message->sent_ms);
	else if (message->ask == ASK_RENEW)
		on_renewed(edge, (Auth__LeaseReply *)reply, message->sent_ms);
	else if (message->ask == ASK_VERIFY)
		on_verdict(edge, (Auth__AuthReply *)reply, message->key);
	else if (message->ask == ASK_REVOKE)
		on_receipt((Auth__AuthReply *)reply, message->key);
	forget_message(message);
}

/* ---- the bus ---- */

static enum err sim_serve(struct bus *bus, const char *name, int priority, bus_call_fn *fn,
                          void *ctx)
{
	(void)bus;
	(void)priority;
	(void)snprintf(sim.service[sim.n_service].name, BUS_NAME_MAX, "%s", name);
	sim.service[sim.n_service].fn = fn;
	sim.service[sim.n_service].ctx = ctx;
	sim.n_service++;
	return OK;
}

static void forget_call(struct bus_call *base)
{
	struct call **at = &sim.calls;

	while (&(*at)->base != base)
		at = &(*at)->next;
	*at = (*at)->next;
	mem_free(base);
}

static void sim_reply(struct bus_call *base, struct bytes reply)
{
	const struct call *call = (const struct call *)base;

	if (call->asked.ask == ASK_OTHER) {
		sim.last_answer.len = 0;
		buf_append(&sim.last_answer, reply.data, reply.len);
	} else if (!chance(10)) {
		fly(&call->asked, reply, arrive_at_asker);
	}
	forget_call(base);
}

static void forget_push(struct push *push)
{
	struct push **at = &sim.pushes;

	while (*at != push)
		at = &(*at)->next;
	*at = push->next;
	timer_stop(sim.loop, &push->timer);
	timer_stop(sim.loop, &push->deadline);
	buf_free(&push->request);
	buf_free(&push->reply);
	mem_free(push);
}

static void on_push_back(void *self)
{
	struct push *push = self;

	push->fn(push->ctx, OK, BYTES(push->reply.data, push->reply.len));
	forget_push(push);
}

static void on_push_arrived(void *self)
{
	struct push *push = self;
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&edge__edge_request__descriptor,
	                                        BYTES(push->request.data, push->request.len));
	const Edge__EdgeRequest *request = (const Edge__EdgeRequest *)message;
	struct edge *edge = &sim.edge[push->slot];
	Edge__EdgeReply reply = EDGE__EDGE_REPLY__INIT;
	Raeh__Error error = RAEH__ERROR__INIT;
	struct uuid incarnation;

	if (edge->cut || chance(10))
		return; /* lost; the deadline ends it */
	cr_assert(wire_id(request->incarnation, &incarnation));
	if (edge->registered && uuid_equal(&incarnation, &edge->incarnation)) {
		take_notices(edge, request->apply_notices->notices,
		             request->apply_notices->n_notices);
		reply.has_applied = true;
		reply.applied = edge->applied;
	} else {
		error.status = 409;
		error.detail = (char *)"another incarnation";
		reply.error = &error;
	}
	(void)wire_pack(&push->reply, &reply.base);
	if (!chance(10))
		timer_set(sim.loop, &push->timer, some_delay_ms(), on_push_back, push);
}

static void on_push_deadline(void *self)
{
	struct push *push = self;

	push->fn(push->ctx, ERR_UNAVAILABLE, BYTES(NULL, 0));
	forget_push(push);
}

static void sim_request(struct bus *bus, const char *name, struct bytes request,
                        int64_t deadline_ms, bus_reply_fn *fn, void *ctx)
{
	struct push *push = xcalloc(1, sizeof *push);

	(void)bus;
	push->slot = (size_t)atoi(name + strlen("edge-"));
	push->fn = fn;
	push->ctx = ctx;
	buf_append(&push->request, request.data, request.len);
	push->next = sim.pushes;
	sim.pushes = push;
	timer_set(sim.loop, &push->timer, some_delay_ms(), on_push_arrived, push);
	timer_set(sim.loop, &push->deadline, deadline_ms, on_push_deadline, push);
}

static enum err sim_publish(struct bus *bus, const char *name, struct bytes event)
{
	AUTO(wire_free) ProtobufCMessage *message = wire_unpack(&auth__notices__descriptor, event);
	const Auth__Notices *notices = (const Auth__Notices *)message;

	(void)bus;
	(void)name;
	for (size_t i = 0; i < SLOTS; i++)
		if (!sim.edge[i].cut && !chance(50))
			take_notices(&sim.edge[i], notices->notices, notices->n_notices);
	return OK;
}

static const char *sim_why(const struct bus *bus)
{
	(void)bus;
	return "";
}

static const struct bus_ops sim_ops = { .serve = sim_serve,
	                                .reply = sim_reply,
	                                .drop = forget_call,
	                                .request = sim_request,
	                                .publish = sim_publish,
	                                .why = sim_why };

/* ---- auth's life ---- */

static void start_auth(void)
{
	struct auth_deps deps = { .loop = sim.loop,
		                  .bus = &sim.bus,
		                  .store = sim.store,
		                  .hasher = sim.hasher,
		                  .process = "auth",
		                  .lease_ms = LEASE_MS };

	sim.n_service = 0;
	cr_assert_eq(auth_new(&deps, &sim.auth), OK);
	journal_set_faults(auth_journal(sim.auth), (int64_t)roll(15), sim.calm ? 0 : 5);
}

static void stop_auth(void)
{
	auth_free(sim.auth);
	sim.auth = NULL;
	cr_assert_null(sim.calls, "a call was forgotten");
	while (sim.pushes)
		forget_push(sim.pushes);
}

static void run_for(int64_t ms)
{
	int64_t end_ms = clock_boot_ms() + ms;

	loop_dispatch(sim.loop);
	while (clock_boot_ms() < end_ms) {
		int64_t due_ms = loop_next_due_ms(sim.loop);

		if (due_ms > clock_boot_ms())
			sim.now_us = (due_ms < end_ms ? due_ms : end_ms) * 1000;
		loop_dispatch(sim.loop);
	}
}

/* ---- what is asked ---- */

static void ask_lease(size_t slot)
{
	struct edge *edge = &sim.edge[slot];
	Auth__LeaseRequest request = AUTH__LEASE_REQUEST__INIT;
	Auth__Register registers = AUTH__REGISTER__INIT;
	Auth__Renew renew = AUTH__RENEW__INIT;
	struct message form = { .name = "auth.lease", .slot = slot };

	form.incarnation = edge->incarnation;
	request.slot = (uint32_t)slot;
	request.incarnation = wire_bytes_of(&edge->incarnation);
	if (edge->registered) {
		form.ask = ASK_RENEW;
		renew.applied = edge->applied;
		request.command_case = AUTH__LEASE_REQUEST__COMMAND_RENEW;
		request.renew = &renew;
	} else {
		form.ask = ASK_REGISTER;
		registers.holds_slot_lock = edge->lock_proven;
		request.command_case = AUTH__LEASE_REQUEST__COMMAND_REGISTER_EDGE;
		request.register_edge = &registers;
	}
	ask(form, &request.base);
}

static void ask_verify(size_t slot, size_t key)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__Verify verify = AUTH__VERIFY__INIT;
	struct message form = { .ask = ASK_VERIFY, .name = "auth", .slot = slot, .key = key };

	form.incarnation = sim.edge[slot].incarnation;
	verify.credential = sim.key[key].credential;
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_VERIFY;
	request.verify = &verify;
	ask(form, &request.base);
}

static void ask_revoke(size_t key)
{
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__RevokeKey revoke = AUTH__REVOKE_KEY__INIT;

	sim.key[key].asked = true;
	revoke.id = sim.key[key].id;
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_REVOKE_KEY;
	request.revoke_key = &revoke;
	ask((struct message){ .ask = ASK_REVOKE, .name = "auth.admin", .key = key }, &request.base);
}

static const Auth__AuthReply *operator_asks(Auth__AdminRequest *request)
{
	static ProtobufCMessage *reply;
	static uint8_t op[16];

	op[0]++;
	request->has_op_id = true;
	request->op_id = (ProtobufCBinaryData){ sizeof op, op };
	ask((struct message){ .ask = ASK_OTHER, .name = "auth.admin" }, &request->base);
	run_for(200);
	wire_free(reply);
	reply = wire_unpack(&auth__auth_reply__descriptor,
	                    BYTES(sim.last_answer.data, sim.last_answer.len));
	cr_assert(reply && !((Auth__AuthReply *)reply)->error);
	return (Auth__AuthReply *)reply;
}

static void make_keys(void)
{
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__CreateAccount create = AUTH__CREATE_ACCOUNT__INIT;
	Auth__MintKey mint = AUTH__MINT_KEY__INIT;

	create.email = (char *)"a@example.org";
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_CREATE_ACCOUNT;
	request.create_account = &create;
	(void)operator_asks(&request);
	mint.label = (char *)"x";
	request.account = create.email;
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_MINT_KEY;
	request.mint_key = &mint;
	for (size_t i = 0; i < KEYS; i++) {
		const Auth__Key *key = operator_asks(&request)->key;

		(void)snprintf(sim.key[i].credential, sizeof sim.key[i].credential, "%s", key->key);
		(void)snprintf(sim.key[i].id, sizeof sim.key[i].id, "%s", key->id);
		cr_assert(uuid_parse(key->id, &sim.key[i].uuid));
	}
}

/* ---- trouble ---- */

static void trouble(void)
{
	struct edge *edge = &sim.edge[roll(SLOTS)];

	if (roll(100) < (edge->cut ? 3 : 1))
		edge->cut = !edge->cut;
	if (roll(150) == 0) { /* kill -9, and another in its place that holds the lock */
		*edge = (struct edge){ .lock_proven = true };
		edge->incarnation = uuid_new(clock_wall_ms());
	}
	if (sim.auth && roll(300) == 0) {
		bool power = roll(2) == 0;

		sim.restarts++;
		if (power)
			store_memory_crash(sim.store);
		else
			store_memory_kill(sim.store);
		stop_auth();
		if (!power)
			store_memory_revive(sim.store);
		sim.up_again_ms = clock_boot_ms() + (int64_t)roll(2000);
	}
}

static void step(void)
{
	if (!sim.calm)
		trouble();
	if (!sim.auth && clock_boot_ms() >= sim.up_again_ms)
		start_auth();
	for (size_t i = 0; i < SLOTS; i++) {
		if (roll(20) == 0)
			ask_lease(i);
		if (roll(4) == 0 && has_lease(&sim.edge[i]))
			ask_verify(i, roll(KEYS));
	}
	if (!sim.calm && roll(200) == 0)
		ask_revoke(roll(KEYS));
	for (size_t k = 0; k < KEYS; k++) /* who was not answered asks again */
		if (sim.key[k].asked && !sim.key[k].answered && roll(20) == 0)
			ask_revoke(k);
}

static void check_promise(uint64_t seed)
{
	for (size_t i = 0; i < SLOTS; i++)
		for (size_t k = 0; k < KEYS; k++)
			cr_assert(
			        !(sim.key[k].answered && has_lease(&sim.edge[i]) &&
			          sim.edge[i].uses[k]),
			        "seed %llu at %lld ms: edge %zu uses key %zu after its revoke was "
			        "answered",
			        (unsigned long long)seed, (long long)clock_boot_ms(), i, k);
}

static void everything_asked_is_answered(uint64_t seed)
{
	sim.calm = true;
	for (size_t i = 0; i < SLOTS; i++)
		sim.edge[i].cut = false;
	if (sim.auth)
		journal_set_faults(auth_journal(sim.auth), 0, 0);
	for (int i = 0; i < (3 * LEASE_MS + 3000) / STEP_MS; i++) {
		step();
		run_for(STEP_MS);
		check_promise(seed);
	}
	for (size_t k = 0; k < KEYS; k++)
		cr_assert(sim.key[k].answered || !sim.key[k].asked,
		          "seed %llu: the revoke of key %zu hangs", (unsigned long long)seed, k);
}

static void live_through(uint64_t seed)
{
	memset(&sim, 0, sizeof sim);
	sim.random = seed * 0x9e3779b97f4a7c15u + 1;
	sim.now_us = 1000000;
	clock_set_source(sim_us, NULL, 1760000000000);
	sim.loop = loop_new_virtual();
	sim.bus.ops = &sim_ops;
	sim.store = store_open_memory(sim.loop, 5);
	sim.hasher = hasher_new(sim.loop, 0);
	sim.calm = true;
	start_auth();
	make_keys();
	for (size_t i = 0; i < SLOTS; i++) {
		sim.edge[i].incarnation = uuid_new(clock_wall_ms());
		sim.edge[i].lock_proven = true;
	}
	sim.calm = false;
	for (int i = 0; i < STEPS; i++) {
		step();
		run_for((int64_t)roll(STEP_MS + 1));
		check_promise(seed);
	}
	everything_asked_is_answered(seed);
	cr_assert_gt(sim.restarts, 0);
	cr_assert_gt(sim.acked, 0);
	stop_auth();
	while (sim.messages)
		forget_message(sim.messages);
	buf_free(&sim.last_answer);
	hasher_free(sim.hasher);
	store_close(sim.store);
	loop_free(sim.loop);
}

Test(promise, holds_though_messages_are_lost_and_processes_die)
{
	unsigned acked = 0, total = 0;

	log_init("auth", LOG_ERROR);
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		live_through(seed);
		acked += sim.acked;
		total += sim.total;
	}
	cr_assert_gt(total, acked, "no edge was ever lost: the world was too kind");
	clock_set_source(NULL, NULL, 0);
}
