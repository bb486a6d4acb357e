/*
 * net_echo - the edge's net alone, for protocol test suites and by hand.
 *
 *     net_echo PORT [CERT KEY]        on 127.0.0.1, until SIGTERM or Ctrl-C
 *
 * A WebSocket on /echo gets every message back. HTTP gets back what was understood of it;
 * GET /stream gets a chunked body of 10 MB.
 */
#include "common/log.h"
#include "services/edge/net.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_QUEUED_BYTES (8u * 1024 * 1024)
#define RESUME_BYTES     (1024u * 1024)
#define STREAM_CHUNKS    160
#define CHUNK_BYTES      65536

static uint8_t chunk[CHUNK_BYTES];

static const char *choose_bearer(void *ctx, const struct net_request *request)
{
	(void)ctx;
	return request->subprotocols && strncmp(request->subprotocols, "bearer,", 7) == 0 ? "bearer"
	                                                                                  : NULL;
}

static void on_open(void *ctx, struct conn *conn, const struct net_request *request)
{
	(void)ctx, (void)conn, (void)request;
}

static void on_message(void *ctx, struct conn *conn, bool binary, struct bytes message)
{
	enum err err = (binary ? net_send_binary : net_send_text)(conn, message, MAX_QUEUED_BYTES);

	(void)ctx;
	if (err != OK)
		net_close(conn, 1013, "echoes are not read");
	else if (net_queued_bytes(conn) > RESUME_BYTES)
		net_pause(conn, true);
}

static void write_stream(struct conn *conn)
{
	size_t left = (size_t)conn_user(conn);

	while (left > 0 &&
	       net_stream_write(conn, BYTES(chunk, sizeof chunk), 4 * sizeof chunk) == OK)
		left--;
	conn_set_user(conn, (void *)left); /* NOLINT(performance-no-int-to-ptr) */
	if (left == 0)
		net_stream_end(conn);
}

static void on_drained(void *ctx, struct conn *conn)
{
	(void)ctx;
	if (conn_endpoint(conn) != NET_HTTP)
		net_pause(conn, false);
	else if (conn_user(conn))
		write_stream(conn);
}

static const char *text(const char *field)
{
	return field ? field : "-";
}

static void on_request(void *ctx, struct conn *conn, const struct net_request *request)
{
	AUTO_MEM char *answer = NULL;

	(void)ctx;
	if (strcmp(request->path, "/stream") == 0) {
		conn_set_user(conn, (void *)STREAM_CHUNKS);
		net_stream_start(conn, 200, "Content-Type: application/octet-stream\r\n");
		write_stream(conn);
		return;
	}
	answer =
	        xasprintf("%s %s ?%s host=%s peer=%s type=%s length=%d too_large=%d body=%zu\n%.*s",
	                  request->method, request->path, request->query, text(request->host),
	                  request->peer, text(request->content_type), request->has_length,
	                  request->too_large, request->body.len, (int)request->body.len,
	                  request->body.data ? (const char *)request->body.data : "");
	net_respond(conn, request->too_large ? 413 : 200, "Content-Type: text/plain\r\n",
	            BYTES(answer, strlen(answer)));
}

static void on_closed(void *ctx, struct conn *conn, int code, const char *reason, bool by_peer)
{
	(void)ctx;
	if (conn_endpoint(conn) == NET_ECHO)
		log_info("closed", "code=%d by_peer=%d reason=\"%s\"", code, by_peer, reason);
}

static const struct net_events events = {
	.choose_subprotocol = choose_bearer,
	.on_open = on_open,
	.on_message = on_message,
	.on_request = on_request,
	.on_drained = on_drained,
	.on_closed = on_closed,
};

static int listen_on(const char *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
	if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 1024) != 0)
		return -1;
	return fd;
}

static void on_signal(void *self)
{
	struct net **net = self;

	net_stop(*net);
}

int main(int argc, char **argv)
{
	AUTO(loop_free) struct loop *loop = NULL;
	AUTO(net_free) struct net *net = NULL;
	struct net_config config = {
		.n_listen_fds = 1, .max_conns = 15000, .echo = true, .deflate = true
	};
	char why[256];
	int fd;

	if (argc != 2 && argc != 4) {
		(void)fprintf(stderr, "usage: net_echo PORT [CERT KEY]\n");
		return 2;
	}
	log_init("net_echo", LOG_INFO);
	fd = listen_on(argv[1]);
	if (fd < 0) {
		log_error("listen-failed", "port=%s", argv[1]);
		return EXIT_FAILURE;
	}
	config.listen_fds = &fd;
	config.max_message_bytes = 16u * 1024 * 1024;
	if (argc == 4) {
		config.tls_cert = argv[2];
		config.tls_key = argv[3];
	}
	loop = loop_new();
	loop_on_signal(loop, SIGTERM, on_signal, &net);
	loop_on_signal(loop, SIGINT, on_signal, &net);
	if (net_open(&config, loop, &events, NULL, why, &net) != OK) {
		log_error("start-failed", "why=\"%s\"", why);
		return EXIT_FAILURE;
	}
	log_info("started", "port=%s", argv[1]);
	net_run(net);
	return EXIT_SUCCESS;
}
