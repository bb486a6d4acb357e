/*
 * One net: accepting, the turns of the loop, beginning and end.
 */
#include "services/edge/net_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#define ACCEPTS_A_WAKE  64
#define ACCEPT_AGAIN_MS 100 /* after a failure that is not the peer's */
#define LISTEN_PRIORITY 10

static const struct net_times default_times = {
	.request = 10000,
	.keep_idle = 60000,
	.ping = 25000,
	.pong = 12000,
	.stalled = 30000,
	.flush = 10000,
	.linger = NET_LINGER_MS,
};

/* ---- connections come ---- */

static void peer_text(const struct sockaddr_storage *from, char ret[46])
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;
	const void *address = &((const struct sockaddr_in *)from)->sin_addr;

	ret[0] = '\0';
	if (from->ss_family == AF_INET) {
		(void)inet_ntop(AF_INET, address, ret, 46);
	} else if (from->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		(void)inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, ret, 46);
	} else if (from->ss_family == AF_INET6) {
		(void)inet_ntop(AF_INET6, &v6->sin6_addr, ret, 46);
	}
}

#define TURNED_AWAY(status)                                                                        \
	"HTTP/1.1 " status "\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
#define AWAY_FULL TURNED_AWAY("503 Service Unavailable")
#define AWAY_MANY TURNED_AWAY("429 Too Many Requests")

/* Told so if it listens, and closed. */
static void turn_away(struct net *net, int fd, const char *answer)
{
	net->counts.refused_full++;
	if (!net->tls)
		(void)send(fd, answer, strlen(answer), MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)shutdown(fd, SHUT_WR);
	(void)close(fd);
}

static void on_accepted(const struct listener *listener, int fd,
                        const struct sockaddr_storage *from)
{
	struct net *net = listener->net;
	bool asks = net->events.on_accept && !net->behind_proxy;
	struct conn *conn;
	char peer[46];
	int on = 1;

	if (net->n_conns >= net->max_conns) {
		turn_away(net, fd, AWAY_FULL);
		return;
	}
	peer_text(from, peer);
	if (asks && !net->events.on_accept(net->ctx, peer)) {
		turn_away(net, fd, AWAY_MANY);
		return;
	}
	net->counts.accepted++;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	conn = conn_new(net);
	conn->listener = (uint8_t)listener->index;
	conn->shaking = asks;
	memcpy(conn->peer, peer, sizeof peer);
	conn_timer(conn, net->times.request);
	if (!socket_adopt(conn, fd))
		conn_unsettle(conn); /* and freed */
}

/* No descriptor is left: the spare one is used to take the connection and close it, so that
 * it does not stay ready for ever. */
static bool shed_one(struct net *net, int listen_fd)
{
	int fd;

	if (net->spare_fd < 0)
		return false;
	(void)close(net->spare_fd);
	fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		turn_away(net, fd, AWAY_FULL);
	net->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd >= 0;
}

/* errno, or 0. */
static int accept_one(const struct listener *listener)
{
	struct net *net = listener->net;
	int listen_fd = listener->fd;
	struct sockaddr_storage from = { 0 };
	socklen_t len = sizeof from;
	int fd = accept4(listen_fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		return shed_one(net, listen_fd) ? 0 : EMFILE;
	if (fd < 0)
		return errno;
	on_accepted(listener, fd, &from);
	return 0;
}

static void watch_listeners(void *self);

static void ignore_listeners(struct net *net)
{
	if (net->accepting)
		for (size_t i = 0; i < net->n_listeners; i++)
			loop_unwatch(net->loop, net->listener[i].fd);
	net->accepting = false;
	timer_stop(net->loop, &net->accept_again);
}

static void on_listening(void *self)
{
	struct listener *listener = self;
	struct net *net = listener->net;

	for (int n = 0; n < ACCEPTS_A_WAKE; n++) {
		int error = accept_one(listener);

		if (error == 0 || error == ECONNABORTED || error == EINTR)
			continue;
		if (error != EAGAIN && error != EWOULDBLOCK) {
			ignore_listeners(net);
			timer_set(net->loop, &net->accept_again, ACCEPT_AGAIN_MS, watch_listeners,
			          net);
		}
		return;
	}
}

static void watch_listeners(void *self)
{
	struct net *net = self;

	if (net->spare_fd < 0)
		net->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < net->n_listeners; i++)
		loop_watch(net->loop, net->listener[i].fd, LISTEN_PRIORITY, on_listening,
		           &net->listener[i]);
	net->accepting = true;
}

void net_stop_listening(struct net *net)
{
	if (net->n_listeners == 0)
		return;
	ignore_listeners(net);
	for (size_t i = 0; i < net->n_listeners; i++)
		(void)close(net->listener[i].fd);
	net->n_listeners = 0;
}

/* ---- turns ---- */

static void end_turn(struct net *net)
{
	struct conn *conn, *next;

	if (net->events.on_turn_end)
		net->events.on_turn_end(net->ctx);
	conn = net->unsettled;
	net->unsettled = net->last_unsettled = NULL;
	for (; conn; conn = next) {
		next = conn->next_unsettled;
		conn->unsettled = false;
		conn_settle(conn);
	}
}

void net_run(struct net *net)
{
	end_turn(net); /* what was said before the loop ran */
	while (!net->stopping) {
		socket_serve(net, net->unsettled);
		end_turn(net);
	}
	net->stopping = false;
}

void net_stop(struct net *net)
{
	net->stopping = true;
}

void net_wake(struct net *net, struct conn *conn)
{
	if (conn)
		conn_wake(conn);
	for (struct conn *one = conn ? NULL : net->conns; one; one = one->next)
		conn_wake(one);
}

/* ---- the whole ---- */

enum err net_open(const struct net_config *config, struct loop *loop,
                  const struct net_events *events, void *ctx, char why[256], struct net **ret)
{
	AUTO(net_free) struct net *net = xcalloc(1, sizeof *net);
	enum err err;

	MUST(config->n_listen_fds <= UINT8_MAX); /* conn->listener */
	MUST(events->on_open && events->on_message && events->on_request && events->on_closed);
	net->loop = loop;
	net->events = *events;
	net->ctx = ctx;
	net->times = default_times;
	net->tls = config->tls_cert;
	net->echo = config->echo;
	net->behind_proxy = config->behind_proxy;
	net->max_message_bytes =
	        config->max_message_bytes ? config->max_message_bytes : DEFAULT_MESSAGE_BYTES;
	net->max_conns = config->max_conns ? config->max_conns : DEFAULT_CONNS;
	net->max_gathered_bytes = NET_GATHERED_BYTES;
	net->inflater = config->deflate ? inflater_new() : NULL;
	net->scratch = xcalloc(1, NET_WRITE_BYTES);
	net->spare_fd = net->epoll_fd = -1;
	net->listener = xcalloc(config->n_listen_fds, sizeof *net->listener);
	net->n_listeners = config->n_listen_fds;
	for (size_t i = 0; i < net->n_listeners; i++) {
		net->listener[i] = (struct listener){ net, config->listen_fds[i], i };
		MUST(fcntl(config->listen_fds[i], F_SETFL, O_NONBLOCK) == 0);
	}
	err = socket_context_new(net, config, why);
	if (err != OK)
		return err;
	watch_listeners(net);
	*ret = TAKE(net);
	return OK;
}

void net_free(struct net *net)
{
	if (!net)
		return;
	net_stop_listening(net);
	socket_context_free(net); /* each conn's owner hears of it */
	while (net->conns) {
		net->conns->unsettled = false;
		conn_free(net->conns);
	}
	if (net->spare_fd >= 0)
		(void)close(net->spare_fd);
	inflater_free(net->inflater);
	mem_free(net->listener);
	mem_free(net->scratch);
	mem_free(net);
}

const struct net_counts *net_counts(struct net *net)
{
	net->counts.gathered_bytes = net->gathered_bytes;
	return &net->counts;
}
