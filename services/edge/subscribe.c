#include "services/edge/subscribe.h"

#include "services/edge/reject.h"
#include "services/edge/subscription.h"

#define ECHO_QUEUE_BYTES (8u * 1024 * 1024)
#define OPEN_MS          9000

static enum err send(struct subscription *subscription, const char *id, struct bytes json,
                     struct net_shared *shared)
{
	struct conn *conn = subscription->socket.conn;

	(void)id;
	if (!reject_over(&subscription->socket))
		return ERR_CONFLICT;
	return shared ? net_send_shared(conn, shared, SUBSCRIBE_QUEUE_BYTES)
	              : net_send_text(conn, json, SUBSCRIBE_QUEUE_BYTES);
}

static const struct socket_ops subscribe_ops = {
	.admitted = subscription_admitted,
	.may_go_on = subscription_may_go_on,
	.message = subscription_message,
	.ended = subscription_ended,
	.free = subscription_free,
};

static void on_open_timeout(void *ctx)
{
	socket_end(ctx, 1013, "a service behind is away: reconnect later");
}

void subscribe_open(struct edge *edge, struct conn *conn, const struct net_request *request)
{
	struct subscription *subscription = xcalloc(1, sizeof *subscription);

	subscription->send = send;
	subscription_read(subscription, request->query, NULL);
	edge->metrics.sockets_subscribe++;
	net_bound_kernel_buffer(conn, SUBSCRIBE_KERNEL_BYTES);
	timer_set(edge->loop, &subscription->socket.timer, OPEN_MS, on_open_timeout,
	          &subscription->socket);
	socket_open(&subscription->socket, &subscribe_ops, edge, conn, request);
}

void subscribe_drained(struct socket *socket)
{
	subscription_drained((struct subscription *)socket);
}

/* ---- echo ---- */

static void echo_admitted(struct socket *socket)
{
	timer_stop(socket->edge->loop, &socket->timer);
	if (reject_over(socket))
		net_pause(socket->conn, false);
}

static void echo_message(struct socket *socket, bool binary, struct bytes message)
{
	enum err err = binary ? net_send_binary(socket->conn, message, ECHO_QUEUE_BYTES)
	                      : net_send_text(socket->conn, message, ECHO_QUEUE_BYTES);

	if (err != OK)
		socket_end(socket, 1013, "too slow: the echo was not read in time");
}

static void echo_ended(struct socket *socket, int code, const char *reason)
{
	(void)socket;
	(void)code;
	(void)reason;
}

static const struct socket_ops echo_ops = {
	.admitted = echo_admitted,
	.message = echo_message,
	.ended = echo_ended,
	.free = subscription_free,
};

void echo_open(struct edge *edge, struct conn *conn, const struct net_request *request)
{
	struct socket *socket = xcalloc(1, sizeof(struct subscription));

	if (conn_endpoint(conn) != NET_HTTP)
		net_pause(conn, true);
	timer_set(edge->loop, &socket->timer, OPEN_MS, on_open_timeout, socket);
	socket_open(socket, &echo_ops, edge, conn, request);
}
