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

#include "services/edge/net_test_client.h"

#endif
