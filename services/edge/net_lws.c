/*
 * libwebsockets: one vhost whose sockets are raw, and TLS.
 *
 *     listening fds ─► loop ─► accept4() ─► adopted as raw sockets ┐
 *     loop_fd() ───────────────────────────────────────────────────┴─► one epoll
 *          readable socket ─► lws_service_fd() ─► conn_on_bytes()
 *          readable loop   ─► loop_dispatch()
 *
 * The waiting is ours: its poll() looks at every socket each time it wakes, which was 1.7 ms a
 * wake-up with 9,000 idle ones. Debian builds it without LWS_WITH_EXTERNAL_POLL, but raw sockets
 * do not need those callbacks: what is to be waited for is decided here alone, but for a TLS
 * handshake, where SSL_want() tells. Its timers never run; conn->timer judges everything.
 *
 * Writing goes to the socket (or the TLS engine) itself and not through lws_write(), which
 * would keep what the kernel refuses and send it later without asking may_move().
 *
 * libwebsockets logs nothing: its lines may hold what a client sent.
 */
#include "common/clock.h"
#include "services/edge/net_internal.h"

#include <errno.h>
#include <libwebsockets.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define WEBSOCKET_GUID    "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define EVENTS_A_TURN     512
#define OTHER_DESCRIPTORS 4096 /* that the process may have besides our sockets */

/* close() alone would leave it watched for as long as a child process has it open too. */
static void forget(struct conn *conn)
{
	if (conn->lws) /* else it was never watched */
		(void)epoll_ctl(conn->net->epoll_fd, EPOLL_CTL_DEL, socket_fd(conn), NULL);
}

static int on_socket(struct lws *lws, enum lws_callback_reasons reason, void *user, void *in,
                     size_t len)
{
	struct conn *conn;

	(void)user;
	switch (reason) {
	case LWS_CALLBACK_RAW_ADOPT:
		conn = lws_get_opaque_user_data(lws);
		conn->lws = lws;
		break;
	case LWS_CALLBACK_RAW_RX:
		conn_on_bytes(lws_get_opaque_user_data(lws), in, len);
		break;
	case LWS_CALLBACK_RAW_CLOSE:
		conn = lws_get_opaque_user_data(lws);
		forget(conn);
		conn->lws = NULL;
		conn_on_socket_closed(conn);
		break;
	case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
		(void)SSL_CTX_set_min_proto_version(user, TLS1_2_VERSION);
		(void)SSL_CTX_set_mode(user, SSL_MODE_ENABLE_PARTIAL_WRITE |
		                                     SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
		                                     SSL_MODE_RELEASE_BUFFERS);
		break;
	default:
		break;
	}
	return 0;
}

static const struct lws_protocols protocols[] = {
	{"raeh", on_socket, 0, 0, 0, NULL, 0},
	{ NULL,  NULL,      0, 0, 0, NULL, 0},
};

/* libwebsockets allocates tables for every descriptor that the process may open, which can be
 * a thousand million: for that call the limit is what we need at most. */
static struct lws_context *context_new(const struct lws_context_creation_info *info,
                                       size_t max_conns)
{
	struct rlimit was, bounded;
	struct lws_context *context;

	MUST(getrlimit(RLIMIT_NOFILE, &was) == 0);
	bounded = was;
	if (bounded.rlim_cur > max_conns + OTHER_DESCRIPTORS)
		bounded.rlim_cur = max_conns + OTHER_DESCRIPTORS;
	MUST(setrlimit(RLIMIT_NOFILE, &bounded) == 0);
	context = lws_create_context(info);
	MUST(setrlimit(RLIMIT_NOFILE, &was) == 0);
	return context;
}

enum err socket_context_new(struct net *net, const struct net_config *config, char why[256])
{
	struct lws_context_creation_info info = { 0 };
	struct epoll_event of_loop = { .events = EPOLLIN, .data.ptr = NULL };

	lws_set_log_level(0, NULL);
	(void)signal(SIGPIPE, SIG_IGN); /* the TLS engine writes without MSG_NOSIGNAL */
	info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
	info.protocols = protocols;
	info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS;
	info.pt_serv_buf_size = NET_READ_BYTES;
	info.timeout_secs = 10;
	if (net->tls) {
		info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
		info.ssl_cert_filepath = config->tls_cert;
		info.ssl_private_key_filepath = config->tls_key;
		info.alpn = "http/1.1";
	}
	net->context = context_new(&info, net->max_conns);
	net->vhost = net->context ? lws_create_vhost(net->context, &info) : NULL;
	if (!net->vhost) {
		(void)snprintf(why, 256, "%s",
		               !net->context ? "libwebsockets does not start"
		               : net->tls    ? "the TLS certificate or its key cannot be used"
		                             : "libwebsockets makes no vhost");
		return net->context && net->tls ? ERR_MALFORMED : ERR_IO;
	}
	net->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	MUST(net->epoll_fd >= 0);
	MUST(epoll_ctl(net->epoll_fd, EPOLL_CTL_ADD, loop_fd(net->loop), &of_loop) == 0);
	return OK;
}

void socket_context_free(struct net *net)
{
	if (net->context)
		lws_context_destroy(net->context);
	net->context = NULL;
	if (net->epoll_fd >= 0)
		(void)close(net->epoll_fd);
}

/* ---- waiting ---- */

static uint32_t interest_of(const struct conn *conn)
{
	return (conn->reading ? EPOLLIN : 0) | (conn->wants_writing ? EPOLLOUT : 0);
}

static void tell_interest(struct conn *conn)
{
	struct epoll_event event = { .events = interest_of(conn), .data.ptr = conn };

	conn->interest = event.events;
	MUST(epoll_ctl(conn->net->epoll_fd, EPOLL_CTL_MOD, socket_fd(conn), &event) == 0);
}

/* Tells epoll what is waited for, if that has changed. That nothing is to be read is told when
 * something has come: most sockets are read again before. */
static void update_interest(struct conn *conn)
{
	if ((interest_of(conn) | EPOLLIN) != (conn->interest | EPOLLIN) ||
	    (conn->reading && !(conn->interest & EPOLLIN)))
		tell_interest(conn);
}

static bool is_shaking_hands(const struct conn *conn)
{
	return conn->net->tls && !SSL_is_init_finished(lws_get_ssl(conn->lws));
}

static void serve_socket(struct conn *conn, uint32_t events)
{
	struct lws_pollfd ready = { .fd = socket_fd(conn), .events = LWS_POLLIN };
	bool shaking = is_shaking_hands(conn);

	if ((events & EPOLLIN) && !conn->reading) {
		tell_interest(conn);
		events &= ~(uint32_t)EPOLLIN;
	}
	if (events & EPOLLIN)
		ready.revents = LWS_POLLIN;
	else if (events & (EPOLLERR | EPOLLHUP))
		ready.revents = LWS_POLLHUP;
	if (events & EPOLLOUT) {
		conn->wants_writing = false;
		if (shaking)
			ready.revents |= LWS_POLLOUT;
		else
			conn_on_writable(conn);
	}
	if (ready.revents)
		(void)lws_service_fd(conn->net->context, &ready); /* it closes by itself */
	if (!conn->lws)
		return;
	if (shaking && SSL_want(lws_get_ssl(conn->lws)) == SSL_WRITING)
		conn->wants_writing = true;
	update_interest(conn);
}

static void rest(struct pace *pace)
{
	int64_t now = clock_boot_us(), left = pace->turn_us + PACE_TURN_US - now;
	struct timespec span = { .tv_nsec = left * 1000 };

	if (now - pace->window_us >= PACE_WINDOW_US) {
		pace->busy = pace->events >= PACE_EVENTS * (now - pace->window_us) / PACE_WINDOW_US;
		pace->window_us = now;
		pace->events = 0;
	}
	if (pace->busy && left > 0)
		(void)nanosleep(&span, NULL); /* a signal only ends it early */
}

void socket_serve(struct net *net, bool now)
{
	struct epoll_event event[EVENTS_A_TURN];
	int n;

	if (!now)
		rest(&net->pace);
	n = epoll_wait(net->epoll_fd, event, EVENTS_A_TURN, now ? 0 : -1);
	MUST(n >= 0 || errno == EINTR);
	net->pace.turn_us = clock_boot_us();
	net->pace.events += n > 0 ? (unsigned)n : 0;
	for (int i = 0; i < n; i++)
		if (!event[i].data.ptr)
			loop_dispatch(net->loop); /* first: revocations come this way */
	for (int i = 0; i < n; i++) {
		struct conn *conn = event[i].data.ptr;

		if (conn && conn->lws)
			serve_socket(conn, event[i].events);
	}
}

/* ---- sockets ---- */

bool socket_adopt(struct conn *conn, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = conn };
	lws_adopt_desc_t what = { .vh = conn->net->vhost,
		                  .type = LWS_ADOPT_SOCKET,
		                  .vh_prot_name = protocols[0].name,
		                  .opaque = conn };

	if (conn->net->tls)
		what.type |= LWS_ADOPT_ALLOW_SSL;
	what.fd.sockfd = fd;
	conn->reading = true;
	conn->interest = event.events;
	if (!lws_adopt_descriptor_vhost_via_info(&what))
		return false;
	MUST(epoll_ctl(conn->net->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0);
	return true;
}

int socket_fd(const struct conn *conn)
{
	return lws_get_socket_fd(conn->lws);
}

void socket_acknowledge(struct conn *conn)
{
	int on = 1;

	if (conn->lws)
		(void)setsockopt(socket_fd(conn), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

static ssize_t tls_write(SSL *ssl, const void *data, size_t len)
{
	int n;

	ERR_clear_error();
	n = SSL_write(ssl, data, (int)(len < NET_WRITE_BYTES ? len : NET_WRITE_BYTES));
	if (n > 0)
		return n;
	return SSL_get_error(ssl, n) == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

ssize_t socket_write(struct conn *conn, const void *data, size_t len)
{
	ssize_t n;

	if (conn->net->tls)
		return tls_write(lws_get_ssl(conn->lws), data, len);
	do
		n = send(socket_fd(conn), data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : n;
}

void socket_when_writable(struct conn *conn)
{
	conn->wants_writing = true;
	update_interest(conn);
}

void socket_read(struct conn *conn, bool on)
{
	conn->reading = on;
	update_interest(conn);
}

void socket_shut_writing(struct conn *conn)
{
	if (conn->net->tls) {
		ERR_clear_error();
		(void)SSL_shutdown(lws_get_ssl(conn->lws)); /* best effort: TCP's FIN follows */
	}
	(void)shutdown(socket_fd(conn), SHUT_WR); /* ENOTCONN: the peer was faster */
}

bool socket_has_unsent(const struct conn *conn)
{
	int bytes = 0;

	return ioctl(socket_fd(conn), SIOCOUTQNSD, &bytes) != 0 || bytes > 0;
}

void socket_reset_on_close(struct conn *conn)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(socket_fd(conn), SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

void socket_close(struct conn *conn)
{
	lws_set_timeout(conn->lws, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
	MUST(!conn->lws);
}

void socket_accept_key(const char *key, char ret[32])
{
	char text[64 + sizeof WEBSOCKET_GUID];
	uint8_t digest[20];

	(void)snprintf(text, sizeof text, "%.63s" WEBSOCKET_GUID, key);
	(void)lws_SHA1((const uint8_t *)text, strlen(text), digest);
	MUST(lws_b64_encode_string((const char *)digest, sizeof digest, ret, 32) > 0);
}
