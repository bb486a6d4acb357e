/*
 * What waits to be written to one socket: a list of whole messages. Control frames go before
 * the messages that have not been begun.
 */
#include "services/edge/net_internal.h"

#include <string.h>

#define ITEM_BYTES 64 /* what a queued message costs besides its bytes, about */

struct net_shared *net_wire_new(size_t len)
{
	struct net_shared *wire = xcalloc(1, sizeof *wire + len);

	wire->uses = 1;
	wire->len = len;
	return wire;
}

struct net_shared *net_frame_new(enum net_opcode opcode, struct bytes payload)
{
	uint8_t head[NET_FRAME_HEAD_MAX];
	size_t head_len = net_frame_head_write(opcode, payload.len, head);
	struct net_shared *wire = net_wire_new(head_len + payload.len);

	memcpy(wire->data, head, head_len);
	if (payload.len > 0)
		memcpy(wire->data + head_len, payload.data, payload.len);
	return wire;
}

struct net_shared *net_shared_new(struct bytes text)
{
	return net_frame_new(NET_TEXT, text);
}

void net_shared_unref(struct net_shared *shared)
{
	if (!shared)
		return;
	MUST(shared->uses > 0);
	if (--shared->uses == 0)
		mem_free(shared);
}

static void count_queued(struct conn *conn, size_t more, size_t less)
{
	conn->queued_bytes += more - less;
	conn->net->counts.queued_bytes += more - less;
}

static void insert(struct conn *conn, struct queued *after, struct net_shared *wire)
{
	struct queued *item = xcalloc(1, sizeof *item);

	item->wire = wire;
	item->next = after ? after->next : conn->first;
	if (after)
		after->next = item;
	else
		conn->first = item;
	if (!item->next)
		conn->last = item;
	count_queued(conn, wire->len, 0);
	conn->undrained = true;
	conn_unsettle(conn);
}

void queue_add(struct conn *conn, struct net_shared *wire)
{
	insert(conn, conn->last, wire);
}

void queue_add_control(struct conn *conn, struct net_shared *wire)
{
	struct queued *after = conn->last_control;

	if (!after && conn->first_at > 0)
		after = conn->first;
	insert(conn, after, wire);
	conn->last_control = after ? after->next : conn->first;
	conn->control_bytes += ITEM_BYTES + wire->len;
}

void queue_add_text(struct conn *conn, const char *text)
{
	struct net_shared *wire = net_wire_new(strlen(text));

	memcpy(wire->data, text, wire->len);
	queue_add(conn, wire);
}

static void free_item(struct queued *item)
{
	net_shared_unref(item->wire);
	mem_free(item);
}

static void pop(struct conn *conn)
{
	struct queued *item = conn->first;

	if (item == conn->last_control)
		conn->last_control = NULL;
	if (!conn->last_control)
		conn->control_bytes = 0;
	count_queued(conn, 0, item->wire->len - conn->first_at);
	conn->first_at = 0;
	conn->first = item->next;
	if (!conn->first)
		conn->last = NULL;
	free_item(item);
}

bool queue_drop(struct conn *conn)
{
	struct queued *begun = conn->first_at > 0 ? conn->first : NULL;
	struct queued *item = begun ? begun->next : conn->first;

	conn->last = begun;
	if (begun)
		begun->next = NULL;
	else
		conn->first = NULL;
	if (conn->last_control != begun)
		conn->last_control = NULL;
	while (item) {
		struct queued *next = item->next;

		count_queued(conn, 0, item->wire->len);
		free_item(item);
		item = next;
	}
	return !begun && conn->stuck.len == 0;
}

void net_drop_queued(struct conn *conn)
{
	(void)queue_drop(conn);
}

void queue_free(struct conn *conn)
{
	(void)queue_drop(conn); /* what has begun goes too */
	if (conn->first)
		pop(conn);
	buf_free(&conn->stuck);
}

bool queue_is_empty(const struct conn *conn)
{
	return !conn->first && conn->stuck.len == 0;
}

size_t net_queued_bytes(const struct conn *conn)
{
	return conn->queued_bytes + conn->stuck.len;
}

static void advance(struct conn *conn, size_t written)
{
	conn->net->counts.bytes_out += written;
	conn->progressed = true;
	while (written > 0) {
		size_t left = conn->first->wire->len - conn->first_at;

		if (written < left) {
			conn->first_at += written;
			count_queued(conn, 0, written);
			return;
		}
		pop(conn);
		written -= left;
	}
}

/* What to write next: a large message from where it lies, small ones together. */
static struct bytes gather(struct conn *conn)
{
	struct queued *item = conn->first;
	size_t at = conn->first_at, len = 0;

	if (!item->next || item->wire->len - at >= NET_WRITE_BYTES)
		return BYTES(item->wire->data + at, item->wire->len - at);
	for (; item && len < NET_WRITE_BYTES; item = item->next, at = 0) {
		size_t n = item->wire->len - at;

		if (n > NET_WRITE_BYTES - len)
			n = NET_WRITE_BYTES - len;
		memcpy(conn->net->scratch + len, item->wire->data + at, n);
		len += n;
	}
	return BYTES(conn->net->scratch, len);
}

/* TLS: the engine holds the record that the kernel refused, and wants the same bytes again. */
static bool write_stuck(struct conn *conn)
{
	ssize_t n = socket_write(conn, conn->stuck.data, conn->stuck.len);

	if (n < 0)
		return false;
	conn->full = n == 0;
	conn->stuck.len -= (size_t)n;
	if (conn->stuck.len == 0)
		buf_free(&conn->stuck);
	else
		memmove(conn->stuck.data, conn->stuck.data + n, conn->stuck.len);
	return true;
}

static bool write_next(struct conn *conn, size_t *total)
{
	struct bytes next = gather(conn);
	ssize_t n;

	if (next.len > (conn->net->tls ? NET_WRITE_BYTES : NET_FLUSH_BYTES))
		next.len = conn->net->tls ? NET_WRITE_BYTES : NET_FLUSH_BYTES;
	n = socket_write(conn, next.data, next.len);
	if (n < 0)
		return false;
	conn->full = (size_t)n < next.len;
	if (conn->net->tls && n == 0) {
		buf_append(&conn->stuck, next.data, next.len);
		n = (ssize_t)next.len;
	}
	advance(conn, (size_t)n);
	*total += (size_t)n;
	return true;
}

void queue_flush(struct conn *conn)
{
	size_t total = 0;

	while (!queue_is_empty(conn) && !conn->full && conn->state != CONN_DEAD) {
		if (!conn_may_move(conn))
			return;
		if (!(conn->stuck.len > 0 ? write_stuck(conn) : write_next(conn, &total))) {
			conn_die(conn, 1006);
			return;
		}
		if (total >= NET_FLUSH_BYTES) {
			conn_unsettle(conn);
			break;
		}
	}
	if (conn->full && !queue_is_empty(conn))
		socket_when_writable(conn);
}
