/*
 * What was done, told to auth; what is wanted, and the shares that come back.
 *
 *     tick, each second ─┬─ KeysUsed{demands} ──► shares           (where several edges run)
 *                        └─ KeysUsed{number, uses} ──► done        (every LIMIT_REPORT_MS)
 *
 * One report is under way at a time, and sent again as it is until auth has taken it: auth counts
 * a number of an incarnation once.
 */
#include "services/edge/limit_internal.h"

#include "auth.pb-c.h"
#include "common/clock.h"
#include "common/wire.h"

#include <string.h>

#define ANSWER_MS     4000
#define FLUSH_MOST_MS 500
#define FLUSH_TICK_MS 100
#define USES_MOST     512  /* in one report */
#define DEMANDS_MOST  1024 /* in one question: as many as auth takes */

struct report {
	struct limits *limits;
	struct buf packed;
	bool in_air, is_full;
};

static void on_tick(void *ctx);

static void tick_in(struct limits *limits, int64_t delay_ms)
{
	timer_set(limits->deps.loop, &limits->tick, delay_ms, on_tick, limits);
}

/* ---- what was done ---- */

struct gathering {
	Auth__KeyUse *use;
	struct uuid *key, *user;
	size_t n;
	int64_t now_ms; /* wall */
};

static bool has_news(const struct limit *limit)
{
	return memcmp(&limit->done, &limit->told, sizeof limit->done) != 0;
}

static void gather_use(void *ctx, struct map_node *node)
{
	static const struct uuid none;
	struct gathering *all = ctx;
	struct limit *limit = MAP_OWNER(node, struct limit, by_key);
	Auth__KeyUse *use;

	if (all->n == USES_MOST || !has_news(limit))
		return;
	use = &all->use[all->n];
	auth__key_use__init(use);
	all->user[all->n] = limit->user;
	all->key[all->n] = limit->key;
	use->key = wire_bytes_of(&all->key[all->n++]);
	use->at_ms = all->now_ms;
	use->has_user = !uuid_equal(&limit->user, &none);
	use->user = wire_bytes_of(&all->user[all->n - 1]);
	use->requests = limit->done.requests - limit->told.requests;
	use->connections = limit->done.connections - limit->told.connections;
	use->frames = limit->done.frames - limit->told.frames;
	use->bytes = limit->done.bytes - limit->told.bytes;
	use->insights = limit->done.insights - limit->told.insights;
	limit->told = limit->done;
}

static void pack(struct limits *limits, Auth__KeysUsed *used, struct buf *ret)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;

	used->has_slot = used->has_incarnation = 1;
	used->slot = limits->deps.slot;
	used->incarnation = wire_bytes_of(&limits->deps.incarnation);
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_KEYS_USED;
	request.keys_used = used;
	(void)wire_pack(ret, &request.base);
}

/* NULL: nothing to tell. */
static struct report *report_new(struct limits *limits)
{
	struct gathering all = { .now_ms = clock_wall_ms() };
	Auth__KeysUsed used = AUTH__KEYS_USED__INIT;
	struct report *report = NULL;

	all.use = xcalloc(USES_MOST, sizeof *all.use);
	all.key = xcalloc(USES_MOST, sizeof *all.key);
	all.user = xcalloc(USES_MOST, sizeof *all.user);
	map_each(&limits->by_key, gather_use, &all);
	if (all.n > 0) {
		report = xcalloc(1, sizeof *report);
		report->limits = limits;
		report->is_full = all.n == USES_MOST;
		used.uses = xcalloc(all.n, sizeof(Auth__KeyUse *));
		for (used.n_uses = 0; used.n_uses < all.n; used.n_uses++)
			used.uses[used.n_uses] = &all.use[used.n_uses];
		used.has_number = 1;
		used.number = ++limits->reports;
		pack(limits, &used, &report->packed);
		mem_free(used.uses);
	}
	mem_free(all.use);
	mem_free(all.key);
	mem_free(all.user);
	return report;
}

static void report_free(struct report *report)
{
	buf_free(&report->packed);
	mem_free(report);
}

static void flushed(struct limits *limits)
{
	loop_fn *fn = limits->flushed;

	limits->flushed = NULL;
	if (fn)
		fn(limits->flushed_ctx);
}

static bool is_taken(enum err err, struct bytes data)
{
	AUTO(wire_free) ProtobufCMessage *message = NULL;

	if (err == OK)
		message = wire_unpack(&auth__auth_reply__descriptor, data);
	return message && !((const Auth__AuthReply *)message)->error;
}

static void tell(struct limits *limits);

static void on_told(void *ctx, enum err err, struct bytes data)
{
	struct report *report = ctx;
	struct limits *limits = report->limits;

	report->in_air = false;
	if (!is_taken(err, data)) {
		limits->counts.reports_lost++;
		return; /* the next tick sends it again */
	}
	limits->report = NULL;
	if (report->is_full || limits->flushed)
		tell(limits);
	report_free(report);
	if (!limits->report)
		flushed(limits);
}

static void tell(struct limits *limits)
{
	if (!limits->report)
		limits->report = report_new(limits);
	if (!limits->report || limits->report->in_air)
		return;
	limits->report->in_air = true;
	bus_request(limits->deps.bus, "auth",
	            BYTES(limits->report->packed.data, limits->report->packed.len), ANSWER_MS,
	            on_told, limits->report);
}

void limits_flush(struct limits *limits, loop_fn *fn, void *ctx)
{
	limits->flushed = fn;
	limits->flushed_ctx = ctx;
	limits->flush_until_ms = clock_boot_ms() + FLUSH_MOST_MS;
	tick_in(limits, 0);
}

/* ---- what is wanted ---- */

struct demanding {
	struct limits *limits;
	Auth__KeyDemand *demand;
	struct uuid *key;
	size_t n, seen; /* seen: near their limits */
	int64_t passed_ms;
};

static uint64_t done_of(const struct limit *limit, enum limit_kind kind)
{
	switch (kind) {
	case LIMIT_FRAMES:
		return limit->done.frames;
	case LIMIT_BYTES:
		return limit->done.bytes;
	case LIMIT_REQUESTS:
		return limit->done.requests;
	case LIMIT_CONNECTIONS:
		return limit->done.connections;
	case LIMIT_SOCKETS:
	case LIMIT_KINDS:
		break;
	}
	return 0;
}

/* A second, since the last look; of sockets, those open and those refused since. */
static uint64_t wanted_of(struct limit *limit, enum limit_kind kind, int64_t passed_ms)
{
	uint64_t total, before;

	if (kind == LIMIT_SOCKETS) {
		before = limit->refused_sockets;
		limit->refused_sockets = limit->refused[kind];
		return limit->sockets + limit->refused[kind] - before;
	}
	total = done_of(limit, kind) + limit->refused[kind];
	before = limit->wanted[kind];
	limit->wanted[kind] = total;
	return (total - before) * 1000 / (uint64_t)passed_ms;
}

/* Less than this part of the limit is not worth a word: all edges together stay below it, or
 * half above it. */
static bool is_near(const struct limits *limits, uint64_t wanted, uint64_t most)
{
	return wanted * 2 * limits->deps.edges > most;
}

static void gather_demand(void *ctx, struct map_node *node)
{
	struct demanding *all = ctx;
	struct limit *limit = MAP_OWNER(node, struct limit, by_key);

	for (int i = 0; i < LIMIT_KINDS; i++) {
		enum limit_kind kind = (enum limit_kind)i;
		uint64_t wanted = wanted_of(limit, kind, all->passed_ms);
		Auth__KeyDemand *demand = &all->demand[all->n];

		if (limit->most[kind] == 0 || !is_near(all->limits, wanted, limit->most[kind]) ||
		    all->seen++ < all->limits->demanded || all->n == DEMANDS_MOST)
			continue;
		auth__key_demand__init(demand);
		all->key[all->n] = limit->key;
		demand->key = wire_bytes_of(&all->key[all->n++]);
		demand->kind = (uint32_t)kind;
		demand->wanted = wanted;
		demand->most = limit->most[kind];
	}
}

static void take_share(struct limits *limits, const Auth__KeyShare *share)
{
	struct limit *limit;
	struct uuid key;

	if (share->kind >= LIMIT_KINDS || !wire_id(share->key, &key))
		return;
	limit = MAP_OWNER(map_find(&limits->by_key, &key), struct limit, by_key);
	if (!limit)
		return;
	limit->share[share->kind] = share->may > 0 ? share->may : 1;
	limit->share_ms[share->kind] = clock_boot_ms();
}

static void on_shares(void *ctx, enum err err, struct bytes data)
{
	struct limits *limits = ctx;
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	const Auth__AuthReply *reply;

	limits->demanding = false;
	if (err == OK)
		message = wire_unpack(&auth__auth_reply__descriptor, data);
	reply = (const Auth__AuthReply *)message;
	if (!reply || reply->result_case != AUTH__AUTH_REPLY__RESULT_KEY_SHARES)
		return; /* auth is away: each edge may use the whole meanwhile */
	for (size_t i = 0; i < reply->key_shares->n_shares; i++)
		take_share(limits, reply->key_shares->shares[i]);
}

static void ask_for_shares(struct limits *limits, int64_t passed_ms)
{
	struct demanding all = { .limits = limits, .passed_ms = passed_ms };
	Auth__KeysUsed used = AUTH__KEYS_USED__INIT;
	struct buf buf = { 0 };

	all.demand = xcalloc(DEMANDS_MOST, sizeof *all.demand);
	all.key = xcalloc(DEMANDS_MOST, sizeof *all.key);
	map_each(&limits->by_key, gather_demand, &all);
	if (all.n > 0 && !limits->demanding) {
		used.demands = xcalloc(all.n, sizeof(Auth__KeyDemand *));
		for (used.n_demands = 0; used.n_demands < all.n; used.n_demands++)
			used.demands[used.n_demands] = &all.demand[used.n_demands];
		pack(limits, &used, &buf);
		limits->demanding = true;
		/* Of more than fit, the others are next: many keys keep nobody from his turn. */
		limits->demanded += all.n;
		if (limits->demanded >= all.seen)
			limits->demanded = 0;
		bus_request(limits->deps.bus, "auth", BYTES(buf.data, buf.len), ANSWER_MS,
		            on_shares, limits);
		mem_free(used.demands);
		buf_free(&buf);
	}
	if (all.n == 0)
		limits->demanded = 0;
	mem_free(all.demand);
	mem_free(all.key);
}

/* ---- time ---- */

static void on_tick(void *ctx)
{
	struct limits *limits = ctx;
	int64_t now_ms = clock_boot_ms(), passed_ms = now_ms - limits->ticked_ms;

	if (passed_ms >= LIMIT_DEMAND_MS) {
		limits->ticked_ms = now_ms;
		if (limits->deps.edges > 1)
			ask_for_shares(limits, passed_ms);
	}
	if (limits->flushed || limits->report || now_ms - limits->reported_ms >= LIMIT_REPORT_MS) {
		limits->reported_ms = now_ms;
		tell(limits);
		limits_tidy(limits);
	}
	if (limits->flushed && (!limits->report || now_ms >= limits->flush_until_ms))
		flushed(limits);
	tick_in(limits, limits->flushed ? FLUSH_TICK_MS : LIMIT_DEMAND_MS);
}

void report_start(struct limits *limits)
{
	limits->ticked_ms = limits->reported_ms = clock_boot_ms();
	tick_in(limits, LIMIT_DEMAND_MS);
}

void report_done(struct limits *limits)
{
	timer_stop(limits->deps.loop, &limits->tick);
	if (limits->report)
		report_free(limits->report);
	limits->report = NULL;
}
