#include "services/edge/net_test.h"

#include <sys/resource.h>

struct fixture seen;

TestSuite(net_ws, .timeout = 60);

Test(net_ws, gives_whole_messages_of_both_kinds)
{
	int fd;

	start();
	fd = dial_ws("/stream/ingest?device_id=a%20b");
	cr_assert_str_eq(seen.query, "device_id=a%20b");
	put_frame(fd, 0x82, "\0\1\2", 3);
	wait_until(&seen.messages, 1);
	cr_assert(seen.last_binary && seen.last.len == 3);
	put_frame(fd, 0x81, "gr\xc3\xbc\xc3\x9f", 6);
	wait_until(&seen.messages, 2);
	cr_assert(!seen.last_binary);
	cr_assert_str_eq((char *)seen.last.data, "gr\xc3\xbc\xc3\x9f");
	put_frame(fd, 0x82, "", 0);
	wait_until(&seen.messages, 3);
	cr_assert_eq(seen.last.len, 0);
	(void)close(fd);
	wait_until(&seen.closed, 1);
	cr_assert(seen.code == 1006 && seen.by_peer);
	stop();
}

Test(net_ws, answers_bearer_and_ignores_every_other_list_of_subprotocols)
{
	const struct {
		const char *header, *answer;
	} offers[] = {
		{"Sec-WebSocket-Protocol: bearer, raeh_x\r\n",   "bearer"},
		{ "Sec-WebSocket-Protocol: chat, superchat\r\n", NULL    },
		{ "Sec-WebSocket-Protocol: \r\n",                NULL    },
		{ "",		                            NULL    }
	};

	start();
	for (size_t i = 0; i < ARRAY_LEN(offers); i++) {
		char answer[1024], *protocol;
		int fd = dial();

		say_upgrade(fd, "/stream/subscribe", offers[i].header);
		get_until(fd, "\r\n\r\n", answer, sizeof answer);
		cr_assert_eq(strncmp(answer, "HTTP/1.1 101 ", 13), 0, "%s", answer);
		cr_assert(strstr(answer, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
		protocol = strstr(answer, "Sec-WebSocket-Protocol");
		cr_assert_eq(!protocol, !offers[i].answer, "%s", answer);
		cr_assert(!protocol || strstr(answer, "Sec-WebSocket-Protocol: bearer\r\n"));
		cr_assert(!strstr(answer, "raeh_"));
		(void)close(fd);
	}
	wait_until(&seen.closed, ARRAY_LEN(offers));
	stop();
}

Test(net_ws, refuses_an_upgrade_as_it_is_told_and_one_to_no_endpoint)
{
	const struct {
		const char *path;
		int refuse_with;
		const char *answer;
	} cases[] = {
		{"/stream/ingest", 401, "HTTP/1.1 401 "},
		{ "/nowhere",      0,   "HTTP/1.1 404 "},
		{ "/echo",         0,   "HTTP/1.1 404 "}
	};
	char answer[1024];

	start();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int fd = dial();

		seen.refuse_with = cases[i].refuse_with;
		say_upgrade(fd, cases[i].path, "");
		get_all(fd, answer, sizeof answer);
		cr_assert_eq(strncmp(answer, cases[i].answer, 13), 0, "%s: %s", cases[i].path,
		             answer);
		(void)close(fd);
	}
	cr_assert_eq(seen.opened, 0);
	stop();
}

Test(net_ws, gathers_fragments_with_control_frames_between_them)
{
	char body[256];
	size_t len;
	int fd;

	start();
	fd = dial_ws("/stream/ingest");
	put_frame(fd, 0x01, "a\xc3", 2); /* a character split between fragments */
	put_frame(fd, 0x89, "are you there", 13);
	put_frame(fd, 0x00, "", 0);
	put_frame(fd, 0x8a, "unasked", 7);
	put_frame(fd, 0x80, "\xa4z", 2);
	cr_assert_eq(get_frame(fd, body, sizeof body, &len), NET_PONG);
	cr_assert_str_eq(body, "are you there");
	wait_until(&seen.messages, 1);
	cr_assert_str_eq((char *)seen.last.data, "a\xc3\xa4z");
	(void)close(fd);
	wait_until(&seen.closed, 1);
	stop();
}

Test(net_ws, understands_a_message_that_comes_byte_by_byte)
{
	static const uint8_t wire[] = { 0x82, 0x83, 1, 2, 3, 4, 0, 0, 0 };
	int fd;

	start();
	fd = dial_ws("/stream/ingest");
	for (size_t i = 0; i < sizeof wire; i++) {
		uint64_t before = __atomic_load_n(&seen.net->counts.bytes_in, __ATOMIC_SEQ_CST);

		put(fd, wire + i, 1);
		while (__atomic_load_n(&seen.net->counts.bytes_in, __ATOMIC_SEQ_CST) == before)
			(void)sched_yield();
	}
	wait_until(&seen.messages, 1);
	cr_assert(seen.last.len == 3 && memcmp(seen.last.data, "\1\2\3", 3) == 0);
	(void)close(fd);
	wait_until(&seen.closed, 1);
	stop();
}

Test(net_ws, answers_every_ping_of_a_burst_in_order)
{
	enum { PINGS = 5000, PING_BYTES = 10 };
	const uint8_t head[6] = { 0x89, 0x84 };
	uint8_t *burst = xcalloc(PINGS, PING_BYTES);
	char body[256], text[16];
	size_t len;
	int fd;

	start();
	fd = dial_ws("/stream/ingest");
	for (int i = 0; i < PINGS; i++) { /* a mask of 0, and four digits */
		memcpy(burst + (size_t)i * PING_BYTES, head, sizeof head);
		(void)snprintf(text, sizeof text, "%04d", i);
		memcpy(burst + (size_t)i * PING_BYTES + 6, text, 4);
	}
	put(fd, burst, (size_t)PINGS * PING_BYTES);
	for (int i = 0; i < PINGS; i++) {
		cr_assert_eq(get_frame(fd, body, sizeof body, &len), NET_PONG);
		(void)snprintf(text, sizeof text, "%04d", i);
		cr_assert_str_eq(body, text);
	}
	(void)close(fd);
	mem_free(burst);
	wait_until(&seen.closed, 1);
	stop();
}

Test(net_ws, closes_with_the_code_that_the_fault_asks_for)
{
	const struct {
		const char *wire;
		size_t len;
		int code;
		const char *words;
	} faults[] = {
		{"\x82\x01x",                              3,  1002, "not masked"        },
		{ "\xc2\x80\0\0\0\0",                      6,  1002, "reserved bits"     },
		{ "\x83\x80\0\0\0\0",                      6,  1002, "opcode"            },
		{ "\x8b\x80\0\0\0\0",                      6,  1002, "opcode"            },
		{ "\x80\x80\0\0\0\0",                      6,  1002, "continuation"      },
		{ "\x02\x80\0\0\0\0\x82\x80\0\0\0\0",      12, 1002, "inside"            },
		{ "\x09\x80\0\0\0\0",                      6,  1002, "fragmented control"},
		{ "\x89\xfe\0\x7e\0\0\0\0",                8,  1002, "125 bytes"         },
		{ "\x82\xfe\0\x05\0\0\0\0",                8,  1002, "shortest"          },
		{ "\x82\xff\xff\0\0\0\0\0\0\0\0\0\0\0",    14, 1002, "highest bit"       },
		{ "\x81\x81\0\0\0\0\xff",                  7,  1007, "UTF-8"             },
		{ "\x01\x81\0\0\0\0\xc3\x80\x81\0\0\0\0x", 14, 1007, "UTF-8"             },
		{ "\x82\xff\0\0\0\0\0\x10\0\x01\0\0\0\0",  14, 1009,
                 "expected at most 1048576 bytes, got more"                              },
		{ "\x88\x81\0\0\0\0x",                     7,  1002, "close code"        },
		{ "\x88\x82\0\0\0\0\x03\xed",              8,  1002, "close code"        }, /* 1005 */
		{ "\x88\x82\0\0\0\0\x0b\xb7",              8,  1002, "close code"        }, /* 2999 */
		{ "\x88\x83\0\0\0\0\x03\xe8\xff",          9,  1007, "UTF-8"             },
	};

	start();
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		int fd = dial_ws("/stream/ingest");

		put(fd, faults[i].wire, faults[i].len);
		assert_close_frame(fd, faults[i].code, faults[i].words);
		assert_closed(fd);
		wait_until(&seen.closed, (unsigned)i + 1);
		cr_assert(seen.code == faults[i].code && !seen.by_peer, "case %zu: %d", i,
		          seen.code);
	}
	cr_assert_eq(seen.messages, 0);
	stop();
}

Test(net_ws, inflates_messages_where_that_was_agreed_on_and_nowhere_else)
{
	/* "Hello" as RFC 7692 §7.2.3.1 deflates it */
	static const uint8_t hello[] = { 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00 };
	int fd;

	seen.config.deflate = true;
	start();
	fd = dial_ws_with("/stream/ingest", "Sec-WebSocket-Extensions: permessage-deflate\r\n", 0);
	put_frame(fd, 0xc1, hello, sizeof hello);
	wait_until(&seen.messages, 1);
	cr_assert_str_eq((char *)seen.last.data, "Hello");
	put_frame(fd, 0x41, hello, 3);
	put_frame(fd, 0x80, hello + 3, sizeof hello - 3);
	wait_until(&seen.messages, 2);
	cr_assert_str_eq((char *)seen.last.data, "Hello");
	put_frame(fd, 0x81, "plain", 5);
	wait_until(&seen.messages, 3);
	cr_assert_str_eq((char *)seen.last.data, "plain");
	put_frame(fd, 0xc9, "", 0); /* a control frame is never compressed */
	assert_close_frame(fd, 1002, "reserved bits");
	assert_closed(fd);
	fd = dial_ws("/stream/ingest");
	put_frame(fd, 0xc1, hello, sizeof hello);
	assert_close_frame(fd, 1002, "reserved bits");
	assert_closed(fd);
	wait_until(&seen.closed, 2);
	stop();
}

Test(net_ws, takes_as_many_fragments_as_agreed_and_no_more)
{
	int fd;

	start();
	fd = dial_ws("/stream/ingest");
	put_frame(fd, 0x02, "x", 1);
	for (int i = 2; i < NET_MAX_FRAGMENTS; i++)
		put_frame(fd, 0x00, "x", 1);
	put_frame(fd, 0x80, "x", 1);
	wait_until(&seen.messages, 1);
	cr_assert_eq(seen.last.len, NET_MAX_FRAGMENTS);
	put_frame(fd, 0x02, "x", 1);
	for (int i = 1; i <= NET_MAX_FRAGMENTS; i++)
		put_frame(fd, 0x00, "x", 1);
	assert_close_frame(fd, 1009, "expected at most 1024, got more");
	assert_closed(fd);
	wait_until(&seen.closed, 1);
	stop();
}

Test(net_ws, limits_the_sum_of_the_fragments)
{
	char *half = xcalloc(1, 600000);
	int fd;

	start();
	fd = dial_ws("/stream/ingest");
	put_frame(fd, 0x02, half, 600000);
	put_frame(fd, 0x80, half, 600000);
	assert_close_frame(fd, 1009, "1048576");
	assert_closed(fd);
	wait_until(&seen.closed, 1);
	mem_free(half);
	stop();
}

static void gather_little(void)
{
	seen.net->max_gathered_bytes = 1000;
}

Test(net_ws, bounds_what_all_unfinished_messages_hold_together)
{
	char part[600] = "";
	int one, two;

	start();
	on_loop(gather_little);
	one = dial_ws("/stream/ingest");
	two = dial_ws("/stream/ingest");
	put_frame(one, 0x02, part, sizeof part);
	put_frame(one, 0x89, "", 0);
	get(one, part, 2); /* its pong: the part has arrived */
	put_frame(two, 0x02, part, sizeof part);
	assert_close_frame(two, 1013, "overloaded");
	assert_closed(two);
	put_frame(one, 0x80, part, 100);
	wait_until(&seen.messages, 1);
	cr_assert_eq(seen.last.len, 700);
	(void)close(one);
	wait_until(&seen.closed, 2);
	cr_assert_eq(seen.net->gathered_bytes, 0);
	stop();
}

static void pause_it(void)
{
	net_pause(seen.conn, true);
}

static void resume_it(void)
{
	net_pause(seen.conn, false);
}

Test(net_ws, reads_nothing_while_paused_and_everything_afterwards)
{
	int fd;

	start();
	fd = dial_ws("/stream/ingest");
	on_loop(pause_it);
	for (int i = 0; i < 100; i++)
		put_frame(fd, 0x82, "x", 1);
	on_loop(pause_it); /* two turns of the loop have passed */
	on_loop(pause_it);
	cr_assert_eq(seen.messages, 0);
	on_loop(resume_it);
	wait_until(&seen.messages, 100);
	(void)close(fd);
	wait_until(&seen.closed, 1);
	stop();
}

static void allow(void)
{
	__atomic_store_n(&seen.may_move, true, __ATOMIC_SEQ_CST);
	net_wake(seen.net, NULL);
}

static void forbid_and_send(void)
{
	__atomic_store_n(&seen.may_move, false, __ATOMIC_SEQ_CST);
	cr_assert_eq(net_send_text(seen.conn, BYTES("held", 4), 1000), OK);
}

Test(net_ws, moves_nothing_either_way_until_it_may)
{
	char body[64];
	size_t len;
	int fd;

	start();
	fd = dial_ws("/stream/ingest");
	on_loop(forbid_and_send);
	put_frame(fd, 0x82, "x", 1);
	put_frame(fd, 0x89, "p", 1);
	on_loop(pause_it);
	on_loop(resume_it);
	cr_assert_eq(seen.messages, 0);
	cr_assert_eq(recv(fd, body, 1, MSG_DONTWAIT), -1);
	on_loop(allow);
	cr_assert_eq(get_frame(fd, body, sizeof body, &len), NET_TEXT);
	cr_assert_str_eq(body, "held");
	cr_assert_eq(get_frame(fd, body, sizeof body, &len), NET_PONG);
	wait_until(&seen.messages, 1);
	(void)close(fd);
	wait_until(&seen.closed, 1);
	stop();
}

Test(net_ws, pings_and_notices_a_peer_that_is_gone)
{
	char body[64];
	size_t len;
	int fd;

	seen.times.ping = 60;
	seen.times.pong = 30;
	start();
	fd = dial_ws("/stream/ingest");
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(get_frame(fd, body, sizeof body, &len), NET_PING);
		put_frame(fd, 0x8a, body, len);
	}
	cr_assert_eq(seen.closed, 0);
	cr_assert_eq(get_frame(fd, body, sizeof body, &len), NET_PING);
	wait_until(&seen.closed, 1);
	cr_assert(seen.code == 1006 && !seen.by_peer);
	cr_assert_eq(seen.net->counts.peers_gone, 1);
	(void)close(fd);
	stop();
}

static void send_mark(void)
{
	cr_assert_eq(net_send_text(seen.conn, BYTES("m", 1), 1000), OK);
}

Test(net_ws, does_not_judge_a_peer_while_it_does_not_read_it)
{
	struct timespec third = { .tv_nsec = 200000000 };
	char body[64];
	size_t len;
	int fd;

	seen.times.ping = 40;
	seen.times.pong = 20;
	start();
	fd = dial_ws("/stream/ingest");
	on_loop(pause_it);
	(void)nanosleep(&third, NULL); /* many times the limit: nothing is to happen */
	cr_assert_eq(seen.closed, 0);
	on_loop(send_mark);
	do
		cr_assert_leq(get_frame(fd, body, sizeof body, &len), NET_PING);
	while (body[0] != 'm');
	(void)close(fd);
	on_loop(resume_it);
	wait_until(&seen.closed, 1);
	stop();
}

Test(net_ws, refuses_connections_over_the_limit_and_serves_again_later)
{
	char answer[512];
	int one, two, three;

	seen.config.max_conns = 2;
	start();
	one = dial_ws("/stream/ingest");
	two = dial_ws("/stream/ingest");
	three = dial();
	get_all(three, answer, sizeof answer);
	cr_assert_eq(strncmp(answer, "HTTP/1.1 503 ", 13), 0, "%s", answer);
	(void)close(three);
	(void)close(one);
	wait_until(&seen.closed, 1);
	three = dial_ws("/stream/ingest");
	(void)close(two);
	(void)close(three);
	wait_until(&seen.closed, 3);
	cr_assert_eq(seen.net->counts.refused_full, 1);
	stop();
}

static int filler[64];

static void use_up_descriptors(void)
{
	struct rlimit limit;
	size_t n = 0;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = ARRAY_LEN(filler);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	do
		filler[n] = dup(seen.wake_fd);
	while (filler[n++] >= 0);
}

static void give_descriptors_back(void)
{
	for (size_t n = 0; filler[n] >= 0; n++)
		(void)close(filler[n]);
}

Test(net_ws, turns_connections_away_when_descriptors_run_out)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	char answer[512];
	int first, fd;

	start();
	first = dial_ws("/stream/ingest");
	at.sin_port = htons(seen.port);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	on_loop(use_up_descriptors);
	cr_assert_eq(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
	get_all(fd, answer, sizeof answer);
	cr_assert_eq(strncmp(answer, "HTTP/1.1 503 ", 13), 0, "%s", answer);
	put_frame(first, 0x82, "x", 1); /* the others are served */
	wait_until(&seen.messages, 1);
	on_loop(give_descriptors_back);
	(void)close(fd);
	fd = dial_ws("/stream/ingest");
	(void)close(fd);
	(void)close(first);
	wait_until(&seen.closed, 2);
	stop();
}
