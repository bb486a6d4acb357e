/*
 * WebSocket messages, control frames, closing (RFC 6455).
 *
 * A message that came in one read is unmasked where it lies and handed on; one in parts is
 * gathered in conn->message. Control frames are taken whole.
 */
#include "services/edge/net_internal.h"
#include "common/wire.h"

#include <stdio.h>
#include <string.h>

void ws_queue_close(struct conn *conn, int code, const char *reason)
{
	uint8_t body[NET_FRAME_CONTROL_MAX];
	size_t len = code == 1005 ? 0 : net_frame_close_write(code, reason ? reason : "", body);

	queue_add(conn, net_frame_new(NET_CLOSE, BYTES(body, len)));
}

/* The conversation is over, by the peer's word or its fault. What is queued still goes. */
static void finish(struct conn *conn, int code, const char *reason, bool by_peer)
{
	conn_drop_gathered(conn, &conn->message);
	ws_queue_close(conn, code, reason);
	conn_begin_closing(conn, code, reason, by_peer);
}

static void fail(struct conn *conn, int code, const char *reason)
{
	conn->net->counts.protocol_errors++;
	finish(conn, code, reason, false);
}

/* ---- messages ---- */

static void fail_too_large(struct conn *conn)
{
	char reason[NET_CLOSE_REASON + 1];

	(void)snprintf(reason, sizeof reason,
	               "message too large: expected at most %zu bytes, got more",
	               conn->net->max_message_bytes);
	fail(conn, 1009, reason);
}

/* False: the conversation is over. */
static bool inflate_message(struct conn *conn, struct bytes *message)
{
	struct net *net = conn->net;
	enum err err = inflater_message(net->inflater, *message, net->max_message_bytes, message);

	if (err == ERR_LIMIT)
		fail_too_large(conn);
	else if (err != OK)
		fail(conn, 1007, "compressed message that does not inflate");
	return err == OK;
}

static void check_and_give(struct conn *conn, bool binary, struct bytes message)
{
	struct net *net = conn->net;

	if (!binary && !utf8_valid(message.data, message.len)) {
		fail(conn, 1007, "text that is not UTF-8");
		return;
	}
	net->counts.messages_in++;
	net->events.on_message(net->ctx, conn, binary, message);
}

/* A whole message in data; conn->message_opcode says which kind. */
static void give_message(struct conn *conn, struct bytes message)
{
	bool binary = conn->message_opcode == NET_BINARY;

	conn->message_opcode = 0;
	conn->fragments = 0;
	if (!conn->compressed) {
		check_and_give(conn, binary, message);
		return;
	}
	if (inflate_message(conn, &message))
		check_and_give(conn, binary, message);
	inflater_done(conn->net->inflater);
}

static void give_gathered(struct conn *conn)
{
	struct buf whole = conn->message;

	conn->message = (struct buf){ 0 };
	give_message(conn, BYTES(whole.data, whole.len));
	conn_drop_gathered(conn, &whole);
}

/* Payload of a frame that was begun. */
static size_t payload_input(struct conn *conn, uint8_t *data, size_t len)
{
	size_t n = conn->frame_left < len ? conn->frame_left : len;

	net_frame_unmask(data, n, conn->mask, conn->mask_at);
	conn->mask_at = (uint8_t)((conn->mask_at + n) % 4);
	conn->frame_left -= n;
	if (!conn_gather(conn, &conn->message, data, n))
		finish(conn, 1013, "overloaded: too many unfinished messages", false);
	else if (conn->frame_left == 0 && conn->frame_final)
		give_gathered(conn);
	return n;
}

/* Is the frame one that may come now? Otherwise the conversation is over. */
static bool check_data_frame(struct conn *conn, const struct net_frame *frame)
{
	const struct net *net = conn->net;
	char reason[NET_CLOSE_REASON + 1];

	if ((frame->opcode == NET_CONTINUATION) == (conn->message_opcode == 0)) {
		fail(conn, 1002,
		     frame->opcode == NET_CONTINUATION ? "continuation of no message"
		                                       : "new message inside a fragmented one");
		return false;
	}
	if (frame->len > net->max_message_bytes - conn->message.len) {
		(void)snprintf(reason, sizeof reason,
		               "message too large: expected at most %zu bytes, got more",
		               net->max_message_bytes);
		fail(conn, 1009, reason);
		return false;
	}
	if (++conn->fragments > NET_MAX_FRAGMENTS) {
		(void)snprintf(reason, sizeof reason,
		               "too many fragments: expected at most %d, got more",
		               NET_MAX_FRAGMENTS);
		fail(conn, 1009, reason);
		return false;
	}
	return true;
}

static size_t data_frame(struct conn *conn, const struct net_frame *frame, size_t head_len,
                         uint8_t *data, size_t len)
{
	if (!check_data_frame(conn, frame))
		return len;
	if (frame->opcode != NET_CONTINUATION) {
		conn->message_opcode = frame->opcode;
		conn->compressed = frame->compressed;
	}
	if (frame->final && conn->message.len == 0 && frame->len <= len - head_len) {
		net_frame_unmask(data + head_len, frame->len, frame->mask, 0);
		give_message(conn, BYTES(data + head_len, frame->len));
		return head_len + frame->len;
	}
	memcpy(conn->mask, frame->mask, sizeof conn->mask);
	conn->mask_at = 0;
	conn->frame_left = frame->len;
	conn->frame_final = frame->final;
	if (frame->len == 0 && frame->final)
		give_gathered(conn);
	return head_len;
}

/* ---- control frames ---- */

static void on_close_frame(struct conn *conn, const uint8_t *body, size_t len)
{
	char reason[NET_CLOSE_REASON + 1];
	int code;

	if (net_frame_close_parse(body, len, &code, reason))
		finish(conn, code, reason, true);
	else
		fail(conn, code, code == 1002 ? "invalid close code" : "reason that is not UTF-8");
}

static size_t control(struct conn *conn, const struct net_frame *frame, size_t head_len,
                      uint8_t *data, size_t len)
{
	uint8_t *body = data + head_len;

	if (len - head_len < frame->len)
		return 0;
	net_frame_unmask(body, frame->len, frame->mask, 0);
	if (frame->opcode == NET_PING)
		queue_add_control(conn, net_frame_new(NET_PONG, BYTES(body, frame->len)));
	else if (frame->opcode == NET_CLOSE)
		on_close_frame(conn, body, frame->len);
	return head_len + frame->len;
}

size_t ws_input(struct conn *conn, uint8_t *data, size_t len)
{
	struct net_frame frame;
	const char *why;
	int head_len;

	conn->held = conn_must_wait(conn);
	if (conn->held)
		return 0;
	if (conn->frame_left > 0)
		return payload_input(conn, data, len);
	head_len = net_frame_head_parse(data, len, conn->deflates, &frame, &why);
	if (head_len == 0)
		return 0;
	if (head_len < 0) {
		fail(conn, 1002, why);
		return len;
	}
	if (frame.opcode >= NET_CLOSE)
		return control(conn, &frame, (size_t)head_len, data, len);
	return data_frame(conn, &frame, (size_t)head_len, data, len);
}

/* ---- the peer's life ---- */

void ws_on_timer(struct conn *conn)
{
	struct net *net = conn->net;
	bool waits = conn->paused || conn->blocked;

	if (conn->pinged && !conn->heard && !waits) {
		net->counts.peers_gone++;
		conn_die(conn, 1006);
		return;
	}
	if (conn->pinged || waits) { /* it answered, or is not judged */
		conn->pinged = false;
		conn_timer(conn, waits ? net->times.ping : net->times.ping - net->times.pong);
		return;
	}
	conn->pinged = true;
	conn->heard = false;
	queue_add_control(conn, net_frame_new(NET_PING, BYTES(NULL, 0)));
	conn_timer(conn, net->times.pong);
}

/* ---- what the owner sends ---- */

static enum err send_wire(struct conn *conn, struct net_shared *wire, size_t max_queued_bytes)
{
	if (conn->state != CONN_OPEN)
		return ERR_CONFLICT;
	if (net_queued_bytes(conn) + wire->len > max_queued_bytes)
		return ERR_LIMIT;
	wire->uses++;
	queue_add(conn, wire);
	return OK;
}

enum err net_send_shared(struct conn *conn, struct net_shared *shared, size_t max_queued_bytes)
{
	return send_wire(conn, shared, max_queued_bytes);
}

static enum err send_once(struct conn *conn, struct net_shared *wire, size_t max_queued_bytes)
{
	enum err err = send_wire(conn, wire, max_queued_bytes);

	net_shared_unref(wire);
	return err;
}

enum err net_send_text(struct conn *conn, struct bytes text, size_t max_queued_bytes)
{
	return send_once(conn, net_frame_new(NET_TEXT, text), max_queued_bytes);
}

enum err net_send_binary(struct conn *conn, struct bytes message, size_t max_queued_bytes)
{
	return send_once(conn, net_frame_new(NET_BINARY, message), max_queued_bytes);
}
