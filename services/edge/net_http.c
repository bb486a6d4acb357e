/*
 * HTTP/1.1: requests in, answers and streams out.
 *
 * One request of a connection is answered before the next is looked at. A request that the
 * peer made wrong is answered by net itself, and the connection closed.
 */
#include "services/edge/http_status.h"
#include "services/edge/net_internal.h"
#include "common/clock.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* ---- answers ---- */

/* The head of an answer, ended by what says how long its body is. */
static char *answer_head(const struct conn *conn, int status, const char *headers,
                         const char *framing)
{
	time_t now = (time_t)(clock_wall_ms() / 1000);
	const char *connection = "";
	char date[40];
	struct tm tm;

	(void)strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
	if (!conn->keep_alive)
		connection = "Connection: close\r\n";
	else if (conn->version_1_0)
		connection = "Connection: keep-alive\r\n";
	return xasprintf("HTTP/1.1 %d %s\r\nDate: %s\r\n%s%s%s%s\r\n", status, http_reason(status),
	                 date, connection, conn->headers ? conn->headers : "",
	                 headers ? headers : "", framing);
}

static void queue_answer(struct conn *conn, int status, const char *headers, struct bytes body)
{
	char framing[48] = "";
	AUTO_MEM char *head = NULL;
	struct net_shared *wire;
	size_t head_len;

	if (status != 204 && status != 304)
		(void)snprintf(framing, sizeof framing, "Content-Length: %zu\r\n", body.len);
	head = answer_head(conn, status, headers, framing);
	head_len = strlen(head);
	if (conn->head_only || status == 204 || status == 304)
		body.len = 0;
	wire = net_wire_new(head_len + body.len);
	memcpy(wire->data, head, head_len);
	if (body.len > 0)
		memcpy(wire->data + head_len, body.data, body.len);
	queue_add(conn, wire);
	conn->state = CONN_ANSWERED;
}

void net_respond(struct conn *conn, int status, const char *headers, struct bytes body)
{
	if (conn->state == CONN_CLOSING || conn->state == CONN_DEAD)
		return; /* cut since: on_closed is on its way */
	MUST(conn->state == CONN_ANSWERING);
	queue_answer(conn, status, headers, body);
}

void net_set_headers(struct conn *conn, const char *headers)
{
	mem_free(conn->headers);
	conn->headers = xstrdup(headers);
}

void net_stream_start(struct conn *conn, int status, const char *headers)
{
	AUTO_MEM char *head = NULL;

	if (conn->state == CONN_CLOSING || conn->state == CONN_DEAD)
		return; /* likewise */
	MUST(conn->state == CONN_ANSWERING);
	conn->chunk_answer = !conn->version_1_0;
	conn->keep_alive = conn->keep_alive && conn->chunk_answer;
	head = answer_head(conn, status, headers,
	                   conn->chunk_answer ? "Transfer-Encoding: chunked\r\n" : "");
	queue_add_text(conn, head);
	conn->state = CONN_STREAMING;
	conn->asks = true;
}

enum err net_stream_write(struct conn *conn, struct bytes data, size_t max_queued_bytes)
{
	char size[24] = "";
	size_t size_len;
	struct net_shared *wire;

	if (conn->state != CONN_STREAMING)
		return ERR_CONFLICT;
	if (data.len == 0 || conn->head_only)
		return OK;
	if (net_queued_bytes(conn) + data.len > max_queued_bytes)
		return ERR_LIMIT;
	if (conn->chunk_answer)
		(void)snprintf(size, sizeof size, "%zx\r\n", data.len);
	size_len = strlen(size);
	wire = net_wire_new(size_len + data.len + (conn->chunk_answer ? 2 : 0));
	memcpy(wire->data, size, size_len);
	memcpy(wire->data + size_len, data.data, data.len);
	if (conn->chunk_answer)
		memcpy(wire->data + size_len + data.len, "\r\n", 2);
	queue_add(conn, wire);
	return OK;
}

void net_stream_end(struct conn *conn)
{
	if (conn->state != CONN_STREAMING)
		return;
	if (conn->chunk_answer && !conn->head_only)
		queue_add_text(conn, "0\r\n\r\n");
	conn->state = CONN_ANSWERED;
	conn_unsettle(conn);
}

void http_answer_done(struct conn *conn)
{
	struct net *net = conn->net;

	http_request_free(conn); /* of an upgrade that was held */
	mem_free(TAKE(conn->headers));
	conn->close_code = 1000;
	conn_end(conn);
	conn->close_code = 0;
	if (!conn->keep_alive || net->n_listeners == 0) {
		conn_begin_closing(conn, 1000, NULL, false);
		return;
	}
	conn->state = CONN_HEAD;
	conn->head_seen = 0;
	conn->head_only = conn->chunk_answer = false;
	conn->idle = conn->in.len == 0;
	conn_timer(conn, conn->idle ? net->times.keep_idle : net->times.request);
	if (!conn->idle)
		conn_unsettle(conn);
}

/* net's own answer to a request that is none; nothing more is read from it. */
void http_refuse(struct conn *conn, int status, const char *headers)
{
	struct net *net = conn->net;

	net->counts.protocol_errors++;
	conn->keep_alive = false;
	http_request_free(conn);
	conn->state = CONN_ANSWERING;
	if (net->events.on_refused)
		net->events.on_refused(net->ctx, conn, status, headers ? headers : "");
	if (conn->state == CONN_ANSWERING)
		queue_answer(conn, status, headers, BYTES("", 0));
	conn_timer(conn, net->times.stalled);
}

/* ---- requests ---- */

void http_request_free(struct conn *conn)
{
	if (!conn->request)
		return;
	conn_drop_gathered(conn, &conn->request->body);
	mem_free(conn->request);
	conn->request = NULL;
}

/* Behind a proxy the last address it wrote is the peer's; those before may be invented. */
static const char *peer_of(const struct conn *conn, const struct head *head)
{
	const char *from = head->field[HEAD_FORWARDED_FOR], *comma;

	if (!conn->net->behind_proxy || !from)
		return conn->peer;
	comma = strrchr(from, ',');
	return comma ? comma + 1 + strspn(comma + 1, " \t") : from;
}

/* To the client: a proxy in front says whether it speaks TLS. */
static bool is_tls(const struct conn *conn, const struct head *head)
{
	const char *proto = head->field[HEAD_FORWARDED_PROTO];

	return conn->net->tls ||
	       (conn->net->behind_proxy && proto && strcasecmp(proto, "https") == 0);
}

struct net_request http_request_of(const struct conn *conn, enum net_endpoint endpoint)
{
	const struct request_in *in = conn->request;
	const char *const *field = in->head.field;

	return (struct net_request){
		.endpoint = endpoint,
		.method = in->head.method,
		.path = in->head.path,
		.query = in->head.query,
		.authorization = field[HEAD_AUTHORIZATION],
		.subprotocols = field[HEAD_WS_PROTOCOL],
		.cookie = field[HEAD_COOKIE],
		.origin = field[HEAD_ORIGIN],
		.host = field[HEAD_HOST],
		.accept = field[HEAD_ACCEPT],
		.content_type = field[HEAD_CONTENT_TYPE],
		.user_agent = field[HEAD_USER_AGENT],
		.last_event_id = field[HEAD_LAST_EVENT_ID],
		.idempotency_key = field[HEAD_IDEMPOTENCY_KEY],
		.prefer = field[HEAD_PREFER],
		.if_none_match = field[HEAD_IF_NONE_MATCH],
		.forwarded_for = field[HEAD_FORWARDED_FOR],
		.accept_encoding = field[HEAD_ACCEPT_ENCODING],
		.csrf_token = field[HEAD_CSRF_TOKEN],
		.peer = peer_of(conn, &in->head),
		.listener = conn->listener,
		.tls = is_tls(conn, &in->head),
		.has_length = in->head.chunked || field[HEAD_CONTENT_LENGTH],
		.too_large = in->too_large,
		.body = BYTES(in->too_large ? NULL : in->body.data,
		              in->too_large ? 0 : in->body.len),
	};
}

static void give_request(struct conn *conn)
{
	struct net *net = conn->net;
	struct net_request request = http_request_of(conn, NET_HTTP);

	if (conn->request->too_large)
		conn->keep_alive = false; /* what is left of the body is no request */
	conn->state = CONN_ANSWERING;
	conn->endpoint = NET_HTTP;
	conn->owned = true;
	conn->undrained = false; /* a "100 Continue" was none of the owner's */
	net->counts.open_http++;
	conn_timer(conn, net->times.stalled);
	net->events.on_request(net->ctx, conn, &request);
	http_request_free(conn);
}

/* ---- reading ---- */

static void begin_request(struct conn *conn)
{
	struct request_in *in = conn->request;

	conn_shaken(conn);
	conn->keep_alive = in->head.keep_alive;
	conn->version_1_0 = in->head.version_1_0;
	conn->head_only = strcmp(in->head.method, "HEAD") == 0;
	if (upgrade_is_asked(&in->head)) {
		upgrade_begin(conn);
		return;
	}
	in->body_left = in->head.content_length;
	in->too_large = in->body_left > NET_MAX_BODY_BYTES;
	if (in->too_large || (in->body_left == 0 && !in->head.chunked)) {
		give_request(conn);
		return;
	}
	conn->state = CONN_BODY;
	/* A client without TCP_NODELAY keeps the body until the head is acknowledged. */
	socket_acknowledge(conn);
	if (head_has_word(in->head.field[HEAD_EXPECT], "100-continue"))
		queue_add_text(conn, "HTTP/1.1 100 Continue\r\n\r\n");
}

static size_t head_input(struct conn *conn, const uint8_t *data, size_t len)
{
	size_t head_len;
	int status;

	if (conn->head_seen == 0 && (data[0] == '\r' || data[0] == '\n'))
		return 1;
	head_len = head_find_end(data, len, &conn->head_seen);
	if (head_len > HEAD_MAX_BYTES || (head_len == 0 && len > HEAD_MAX_BYTES)) {
		http_refuse(conn, 431, NULL);
		return len;
	}
	if (head_len == 0)
		return 0;
	conn->request = xcalloc(1, sizeof *conn->request + HEAD_TEXT_BYTES(head_len));
	memcpy(conn->request->text, data, head_len);
	status = head_parse(conn->request->text, head_len, &conn->request->head);
	if (status != 0)
		http_refuse(conn, status, NULL);
	else
		begin_request(conn);
	return head_len;
}

static size_t body_input(struct conn *conn, const uint8_t *data, size_t len)
{
	struct request_in *in = conn->request;
	struct bytes part = BYTES(data, in->body_left < len ? in->body_left : len);
	ssize_t taken = (ssize_t)part.len;

	if (in->head.chunked)
		taken = chunked_next(&in->chunked, data, len, &part);
	else
		in->body_left -= part.len;
	if (taken < 0) {
		http_refuse(conn, 400, NULL);
		return len;
	}
	in->too_large = in->body.len + part.len > NET_MAX_BODY_BYTES;
	if (!in->too_large && !conn_gather(conn, &in->body, part.data, part.len)) {
		http_refuse(conn, 503, "Retry-After: 5\r\n");
		return len;
	}
	if (in->too_large || (in->head.chunked ? in->chunked.done : in->body_left == 0))
		give_request(conn);
	return (size_t)taken;
}

size_t http_input(struct conn *conn, const uint8_t *data, size_t len)
{
	return conn->state == CONN_BODY ? body_input(conn, data, len) : head_input(conn, data, len);
}
