#include "services/edge/subscribe.h"

#include "common/principal.h"
#include "common/wire.h"
#include "services/edge/filter.h"
#include "services/edge/socket.h"

#include <string.h>

#define ECHO_QUEUE_BYTES (8u * 1024 * 1024)
#define OPEN_MS          9000
#define TOO_SLOW         "too slow: insights were not read in time; reconnect"

struct subscription {
	struct socket socket;
	struct filter filter;
	bool is_bad; /* the query; told to those who may subscribe */
	char why[FILTER_WHY];
	struct feed_subscriber feed;
	bool slow; /* it has left the feed, and is told so as soon as it reads */
};

static struct subscription *of_feed(struct feed_subscriber *feed)
{
	return (struct subscription *)((char *)feed - offsetof(struct subscription, feed));
}

static void on_tell_timeout(void *ctx)
{
	socket_kill(ctx, 1013, TOO_SLOW);
}

static void too_slow(struct subscription *subscription)
{
	struct socket *socket = &subscription->socket;

	subscription->slow = true;
	socket->edge->metrics.subscribers_too_slow_total++;
	feed_leave(socket->edge->feed, &subscription->feed);
	timer_set(socket->edge->loop, &socket->timer, SUBSCRIBE_TELL_MS, on_tell_timeout, socket);
	net_drop_queued(socket->conn);
	if (net_queued_bytes(socket->conn) == 0)
		socket_end(socket, 1013, TOO_SLOW);
}

void subscribe_drained(struct socket *socket)
{
	if (((struct subscription *)socket)->slow)
		socket_end(socket, 1013, TOO_SLOW);
}

static void on_insight(struct feed_subscriber *feed, const Publisher__Insight *insight,
                       struct net_shared *text)
{
	struct subscription *subscription = of_feed(feed);
	const Raeh__Principal *principal = grant_principal(&subscription->socket.user);

	if (!principal || !filter_passes(&subscription->filter, insight))
		return;
	if (principal->device_id && strcmp(principal->device_id, insight->device_id) != 0)
		return;
	if (net_send_shared(subscription->socket.conn, text, SUBSCRIBE_QUEUE_BYTES) != OK)
		too_slow(subscription);
}

static void on_ready(struct feed_subscriber *feed)
{
	static const char subscribed[] = "{\"status\":\"subscribed\"}";
	struct subscription *subscription = of_feed(feed);
	struct socket *socket = &subscription->socket;

	timer_stop(socket->edge->loop, &socket->timer);
	if (net_send_text(socket->conn, BYTES(subscribed, sizeof subscribed - 1),
	                  SUBSCRIBE_QUEUE_BYTES) != OK)
		too_slow(subscription);
}

static void admitted(struct socket *socket)
{
	struct subscription *subscription = (struct subscription *)socket;
	const Raeh__Principal *principal = grant_principal(&socket->user);

	if (!socket_has_scope(socket, SCOPE_SUBSCRIBE))
		return;
	if (subscription->is_bad) {
		socket_end(socket, 4004, subscription->why);
		return;
	}
	MUST(wire_id(principal->account, &subscription->feed.account));
	subscription->feed.on_insight = on_insight;
	subscription->feed.on_ready = on_ready;
	feed_join(socket->edge->feed, &subscription->feed);
}

/* What a subscriber sends is ignored. */
static void ignore(struct socket *socket, bool binary, struct bytes message)
{
	(void)socket;
	(void)binary;
	(void)message;
}

static void ended(struct socket *socket, int code, const char *reason)
{
	struct subscription *subscription = (struct subscription *)socket;

	(void)code;
	(void)reason;
	socket->edge->metrics.sockets_subscribe--;
	feed_leave(socket->edge->feed, &subscription->feed);
}

static void free_subscription(struct socket *socket)
{
	filter_done(&((struct subscription *)socket)->filter);
	mem_free(socket);
}

static const struct socket_ops subscribe_ops = {
	.admitted = admitted,
	.message = ignore,
	.ended = ended,
	.free = free_subscription,
};

static void on_open_timeout(void *ctx)
{
	socket_end(ctx, 1013, "a service behind is away: reconnect later");
}

void subscribe_open(struct edge *edge, struct conn *conn, const struct net_request *request)
{
	struct subscription *subscription = xcalloc(1, sizeof *subscription);

	subscription->is_bad =
	        !filter_read(&subscription->filter, request->query, subscription->why);
	edge->metrics.sockets_subscribe++;
	net_bound_kernel_buffer(conn, SUBSCRIBE_KERNEL_BYTES);
	timer_set(edge->loop, &subscription->socket.timer, OPEN_MS, on_open_timeout,
	          &subscription->socket);
	socket_open(&subscription->socket, &subscribe_ops, edge, conn, request);
}

/* ---- echo ---- */

static void echo_admitted(struct socket *socket)
{
	timer_stop(socket->edge->loop, &socket->timer);
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
	.free = free_subscription,
};

void echo_open(struct edge *edge, struct conn *conn, const struct net_request *request)
{
	struct socket *socket = xcalloc(1, sizeof(struct subscription));

	net_pause(conn, true);
	timer_set(edge->loop, &socket->timer, OPEN_MS, on_open_timeout, socket);
	socket_open(socket, &echo_ops, edge, conn, request);
}
