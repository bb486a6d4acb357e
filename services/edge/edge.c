#include "services/edge/edge.h"

#include "auth.pb-c.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/wire.h"
#include "services/edge/closing.h"
#include "services/edge/control.h"
#include "services/edge/credential.h"
#include "services/edge/events.h"
#include "services/edge/gather.h"
#include "services/edge/ingest.h"
#include "services/edge/problem.h"
#include "services/edge/reject.h"
#include "services/edge/rest.h"
#include "services/edge/socket.h"
#include "services/edge/subscribe.h"

#include <stdio.h>

#define UPLINK_MOST_BYTES (256u * 1024 * 1024) /* unacknowledged frames of one edge */
#define GRANTS_MOST       65536
#define HOUSEKEEPING_MS   5000 /* last_used_at is at most 10 s old                   */
#define USED_MOST         1024
#define DRAIN_SLICE       512
#define DRAIN_MOST_MS     7000 /* then 1 s for the last reports and 2 s for the lease */

/* ---- from net ---- */

static const char *choose_subprotocol(void *ctx, const struct net_request *request)
{
	(void)ctx;
	return credential_subprotocol(request);
}

/* For nothing else: a browser can read a close code but not a status. */
static int refuse_upgrade(void *ctx, const struct net_request *request)
{
	struct edge *edge = ctx;

	if (request->listener == REST_ADMIN_LISTENER)
		return 404;
	/* Elsewhere the address was asked about when the connection came. */
	return edge->settings.behind_proxy && !limit_take_connection(edge->limits, request->peer)
	               ? 429
	               : 0;
}

static bool on_accept(void *ctx, const char *peer)
{
	struct edge *edge = ctx;

	return limit_take_handshake(edge->limits, peer);
}

static void on_shaken(void *ctx, const char *peer)
{
	struct edge *edge = ctx;

	limit_shaken(edge->limits, peer);
}

static bool hold_upgrade(void *ctx, struct conn *conn, const struct net_request *request)
{
	return reject_upgrade(ctx, conn, request);
}

static const char *refusal_of(int status)
{
	switch (status) {
	case 400:
		return "this is no HTTP request that can be understood";
	case 404:
		return "no such path";
	case 426:
		return "Sec-WebSocket-Version: expected 13";
	case 429:
		return "too many connections or requests of this address";
	case 431:
		return "the head of the request is too large";
	case 501:
		return "Transfer-Encoding: expected chunked";
	case 505:
		return "expected HTTP/1.1 or HTTP/1.0";
	default:
		return "this cannot be taken now: ask again later";
	}
}

static void on_refused(void *ctx, struct conn *conn, int status, const char *headers)
{
	(void)ctx;
	problem_respond(conn, status, refusal_of(status), headers);
}

static void on_open(void *ctx, struct conn *conn, const struct net_request *request)
{
	struct edge *edge = ctx;
	struct socket *held = reject_upgraded(edge);

	if (held) {
		conn_set_user(conn, held);
		return;
	}
	switch (request->endpoint) {
	case NET_INGEST:
		ingest_open(edge, conn, request);
		break;
	case NET_SUBSCRIBE:
		subscribe_open(edge, conn, request);
		break;
	case NET_ECHO:
		echo_open(edge, conn, request);
		break;
	case NET_HTTP:
		MUST(!"net opens WebSockets only");
	}
}

static void on_message(void *ctx, struct conn *conn, bool binary, struct bytes message)
{
	(void)ctx;
	socket_message(conn_user(conn), binary, message);
}

static void on_request(void *ctx, struct conn *conn, const struct net_request *request)
{
	if (!events_request(ctx, conn, request))
		rest_request(ctx, conn, request);
}

static void on_drained(void *ctx, struct conn *conn)
{
	if (conn_endpoint(conn) == NET_INGEST)
		ingest_drained(ctx, conn);
	else if (conn_endpoint(conn) == NET_SUBSCRIBE && conn_user(conn))
		subscribe_drained(conn_user(conn));
	else if (conn_endpoint(conn) == NET_HTTP && !events_drained(ctx, conn))
		rest_drained(ctx, conn);
}

static void on_closed(void *ctx, struct conn *conn, int code, const char *reason, bool by_peer)
{
	(void)by_peer;
	if (conn_endpoint(conn) == NET_HTTP && !events_gone(ctx, conn, code, reason) &&
	    !reject_gone(ctx, conn, code, reason))
		rest_gone(ctx, conn);
	else if (conn_endpoint(conn) == NET_HTTP)
		return;
	else if (conn_user(conn))
		socket_gone(conn_user(conn), code, reason);
}

/* A socket that is out of its grant has nothing to send but its close frame, nor has one that is
 * not yet admitted; every other byte needs the lease and a live key. */
static bool may_move(void *ctx, struct conn *conn)
{
	const struct edge *edge = ctx;
	bool http = conn_endpoint(conn) == NET_HTTP;
	const struct socket *socket = http ? events_socket(edge, conn) : conn_user(conn);

	if (http && !socket)
		return rest_may_move(edge, conn);
	if (!socket || (socket->over && !socket->user.grant) || !socket->admitted)
		return true;
	return grant_good(edge->grants, &socket->user);
}

static void on_turn_end(void *ctx)
{
	struct edge *edge = ctx;

	uplinks_turn_end(edge->uplinks);
}

const struct net_events edge_net_events = {
	.choose_subprotocol = choose_subprotocol,
	.refuse_upgrade = refuse_upgrade,
	.hold_upgrade = hold_upgrade,
	.on_accept = on_accept,
	.on_shaken = on_shaken,
	.on_refused = on_refused,
	.on_open = on_open,
	.on_message = on_message,
	.on_request = on_request,
	.on_drained = on_drained,
	.on_closed = on_closed,
	.may_move = may_move,
	.on_turn_end = on_turn_end,
};

/* ---- from the lease and the grants ---- */

static void on_notice(void *ctx, const Auth__Notice *notice)
{
	control_notice(ctx, notice);
}

static void on_registered(void *ctx)
{
	struct edge *edge = ctx;

	grants_forget(edge->grants);
}

static void on_rights(void *ctx, const Raeh__Principal *principal)
{
	struct edge *edge = ctx;

	limits_learn(edge->limits, principal);
}

static void on_revived(void *ctx)
{
	struct edge *edge = ctx;

	edge->revived_ms = clock_boot_ms();
	if (edge->net)
		net_wake(edge->net, NULL);
}

static void on_finished(void *ctx, const struct uuid *account, const struct uuid *session,
                        uint64_t epoch, const Publisher__Closing *closing)
{
	closing_start(ctx, account, session, epoch, closing);
}

/* ---- housekeeping ---- */

static void on_used_reported(void *ctx, enum err err, struct bytes data)
{
	(void)ctx; /* lost: the next report of the key tells it again */
	(void)err;
	(void)data;
}

static void report_used(struct edge *edge)
{
	struct grant_use *use = xcalloc(USED_MOST, sizeof *use);
	size_t n = grants_used(edge->grants, use, USED_MOST);
	ProtobufCBinaryData ids[USED_MOST];
	int64_t used_ms[USED_MOST];
	Raeh__Origin origins[USED_MOST], *origin[USED_MOST];
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__KeysUsed used = AUTH__KEYS_USED__INIT;
	struct buf buf = { 0 };

	for (size_t i = 0; i < n; i++) {
		ids[i] = wire_bytes_of(&use[i].key);
		used_ms[i] = use[i].ms;
		raeh__origin__init(&origins[i]);
		if (use[i].origin)
			origins[i] = origin_message(use[i].origin);
		origin[i] = &origins[i];
	}
	used.n_key = used.n_used_ms = used.n_origins = n;
	used.key = ids;
	used.used_ms = used_ms;
	used.origins = origin;
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_KEYS_USED;
	request.keys_used = &used;
	if (n > 0)
		bus_request(edge->bus, "auth", wire_pack(&buf, &request.base), HOUSEKEEPING_MS,
		            on_used_reported, edge);
	for (size_t i = 0; i < n; i++)
		origin_free(use[i].origin);
	mem_free(use);
	buf_free(&buf);
}

static void close_some(struct edge *edge, int code, const char *reason)
{
	struct list *link;

	for (int n = 0; n < DRAIN_SLICE && (link = list_first(&edge->sockets)) != NULL; n++)
		socket_end(LIST_OWNER(link, struct socket, link), code, reason);
}

static void housekeeping(void *ctx)
{
	struct edge *edge = ctx;
	int64_t lost_since = lease_lost_since_ms(edge->lease);

	report_used(edge);
	if (lost_since > 0 && clock_boot_ms() - lost_since > edge->settings.pause_most_ms)
		close_some(edge, 1013, "authentication is away: reconnect later");
	timer_set(edge->loop, &edge->housekeeping, HOUSEKEEPING_MS, housekeeping, edge);
}

/* ---- drain ---- */

static void on_deregistered(void *ctx)
{
	struct edge *edge = ctx;

	net_stop(edge->net);
}

static void on_reads_told(void *ctx)
{
	struct edge *edge = ctx;

	lease_deregister(edge->lease, on_deregistered, edge);
}

static void on_use_told(void *ctx)
{
	struct edge *edge = ctx;

	reads_flush(edge->reads, on_reads_told, edge);
}

static void drain(void *ctx)
{
	struct edge *edge = ctx;
	bool empty = list_empty(&edge->sockets) && uplinks_count(edge->uplinks) == 0 &&
	             list_empty(&edge->closings);

	close_some(edge, 1001, "the server is going away: reconnect at once");
	if (empty || clock_boot_ms() - edge->drain_started_ms > DRAIN_MOST_MS) {
		log_info("drained", "held_streams=%zu", uplinks_count(edge->uplinks));
		limits_flush(edge->limits, on_use_told, edge);
		return;
	}
	timer_set(edge->loop, &edge->drain_timer, 10, drain, edge);
}

void edge_drain(struct edge *edge)
{
	if (edge->draining)
		return;
	edge->draining = true;
	edge->drain_started_ms = clock_boot_ms();
	net_stop_listening(edge->net);
	drain(edge);
}

/* ---- life ---- */

void edge_set_net(struct edge *edge, struct net *net)
{
	edge->net = net;
}

struct edge *edge_new(const struct edge_settings *settings, struct loop *loop, struct bus *bus)
{
	struct edge *edge = xcalloc(1, sizeof *edge);

	edge->settings = *settings;
	edge->loop = loop;
	edge->bus = bus;
	edge->incarnation =
	        uuid_new(clock_boot_ms()); /* the clock may be set; a later one is newer */
	(void)snprintf(edge->process, sizeof edge->process, "edge-%u", settings->slot);
	list_init(&edge->sockets);
	list_init(&edge->closings);
	list_init(&edge->requests);
	list_init(&edge->pings);
	list_init(&edge->leaving);
	list_init(&edge->gatherings);
	list_init(&edge->unopened);
	map_init(&edge->opening, sizeof(struct uuid));
	map_init(&edge->events, sizeof(struct conn *));
	map_init(&edge->held, sizeof(struct conn *));
	edge->lease = lease_new(&(struct lease_deps){
	        .loop = loop,
	        .bus = bus,
	        .slot = settings->slot,
	        .incarnation = edge->incarnation,
	        .holds_slot_lock = settings->holds_slot_lock,
	        .events = {on_notice, on_registered},
	        .ctx = edge,
	});
	edge->grants = grants_new(&(struct grants_deps){
	        .loop = loop,
	        .bus = bus,
	        .lease = edge->lease,
	        .most = GRANTS_MOST,
	        .on_revived = on_revived,
	        .on_rights = on_rights,
	        .ctx = edge,
	});
	edge->limits = limits_new(&(struct limits_deps){
	        .loop = loop,
	        .bus = bus,
	        .settings = settings->limits,
	        .slot = settings->slot,
	        .edges = settings->edges,
	        .incarnation = edge->incarnation,
	});
	edge->reads = reads_new(&(struct reads_deps){
	        .loop = loop,
	        .bus = bus,
	        .slot = settings->slot,
	        .incarnation = edge->incarnation,
	});
	edge->uplinks = uplinks_new(&(struct uplinks_deps){
	        .loop = loop,
	        .bus = bus,
	        .publishers = settings->publishers,
	        .most_bytes = UPLINK_MOST_BYTES,
	        .on_finished = on_finished,
	        .ctx = edge,
	});
	edge->feed = feed_new(loop, bus, settings->publishers);
	replays_init(&edge->replays, loop, bus, edge->feed);
	timer_set(loop, &edge->housekeeping, HOUSEKEEPING_MS, housekeeping, edge);
	if (control_start(edge) != OK) {
		edge_free(edge);
		return NULL;
	}
	return edge;
}

void edge_free(struct edge *edge)
{
	if (!edge)
		return;
	timer_stop(edge->loop, &edge->housekeeping);
	timer_stop(edge->loop, &edge->drain_timer);
	rest_free_all(edge);
	gather_free_all(edge);
	ingest_free_unopened(edge);
	map_done(&edge->opening);
	map_done(&edge->events);
	map_done(&edge->held);
	closing_free_all(edge);
	replays_done(&edge->replays);
	feed_free(edge->feed);
	uplinks_free(edge->uplinks);
	grants_free(edge->grants);
	limits_free(edge->limits);
	reads_free(edge->reads);
	lease_free(edge->lease);
	mem_free(edge);
}
