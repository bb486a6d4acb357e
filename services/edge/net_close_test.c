#include "services/edge/net_test.h"

struct fixture seen;

TestSuite(net_close, .timeout = 60);

#define BIG 400000

Test(net_close, echoes_the_peers_close_and_reports_its_code_and_reason)
{
	int fd;

	start();
	fd = dial_ws("/stream/ingest");
	put_frame(fd, 0x88,
	          "\x10\xe1"
	          "bye",
	          5); /* 4321 */
	assert_close_frame(fd, 4321, "bye");
	assert_closed(fd);
	wait_until(&seen.closed, 1);
	cr_assert(seen.code == 4321 && seen.by_peer);
	cr_assert_str_eq(seen.reason, "bye");
	stop();
}

Test(net_close, answers_a_close_without_a_code_likewise_and_reports_1005)
{
	char body[16];
	size_t len;
	int fd;

	start();
	fd = dial_ws("/stream/ingest");
	put_frame(fd, 0x88, "", 0);
	cr_assert_eq(get_frame(fd, body, sizeof body, &len), NET_CLOSE);
	cr_assert_eq(len, 0);
	assert_closed(fd);
	wait_until(&seen.closed, 1);
	cr_assert(seen.code == 1005 && seen.by_peer);
	stop();
}

static void send_and_close(void)
{
	cr_assert_eq(net_send_text(seen.conn, BYTES("last words", 10), 1000), OK);
	net_close(seen.conn, 4009, "superseded by a newer connection");
	cr_assert_eq(net_send_text(seen.conn, BYTES("too late", 8), 1000), ERR_CONFLICT);
}

Test(net_close, sends_what_is_queued_then_the_close_frame)
{
	char body[64];
	size_t len;
	int fd;

	start();
	fd = dial_ws("/stream/ingest");
	on_loop(send_and_close);
	cr_assert_eq(get_frame(fd, body, sizeof body, &len), NET_TEXT);
	cr_assert_str_eq(body, "last words");
	assert_close_frame(fd, 4009, "superseded by a newer connection");
	put_frame(fd, 0x82, "still sending", 13);
	assert_closed(fd);
	wait_until(&seen.closed, 1);
	cr_assert(seen.code == 4009 && !seen.by_peer && seen.messages == 0);
	stop();
}

static void close_with_long_reason(void)
{
	char reason[300];

	memset(reason, 'x', sizeof reason);
	for (size_t i = 0; i < 299; i += 2)
		memcpy(reason + i, "\xc3\xa4", 2);
	reason[298] = '\0';
	net_close(seen.conn, 4001, reason);
}

Test(net_close, cuts_a_long_reason_between_two_characters)
{
	char body[256];
	size_t len;
	int fd;

	start();
	fd = dial_ws("/stream/ingest");
	on_loop(close_with_long_reason);
	cr_assert_eq(get_frame(fd, body, sizeof body, &len), NET_CLOSE);
	cr_assert_eq(len, 2 + 122);
	(void)close(fd);
	wait_until(&seen.closed, 1);
	stop();
}

static void close_4001(void)
{
	net_close(seen.conn, 4001, "authentication failed");
}

/* A thread that floods until it is cut. */
static void *flood(void *fd)
{
	static uint8_t frame[6 + 65000 + 8] = { 0x82, 0xfe, 65000 >> 8, 65000 & 0xff };

	while (send(*(int *)fd, frame, 8 + 65000, MSG_NOSIGNAL) > 0)
		;
	return NULL;
}

Test(net_close, lets_a_client_that_floods_read_the_code)
{
	pthread_t thread;
	int fd;

	start();
	fd = dial_ws("/stream/ingest");
	cr_assert_eq(pthread_create(&thread, NULL, flood, &fd), 0);
	wait_until(&seen.messages, 20);
	on_loop(close_4001);
	assert_close_frame(fd, 4001, "authentication failed");
	(void)shutdown(fd, SHUT_RDWR);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	(void)close(fd);
	wait_until(&seen.closed, 1);
	stop();
}

Test(net_close, cuts_a_peer_that_does_not_close_when_the_linger_time_is_over)
{
	int fd;

	seen.times.linger = 50;
	start();
	fd = dial_ws("/stream/ingest");
	on_loop(close_4001);
	assert_close_frame(fd, 4001, "");
	wait_until(&seen.closed, 1);
	for (char byte = 0; send(fd, &byte, 1, MSG_NOSIGNAL) > 0;)
		(void)sched_yield();
	(void)close(fd);
	stop();
}

static void close_now(void)
{
	net_close_now(seen.conn, 4001, "authentication failed");
}

static void queue_much(void)
{
	char *text = xcalloc(1, BIG);
	struct net_shared *shared;

	memset(text, 'x', BIG);
	shared = net_shared_new(BYTES(text, BIG));
	net_bound_kernel_buffer(seen.conn, 16384);
	for (int i = 0; i < 10; i++)
		cr_assert_eq(net_send_shared(seen.conn, shared, 100u * BIG), OK);
	cr_assert_eq(net_send_shared(seen.conn, shared, 10u * BIG), ERR_LIMIT);
	net_shared_unref(shared);
	mem_free(text);
}

Test(net_close, closing_now_sends_the_code_where_nothing_is_unsent)
{
	int fd;

	start();
	fd = dial_ws("/stream/subscribe");
	on_loop(close_now);
	assert_close_frame(fd, 4001, "authentication failed");
	assert_closed(fd);
	wait_until(&seen.closed, 1);
	cr_assert_eq(seen.code, 4001);
	stop();
}

Test(net_close, closing_now_resets_a_socket_with_unsent_bytes)
{
	char *sink = xcalloc(1, BIG);
	ssize_t n = 1;
	size_t total = 0;
	int fd;

	start();
	fd = dial_ws_with("/stream/subscribe", "", 4096);
	on_loop(queue_much);
	on_loop(close_now);
	wait_until(&seen.closed, 1);
	cr_assert_eq(seen.code, 4001);
	while (n > 0) {
		n = get_some(fd, sink, BIG);
		total += n > 0 ? (size_t)n : 0;
	}
	cr_assert_eq(n, -1, "no reset");
	cr_assert_lt(total, BIG);
	(void)close(fd);
	mem_free(sink);
	stop();
}

static void close_in_open(struct conn *conn)
{
	cr_assert_eq(net_send_text(conn, BYTES("hello", 5), 1000), OK);
	net_close(conn, 4001, "authentication failed");
}

Test(net_close, answers_101_even_when_the_owner_closes_at_once)
{
	char body[64];
	size_t len;
	int fd;

	seen.on_open_too = close_in_open;
	start();
	fd = dial_ws("/stream/ingest");
	cr_assert_eq(get_frame(fd, body, sizeof body, &len), NET_TEXT);
	assert_close_frame(fd, 4001, "authentication failed");
	assert_closed(fd);
	wait_until(&seen.closed, 1);
	stop();
}

Test(net_close, tells_every_owner_when_the_net_is_freed)
{
	int sockets[3], request;

	seen.hold = true;
	start();
	for (size_t i = 0; i < ARRAY_LEN(sockets); i++)
		sockets[i] = dial_ws("/stream/subscribe");
	request = dial();
	say(request, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	wait_until(&seen.requests, 1);
	stop(); /* counts the closings */
	cr_assert_eq(seen.code, 1006);
	for (size_t i = 0; i < ARRAY_LEN(sockets); i++)
		(void)close(sockets[i]);
	(void)close(request);
}

static void send_then_forbid_and_close(void)
{
	__atomic_store_n(&seen.may_move, false, __ATOMIC_SEQ_CST);
	cr_assert_eq(net_send_text(seen.conn, BYTES("never", 5), 1000), OK);
	net_close(seen.conn, 1013, "out of lease");
}

Test(net_close, sends_the_code_alone_when_what_is_queued_may_not_go)
{
	int fd;

	seen.times.flush = 50;
	start();
	fd = dial_ws("/stream/subscribe");
	on_loop(send_then_forbid_and_close);
	assert_close_frame(fd, 1013, "out of lease");
	assert_closed(fd);
	wait_until(&seen.closed, 1);
	cr_assert_eq(seen.code, 1013);
	stop();
}

static void forbid_and_close_now(void)
{
	__atomic_store_n(&seen.may_move, false, __ATOMIC_SEQ_CST);
	cr_assert_eq(net_send_text(seen.conn, BYTES("never", 5), 1000), OK);
	net_close_now(seen.conn, 4001, "revoked");
	net_close_now(seen.conn, 4029, "the first word counts or the last, never both");
}

Test(net_close, closing_now_needs_no_leave_and_sends_one_close_frame)
{
	char body[256];
	size_t len;
	int fd;

	start();
	fd = dial_ws("/stream/subscribe");
	on_loop(forbid_and_close_now);
	cr_assert_eq(get_frame(fd, body, sizeof body, &len), NET_CLOSE);
	assert_closed(fd);
	wait_until(&seen.closed, 1);
	stop();
}

static void close_after_much(void)
{
	queue_much();
	net_close(seen.conn, 1013, "too slow");
}

Test(net_close, gives_up_a_peer_that_does_not_read_what_comes_before_the_code)
{
	int fd;

	seen.times.flush = 50;
	start();
	fd = dial_ws_with("/stream/subscribe", "", 4096);
	on_loop(close_after_much);
	wait_until(&seen.closed, 1);
	cr_assert(seen.code == 1013 && !seen.by_peer);
	(void)close(fd);
	stop();
}
