/*
 * libwebsockets: one vhost whose sockets are raw, its poll loop, and TLS.
 *
 *     loop_fd() ─► raw file ─► loop_dispatch()
 *     listening fds ─► watched in our loop ─► accept4() ─► adopted as a raw socket
 *
 * Writing goes to the socket (or the TLS engine) itself and not through lws_write(), which
 * would keep what the kernel refuses and send it later without asking may_move().
 *
 * libwebsockets logs nothing: its lines may hold what a client sent.
 */
#include "services/edge/net_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <linux/sockios.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define WEBSOCKET_GUID    "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define OTHER_DESCRIPTORS 4096 /* that the process may have besides our sockets */

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
		conn = lws_get_opaque_user_data(lws);
		lws_set_timeout(lws, NO_PENDING_TIMEOUT, 0); /* conn->timer judges */
		conn_on_bytes(conn, in, len);
		break;
	case LWS_CALLBACK_RAW_WRITEABLE:
		conn_on_writable(lws_get_opaque_user_data(lws));
		break;
	case LWS_CALLBACK_RAW_CLOSE:
		conn = lws_get_opaque_user_data(lws);
		conn->lws = NULL;
		conn_on_socket_closed(conn);
		break;
	case LWS_CALLBACK_RAW_RX_FILE:
		loop_dispatch(lws_get_opaque_user_data(lws));
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

static struct lws *adopt(struct net *net, lws_adoption_type type, int fd, void *opaque)
{
	lws_adopt_desc_t what = {
		.vh = net->vhost, .type = type, .vh_prot_name = protocols[0].name, .opaque = opaque
	};

	what.fd.filefd = fd;
	return lws_adopt_descriptor_vhost_via_info(&what);
}

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
	net->context = context_new(&info, config->max_conns);
	net->vhost = net->context ? lws_create_vhost(net->context, &info) : NULL;
	if (!net->vhost) {
		(void)snprintf(why, 256, "%s",
		               !net->context ? "libwebsockets does not start"
		               : net->tls    ? "the TLS certificate or its key cannot be used"
		                             : "libwebsockets makes no vhost");
		return ERR_IO;
	}
	if (!adopt(net, LWS_ADOPT_RAW_FILE_DESC, fcntl(loop_fd(net->loop), F_DUPFD_CLOEXEC, 0),
	           net->loop)) {
		(void)snprintf(why, 256, "libwebsockets does not watch the loop");
		return ERR_IO;
	}
	return OK;
}

void socket_context_free(struct net *net)
{
	if (net->context)
		lws_context_destroy(net->context);
	net->context = NULL;
}

void socket_serve(struct net *net, bool now)
{
	MUST(lws_service(net->context, now ? -1 : 0) >= 0);
}

bool socket_adopt(struct conn *conn, int fd)
{
	lws_adoption_type type = LWS_ADOPT_SOCKET;

	if (conn->net->tls)
		type |= LWS_ADOPT_ALLOW_SSL;
	conn->reading = true;
	return adopt(conn->net, type, fd, conn);
}

int socket_fd(const struct conn *conn)
{
	return lws_get_socket_fd(conn->lws);
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
	(void)lws_callback_on_writable(conn->lws); /* fails on a socket that is being closed */
}

void socket_read(struct conn *conn, bool on)
{
	if (conn->reading == on)
		return;
	conn->reading = on;
	(void)lws_rx_flow_control(conn->lws, on); /* likewise */
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
