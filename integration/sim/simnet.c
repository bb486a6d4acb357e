#include "integration/sim/simnet.h"

#include "common/list.h"

#include <stdio.h>
#include <string.h>

#define WIRE_LEAST_US 200
#define WIRE_MOST_US  4000

struct packet {
	struct list link;
	struct net_shared *shared; /* or own bytes: */
	struct buf data;
};

struct net_shared {
	struct buf data;
	unsigned refs;
};

struct conn {
	struct net *net;
	struct list link;
	struct peer *peer;
	enum net_endpoint endpoint;
	void *user;
	struct list inbox, outbox; /* struct packet */
	bool paused, closing, gone, reported;
	int code;
	char reason[NET_CLOSE_REASON + 1];
	unsigned refs;
};

struct peer {
	struct conn *conn;
	struct peer_events events;
	void *client;
	bool forgotten, closed;
	int64_t in_order_us, back_in_order_us; /* TCP keeps order: nothing overtakes */
	unsigned refs;
};

struct net {
	struct node *node;
	unsigned life;
	const struct net_events *events;
	void *ctx;
	struct net_watch watch;
	struct list conns;
	bool deaf;
};

struct wire {
	struct conn *conn;
	struct peer *peer;
	struct buf data;
	int code;
};

static void peer_unref(struct peer *peer)
{
	if (--peer->refs == 0)
		mem_free(peer);
}

static void conn_unref(struct conn *conn)
{
	if (--conn->refs > 0)
		return;
	peer_unref(conn->peer);
	mem_free(conn);
}

static void packet_free(struct packet *packet)
{
	list_remove(&packet->link);
	if (packet->shared)
		net_shared_unref(packet->shared);
	buf_free(&packet->data);
	mem_free(packet);
}

static void clear(struct list *box)
{
	while (!list_empty(box))
		packet_free(LIST_OWNER(list_first(box), struct packet, link));
}

static int64_t in_order(struct world *world, int64_t *last_us)
{
	int64_t at = world_now_us(world) + WIRE_LEAST_US +
	             (int64_t)world_random(world, WIRE_MOST_US - WIRE_LEAST_US);

	if (at <= *last_us)
		at = *last_us + 1;
	*last_us = at;
	return at - world_now_us(world);
}

/* ---- towards the client ---- */

static void client_hears(void *ctx)
{
	struct wire *wire = ctx;
	struct peer *peer = wire->peer;

	if (!peer->forgotten && !peer->closed) {
		if (wire->code) {
			peer->closed = true;
			peer->events.on_closed(peer->client, wire->code);
		} else {
			peer->events.on_text(peer->client, BYTES(wire->data.data, wire->data.len));
		}
	}
	peer_unref(peer);
	buf_free(&wire->data);
	mem_free(wire);
}

static void to_client(struct conn *conn, struct bytes data, int code)
{
	struct wire *wire = xcalloc(1, sizeof *wire);
	struct world *world = node_world(conn->net->node);

	wire->peer = conn->peer;
	wire->peer->refs++;
	wire->code = code;
	buf_append(&wire->data, data.data, data.len);
	world_at(world, in_order(world, &conn->peer->back_in_order_us), client_hears, wire);
}

/* ---- the edge's side ---- */

/* The conn is over for the actor. */
static void report_closed(struct conn *conn)
{
	struct net *net = conn->net;

	if (conn->reported)
		return;
	conn->reported = true;
	list_remove(&conn->link);
	clear(&conn->inbox);
	clear(&conn->outbox);
	net->events->on_closed(net->ctx, conn, conn->code, conn->reason, false);
	conn_unref(conn);
}

static void write_out(struct conn *conn)
{
	struct net *net = conn->net;
	struct list *link;

	while ((link = list_first(&conn->outbox)) != NULL) {
		struct packet *packet = LIST_OWNER(link, struct packet, link);
		const struct buf *data = packet->shared ? &packet->shared->data : &packet->data;

		if (!net->events->may_move(net->ctx, conn)) {
			if (conn->closing)
				clear(&conn->outbox); /* as when its time to flush is over */
			return;
		}
		net->watch.handed(net->watch.ctx, conn->peer->client, BYTES(data->data, data->len));
		to_client(conn, BYTES(data->data, data->len), 0);
		packet_free(packet);
	}
}

static void read_in(struct conn *conn)
{
	struct net *net = conn->net;
	struct list *link;

	while (!conn->paused && !conn->closing && !conn->reported &&
	       (link = list_first(&conn->inbox)) != NULL) {
		struct packet *packet = LIST_OWNER(link, struct packet, link);

		if (!net->events->may_move(net->ctx, conn))
			return;
		list_remove(link);
		net->watch.taken(net->watch.ctx, conn->peer->client,
		                 BYTES(packet->data.data, packet->data.len));
		net->events->on_message(net->ctx, conn, true,
		                        BYTES(packet->data.data, packet->data.len));
		packet_free(packet);
	}
}

/* A close frame goes behind what is queued. */
static void finish_closing(struct conn *conn)
{
	if (!conn->closing || !list_empty(&conn->outbox))
		return;
	if (!conn->gone)
		to_client(conn, BYTES("", 0), conn->code);
	conn->gone = true;
	report_closed(conn);
}

void simnet_turn_end(struct net *net)
{
	LIST_EACH(link, &net->conns)
	{
		struct conn *conn = LIST_OWNER(link, struct conn, link);

		conn->refs++;
		read_in(conn);
		write_out(conn);
		finish_closing(conn);
		conn_unref(conn);
	}
	net->events->on_turn_end(net->ctx);
}

struct net *simnet_new(struct node *node, const struct net_events *events, void *events_ctx,
                       const struct net_watch *watch)
{
	struct net *net = xcalloc(1, sizeof *net);

	net->node = node;
	net->life = node_life(node);
	net->events = events;
	net->ctx = events_ctx;
	net->watch = *watch;
	list_init(&net->conns);
	return net;
}

/* The process died: its kernel resets every socket. */
void net_free(struct net *net)
{
	if (!net)
		return;
	net->deaf = true;
	LIST_EACH(link, &net->conns)
	{
		struct conn *conn = LIST_OWNER(link, struct conn, link);

		to_client(conn, BYTES("", 0), 1006);
		conn->gone = true;
		conn->code = 1006;
		report_closed(conn);
	}
	mem_free(net);
}

void net_stop_listening(struct net *net)
{
	net->deaf = true;
}

void net_run(struct net *net)
{
	(void)net;
}

void net_stop(struct net *net)
{
	(void)net;
}

void conn_set_user(struct conn *conn, void *user)
{
	conn->user = user;
}

void *conn_user(const struct conn *conn)
{
	return conn->user;
}

enum net_endpoint conn_endpoint(const struct conn *conn)
{
	return conn->endpoint;
}

static struct packet *packet_new(struct list *box, struct bytes data)
{
	struct packet *packet = xcalloc(1, sizeof *packet);

	buf_append(&packet->data, data.data, data.len);
	list_append(box, &packet->link);
	return packet;
}

enum err net_send_text(struct conn *conn, struct bytes text, size_t max_queued_bytes)
{
	(void)max_queued_bytes;
	if (!conn->closing)
		(void)packet_new(&conn->outbox, text);
	return OK;
}

enum err net_send_binary(struct conn *conn, struct bytes data, size_t max_queued_bytes)
{
	return net_send_text(conn, data, max_queued_bytes);
}

struct net_shared *net_shared_new(struct bytes text)
{
	struct net_shared *shared = xcalloc(1, sizeof *shared);

	buf_append(&shared->data, text.data, text.len);
	shared->refs = 1;
	return shared;
}

void net_shared_unref(struct net_shared *shared)
{
	if (--shared->refs > 0)
		return;
	buf_free(&shared->data);
	mem_free(shared);
}

enum err net_send_shared(struct conn *conn, struct net_shared *shared, size_t max_queued_bytes)
{
	(void)max_queued_bytes;
	if (conn->closing)
		return OK;
	packet_new(&conn->outbox, BYTES("", 0))->shared = shared;
	shared->refs++;
	return OK;
}

size_t net_queued_bytes(const struct conn *conn)
{
	(void)conn;
	return 0;
}

void net_drop_queued(struct conn *conn)
{
	clear(&conn->outbox);
}

void net_close(struct conn *conn, int code, const char *reason)
{
	if (conn->closing)
		return;
	conn->closing = true;
	conn->code = code;
	(void)snprintf(conn->reason, sizeof conn->reason, "%s", reason);
	clear(&conn->inbox);
}

void net_close_now(struct conn *conn, int code, const char *reason)
{
	clear(&conn->outbox);
	net_close(conn, code, reason);
}

void net_upgrade(struct conn *conn)
{
	(void)conn; /* nobody asks for HTTP here */
}

void net_pause(struct conn *conn, bool paused)
{
	conn->paused = paused;
}

void net_wake(struct net *net, struct conn *conn)
{
	(void)net; /* every turn looks at every conn */
	(void)conn;
}

void net_bound_kernel_buffer(struct conn *conn, int bytes)
{
	(void)conn;
	(void)bytes;
}

void net_notice_silence(struct conn *conn, unsigned ms)
{
	(void)conn;
	(void)ms;
}

void net_respond(struct conn *conn, int status, const char *headers, struct bytes body)
{
	(void)conn; /* nobody asks for HTTP here */
	(void)status;
	(void)headers;
	(void)body;
}

void net_stream_start(struct conn *conn, int status, const char *headers)
{
	(void)conn; /* likewise */
	(void)status;
	(void)headers;
}

enum err net_stream_write(struct conn *conn, struct bytes data, size_t max_queued_bytes)
{
	(void)conn;
	(void)data;
	(void)max_queued_bytes;
	return ERR_CONFLICT;
}

void net_stream_end(struct conn *conn)
{
	(void)conn;
}

void net_set_headers(struct conn *conn, const char *headers)
{
	(void)conn;
	(void)headers;
}

const struct net_counts *net_counts(struct net *net)
{
	static const struct net_counts none;

	(void)net;
	return &none;
}

/* ---- the client's side ---- */

struct knock {
	struct net *net;
	struct conn *conn;
	char *query;
};

static void open_conn(void *ctx)
{
	struct knock *knock = ctx;
	const struct net_request request = {
		.endpoint = knock->conn->endpoint,
		.method = "GET",
		.path = "/stream",
		.query = knock->query,
		.peer = "10.0.0.1",
	};

	list_append(&knock->net->conns, &knock->conn->link);
	knock->conn->refs++;
	knock->net->events->on_open(knock->net->ctx, knock->conn, &request);
}

struct peer *simnet_connect(struct net *net, enum net_endpoint endpoint, const char *query,
                            const struct peer_events *events, void *client)
{
	struct conn *conn = xcalloc(1, sizeof *conn);
	struct peer *peer = xcalloc(1, sizeof *peer);
	struct knock knock = { net, conn, (char *)query };

	conn->net = net;
	conn->endpoint = endpoint;
	conn->peer = peer;
	conn->refs = 1; /* the peer's */
	list_init(&conn->inbox);
	list_init(&conn->outbox);
	peer->conn = conn;
	peer->events = *events;
	peer->client = client;
	peer->refs = 2; /* the client's and the conn's */
	if (net->deaf || node_state(net->node) != NODE_UP)
		conn->reported = true; /* refused: the caller sees a peer that never speaks */
	else
		node_call(net->node, open_conn, &knock);
	return peer;
}

static void arrive_at_edge(void *ctx)
{
	struct conn *conn = ctx;

	(void)conn; /* simnet_turn_end() reads it */
}

static void deliver(void *ctx)
{
	struct wire *wire = ctx;
	struct conn *conn = wire->conn;

	if (!conn->reported && !conn->closing) {
		if (wire->code) {
			conn->code = wire->code;
			conn->gone = true;
			conn->closing = true;
			clear(&conn->outbox);
		} else {
			(void)packet_new(&conn->inbox, BYTES(wire->data.data, wire->data.len));
		}
		node_call(conn->net->node, arrive_at_edge, conn);
	}
	conn_unref(conn);
	buf_free(&wire->data);
	mem_free(wire);
}

static void to_edge(struct peer *peer, struct bytes data, int code)
{
	struct conn *conn = peer->conn;
	struct wire *wire;
	struct world *world;

	if (conn->reported)
		return;
	wire = xcalloc(1, sizeof *wire);
	world = node_world(conn->net->node);
	wire->conn = conn;
	conn->refs++;
	wire->code = code;
	buf_append(&wire->data, data.data, data.len);
	world_at(world, in_order(world, &peer->in_order_us), deliver, wire);
}

void peer_send(struct peer *peer, struct bytes message)
{
	if (!peer->closed)
		to_edge(peer, message, 0);
}

void peer_close(struct peer *peer)
{
	if (peer->closed)
		return;
	peer->closed = true;
	to_edge(peer, BYTES("", 0), 1000);
}

void peer_forget(struct peer *peer)
{
	peer->forgotten = true;
	conn_unref(peer->conn);
	peer_unref(peer);
}
