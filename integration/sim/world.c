#include "integration/sim/world.h"

#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WALL_START_MS   1760000000000LL
#define PAUSED_RETRY_US 20000
#define BUS_NAMES       64

struct event {
	int64_t at_us;
	uint64_t order; /* events of one time happen in the order of their making */
	world_fn *fn;
	void *ctx;
};

struct node {
	struct world *world;
	char name[32];
	struct node_ops ops;
	void *ctx;
	enum node_state state;
	unsigned life;
	double rate;
	struct loop *loop;
	struct store *store;
	struct sim_bus *bus;
	int64_t cut_until_us[WORLD_NODES];
	size_t index;
};

struct served {
	char name[BUS_NAME_MAX];
	struct node *node;
	bus_call_fn *fn;
	void *ctx;
};

struct subscribed {
	char name[BUS_NAME_MAX];
	struct node *node;
	bus_event_fn *fn;
	void *ctx;
};

struct world {
	uint64_t random;
	struct network network;
	int64_t now_us;
	uint64_t orders;
	struct event *heap;
	size_t n_heap, cap_heap;
	struct node *node[WORLD_NODES];
	size_t n_nodes;
	struct node *current;
	struct served served[BUS_NAMES];
	size_t n_served;
	struct subscribed subscribed[BUS_NAMES];
	size_t n_subscribed;
	struct world_taps taps;
};

/* ---- chance and time ---- */

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t next_random(struct world *world)
{
	uint64_t z = world->random += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint64_t world_random(struct world *world, uint64_t below)
{
	return below ? next_random(world) % below : 0;
}

bool world_chance(struct world *world, unsigned of_1000)
{
	return world_random(world, 1000) < of_1000;
}

int64_t world_now_us(const struct world *world)
{
	return world->now_us;
}

int64_t world_slowest_us(int64_t wall_ms)
{
	return (int64_t)((double)(wall_ms - WALL_START_MS) * 1000 / (1 - CLOCK_DRIFT)) + 1000;
}

/* The clock of whoever runs. */
static int64_t clock_of_current(void *ctx)
{
	const struct world *world = ctx;

	return world->current ? (int64_t)((double)world->now_us * world->current->rate)
	                      : world->now_us;
}

/* ---- events ---- */

static bool before(const struct event *a, const struct event *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void swap(struct event *a, struct event *b)
{
	struct event c = *a;

	*a = *b;
	*b = c;
}

void world_at(struct world *world, int64_t delay_us, world_fn *fn, void *ctx)
{
	size_t i = world->n_heap++;

	if (world->n_heap > world->cap_heap) {
		world->cap_heap = world->cap_heap ? 2 * world->cap_heap : 256;
		world->heap = xrealloc(world->heap, world->cap_heap, sizeof *world->heap);
	}
	world->heap[i] = (struct event){ world->now_us + (delay_us > 0 ? delay_us : 0),
		                         world->orders++, fn, ctx };
	for (; i > 0 && before(&world->heap[i], &world->heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&world->heap[i], &world->heap[(i - 1) / 2]);
}

static struct event take_first(struct world *world)
{
	struct event first = world->heap[0];
	size_t i = 0;

	world->heap[0] = world->heap[--world->n_heap];
	for (;;) {
		size_t least = i, left = 2 * i + 1, right = 2 * i + 2;

		if (left < world->n_heap && before(&world->heap[left], &world->heap[least]))
			least = left;
		if (right < world->n_heap && before(&world->heap[right], &world->heap[least]))
			least = right;
		if (least == i)
			return first;
		swap(&world->heap[i], &world->heap[least]);
		i = least;
	}
}

/* ---- nodes ---- */

static void run_turn(struct node *node)
{
	if (node->state != NODE_UP)
		return;
	node->world->current = node;
	loop_dispatch(node->loop);
	if (node->ops.turn_end && node->state == NODE_UP)
		node->ops.turn_end(node, node->ctx);
	node->world->current = NULL;
}

void node_call(struct node *node, world_fn *fn, void *ctx)
{
	if (node->state != NODE_UP)
		return;
	node->world->current = node;
	fn(ctx);
	run_turn(node);
}

static int64_t node_due_us(const struct node *node)
{
	int64_t due_ms = loop_next_due_ms(node->loop);

	if (node->state != NODE_UP || due_ms == INT64_MAX)
		return INT64_MAX;
	return (int64_t)((double)(due_ms * 1000) / node->rate) + 2; /* not a hair too early */
}

void world_run(struct world *world, int64_t until_us)
{
	for (;;) {
		struct node *next = NULL;
		int64_t at_us = world->n_heap > 0 ? world->heap[0].at_us : INT64_MAX;

		for (size_t i = 0; i < world->n_nodes; i++)
			if (node_due_us(world->node[i]) < at_us) {
				at_us = node_due_us(world->node[i]);
				next = world->node[i];
			}
		if (at_us > until_us)
			break;
		if (at_us > world->now_us)
			world->now_us = at_us;
		if (next) {
			run_turn(next);
		} else {
			struct event event = take_first(world);

			event.fn(event.ctx);
		}
	}
	world->now_us = until_us;
}

void node_start(struct node *node)
{
	if (node->state != NODE_DOWN)
		return;
	node->state = NODE_UP;
	node->life++;
	node->world->current = node;
	node->ops.start(node, node->ctx);
	run_turn(node);
}

static void forget_names(struct node *node)
{
	struct world *world = node->world;
	size_t kept = 0;

	for (size_t i = 0; i < world->n_served; i++)
		if (world->served[i].node != node)
			world->served[kept++] = world->served[i];
	world->n_served = kept;
	kept = 0;
	for (size_t i = 0; i < world->n_subscribed; i++)
		if (world->subscribed[i].node != node)
			world->subscribed[kept++] = world->subscribed[i];
	world->n_subscribed = kept;
}

/* The store dies first: what the actor's teardown would write is lost too. */
static void die(struct node *node, void (*leave_store)(struct store *))
{
	struct world *world = node->world;

	world->current = node;
	store_memory_kill(node->store);
	forget_names(node);
	node->life++; /* replies and deadlines of this life find nobody */
	node->ops.stop(node, node->ctx);
	leave_store(node->store);
	node->state = NODE_DOWN;
	world->current = NULL;
}

void node_kill(struct node *node)
{
	if (node->state == NODE_DOWN)
		return;
	die(node, store_memory_revive);
}

void node_power(struct node *node)
{
	if (node->state == NODE_DOWN)
		return;
	die(node, store_memory_crash);
}

void node_pause(struct node *node, bool paused)
{
	if (node->state == NODE_DOWN)
		return;
	node->state = paused ? NODE_PAUSED : NODE_UP;
	if (!paused)
		run_turn(node);
}

void node_cut(struct node *a, struct node *b, int64_t for_us)
{
	int64_t until = a->world->now_us + for_us;

	a->cut_until_us[b->index] = until;
	b->cut_until_us[a->index] = until;
}

const char *node_name(const struct node *node)
{
	return node->name;
}

enum node_state node_state(const struct node *node)
{
	return node->state;
}

unsigned node_life(const struct node *node)
{
	return node->life;
}

struct loop *node_loop(struct node *node)
{
	return node->loop;
}

struct store *node_store(struct node *node)
{
	return node->store;
}

struct world *node_world(struct node *node)
{
	return node->world;
}

/* ---- the bus ---- */

struct sim_bus {
	struct bus bus;
	struct node *node;
};

/* A request until it is answered or its deadline has passed, and every copy has arrived. */
struct request {
	struct node *from;
	unsigned life;
	char name[BUS_NAME_MAX];
	struct buf data;
	bus_reply_fn *fn;
	void *ctx;
	int64_t deadline_us;
	bool over;
	unsigned refs;
};

struct sim_call {
	struct bus_call call;
	struct request *request;
	struct node *server;
	unsigned life;
};

struct delivery {
	struct request *request; /* of a request or a reply */
	struct node *from, *to;
	unsigned to_life;
	struct buf data;
	bus_event_fn *event_fn;
	void *event_ctx;
};

static void unref(struct request *request)
{
	if (--request->refs > 0)
		return;
	buf_free(&request->data);
	mem_free(request);
}

static bool is_cut(const struct node *a, const struct node *b)
{
	return a->cut_until_us[b->index] > a->world->now_us;
}

static int64_t delay_us(struct world *world)
{
	const struct network *net = &world->network;

	if (world_chance(world, net->late))
		return (int64_t)world_random(world, (uint64_t)net->late_most_us);
	return net->least_us +
	       (int64_t)world_random(world, (uint64_t)(net->most_us - net->least_us + 1));
}

/* How many copies of a message arrive. */
static unsigned copies(struct world *world)
{
	if (world_chance(world, world->network.lost))
		return 0;
	return world_chance(world, world->network.repeated) ? 2 : 1;
}

static struct delivery *delivery_new(struct request *request, struct node *from, struct node *to)
{
	struct delivery *delivery = xcalloc(1, sizeof *delivery);

	delivery->request = request;
	delivery->from = from;
	delivery->to = to;
	if (request)
		request->refs++;
	return delivery;
}

static void delivery_free(struct delivery *delivery)
{
	if (delivery->request)
		unref(delivery->request);
	buf_free(&delivery->data);
	mem_free(delivery);
}

/* A stopped process finds its messages when it goes on. */
static bool waits(struct delivery *delivery, struct node *node, world_fn *again)
{
	if (node->state != NODE_PAUSED)
		return false;
	world_at(node->world, PAUSED_RETRY_US, again, delivery);
	return true;
}

static struct served *find_served(struct world *world, const char *name)
{
	for (size_t i = 0; i < world->n_served; i++)
		if (strcmp(world->served[i].name, name) == 0)
			return &world->served[i];
	return NULL;
}

static void call_server(void *ctx)
{
	struct delivery *delivery = ctx;
	struct served *served = find_served(delivery->to->world, delivery->request->name);
	struct sim_call *call;

	if (!served)
		return;
	call = xcalloc(1, sizeof *call);
	call->call.ops = ((struct bus *)delivery->to->bus)->ops;
	call->request = delivery->request;
	call->request->refs++;
	call->server = delivery->to;
	call->life = delivery->to->life;
	served->fn(served->ctx, &call->call,
	           BYTES(call->request->data.data, call->request->data.len));
}

static void arrive_request(void *ctx)
{
	struct delivery *delivery = ctx;
	struct served *served = find_served(delivery->from->world, delivery->request->name);

	if (served && waits(delivery, served->node, arrive_request))
		return;
	if (served && !is_cut(delivery->from, served->node)) {
		delivery->to = served->node;
		node_call(served->node, call_server, delivery);
	}
	delivery_free(delivery);
}

static void resend(void *ctx);

static void transmit(struct request *request)
{
	struct world *world = request->from->world;

	for (unsigned n = copies(world); n > 0; n--)
		world_at(world, delay_us(world), arrive_request,
		         delivery_new(request, request->from, NULL));
	request->refs++;
	world_at(world, BUS_RESEND_MS * 1000, resend, request);
}

static void resend(void *ctx)
{
	struct request *request = ctx;

	if (!request->over && request->from->life == request->life &&
	    request->from->world->now_us < request->deadline_us)
		transmit(request);
	unref(request);
}

static void tell_deadline(void *ctx)
{
	struct request *request = ctx;

	request->over = true;
	request->fn(request->ctx, ERR_UNAVAILABLE, BYTES(NULL, 0));
}

static void at_deadline(void *ctx)
{
	struct request *request = ctx;
	struct node *from = request->from;

	if (from->state == NODE_PAUSED && !request->over && from->life == request->life) {
		world_at(from->world, PAUSED_RETRY_US, at_deadline, request);
		return;
	}
	if (!request->over && from->life == request->life)
		node_call(from, tell_deadline, request);
	unref(request);
}

static void sim_request(struct bus *bus, const char *name, struct bytes data, int64_t deadline_ms,
                        bus_reply_fn *fn, void *ctx)
{
	struct node *from = ((struct sim_bus *)bus)->node;
	struct request *request = xcalloc(1, sizeof *request);

	request->from = from;
	request->life = from->life;
	(void)snprintf(request->name, sizeof request->name, "%s", name);
	buf_append(&request->data, data.data, data.len);
	request->fn = fn;
	request->ctx = ctx;
	request->deadline_us = from->world->now_us + deadline_ms * 1000;
	request->refs = 1;
	world_at(from->world, deadline_ms * 1000, at_deadline, request);
	transmit(request);
}

static void take_reply(void *ctx)
{
	struct delivery *delivery = ctx;
	struct request *request = delivery->request;

	request->over = true;
	request->fn(request->ctx, OK, BYTES(delivery->data.data, delivery->data.len));
}

static void arrive_reply(void *ctx)
{
	struct delivery *delivery = ctx;
	struct request *request = delivery->request;
	struct node *to = request->from;

	if (!request->over && to->life == request->life) {
		if (waits(delivery, to, arrive_reply))
			return;
		if (!is_cut(delivery->from, to))
			node_call(to, take_reply, delivery);
	}
	delivery_free(delivery);
}

static void free_call(struct sim_call *call)
{
	unref(call->request);
	mem_free(call);
}

static void sim_reply(struct bus_call *base, struct bytes reply)
{
	struct sim_call *call = (struct sim_call *)base;
	struct world *world = call->server->world;

	if (world->taps.replied)
		world->taps.replied(world->taps.ctx, call->server, call->request->name,
		                    BYTES(call->request->data.data, call->request->data.len),
		                    reply);
	for (unsigned n = copies(world); n > 0; n--) {
		struct delivery *delivery =
		        delivery_new(call->request, call->server, call->request->from);

		buf_append(&delivery->data, reply.data, reply.len);
		world_at(world, delay_us(world), arrive_reply, delivery);
	}
	free_call(call);
}

static void sim_drop(struct bus_call *base)
{
	free_call((struct sim_call *)base);
}

static enum err sim_serve(struct bus *bus, const char *name, int priority, bus_call_fn *fn,
                          void *ctx)
{
	struct node *node = ((struct sim_bus *)bus)->node;
	struct served *served = &node->world->served[node->world->n_served++];

	(void)priority;
	MUST(node->world->n_served <= BUS_NAMES);
	*served = (struct served){ .node = node, .fn = fn, .ctx = ctx };
	(void)snprintf(served->name, sizeof served->name, "%s", name);
	return OK;
}

static enum err sim_subscribe(struct bus *bus, const char *name, int priority, bus_event_fn *fn,
                              void *ctx)
{
	struct node *node = ((struct sim_bus *)bus)->node;
	struct subscribed *subscribed = &node->world->subscribed[node->world->n_subscribed++];

	(void)priority;
	MUST(node->world->n_subscribed <= BUS_NAMES);
	*subscribed = (struct subscribed){ .node = node, .fn = fn, .ctx = ctx };
	(void)snprintf(subscribed->name, sizeof subscribed->name, "%s", name);
	return OK;
}

static void take_event(void *ctx)
{
	struct delivery *delivery = ctx;

	delivery->event_fn(delivery->event_ctx, BYTES(delivery->data.data, delivery->data.len));
}

static void arrive_event(void *ctx)
{
	struct delivery *delivery = ctx;

	if (delivery->to->life == delivery->to_life) {
		if (waits(delivery, delivery->to, arrive_event))
			return;
		if (!is_cut(delivery->from, delivery->to))
			node_call(delivery->to, take_event, delivery);
	}
	delivery_free(delivery);
}

static enum err sim_publish(struct bus *bus, const char *name, struct bytes event)
{
	struct node *from = ((struct sim_bus *)bus)->node;
	struct world *world = from->world;

	if (world->taps.published)
		world->taps.published(world->taps.ctx, from, name, event);
	for (size_t i = 0; i < world->n_subscribed; i++) {
		struct subscribed *subscribed = &world->subscribed[i];

		if (strcmp(subscribed->name, name) != 0)
			continue;
		for (unsigned n = copies(world); n > 0; n--) {
			struct delivery *delivery = delivery_new(NULL, from, subscribed->node);

			delivery->to_life = subscribed->node->life;
			delivery->event_fn = subscribed->fn;
			delivery->event_ctx = subscribed->ctx;
			buf_append(&delivery->data, event.data, event.len);
			world_at(world, delay_us(world), arrive_event, delivery);
		}
	}
	return OK;
}

static void sim_close(struct bus *bus)
{
	(void)bus; /* a node's bus lives as long as the node */
}

static const char *sim_why(const struct bus *bus)
{
	(void)bus;
	return "simulated";
}

static const struct bus_ops sim_ops = {
	.close = sim_close,
	.serve = sim_serve,
	.reply = sim_reply,
	.drop = sim_drop,
	.request = sim_request,
	.publish = sim_publish,
	.subscribe = sim_subscribe,
	.why = sim_why,
};

struct bus *node_bus(struct node *node)
{
	return &node->bus->bus;
}

/* ---- life ---- */

struct node *node_add(struct world *world, const char *name, const struct node_ops *ops, void *ctx,
                      int64_t sync_delay_ms)
{
	struct node *node = xcalloc(1, sizeof *node);

	MUST(world->n_nodes < WORLD_NODES);
	node->world = world;
	(void)snprintf(node->name, sizeof node->name, "%s", name);
	node->ops = *ops;
	node->ctx = ctx;
	node->state = NODE_DOWN;
	node->rate = 1 - CLOCK_DRIFT + (double)world_random(world, 1001) / 1000 * 2 * CLOCK_DRIFT;
	node->loop = loop_new_virtual();
	node->store = store_open_memory(node->loop, sync_delay_ms);
	node->bus = xcalloc(1, sizeof *node->bus);
	node->bus->bus.ops = &sim_ops;
	node->bus->node = node;
	node->index = world->n_nodes;
	world->node[world->n_nodes++] = node;
	return node;
}

void world_set_network(struct world *world, const struct network *network)
{
	world->network = *network;
}

void world_set_taps(struct world *world, const struct world_taps *taps)
{
	world->taps = *taps;
}

struct world *world_new(uint64_t seed, const struct network *network)
{
	struct world *world = xcalloc(1, sizeof *world);

	world->random = seed;
	world->network = *network;
	world->now_us = 1000000;
	clock_set_source(clock_of_current, world, WALL_START_MS);
	return world;
}

/* Whatever is still under way holds its memory by references; hand them back. */
static void drain_heap(struct world *world)
{
	while (world->n_heap > 0) {
		struct event event = take_first(world);

		if (event.fn == arrive_request || event.fn == arrive_reply ||
		    event.fn == arrive_event)
			delivery_free(event.ctx);
		else if (event.fn == resend || event.fn == at_deadline)
			unref(event.ctx);
		else
			event.fn(event.ctx); /* the clients' own: they see that the world has ended
			                      */
	}
}

void world_free(struct world *world)
{
	for (size_t i = 0; i < world->n_nodes; i++)
		node_kill(world->node[i]);
	drain_heap(world);
	for (size_t i = 0; i < world->n_nodes; i++) {
		store_close(world->node[i]->store);
		loop_free(world->node[i]->loop);
		mem_free(world->node[i]->bus);
		mem_free(world->node[i]);
	}
	mem_free(world->heap);
	mem_free(world);
	clock_set_source(NULL, NULL, 0);
}
