/*
 * The life of a conn.
 *
 *     HEAD ─► BODY ─► ANSWERING ─► (STREAMING) ─► ANSWERED ─► HEAD …      HTTP
 *       └──────────► OPEN                                                 WebSocket
 *                      any ─► CLOSING ─► LINGERING ─► DEAD ─► freed
 *
 * A conn to which something has happened is "unsettled" and looked after once, when the turn
 * ends: held input parsed, output written (all that a turn has queued, in few writes), the
 * socket read or not, closed, freed. So no callback ever frees what its caller stands on.
 */
#include "services/edge/net_internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

/* ---- one conn ---- */

struct conn *conn_new(struct net *net)
{
	struct conn *conn = xcalloc(1, sizeof *conn);

	conn->net = net;
	conn->next = net->conns;
	if (net->conns)
		net->conns->prev = conn;
	net->conns = conn;
	net->n_conns++;
	return conn;
}

void conn_free(struct conn *conn)
{
	struct net *net = conn->net;

	MUST(!conn->lws && !conn->owned && !conn->unsettled);
	if (conn->next)
		conn->next->prev = conn->prev;
	if (conn->prev)
		conn->prev->next = conn->next;
	else
		net->conns = conn->next;
	net->n_conns--;
	conn_shaken(conn);
	timer_stop(net->loop, &conn->timer);
	queue_free(conn);
	http_request_free(conn);
	buf_free(&conn->in);
	conn_drop_gathered(conn, &conn->message);
	mem_free(conn->close_reason);
	mem_free(conn->headers);
	mem_free(conn);
}

void conn_shaken(struct conn *conn)
{
	if (conn->shaking && conn->net->events.on_shaken)
		conn->net->events.on_shaken(conn->net->ctx, conn->peer);
	conn->shaking = false;
}

void conn_unsettle(struct conn *conn)
{
	struct net *net = conn->net;

	if (conn->unsettled)
		return;
	conn->unsettled = true;
	conn->next_unsettled = NULL;
	if (net->last_unsettled)
		net->last_unsettled->next_unsettled = conn;
	else
		net->unsettled = conn;
	net->last_unsettled = conn;
}

bool conn_gather(struct conn *conn, struct buf *buf, const void *data, size_t len)
{
	struct net *net = conn->net;

	if (len > net->max_gathered_bytes - net->gathered_bytes)
		return false;
	net->gathered_bytes += len;
	buf_append(buf, data, len);
	return true;
}

void conn_drop_gathered(struct conn *conn, struct buf *buf)
{
	conn->net->gathered_bytes -= buf->len;
	buf_free(buf);
}

bool conn_may_move(struct conn *conn)
{
	const struct net *net = conn->net;

	if (conn->asks && !conn->blocked && net->events.may_move)
		conn->blocked = !net->events.may_move(net->ctx, conn);
	return !conn->blocked;
}

bool conn_must_wait(struct conn *conn)
{
	return conn->paused || conn->control_bytes > NET_CONTROL_BYTES || !conn_may_move(conn);
}

void conn_end(struct conn *conn)
{
	struct net *net = conn->net;

	if (!conn->owned)
		return;
	conn->owned = conn->asks = conn->blocked = conn->paused = false;
	if (conn->endpoint == NET_HTTP)
		net->counts.open_http--;
	else
		net->counts.open_websockets--;
	net->events.on_closed(net->ctx, conn, conn->close_code,
	                      conn->close_reason ? conn->close_reason : "", conn->by_peer);
	conn->user = NULL;
}

static void note_close(struct conn *conn, int code, const char *reason, bool by_peer)
{
	conn->close_code = (uint16_t)code;
	conn->by_peer = by_peer;
	mem_free(conn->close_reason);
	conn->close_reason = reason && *reason ? xstrdup(reason) : NULL;
}

void conn_begin_closing(struct conn *conn, int code, const char *reason, bool by_peer)
{
	conn->state = CONN_CLOSING;
	note_close(conn, code, reason, by_peer);
	conn_timer(conn, conn->net->times.flush);
	conn_unsettle(conn);
}

void conn_die(struct conn *conn, int code)
{
	if (conn->state == CONN_DEAD)
		return;
	if (conn->close_code == 0)
		note_close(conn, code, NULL, false);
	conn->state = CONN_DEAD;
	conn_unsettle(conn);
}

static void linger(struct conn *conn)
{
	conn->state = CONN_LINGERING;
	socket_shut_writing(conn);
	conn_timer(conn, conn->net->times.linger);
	conn_end(conn);
}

/* ---- its timer ---- */

static void on_stall_timer(struct conn *conn)
{
	bool stalled = !queue_is_empty(conn) && !conn->progressed && !conn->blocked;

	conn->progressed = false;
	if (stalled)
		conn_die(conn, 1006);
	else
		conn_timer(conn, conn->net->times.stalled);
}

/* What was queued did not get out in time. Where it was held back (not slow), the close frame
 * alone still goes. */
static void on_flush_timer(struct conn *conn)
{
	bool held = conn->blocked && conn->endpoint != NET_HTTP;

	conn->asks = conn->blocked = false;
	if (!held || !queue_drop(conn)) {
		conn_die(conn, 1006);
		return;
	}
	ws_queue_close(conn, conn->close_code, conn->close_reason ? conn->close_reason : "");
	conn_timer(conn, conn->net->times.flush);
}

static void on_conn_timer(void *self)
{
	struct conn *conn = self;

	switch ((enum conn_state)conn->state) {
	case CONN_OPEN:
		ws_on_timer(conn);
		break;
	case CONN_ANSWERING:
	case CONN_STREAMING:
	case CONN_ANSWERED:
		on_stall_timer(conn);
		break;
	case CONN_CLOSING:
		on_flush_timer(conn);
		break;
	case CONN_HEAD:
	case CONN_BODY:
	case CONN_LINGERING:
	case CONN_DEAD:
		conn_die(conn, 1006);
		break;
	}
}

void conn_timer(struct conn *conn, int64_t delay_ms)
{
	timer_set(conn->net->loop, &conn->timer, delay_ms, on_conn_timer, conn);
}

/* ---- what its socket says ---- */

static bool is_answering(const struct conn *conn)
{
	return conn->state >= CONN_ANSWERING && conn->state <= CONN_ANSWERED;
}

static void choose_reading(struct conn *conn)
{
	if (is_answering(conn))
		socket_read(conn, conn->in.len < NET_PIPELINE_BYTES);
	else
		socket_read(conn, conn->state != CONN_OPEN || !conn_must_wait(conn));
}

/* Bytes taken; the rest waits until more has come or the conn may go on. */
static size_t feed(struct conn *conn, uint8_t *data, size_t len)
{
	size_t at = 0, n = 1;

	while (at < len && n > 0) {
		if (conn->state == CONN_OPEN)
			n = ws_input(conn, data + at, len - at);
		else if (conn->state == CONN_HEAD || conn->state == CONN_BODY)
			n = http_input(conn, data + at, len - at);
		else if (is_answering(conn))
			n = 0;
		else
			n = len - at; /* discarded */
		at += n;
	}
	return at;
}

static void feed_held(struct conn *conn)
{
	size_t taken = feed(conn, conn->in.data, conn->in.len);

	conn->in.len -= taken;
	if (conn->in.len == 0)
		buf_free(&conn->in);
	else if (taken > 0)
		memmove(conn->in.data, conn->in.data + taken, conn->in.len);
}

void conn_on_bytes(struct conn *conn, uint8_t *data, size_t len)
{
	size_t taken;

	conn->net->counts.bytes_in += len;
	conn->heard = true;
	if (conn->idle) {
		conn->idle = false;
		conn_timer(conn, conn->net->times.request);
	}
	if (conn->in.len > 0) {
		buf_append(&conn->in, data, len);
		feed_held(conn);
	} else {
		taken = feed(conn, data, len);
		buf_append(&conn->in, data + taken, len - taken);
	}
	choose_reading(conn);
}

void conn_on_writable(struct conn *conn)
{
	conn->full = false;
	conn_unsettle(conn);
}

void conn_on_socket_closed(struct conn *conn)
{
	if (conn->close_code == 0)
		note_close(conn, 1006, NULL, true);
	conn->state = CONN_DEAD;
	conn_end(conn);
	conn_unsettle(conn);
}

/* ---- the end of a turn ---- */

static void on_all_written(struct conn *conn)
{
	struct net *net = conn->net;
	bool drained = conn->undrained;

	conn->undrained = false;
	if (conn->state == CONN_ANSWERED)
		http_answer_done(conn);
	if (conn->state == CONN_CLOSING)
		linger(conn);
	else if (conn->owned && drained && net->events.on_drained)
		net->events.on_drained(net->ctx, conn);
}

void conn_settle(struct conn *conn)
{
	if (conn->lws && conn->state != CONN_DEAD && conn->in.len > 0)
		feed_held(conn);
	if (conn->lws && conn->state != CONN_DEAD)
		queue_flush(conn);
	if (conn->lws && conn->state != CONN_DEAD && queue_is_empty(conn))
		on_all_written(conn);
	if (conn->lws && conn->state == CONN_DEAD)
		socket_close(conn);
	if (conn->state == CONN_OPEN && conn->held && !conn_must_wait(conn))
		conn_unsettle(conn); /* goes on in the next turn */
	if (conn->lws)
		choose_reading(conn);
	else if (!conn->unsettled)
		conn_free(conn);
}

/* ---- what its owner says ---- */

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
	return (enum net_endpoint)conn->endpoint;
}

void net_pause(struct conn *conn, bool paused)
{
	conn->heard |= conn->paused && !paused; /* its liveness is judged from now on */
	conn->paused = paused;
	conn_unsettle(conn);
}

void conn_wake(struct conn *conn)
{
	if (!conn->blocked)
		return;
	conn->blocked = false;
	conn->heard = true;
	conn_unsettle(conn);
}

void net_bound_kernel_buffer(struct conn *conn, int bytes)
{
	if (conn->lws)
		(void)setsockopt(socket_fd(conn), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

void net_notice_silence(struct conn *conn, unsigned ms)
{
	if (conn->lws)
		(void)setsockopt(socket_fd(conn), IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
}

void net_close(struct conn *conn, int code, const char *reason)
{
	if (!conn->owned || conn->state >= CONN_CLOSING)
		return;
	conn->asks = conn->asks && !queue_is_empty(conn);
	conn->blocked = conn->blocked && conn->asks;
	if (conn->endpoint != NET_HTTP)
		ws_queue_close(conn, code, reason);
	conn_begin_closing(conn, code, reason, false);
}

void net_close_now(struct conn *conn, int code, const char *reason)
{
	bool whole;

	if (!conn->owned || conn->state == CONN_DEAD)
		return;
	conn->asks = conn->blocked = false;
	whole = queue_drop(conn);
	if (!whole || socket_has_unsent(conn)) {
		note_close(conn, code, reason, false);
		socket_reset_on_close(conn);
		conn_die(conn, code);
		return;
	}
	if (conn->endpoint != NET_HTTP)
		ws_queue_close(conn, code, reason);
	conn_begin_closing(conn, code, reason, false);
}
