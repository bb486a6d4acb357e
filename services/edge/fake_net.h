/*
 * fake_net - an edge whose sockets are the test's: net.h without a network.
 *
 * Linked before the archive, these functions take the place of net's. What the edge sends
 * stands in the conn; what a client would do, the test does: client_open, client_sends …
 * Included by the *_test.c of this folder alone.
 */
#ifndef EDGE_FAKE_NET_H
#define EDGE_FAKE_NET_H

#include "services/edge/edge.h"
#include "services/edge/fake_bus.h"
#include "services/edge/ingest.h"
#include "services/edge/rest.h"

#define FAKE_CONNS    1100
#define FAKE_PAUSE_MS 60000
#define FAKE_KEY      "raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE"
#define MODEL_ID      "0192f0c0-0000-7000-8000-00000000abcd"

struct net_shared {
	unsigned refs;
	struct buf text;
};

struct conn {
	struct list link;                   /* in conns: until on_closed */
	enum net_endpoint endpoint, wanted; /* wanted: by an upgrade that is held */
	void *user;
	struct buf sent; /* messages, each ended by a newline */
	unsigned messages;
	bool paused, closing, now, over;
	int code; /* of the close frame */
	char reason[NET_CLOSE_REASON + 1];
	int status; /* of the answer, 0: none yet */
	struct buf headers, body;
	bool streaming; /* the body goes on */
	bool clogged;   /* nothing fits any more */
	bool slow;      /* what is sent stays queued until client_reads() */
	size_t queued;
	bool dropped; /* what was queued */
	unsigned silence_ms;
};

struct net {
	struct net_counts counts;
};

static struct {
	struct edge *edge;
	struct net net;
	struct list conns;
	struct conn conn[FAKE_CONNS];
	size_t n_conn;
	unsigned woken;
	bool deaf, stopped;
} fake;

/* ---- net.h ---- */

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

enum err net_send_text(struct conn *conn, struct bytes text, size_t max_queued_bytes)
{
	if (conn->closing)
		return ERR_CONFLICT;
	if (conn->clogged || conn->queued + text.len > max_queued_bytes)
		return ERR_LIMIT;
	conn->queued += conn->slow ? text.len : 0;
	buf_append(&conn->sent, text.data, text.len);
	buf_append(&conn->sent, "\n", 1);
	conn->messages++;
	return OK;
}

enum err net_send_binary(struct conn *conn, struct bytes data, size_t max_queued_bytes)
{
	return net_send_text(conn, data, max_queued_bytes);
}

struct net_shared *net_shared_new(struct bytes text)
{
	struct net_shared *shared = xcalloc(1, sizeof *shared);

	shared->refs = 1;
	buf_append(&shared->text, text.data, text.len);
	return shared;
}

void net_shared_unref(struct net_shared *shared)
{
	if (--shared->refs > 0)
		return;
	buf_free(&shared->text);
	mem_free(shared);
}

enum err net_send_shared(struct conn *conn, struct net_shared *shared, size_t max_queued_bytes)
{
	return net_send_text(conn, BYTES(shared->text.data, shared->text.len), max_queued_bytes);
}

size_t net_queued_bytes(const struct conn *conn)
{
	return conn->dropped ? 0 : conn->clogged ? SIZE_MAX / 2 : conn->queued;
}

void net_drop_queued(struct conn *conn)
{
	conn->dropped = true;
}

void net_close(struct conn *conn, int code, const char *reason)
{
	if (conn->closing)
		return;
	conn->closing = true;
	conn->code = code;
	(void)snprintf(conn->reason, sizeof conn->reason, "%s", reason);
}

void net_close_now(struct conn *conn, int code, const char *reason)
{
	conn->now = true;
	net_close(conn, code, reason);
}

void net_upgrade(struct conn *conn)
{
	const struct net_request request = { .endpoint = conn->wanted };

	if (conn->closing)
		return;
	cr_assert(conn->wanted != NET_HTTP && conn->endpoint == NET_HTTP && conn->status == 0);
	conn->endpoint = conn->wanted;
	conn->user = NULL;
	edge_net_events.on_open(fake.edge, conn, &request);
}

void net_pause(struct conn *conn, bool paused)
{
	conn->paused = paused;
}

void net_wake(struct net *net, struct conn *conn)
{
	(void)net;
	(void)conn;
	fake.woken++;
}

void net_bound_kernel_buffer(struct conn *conn, int bytes)
{
	cr_assert((conn->endpoint == NET_SUBSCRIBE || conn->endpoint == NET_HTTP) && bytes > 0);
}

void net_notice_silence(struct conn *conn, unsigned ms)
{
	cr_assert(conn->endpoint == NET_HTTP && ms > 0);
	conn->silence_ms = ms;
}

void net_respond(struct conn *conn, int status, const char *headers, struct bytes body)
{
	cr_assert_eq(conn->status, 0, "answered twice");
	conn->status = status;
	buf_append(&conn->headers, headers, strlen(headers) + 1);
	buf_append(&conn->body, body.data, body.len);
	buf_append(&conn->body, "", 1);
}

void net_stream_start(struct conn *conn, int status, const char *headers)
{
	cr_assert_eq(conn->status, 0, "answered twice");
	conn->status = status;
	conn->streaming = true;
	buf_append(&conn->headers, headers, strlen(headers) + 1);
}

enum err net_stream_write(struct conn *conn, struct bytes data, size_t max_queued_bytes)
{
	(void)max_queued_bytes;
	if (!conn->streaming)
		return ERR_CONFLICT;
	if (conn->clogged)
		return ERR_LIMIT;
	buf_append(&conn->body, data.data, data.len);
	return OK;
}

void net_stream_end(struct conn *conn)
{
	conn->streaming = false;
	buf_append(&conn->body, "", 1);
}

void net_set_headers(struct conn *conn, const char *headers)
{
	conn->headers.len = 0;
	buf_append(&conn->headers, headers, strlen(headers));
}

const struct net_counts *net_counts(struct net *net)
{
	return &net->counts;
}

void net_stop_listening(struct net *net)
{
	(void)net;
	fake.deaf = true;
}

void net_stop(struct net *net)
{
	(void)net;
	fake.stopped = true;
}

/* ---- life ---- */

static inline void report_closed(struct conn *conn, int code, const char *reason, bool by_peer)
{
	list_remove(&conn->link);
	conn->over = true;
	edge_net_events.on_closed(fake.edge, conn, code, reason, by_peer);
}

/* What net does at the end of a turn. */
static inline void net_turn_end(void)
{
	LIST_EACH(link, &fake.conns)
	{
		struct conn *conn = LIST_OWNER(link, struct conn, link);

		if (conn->closing)
			report_closed(conn, conn->code, conn->reason, false);
		else if (conn->status && !conn->streaming)
			report_closed(conn, 1000, "", false);
	}
	edge_net_events.on_turn_end(fake.edge);
}

static inline void edge_open(unsigned publishers)
{
	world_open();
	memset(&fake, 0, sizeof fake);
	list_init(&fake.conns);
	fake.edge = edge_new(&(struct edge_settings){ .slot = 1,
	                                              .publishers = publishers,
	                                              .edges = 2,
	                                              .idle_timeout_ms = 60000,
	                                              .pause_most_ms = FAKE_PAUSE_MS },
	                     world.loop, &world.bus);
	edge_set_net(fake.edge, &fake.net);
	world.each_ms = net_turn_end;
	turn();
}

static inline void edge_close(void)
{
	while (!list_empty(&fake.conns))
		report_closed(LIST_OWNER(list_first(&fake.conns), struct conn, link), 1006, "",
		              true);
	edge_free(fake.edge);
	for (size_t i = 0; i < fake.n_conn; i++) {
		buf_free(&fake.conn[i].sent);
		buf_free(&fake.conn[i].headers);
		buf_free(&fake.conn[i].body);
	}
	world_close();
}

/* Keeps the lease while time passes. */
static inline void pass_leased(int64_t ms)
{
	for (; ms > 0; ms -= 10) {
		pass(10);
		while (asked("auth.lease"))
			give_lease(lease_applied(fake.edge->lease));
	}
}

/* ---- the client ---- */

static inline struct conn *conn_new(enum net_endpoint endpoint)
{
	struct conn *conn = &fake.conn[fake.n_conn++];

	MUST(fake.n_conn <= FAKE_CONNS);
	conn->endpoint = endpoint;
	list_append(&fake.conns, &conn->link);
	return conn;
}

static inline struct net_request stream_request(enum net_endpoint endpoint, const char *query)
{
	return (struct net_request){
		.endpoint = endpoint,
		.method = "GET",
		.path = "/stream",
		.query = query,
		.peer = "10.0.0.1",
	};
}

static inline struct conn *client_open(enum net_endpoint endpoint, const char *query)
{
	struct conn *conn = conn_new(endpoint);
	const struct net_request request = stream_request(endpoint, query);

	edge_net_events.on_open(fake.edge, conn, &request);
	return conn;
}

/* An upgrade that the edge may hold. */
static inline struct conn *client_upgrades(enum net_endpoint endpoint, const char *query)
{
	struct conn *conn = conn_new(NET_HTTP);
	const struct net_request request = stream_request(endpoint, query);

	conn->wanted = endpoint;
	cr_assert(edge_net_events.hold_upgrade(fake.edge, conn, &request));
	return conn;
}

static inline struct conn *client_asks(struct net_request request)
{
	struct conn *conn = conn_new(NET_HTTP);

	request.endpoint = NET_HTTP;
	request.peer = "10.0.0.1";
	request.query = request.query ? request.query : "";
	edge_net_events.on_request(fake.edge, conn, &request);
	return conn;
}

static inline void client_sends(struct conn *conn, bool binary, struct bytes message)
{
	cr_assert_not(conn->paused, "reading is stopped");
	cr_assert(edge_net_events.may_move(fake.edge, conn), "no byte may move");
	edge_net_events.on_message(fake.edge, conn, binary, message);
}

/* All that is queued. */
static inline void client_reads(struct conn *conn)
{
	conn->queued = 0;
	edge_net_events.on_drained(fake.edge, conn);
}

static inline void client_goes(struct conn *conn)
{
	report_closed(conn, 1006, "", true);
}

static inline bool may_move(struct conn *conn)
{
	return edge_net_events.may_move(fake.edge, conn);
}

/* The newest of what was sent, with its newline. */
static inline bool has_sent(const struct conn *conn, const char *part)
{
	return memmem(conn->sent.data, conn->sent.len, part, strlen(part)) != NULL;
}

/* ---- the services ---- */

static inline void verdict(struct fake_key key)
{
	give_verdict(asked_verify(), key);
}

static inline void key_is_good(void)
{
	verdict((struct fake_key){ .key = 1, .notice = lease_applied(fake.edge->lease) });
}

static inline void router_says(const Router__RouterReply *reply)
{
	world_answer(asked("router"), &reply->base);
}

static inline void router_refuses(unsigned status, unsigned close_code, const char *detail)
{
	Router__RouterReply reply = ROUTER__ROUTER_REPLY__INIT;
	Raeh__Error error = RAEH__ERROR__INIT;

	error.status = status;
	error.has_close_code = close_code != 0;
	error.close_code = close_code;
	error.detail = (char *)detail;
	reply.error = &error;
	router_says(&reply);
}

static inline void router_is_done(void)
{
	Router__RouterReply reply = ROUTER__ROUTER_REPLY__INIT;
	Raeh__Empty empty = RAEH__EMPTY__INIT;

	reply.result_case = ROUTER__ROUTER_REPLY__RESULT_DONE;
	reply.done = &empty;
	router_says(&reply);
}

/* One slot: 16 bits, one channel. */
static inline void router_opens(void)
{
	Router__RouterReply reply = ROUTER__ROUTER_REPLY__INIT;
	Router__SessionOpened opened = ROUTER__SESSION_OPENED__INIT;
	Raeh__Slot slot = RAEH__SLOT__INIT, *slots = &slot;

	slot.modality_channel_id = (char *)"c";
	slot.modality = (char *)"ppg_green";
	slot.sample_rate_hz = 100;
	slot.bit_depth = 16;
	slot.num_channels = 1;
	opened.n_slots = 1;
	opened.slots = &slots;
	opened.started_at = FAKE_WALL_MS;
	reply.result_case = ROUTER__ROUTER_REPLY__RESULT_SESSION_OPENED;
	reply.session_opened = &opened;
	router_says(&reply);
}

/* The oldest batch of publisher-0 is durable to its last item; close_code 0: none. */
static inline void publisher_takes(int close_code)
{
	AUTO(wire_free)
	ProtobufCMessage *message =
	        question_as(asked("publisher-0"), &publisher__publisher_request__descriptor);
	const Publisher__Items *items = ((Publisher__PublisherRequest *)message)->items;
	Publisher__PublisherReply reply = PUBLISHER__PUBLISHER_REPLY__INIT;
	Publisher__ItemsTaken all = PUBLISHER__ITEMS_TAKEN__INIT;
	Publisher__Taken *taken;

	cr_assert(items != NULL);
	taken = xcalloc(items->n_sessions, sizeof *taken);
	all.sessions = xcalloc(items->n_sessions, sizeof(Publisher__Taken *));
	for (size_t i = 0; i < items->n_sessions; i++) {
		const Publisher__SessionItems *entry = items->sessions[i];

		publisher__taken__init(&taken[i]);
		taken[i].session = entry->session;
		taken[i].next = entry->first + (entry->opening != NULL) + entry->n_frames +
		                (entry->closing != NULL);
		taken[i].has_close_code = close_code != 0;
		taken[i].close_code = (uint32_t)close_code;
		all.sessions[all.n_sessions++] = &taken[i];
	}
	reply.result_case = PUBLISHER__PUBLISHER_REPLY__RESULT_ITEMS_TAKEN;
	reply.items_taken = &all;
	world_answer(asked("publisher-0"), &reply.base);
	mem_free(all.sessions);
	mem_free(taken);
}

/* Where the feed stands: nothing published yet. */
static inline void feed_stands(unsigned publishers)
{
	char name[BUS_NAME_MAX];

	for (unsigned i = 0; i < publishers; i++) {
		Publisher__PublisherReply reply = PUBLISHER__PUBLISHER_REPLY__INIT;
		Publisher__InsightsPublished none = PUBLISHER__INSIGHTS_PUBLISHED__INIT;

		(void)snprintf(name, sizeof name, "publisher-%u", i);
		reply.result_case = PUBLISHER__PUBLISHER_REPLY__RESULT_INSIGHTS_PUBLISHED;
		reply.insights_published = &none;
		world_answer(asked(name), &reply.base);
	}
}

/* An edge that serves: lease held, feed known, one publisher. */
static inline void edge_serves(void)
{
	edge_open(1);
	give_lease(4);
	feed_stands(1);
	turn();
}

#define DEVICE "api_key=" FAKE_KEY "&device_id=watch&device_model_id=" MODEL_ID

#endif
