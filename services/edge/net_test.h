/*
 * net_test - a net on a thread of its own, and a client that speaks bytes.
 *
 * The server's callbacks write down what they see (seen); a test waits for it with a
 * deadline. on_loop() runs a function on the server's thread.
 */
#ifndef EDGE_NET_TEST_H
#define EDGE_NET_TEST_H

#include "services/edge/net_internal.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_MS 5000
#define WS_KEY      "dGhlIHNhbXBsZSBub25jZQ=="

struct fixture {
	struct net_config config;
	struct net_times times; /* members that are not 0 replace net's own */
	struct net *net;
	struct loop *loop;
	pthread_t thread;
	uint16_t port;
	int wake_fd;
	void (*call)(void);

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct conn *conn; /* the newest                              */
	unsigned opened, closed, messages, requests, drained;
	struct buf last; /* the newest message or body              */
	bool last_binary;
	int code; /* of the newest on_closed                 */
	bool by_peer;
	char reason[128], path[256], query[256], text[512];
	bool hold; /* on_request does not answer              */
	bool echo; /* on_message answers                      */
	bool may_move;
	int refuse_with;
	void (*on_open_too)(struct conn *conn);
	void (*on_drained_too)(struct conn *conn);
};

extern struct fixture seen;

/* ---- the server ---- */

static inline void note(unsigned *counter)
{
	++*counter;
	(void)pthread_cond_broadcast(&seen.changed);
}

static inline const char *see_subprotocol(void *ctx, const struct net_request *request)
{
	(void)ctx;
	return request->subprotocols && strncmp(request->subprotocols, "bearer", 6) == 0 ? "bearer"
	                                                                                 : NULL;
}

static inline int see_upgrade(void *ctx, const struct net_request *request)
{
	(void)ctx, (void)request;
	return seen.refuse_with;
}

static inline void see_open(void *ctx, struct conn *conn, const struct net_request *request)
{
	(void)ctx;
	(void)pthread_mutex_lock(&seen.lock);
	(void)snprintf(seen.query, sizeof seen.query, "%s", request->query);
	seen.conn = conn;
	note(&seen.opened);
	(void)pthread_mutex_unlock(&seen.lock);
	if (seen.on_open_too)
		seen.on_open_too(conn);
}

static inline void keep_last(struct bytes bytes)
{
	seen.last.len = 0;
	buf_reserve(&seen.last, bytes.len + 1);
	buf_append(&seen.last, bytes.data, bytes.len);
	seen.last.data[bytes.len] = '\0';
}

static inline void see_message(void *ctx, struct conn *conn, bool binary, struct bytes message)
{
	(void)ctx;
	if (seen.echo)
		cr_assert_eq((binary ? net_send_binary : net_send_text)(conn, message, 1u << 20),
		             OK);
	(void)pthread_mutex_lock(&seen.lock);
	keep_last(message);
	seen.last_binary = binary;
	note(&seen.messages);
	(void)pthread_mutex_unlock(&seen.lock);
}

static inline void see_request(void *ctx, struct conn *conn, const struct net_request *request)
{
	(void)ctx;
	(void)pthread_mutex_lock(&seen.lock);
	(void)snprintf(seen.path, sizeof seen.path, "%s", request->path);
	(void)snprintf(seen.query, sizeof seen.query, "%s", request->query);
	(void)snprintf(seen.text, sizeof seen.text, "%s auth=%s cookie=%s peer=%s large=%d",
	               request->method, request->authorization ? request->authorization : "-",
	               request->cookie ? request->cookie : "-", request->peer, request->too_large);
	keep_last(request->body);
	seen.conn = conn;
	note(&seen.requests);
	(void)pthread_mutex_unlock(&seen.lock);
	if (!seen.hold)
		net_respond(conn, request->too_large ? 413 : 200, "X-Test: 1\r\n",
		            BYTES(request->path, strlen(request->path)));
}

static inline void see_drained(void *ctx, struct conn *conn)
{
	(void)ctx;
	(void)pthread_mutex_lock(&seen.lock);
	note(&seen.drained);
	(void)pthread_mutex_unlock(&seen.lock);
	if (seen.on_drained_too)
		seen.on_drained_too(conn);
}

static inline void see_closed(void *ctx, struct conn *conn, int code, const char *reason,
                              bool by_peer)
{
	(void)ctx;
	(void)pthread_mutex_lock(&seen.lock);
	seen.code = code;
	seen.by_peer = by_peer;
	(void)snprintf(seen.reason, sizeof seen.reason, "%s", reason);
	if (seen.conn == conn)
		seen.conn = NULL;
	note(&seen.closed);
	(void)pthread_mutex_unlock(&seen.lock);
}

static inline bool see_may_move(void *ctx, struct conn *conn)
{
	(void)ctx, (void)conn;
	return __atomic_load_n(&seen.may_move, __ATOMIC_SEQ_CST);
}

static inline void serve_call(void *ctx)
{
	uint64_t n;

	(void)ctx;
	cr_assert_eq(read(seen.wake_fd, &n, sizeof n), (ssize_t)sizeof n);
	seen.call();
	(void)pthread_mutex_lock(&seen.lock);
	seen.call = NULL;
	(void)pthread_cond_broadcast(&seen.changed);
	(void)pthread_mutex_unlock(&seen.lock);
}

static inline void *serve(void *ctx)
{
	net_run(ctx);
	return NULL;
}

static inline int listen_anywhere(uint16_t *ret_port)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&at, len) == 0 && listen(fd, 64) == 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*ret_port = ntohs(at.sin_port);
	return fd;
}

static inline void replace_times(struct net_times *times)
{
	const int64_t *mine = (const int64_t *)&seen.times;
	int64_t *theirs = (int64_t *)times;

	for (size_t i = 0; i < sizeof *times / sizeof *mine; i++)
		if (mine[i] != 0)
			theirs[i] = mine[i];
}

/* seen.config, seen.times and the switches may be set before. */
static inline void start(void)
{
	static const struct net_events events = { .choose_subprotocol = see_subprotocol,
		                                  .refuse_upgrade = see_upgrade,
		                                  .on_open = see_open,
		                                  .on_message = see_message,
		                                  .on_request = see_request,
		                                  .on_drained = see_drained,
		                                  .on_closed = see_closed,
		                                  .may_move = see_may_move };
	char why[256] = "";
	int fd = listen_anywhere(&seen.port);

	seen.config.listen_fds = &fd;
	seen.config.n_listen_fds = 1;
	if (seen.config.max_conns == 0)
		seen.config.max_conns = 100;
	seen.may_move = true;
	(void)pthread_mutex_init(&seen.lock, NULL);
	(void)pthread_cond_init(&seen.changed, NULL);
	seen.loop = loop_new();
	seen.wake_fd = eventfd(0, EFD_CLOEXEC);
	loop_watch(seen.loop, seen.wake_fd, 0, serve_call, NULL);
	cr_assert_eq(net_open(&seen.config, seen.loop, &events, NULL, why, &seen.net), OK, "%s",
	             why);
	replace_times(&seen.net->times);
	cr_assert_eq(pthread_create(&seen.thread, NULL, serve, seen.net), 0);
}

static inline struct timespec deadline(void)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += DEADLINE_MS / 1000;
	return at;
}

static inline void on_loop(void (*call)(void))
{
	struct timespec at = deadline();
	uint64_t one = 1;

	(void)pthread_mutex_lock(&seen.lock);
	seen.call = call;
	cr_assert_eq(write(seen.wake_fd, &one, sizeof one), (ssize_t)sizeof one);
	while (seen.call)
		cr_assert_eq(pthread_cond_timedwait(&seen.changed, &seen.lock, &at), 0);
	(void)pthread_mutex_unlock(&seen.lock);
}

static inline void wait_until(const unsigned *counter, unsigned value)
{
	struct timespec at = deadline();

	(void)pthread_mutex_lock(&seen.lock);
	while (*counter < value)
		cr_assert_eq(pthread_cond_timedwait(&seen.changed, &seen.lock, &at), 0,
		             "saw %u of %u", *counter, value);
	(void)pthread_mutex_unlock(&seen.lock);
}

static inline void stop_it(void)
{
	net_stop(seen.net);
}

static inline void stop(void)
{
	on_loop(stop_it);
	cr_assert_eq(pthread_join(seen.thread, NULL), 0);
	net_free(seen.net);
	loop_free(seen.loop);
	(void)close(seen.wake_fd);
	buf_free(&seen.last);
	cr_assert_eq(seen.closed, seen.opened + seen.requests, "%u closed, %u opened, %u requests",
	             seen.closed, seen.opened, seen.requests);
}

/* ---- the client ---- */

static inline int dial_with(int receive_buffer)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(seen.port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (receive_buffer > 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
	cr_assert_eq(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
	return fd;
}

static inline int dial(void)
{
	return dial_with(0);
}

static inline void put(int fd, const void *data, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = send(fd, (const char *)data + at, len - at, MSG_NOSIGNAL);

		cr_assert(n > 0, "send: %s", strerror(errno));
		at += (size_t)n;
	}
}

static inline void say(int fd, const char *text)
{
	put(fd, text, strlen(text));
}

/* Bytes; 0 = the server has closed; -1 = reset. */
static inline ssize_t get_some(int fd, void *ret, size_t len)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	cr_assert_eq(poll(&poll_fd, 1, DEADLINE_MS), 1, "nothing came");
	return recv(fd, ret, len, 0);
}

static inline void get(int fd, void *ret, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = get_some(fd, (char *)ret + at, len - at);

		cr_assert(n > 0, "the server closed after %zu of %zu bytes", at, len);
		at += (size_t)n;
	}
}

/* Up to and with mark; NUL-terminated. */
static inline void get_until(int fd, const char *mark, char *ret, size_t cap)
{
	size_t len = 0;

	ret[0] = '\0';
	while (!strstr(ret, mark)) {
		cr_assert_lt(len + 1, cap);
		get(fd, ret + len, 1);
		ret[++len] = '\0';
	}
}

/* All until the server closes. */
static inline void get_all(int fd, char *ret, size_t cap)
{
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0 && len + 1 < cap) {
		n = get_some(fd, ret + len, cap - len - 1);
		len += n > 0 ? (size_t)n : 0;
	}
	ret[len] = '\0';
}

static inline void assert_closed(int fd)
{
	char byte;

	cr_assert_eq(get_some(fd, &byte, 1), 0, "the server did not close");
	(void)close(fd);
}

static inline void say_upgrade(int fd, const char *path, const char *headers)
{
	char text[2048];

	(void)snprintf(text, sizeof text,
	               "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
	               "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
	               "Sec-WebSocket-Key: " WS_KEY "\r\n%s\r\n",
	               path, headers);
	say(fd, text);
}

static inline int dial_ws_with(const char *path, const char *headers, int receive_buffer)
{
	unsigned opened = seen.opened;
	char answer[1024];
	int fd = dial_with(receive_buffer);

	say_upgrade(fd, path, headers);
	get_until(fd, "\r\n\r\n", answer, sizeof answer);
	cr_assert_eq(strncmp(answer, "HTTP/1.1 101 ", 13), 0, "%s", answer);
	wait_until(&seen.opened, opened + 1);
	return fd;
}

static inline int dial_ws(const char *path)
{
	return dial_ws_with(path, "", 0);
}

/* first: FIN, RSV and opcode. */
static inline void put_frame(int fd, uint8_t first, const void *payload, size_t len)
{
	static const uint8_t mask[4] = { 0x12, 0x34, 0x56, 0x78 };
	struct buf buf = { 0 };
	uint8_t head[NET_FRAME_HEAD_MAX];
	size_t head_len = net_frame_head_write(NET_BINARY, len, head);

	head[0] = first;
	head[1] |= 0x80;
	buf_append(&buf, head, head_len);
	buf_append(&buf, mask, sizeof mask);
	buf_append(&buf, payload, len);
	net_frame_unmask(buf.data + head_len + 4, len, mask, 0);
	put(fd, buf.data, buf.len);
	buf_free(&buf);
}

/* A whole frame of the server's, its payload NUL-terminated; its opcode. */
static inline int get_frame(int fd, void *ret, size_t cap, size_t *ret_len)
{
	uint8_t head[2], more[8];
	size_t len, n;

	get(fd, head, 2);
	cr_assert_eq(head[0] & 0xf0, 0x80);
	cr_assert_eq(head[1] & 0x80, 0, "the server masked");
	len = head[1];
	n = len == 126 ? 2 : len == 127 ? 8 : 0;
	get(fd, more, n);
	if (n > 0)
		len = 0;
	for (size_t i = 0; i < n; i++)
		len = len << 8 | more[i];
	cr_assert_lt(len, cap);
	get(fd, ret, len);
	((char *)ret)[len] = '\0';
	*ret_len = len;
	return head[0] & 0x0f;
}

/* The next frame closes with this code and a reason that holds the words. */
static inline void assert_close_frame(int fd, int code, const char *words)
{
	uint8_t body[256];
	size_t len = 0;
	int opcode = get_frame(fd, body, sizeof body, &len);

	cr_assert_eq(opcode, NET_CLOSE, "opcode %d", opcode);
	cr_assert_geq(len, 2);
	cr_assert_eq(body[0] << 8 | body[1], code, "closed with %d \"%s\"", body[0] << 8 | body[1],
	             (char *)body + 2);
	cr_assert(strstr((char *)body + 2, words), "reason \"%s\"", (char *)body + 2);
}

#endif
