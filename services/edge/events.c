#include "services/edge/events.h"

#include "common/json.h"
#include "common/log.h"
#include "services/edge/credential.h"
#include "services/edge/problem.h"
#include "services/edge/subscribe.h"
#include "services/edge/subscription.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PATH        "/stream/subscribe"
#define INGEST_PATH "/stream/ingest"
#define TYPE        "text/event-stream"
#define OPEN_MS     9000

struct events {
	struct subscription subscription; /* first */
	struct map_node by_conn;
	const struct conn *key; /* of by_conn */
	struct timer beat;
	bool begun;
};

static struct events *events_of(const struct edge *edge, const struct conn *conn)
{
	return MAP_OWNER(map_find(&edge->events, &conn), struct events, by_conn);
}

/* ---- what is sent ---- */

static void on_beat(void *ctx)
{
	struct events *events = ctx;
	struct socket *socket = &events->subscription.socket;

	if (net_queued_bytes(socket->conn) == 0 &&
	    net_stream_write(socket->conn, BYTES(":\n\n", 3), SUBSCRIBE_QUEUE_BYTES) != OK)
		return; /* it is ending */
	timer_set(socket->edge->loop, &events->beat, EVENTS_BEAT_MS, on_beat, events);
}

static void begin(struct events *events)
{
	struct socket *socket = &events->subscription.socket;

	events->begun = true;
	net_bound_kernel_buffer(socket->conn, SUBSCRIBE_KERNEL_BYTES);
	net_notice_silence(socket->conn, EVENTS_SILENCE_MS);
	net_stream_start(socket->conn, 200,
	                 HTTP_HEADERS "Content-Type: " TYPE "\r\nX-Accel-Buffering: no\r\n");
	timer_set(socket->edge->loop, &events->beat, EVENTS_BEAT_MS, on_beat, events);
}

static enum err write_event(struct events *events, const char *field, const char *value,
                            struct bytes json)
{
	struct conn *conn = events->subscription.socket.conn;
	struct buf text = { 0 };
	enum err err;

	if (value) {
		buf_append(&text, field, strlen(field));
		buf_append(&text, value, strlen(value));
		buf_append(&text, "\n", 1);
	}
	buf_append(&text, "data: ", 6);
	buf_append(&text, json.data, json.len);
	buf_append(&text, "\n\n", 2);
	err = net_stream_write(conn, BYTES(text.data, text.len), SUBSCRIBE_QUEUE_BYTES);
	buf_free(&text);
	return err;
}

static enum err send(struct subscription *subscription, const char *id, struct bytes json,
                     struct net_shared *shared)
{
	struct events *events = (struct events *)subscription;

	(void)shared;
	if (!events->begun)
		begin(events);
	return write_event(events, "id: ", id, json);
}

/* ---- the end ---- */

static int status_of(const struct socket *socket, int code, bool now)
{
	if (code == 4001)
		return socket->admitted && !now ? 403 : 401; /* a scope; the key itself */
	return code == 4004 ? 400 : code == 4029 ? 429 : 503;
}

static void say_goodbye(struct events *events, int code, const char *reason)
{
	struct buf json = { 0 };
	char head[40];
	int len = snprintf(head, sizeof head, "{\"code\":%d,\"reason\":", code);

	buf_append(&json, head, (size_t)len);
	json_append_string(&json, reason);
	buf_append(&json, "}", 1);
	if (write_event(events, "event: ", "close", BYTES(json.data, json.len)) != OK)
		log_debug("goodbye", "code=%d why=\"not queued\"", code);
	buf_free(&json);
	net_stream_end(events->subscription.socket.conn);
}

static void close_events(struct socket *socket, int code, const char *reason, bool now)
{
	struct events *events = (struct events *)socket;

	timer_stop(socket->edge->loop, &events->beat);
	if (!events->begun)
		problem_respond(socket->conn, status_of(socket, code, now), reason, "");
	else if (now)
		net_close_now(socket->conn, 1006, reason);
	else
		say_goodbye(events, code, reason);
}

static void ended(struct socket *socket, int code, const char *reason)
{
	timer_stop(socket->edge->loop, &((struct events *)socket)->beat);
	subscription_ended(socket, code, reason);
}

static void free_events(struct socket *socket)
{
	map_remove(&socket->edge->events, &((struct events *)socket)->by_conn);
	subscription_free(socket);
}

static const struct socket_ops events_ops = {
	.admitted = subscription_admitted,
	.may_go_on = subscription_may_go_on,
	.message = subscription_message,
	.ended = ended,
	.free = free_events,
	.close = close_events,
};

/* ---- the request ---- */

static void on_open_timeout(void *ctx)
{
	socket_end(ctx, 1013, "a service behind is away: reconnect later");
}

/* One of the types that it lists, whatever its parameters. */
static bool accepts_events(const char *accept)
{
	for (; accept && *accept; accept += strcspn(accept, ","), accept += *accept == ',') {
		accept += strspn(accept, " \t");
		if (strncasecmp(accept, TYPE, sizeof TYPE - 1) == 0 &&
		    strchr(",; \t", accept[sizeof TYPE - 1]))
			return true;
	}
	return false;
}

static bool has_two_credentials(const struct net_request *request, char why[124])
{
	char credential[CREDENTIAL_MAX + 1];
	enum credential_fault fault = credential_find(request, credential, why);

	sodium_memzero(credential, sizeof credential);
	return fault == CREDENTIAL_TWO;
}

static void open_events(struct edge *edge, struct conn *conn, const struct net_request *request)
{
	struct events *events = xcalloc(1, sizeof *events);
	struct subscription *subscription = &events->subscription;

	subscription->send = send;
	subscription->is_stream = true;
	subscription_read(subscription, request->query, request->last_event_id);
	edge->metrics.sockets_subscribe++;
	events->key = conn;
	map_add(&edge->events, &events->by_conn, &events->key);
	timer_set(edge->loop, &subscription->socket.timer, OPEN_MS, on_open_timeout,
	          &subscription->socket);
	socket_open(&subscription->socket, &events_ops, edge, conn, request);
}

/* An upgrade comes another way: this one has none, or a proxy has kept it. */
static void refuse_plain(struct conn *conn)
{
	problem_respond(
	        conn, 426, "Upgrade: expected websocket, which a proxy in front has to pass on",
	        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
}

bool events_request(struct edge *edge, struct conn *conn, const struct net_request *request)
{
	bool is_ingest = strcmp(request->path, INGEST_PATH) == 0;
	char why[124];

	if ((!is_ingest && strcmp(request->path, PATH) != 0) || request->listener != 0 ||
	    strcmp(request->method, "OPTIONS") == 0)
		return false;
	if (strcmp(request->method, "GET") != 0)
		problem_respond(conn, 405, "expected GET", "Allow: GET, OPTIONS\r\n");
	else if (is_ingest)
		refuse_plain(conn);
	else if (has_two_credentials(request, why))
		problem_respond(conn, 400, why, "");
	else if (accepts_events(request->accept))
		open_events(edge, conn, request);
	else
		problem_respond(conn, 406, "Accept: expected " TYPE ", or a WebSocket upgrade", "");
	return true;
}

/* ---- from net ---- */

bool events_gone(struct edge *edge, struct conn *conn, int code, const char *reason)
{
	struct events *events = events_of(edge, conn);

	if (!events)
		return false;
	conn_set_user(conn, NULL);
	socket_gone(&events->subscription.socket, code, reason);
	return true;
}

bool events_drained(struct edge *edge, struct conn *conn)
{
	struct events *events = events_of(edge, conn);

	if (events && !events->subscription.socket.over)
		subscription_drained(&events->subscription);
	return events != NULL;
}

const struct socket *events_socket(const struct edge *edge, const struct conn *conn)
{
	const struct events *events = events_of(edge, conn);

	return events ? &events->subscription.socket : NULL;
}
