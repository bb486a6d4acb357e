#include "services/edge/net_test.h"

#include <netinet/tcp.h>

struct fixture seen;

TestSuite(net_http, .timeout = 60);

#define GET_A "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"

/* The next answer's head; its body of a known length is read too. */
static void get_answer(int fd, char *ret, size_t cap)
{
	char *length;
	size_t len;

	get_until(fd, "\r\n\r\n", ret, cap);
	length = strstr(ret, "Content-Length: ");
	len = length ? (size_t)strtoul(length + 16, NULL, 10) : 0;
	cr_assert_lt(strlen(ret) + len, cap);
	length = ret + strlen(ret);
	get(fd, length, len);
	length[len] = '\0';
}

static void assert_answer(int fd, int status, const char *words)
{
	char answer[4096];

	get_answer(fd, answer, sizeof answer);
	cr_assert_eq(atoi(answer + 9), status, "expected %d: %s", status, answer);
	cr_assert(strstr(answer, words), "expected \"%s\": %s", words, answer);
}

Test(net_http, answers_several_requests_on_one_connection)
{
	int fd;

	start();
	fd = dial();
	for (int i = 0; i < 3; i++) {
		say(fd, "GET /v1/x%20y?limit=5&q=%41 HTTP/1.1\r\nHost: x\r\n"
		        "Authorization: Bearer k\r\n\r\n");
		assert_answer(fd, 200, "\r\n\r\n/v1/x y");
	}
	cr_assert_str_eq(seen.query, "limit=5&q=%41");
	cr_assert_str_eq(seen.text, "GET auth=Bearer k cookie=- peer=127.0.0.1 large=0");
	(void)close(fd);
	stop();
}

Test(net_http, answers_pipelined_requests_in_order)
{
	int fd;

	start();
	fd = dial();
	say(fd, "\r\n" GET_A "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nxyz"
	        "HEAD /c HTTP/1.1\r\nHost: x\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_answer(fd, 200, "\r\n\r\n/a");
	assert_answer(fd, 200, "\r\n\r\n/b");
	{
		char head[512];

		get_until(fd, "\r\n\r\n", head, sizeof head);
		cr_assert(strstr(head, "Content-Length: 2\r\n"), "%s", head);
	}
	assert_answer(fd, 200, "\r\n\r\n*");
	(void)close(fd);
	stop();
}

Test(net_http, takes_every_method)
{
	const char *const methods[] = { "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "FOO" };
	int fd;

	start();
	fd = dial();
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		char text[128];

		(void)snprintf(text, sizeof text, "%s /m HTTP/1.1\r\nHost: x\r\n\r\n", methods[i]);
		say(fd, text);
		assert_answer(fd, 200, "/m");
		cr_assert_eq(strncmp(seen.text, methods[i], strlen(methods[i])), 0);
	}
	(void)close(fd);
	stop();
}

Test(net_http, gathers_a_body_of_known_length_and_a_chunked_one)
{
	int fd;

	start();
	fd = dial();
	say(fd, "PUT /p HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello ");
	say(fd, "world");
	assert_answer(fd, 200, "/p");
	cr_assert_str_eq((char *)seen.last.data, "hello world");
	say(fd, "POST /q HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	        "5;ext=1\r\nhello\r\n");
	say(fd, "A\r\n wide worl\r\n1\r\nd\r\n0\r\nTrailer: x\r\n\r\n");
	assert_answer(fd, 200, "/q");
	cr_assert_str_eq((char *)seen.last.data, "hello wide world");
	say(fd, GET_A);
	assert_answer(fd, 200, "/a");
	(void)close(fd);
	stop();
}

Test(net_http, says_100_continue_to_who_waits_for_it)
{
	int fd;

	start();
	fd = dial();
	say(fd, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
	assert_answer(fd, 100, "Continue");
	say(fd, "ok");
	assert_answer(fd, 200, "/p");
	(void)close(fd);
	stop();
}

Test(net_http, marks_a_body_that_is_too_large_and_closes_after_the_answer)
{
	const char *const heads[] = {
		"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
		"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n50000\r\n",
	};
	char *body = xcalloc(1, 0x50000);

	start();
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		int fd = dial();

		say(fd, heads[i]);
		put(fd, body, 0x50000);
		assert_answer(fd, 413, "Connection: close");
		cr_assert(strstr(seen.text, "large=1") && seen.last.len == 0);
		assert_closed(fd);
	}
	mem_free(body);
	stop();
}

Test(net_http, refuses_what_is_no_request_and_closes)
{
	const struct {
		const char *text;
		int status;
	} cases[] = {
		{"hello\r\n\r\n",		                                            400},
		{ "GET / HTTP/1.1\r\n\r\n",		                                  400}, /* no Host */
		{ "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",                            400},
		{ "GET / HTTP/2.0\r\nHost: a\r\n\r\n",                                       505},
		{ "GET x HTTP/1.1\r\nHost: a\r\n\r\n",                                       400},
		{ "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",                                    400},
		{ "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n",                                    400},
		{ "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",                              400},
		{ "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",                            400},
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1x\r\n\r\n",                400},
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",                400},
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
		  "Transfer-Encoding: chunked\r\n\r\n",		     400},
		{ "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",           501},
		{ "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",  400},
		{ "GET /stream/ingest HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
		  "Upgrade: websocket\r\nSec-WebSocket-Version: 8\r\n\r\n", 426},
		{ "GET /stream/ingest HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
		  "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
		  "Sec-WebSocket-Key: short\r\n\r\n",		       400},
	};

	start();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char answer[1024];
		int fd = dial();

		say(fd, cases[i].text);
		get_all(fd, answer, sizeof answer);
		cr_assert_eq(atoi(answer + 9), cases[i].status, "%s -> %s", cases[i].text, answer);
		cr_assert(strstr(answer, "Connection: close\r\n"));
		(void)close(fd);
	}
	cr_assert(seen.requests == 0 && seen.opened == 0);
	cr_assert_eq(seen.net->counts.protocol_errors, ARRAY_LEN(cases));
	stop();
}

Test(net_http, answers_431_to_a_head_that_is_too_large)
{
	char line[1032], answer[1024];
	int fd;

	start();
	fd = dial();
	say(fd, "GET / HTTP/1.1\r\nHost: x\r\n");
	memset(line, 'x', sizeof line);
	memcpy(line + 1029, "\r\n", 3);
	line[3] = ':';
	for (int i = 0; i < 17; i++)
		say(fd, line);
	get_all(fd, answer, sizeof answer);
	cr_assert_eq(atoi(answer + 9), 431, "%s", answer);
	(void)close(fd);
	stop();
}

Test(net_http, joins_headers_that_are_given_twice)
{
	int fd;

	start();
	fd = dial();
	say(fd, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nauthorization: b\r\n"
	        "Cookie: c=1\r\nCookie: d=2\r\n\r\n");
	assert_answer(fd, 200, "/");
	cr_assert_str_eq(seen.text, "GET auth=a, b cookie=c=1; d=2 peer=127.0.0.1 large=0");
	(void)close(fd);
	stop();
}

Test(net_http, believes_the_last_forwarded_address_only_behind_a_proxy)
{
	static const char request[] =
	        "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6, 10.0.0.9\r\n\r\n";
	int fd;

	seen.config.behind_proxy = true;
	start();
	fd = dial();
	say(fd, request);
	assert_answer(fd, 200, "/");
	cr_assert(strstr(seen.text, "peer=10.0.0.9 "), "%s", seen.text);
	(void)close(fd);
	stop();
}

Test(net_http, closes_where_the_peer_asks_for_it_and_with_http_1_0)
{
	const char *const requests[] = {
		"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"GET /a HTTP/1.0\r\n\r\n",
	};

	start();
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		int fd = dial();

		say(fd, requests[i]);
		assert_answer(fd, 200, "Connection: close\r\n");
		assert_closed(fd);
	}
	stop();
}

static void respond(void)
{
	net_respond(seen.conn, 201, NULL, BYTES("made", 4));
}

Test(net_http, answers_later_and_holds_the_next_request_until_then)
{
	int fd;

	seen.hold = true;
	start();
	fd = dial();
	say(fd, GET_A GET_A);
	wait_until(&seen.requests, 1);
	on_loop(respond);
	assert_answer(fd, 201, "made");
	wait_until(&seen.requests, 2);
	on_loop(respond);
	assert_answer(fd, 201, "made");
	wait_until(&seen.closed, 2); /* one for each request */
	cr_assert_eq(seen.code, 1000);
	(void)close(fd);
	stop();
}

Test(net_http, tells_the_owner_that_the_client_went_before_the_answer)
{
	int fd;

	seen.hold = true;
	start();
	fd = dial();
	say(fd, GET_A);
	wait_until(&seen.requests, 1);
	(void)close(fd);
	wait_until(&seen.closed, 1);
	cr_assert(seen.code == 1006 && seen.by_peer);
	stop();
}

/* ---- streams ---- */

static void begin_stream(void)
{
	unsigned ms = 0;
	socklen_t len = sizeof ms;

	net_notice_silence(seen.conn, 25000);
	cr_assert_eq(getsockopt(socket_fd(seen.conn), IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, &len), 0);
	cr_assert_eq(ms, 25000);
	net_stream_start(seen.conn, 200, "Content-Type: text/event-stream\r\n");
	cr_assert_eq(net_stream_write(seen.conn, BYTES("one\n", 4), 1000), OK);
	cr_assert_eq(net_stream_write(seen.conn, BYTES("", 0), 1000), OK);
}

static void end_stream(void)
{
	cr_assert_eq(net_stream_write(seen.conn, BYTES("the second, longer\n", 19), 1000), OK);
	net_stream_end(seen.conn);
}

Test(net_http, streams_in_chunks_and_goes_on_with_the_next_request)
{
	char text[512];
	int fd;

	seen.hold = true;
	start();
	fd = dial();
	say(fd, GET_A);
	wait_until(&seen.requests, 1);
	on_loop(begin_stream);
	get_until(fd, "\r\n\r\n4\r\none\n\r\n", text, sizeof text);
	cr_assert(strstr(text, "Transfer-Encoding: chunked\r\n") && !strstr(text, "Content-Len"));
	on_loop(end_stream);
	get_until(fd, "0\r\n\r\n", text, sizeof text);
	cr_assert_str_eq(text, "13\r\nthe second, longer\n\r\n0\r\n\r\n");
	say(fd, GET_A);
	wait_until(&seen.requests, 2);
	on_loop(respond);
	assert_answer(fd, 201, "made");
	(void)close(fd);
	stop();
}

static void drop_stream(void)
{
	net_close_now(seen.conn, 4001, "revoked");
}

Test(net_http, cuts_a_stream_off_without_its_end)
{
	char text[512];
	int fd;

	seen.hold = true;
	start();
	fd = dial();
	say(fd, GET_A);
	wait_until(&seen.requests, 1);
	on_loop(begin_stream);
	get_until(fd, "one\n\r\n", text, sizeof text);
	on_loop(drop_stream);
	assert_closed(fd);
	wait_until(&seen.closed, 1);
	cr_assert_eq(seen.code, 4001);
	stop();
}

static size_t streamed;

static void fill_stream(struct conn *conn)
{
	static const char block[4096];

	while (streamed < 500 && net_stream_write(conn, BYTES(block, sizeof block), 20000) == OK)
		streamed++;
	if (streamed == 500)
		net_stream_end(conn);
}

static void begin_long_stream(void)
{
	net_bound_kernel_buffer(seen.conn, 8192);
	net_stream_start(seen.conn, 200, NULL);
	fill_stream(seen.conn);
	cr_assert_lt(streamed, 6);
}

Test(net_http, holds_a_stream_back_for_a_slow_reader_and_loses_nothing)
{
	char text[512];
	size_t len = 0;
	int fd;

	seen.hold = true;
	seen.on_drained_too = fill_stream;
	start();
	fd = dial_with(4096);
	say(fd, GET_A);
	wait_until(&seen.requests, 1);
	on_loop(begin_long_stream);
	get_until(fd, "\r\n\r\n", text, sizeof text);
	for (int i = 0; i < 500; i++) {
		char chunk[6 + 4096 + 2];

		get(fd, chunk, sizeof chunk);
		cr_assert_eq(strncmp(chunk, "1000\r\n", 6), 0);
		len += 4096;
	}
	get_until(fd, "0\r\n\r\n", text, sizeof text);
	cr_assert_eq(len, 500 * 4096);
	(void)close(fd);
	wait_until(&seen.closed, 1);
	stop();
}

/* ---- time ---- */

Test(net_http, drops_a_request_that_is_not_finished_in_time)
{
	const char *const halves[] = {
		"", "GET / HTTP/1.1\r\nHo",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe"
	};

	seen.times.request = 50;
	start();
	for (size_t i = 0; i < ARRAY_LEN(halves); i++) {
		int fd = dial();

		say(fd, halves[i]);
		assert_closed(fd);
	}
	stop();
}

Test(net_http, drops_a_connection_that_is_idle_for_long)
{
	int fd;

	seen.times.keep_idle = 50;
	start();
	fd = dial();
	say(fd, GET_A);
	assert_answer(fd, 200, "/a");
	assert_closed(fd);
	stop();
}

Test(net_http, drops_a_client_that_takes_nothing_of_its_answer)
{
	int fd;

	seen.hold = true;
	seen.times.stalled = 50;
	seen.on_drained_too = fill_stream;
	start();
	fd = dial_with(4096);
	say(fd, GET_A);
	wait_until(&seen.requests, 1);
	on_loop(begin_long_stream);
	wait_until(&seen.closed, 1);
	cr_assert(seen.code == 1006 && !seen.by_peer);
	(void)close(fd);
	stop();
}

static void stop_listening(void)
{
	net_stop_listening(seen.net);
}

Test(net_http, finishes_what_it_has_and_takes_nobody_new_after_it_stops_listening)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	int fd, other;

	seen.hold = true;
	start();
	at.sin_port = htons(seen.port);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = dial();
	say(fd, GET_A);
	wait_until(&seen.requests, 1);
	on_loop(stop_listening);
	other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_neq(connect(other, (struct sockaddr *)&at, sizeof at), 0);
	on_loop(respond);
	assert_answer(fd, 201, "made");
	assert_closed(fd);
	(void)close(other);
	stop();
}
