#include "services/router/reconcile.h"

#include "auth.pb-c.h"
#include "common/clock.h"
#include "common/log.h"
#include "edge.pb-c.h"
#include "services/router/closing.h"
#include "services/router/core.h"
#include "services/router/ended.h"
#include "services/router/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_DEADLINE_MS  2000
#define TELL_DEADLINE_MS 1000
#define TELL_TRIES       3
#define TELLS_MAX        16384 /* edges not told hear it from the publisher */
#define EDGES_MAX        1024
#define EDGE_LOST        1006

static const char edge_lost[] = "edge lost";

struct edge {
	uint32_t slot;
	struct uuid incarnation;
};
struct ids {
	struct uuid *id;
	size_t n, cap;
};
/* An edge that must hear that a session was superseded. */
struct tell {
	struct tell *prev, *next;
	struct reconcile *reconcile;
	struct edge edge;
	struct closing closing; /* when it does not hear */
	unsigned tries;
};
struct reconcile {
	struct router *router;
	struct closings *closings;
	struct timer timer;
	int64_t round_began_ms; /* wall */
	struct edge live[EDGES_MAX];
	size_t n_live, asked;             /* asked: the edge whose answer is waited for */
	struct ids held;                  /* what that edge says it has, sorted */
	struct ids missed, missed_before; /* sessions that no edge listed, this round and last */
	struct tell tells;                /* head of a ring */
	size_t n_tells;
};

/* ---- lists of ids ---- */

static void ids_add(struct ids *ids, const struct uuid *id)
{
	if (ids->n == ids->cap) {
		ids->cap = ids->cap ? 2 * ids->cap : 64;
		ids->id = xrealloc(ids->id, ids->cap, sizeof *ids->id);
	}
	ids->id[ids->n++] = *id;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct uuid));
}

static void ids_sort(struct ids *ids)
{
	if (ids->n > 0)
		qsort(ids->id, ids->n, sizeof *ids->id, compare);
}

static bool ids_have(const struct ids *ids, const struct uuid *id)
{
	return ids->n > 0 && bsearch(id, ids->id, ids->n, sizeof *ids->id, compare);
}

/* ---- closing ---- */

static void close_one(struct reconcile *reconcile, const struct view_held *held,
                      const Events__SessionRow *row)
{
	const struct closing closing = {
		.account = held->account,
		.session = held->session,
		.partition = row->partition,
		.code = row->has_close_code ? VIEW_SUPERSEDED : EDGE_LOST,
		.reason = row->has_close_code ? VIEW_SUPERSEDED_REASON : edge_lost,
		.epoch = row->epoch,
	};

	(void)closings_add(reconcile->closings, &closing); /* full: next round */
}

/* Closes a session that was opened before; one from a time yet to come was, and the clock has
 * been set back since. */
static void close_if_older(struct reconcile *reconcile, const struct view_held *held,
                           int64_t before_ms)
{
	struct store *store = reconcile->router->deps.store;
	Events__SessionRow *row;
	int64_t started_ms;

	if (view_session(store, &held->account, &held->session, &row) != OK)
		return; /* the next round asks again */
	started_ms = row->has_resumed_at ? row->resumed_at : row->session->started_at;
	if (started_ms < before_ms || started_ms > clock_wall_ms())
		close_one(reconcile, held, row);
	wire_free(&row->base);
}

/* ---- edges that live: what do they have? ---- */

static bool on_held(void *ctx, const struct view_held *held)
{
	struct reconcile *reconcile = ctx;

	if (ids_have(&reconcile->held, &held->session))
		return true;
	ids_add(&reconcile->missed, &held->session);
	if (ids_have(&reconcile->missed_before, &held->session))
		close_if_older(reconcile, held, clock_wall_ms() - RECONCILE_GRACE_MS);
	return reconcile->missed.n < RECONCILE_MAX;
}

static bool read_held(struct ids *ret, enum err err, struct bytes bytes)
{
	Edge__EdgeReply *reply = NULL;
	struct uuid id;
	bool ok;

	ret->n = 0;
	if (err == OK)
		reply = (Edge__EdgeReply *)wire_unpack(&edge__edge_reply__descriptor, bytes);
	ok = reply && !reply->error;
	for (size_t i = 0; ok && i < reply->n_sessions; i++) {
		ok = wire_id(reply->sessions[i], &id);
		if (ok)
			ids_add(ret, &id);
	}
	if (reply)
		wire_free(&reply->base);
	ids_sort(ret);
	return ok;
}

static void ask_next_edge(struct reconcile *reconcile);

static void on_edge(void *ctx, enum err err, struct bytes bytes)
{
	struct reconcile *reconcile = ctx;
	const struct edge *edge = &reconcile->live[reconcile->asked];

	if (read_held(&reconcile->held, err, bytes) &&
	    view_each_held(reconcile->router->deps.store, edge->slot, &edge->incarnation, on_held,
	                   reconcile) != OK)
		log_warn("view-unreadable", "why=\"%s\"", store_why(reconcile->router->deps.store));
	reconcile->asked++;
	ask_next_edge(reconcile);
}

static void ask_edge(struct reconcile *reconcile, const struct edge *edge,
                     Edge__EdgeRequest *request, int64_t deadline_ms, bus_reply_fn *fn, void *ctx)
{
	struct buf buf = { 0 };
	char name[BUS_NAME_MAX];

	request->incarnation = wire_bytes_of(&edge->incarnation);
	(void)snprintf(name, sizeof name, "edge-%u", edge->slot);
	bus_request(reconcile->router->deps.bus, name, wire_pack(&buf, &request->base), deadline_ms,
	            fn, ctx);
	buf_free(&buf);
}

static void on_time(void *ctx);

static void end_round(struct reconcile *reconcile)
{
	struct ids emptied = reconcile->missed_before;

	reconcile->missed_before = reconcile->missed;
	ids_sort(&reconcile->missed_before);
	emptied.n = 0;
	reconcile->missed = emptied;
	timer_set(reconcile->router->deps.loop, &reconcile->timer, RECONCILE_MS, on_time,
	          reconcile);
}

static void ask_next_edge(struct reconcile *reconcile)
{
	Edge__EdgeRequest request = EDGE__EDGE_REQUEST__INIT;
	Raeh__Empty empty = RAEH__EMPTY__INIT;

	if (reconcile->asked == reconcile->n_live) {
		end_round(reconcile);
		return;
	}
	request.command_case = EDGE__EDGE_REQUEST__COMMAND_OPEN_SESSIONS;
	request.open_sessions = &empty;
	request.n_slots_ended = ended_all(reconcile->router->ended, &request.slots_ended);
	ask_edge(reconcile, &reconcile->live[reconcile->asked], &request, ASK_DEADLINE_MS, on_edge,
	         reconcile);
}

/* ---- edges that do not live ---- */

static bool on_orphan(void *ctx, const struct view_held *held)
{
	struct reconcile *reconcile = ctx;

	close_if_older(reconcile, held, reconcile->round_began_ms);
	return closings_count(reconcile->closings) < RECONCILE_MAX;
}

static bool is_live(const struct reconcile *reconcile, const struct edge *edge)
{
	for (size_t i = 0; i < reconcile->n_live; i++)
		if (reconcile->live[i].slot == edge->slot &&
		    uuid_equal(&reconcile->live[i].incarnation, &edge->incarnation))
			return true;
	return false;
}

/* The next place in the order of (slot, incarnation). */
static bool step(struct edge *edge)
{
	for (int i = 15; i >= 0; i--)
		if (++edge->incarnation.byte[i] != 0)
			return true;
	return ++edge->slot != 0;
}

static void close_orphans(struct reconcile *reconcile)
{
	struct store *store = reconcile->router->deps.store;
	struct edge edge = { 0 };
	enum err err;

	do {
		err = view_next_edge(store, edge.slot, &edge.incarnation, &edge.slot,
		                     &edge.incarnation);
		if (err == OK && !is_live(reconcile, &edge))
			err = view_each_held(store, edge.slot, &edge.incarnation, on_orphan,
			                     reconcile);
	} while (err == OK && step(&edge));
	if (err == ERR_IO)
		log_warn("view-unreadable", "why=\"%s\"", store_why(store));
}

/* ---- a round ---- */

static bool read_live(struct reconcile *reconcile, enum err err, struct bytes bytes)
{
	Auth__AuthReply *reply = NULL;
	bool ok;

	reconcile->n_live = 0;
	if (err == OK)
		reply = (Auth__AuthReply *)wire_unpack(&auth__auth_reply__descriptor, bytes);
	ok = reply && !reply->error && reply->result_case == AUTH__AUTH_REPLY__RESULT_LIVE_EDGES &&
	     reply->live_edges->n_edges <= EDGES_MAX;
	for (size_t i = 0; ok && i < reply->live_edges->n_edges; i++) {
		struct edge *edge = &reconcile->live[reconcile->n_live++];

		edge->slot = reply->live_edges->edges[i]->slot;
		ok = wire_id(reply->live_edges->edges[i]->incarnation, &edge->incarnation);
	}
	if (reply)
		wire_free(&reply->base);
	return ok;
}

static void on_live_edges(void *ctx, enum err err, struct bytes bytes)
{
	struct reconcile *reconcile = ctx;

	if (!read_live(reconcile, err, bytes)) {
		reconcile->n_live = 0; /* nothing is concluded */
		end_round(reconcile);
		return;
	}
	reconcile->router->metrics.rounds_total++;
	close_orphans(reconcile);
	reconcile->asked = 0;
	ask_next_edge(reconcile);
}

static void on_time(void *ctx)
{
	struct reconcile *reconcile = ctx;
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Raeh__Empty empty = RAEH__EMPTY__INIT;
	struct buf buf = { 0 };

	if (closings_count(reconcile->closings) > 0) { /* not twice the same */
		timer_set(reconcile->router->deps.loop, &reconcile->timer, RECONCILE_MS / 10,
		          on_time, reconcile);
		return;
	}
	reconcile->round_began_ms = clock_wall_ms();
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_LIVE_EDGES;
	request.live_edges = &empty;
	bus_request(reconcile->router->deps.bus, "auth", wire_pack(&buf, &request.base),
	            ASK_DEADLINE_MS, on_live_edges, reconcile);
	buf_free(&buf);
}

/* ---- superseded sessions ---- */

static void free_tell(struct tell *tell)
{
	tell->prev->next = tell->next;
	tell->next->prev = tell->prev;
	tell->reconcile->n_tells--;
	mem_free(tell);
}

static void send_tell(struct tell *tell);

static void on_told(void *ctx, enum err err, struct bytes bytes)
{
	struct tell *tell = ctx;
	Edge__EdgeReply *reply = NULL;
	bool told;

	if (err == OK)
		reply = (Edge__EdgeReply *)wire_unpack(&edge__edge_reply__descriptor, bytes);
	told = reply && !reply->error;
	if (reply)
		wire_free(&reply->base);
	if (!told && err != OK && ++tell->tries < TELL_TRIES) {
		send_tell(tell);
		return;
	}
	if (!told) /* gone, or another incarnation: nobody will send the closing */
		(void)closings_add(tell->reconcile->closings, &tell->closing); /* full: see below */
	free_tell(tell);
}

static void send_tell(struct tell *tell)
{
	Edge__EdgeRequest request = EDGE__EDGE_REQUEST__INIT;
	Edge__SessionSuperseded superseded = EDGE__SESSION_SUPERSEDED__INIT;

	superseded.session = wire_bytes_of(&tell->closing.session);
	superseded.has_close_code = 1;
	superseded.close_code = tell->closing.code;
	superseded.close_reason = (char *)tell->closing.reason;
	request.command_case = EDGE__EDGE_REQUEST__COMMAND_SESSION_SUPERSEDED;
	request.session_superseded = &superseded;
	ask_edge(tell->reconcile, &tell->edge, &request, TELL_DEADLINE_MS, on_told, tell);
}

/* Best effort: what is lost here, the successor's opening item repairs at the publisher, and
 * the publisher's answer (4009) at the old edge. */
void reconcile_superseded(struct reconcile *reconcile, const struct uuid *account,
                          const struct uuid *session)
{
	reconcile_tell_end(reconcile, account, session, VIEW_SUPERSEDED, VIEW_SUPERSEDED_REASON);
}

void reconcile_tell_end(struct reconcile *reconcile, const struct uuid *account,
                        const struct uuid *session, uint32_t code, const char *reason)
{
	Events__SessionRow *row;
	struct tell *tell;

	if (reconcile->n_tells >= TELLS_MAX ||
	    view_session(reconcile->router->deps.store, account, session, &row) != OK)
		return;
	tell = xcalloc(1, sizeof *tell);
	tell->reconcile = reconcile;
	tell->edge.slot = row->edge_slot;
	MUST(wire_id(row->edge_incarnation, &tell->edge.incarnation)); /* checked when it opened */
	tell->closing = (struct closing){ .account = *account,
		                          .session = *session,
		                          .partition = row->partition,
		                          .epoch = row->epoch,
		                          .code = code,
		                          .reason = reason };
	wire_free(&row->base);
	tell->next = &reconcile->tells;
	tell->prev = reconcile->tells.prev;
	tell->prev->next = tell->next->prev = tell;
	reconcile->n_tells++;
	send_tell(tell);
}

/* ---- life ---- */

struct reconcile *reconcile_new(struct router *router)
{
	struct reconcile *reconcile = xcalloc(1, sizeof *reconcile);

	reconcile->router = router;
	reconcile->closings = closings_new(router);
	reconcile->tells.prev = reconcile->tells.next = &reconcile->tells;
	timer_set(router->deps.loop, &reconcile->timer, 0, on_time, reconcile);
	return reconcile;
}

void reconcile_free(struct reconcile *reconcile)
{
	if (!reconcile)
		return;
	timer_stop(reconcile->router->deps.loop, &reconcile->timer);
	while (reconcile->tells.next != &reconcile->tells)
		free_tell(reconcile->tells.next);
	closings_free(reconcile->closings);
	mem_free(reconcile->held.id);
	mem_free(reconcile->missed.id);
	mem_free(reconcile->missed_before.id);
	mem_free(reconcile);
}

size_t reconcile_closings(const struct reconcile *reconcile)
{
	return closings_count(reconcile->closings);
}
