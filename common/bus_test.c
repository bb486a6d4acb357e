#include "common/bus.h"
#include "common/clock.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- one loop, with a server's bus and a client's bus in it ---- */

static char directory[64];
static struct loop *loop;
static struct bus *server, *client;

static struct bus *open_bus(void)
{
	struct bus_config config = { .directory = directory };
	struct bus *bus = NULL;

	cr_assert_eq(bus_open(loop, &config, &bus), OK);
	return bus;
}

static void given_two_buses(void)
{
	(void)snprintf(directory, sizeof directory, "/tmp/raeh-bus-XXXXXX");
	cr_assert_not_null(mkdtemp(directory));
	loop = loop_new();
	server = open_bus();
	client = open_bus();
}

static void remove_directory(void)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)) != NULL)
		(void)unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		(void)closedir(dir);
	(void)rmdir(directory);
}

static void done(void)
{
	bus_close(client);
	bus_close(server);
	loop_free(loop);
	remove_directory();
}

/* One turn when there is something to do, at most wait_ms from now. */
static void turn(int wait_ms)
{
	struct pollfd one = { .fd = loop_fd(loop), .events = POLLIN };

	(void)poll(&one, 1, wait_ms);
	loop_dispatch(loop);
}

#define UNTIL(condition, limit_ms)                                                                 \
	for (int64_t until_ = clock_boot_ms() + (limit_ms); !(condition);) {                       \
		cr_assert_lt(clock_boot_ms(), until_, "waited %d ms for: %s", (int)(limit_ms),     \
		             #condition);                                                          \
		turn(20);                                                                          \
	}

static void turns_for(int64_t ms)
{
	for (int64_t end = clock_boot_ms() + ms; clock_boot_ms() < end;)
		turn(10);
}

/* ---- what servers do ---- */

static int n_calls;

static void echo(void *ctx, struct bus_call *call, struct bytes request)
{
	(void)ctx;
	n_calls++;
	bus_reply(call, request);
}

static void drop_first(void *ctx, struct bus_call *call, struct bytes request)
{
	(void)ctx;
	if (n_calls++ == 0)
		bus_drop(call);
	else
		bus_reply(call, request);
}

static struct bus_call *held[64];

static void hold(void *ctx, struct bus_call *call, struct bytes request)
{
	(void)ctx, (void)request;
	cr_assert_lt(n_calls, (int)ARRAY_LEN(held));
	held[n_calls++] = call;
}

/* ---- what clients see ---- */

struct answer {
	int n;
	enum err err;
	char text[32];
	size_t len;
	int order;
};
static int n_answers;

static void on_answer(void *ctx, enum err err, struct bytes reply)
{
	struct answer *answer = ctx;

	answer->n++;
	answer->err = err;
	answer->len = reply.len;
	answer->order = n_answers++;
	(void)snprintf(answer->text, sizeof answer->text, "%.*s", (int)reply.len,
	               reply.len ? (const char *)reply.data : "");
}

static void ask(struct answer *answer, const char *name, const char *text, int64_t deadline_ms)
{
	bus_request(client, name, BYTES(text, strlen(text)), deadline_ms, on_answer, answer);
}

TestSuite(bus, .init = given_two_buses, .fini = done);

/* ---- request and reply ---- */

Test(bus, brings_a_request_to_the_name_and_its_reply_back)
{
	struct answer a = { 0 }, b = { 0 }, empty = { 0 };

	cr_assert_eq(bus_serve(server, "auth", 1, echo, NULL), OK);
	cr_assert_eq(bus_serve(server, "auth.lease", 0, drop_first, NULL), OK);
	ask(&a, "auth", "verify", 5000);
	ask(&empty, "auth", "", 5000);
	UNTIL(a.n && empty.n, 5000);
	ask(&b, "auth.lease", "renew", 5000);
	UNTIL(b.n, 5000);
	cr_assert_eq(a.err, OK);
	cr_assert_str_eq(a.text, "verify");
	cr_assert_str_eq(b.text, "renew");
	cr_assert_eq(empty.err, OK);
	cr_assert_eq(empty.len, 0);
}

Test(bus, takes_replies_in_any_order_and_at_any_time)
{
	struct answer answer[40] = { 0 };

	cr_assert_eq(bus_serve(server, "router", 1, hold, NULL), OK);
	for (size_t i = 0; i < ARRAY_LEN(answer); i++) {
		char text[8];

		(void)snprintf(text, sizeof text, "%zu", i);
		ask(&answer[i], "router", text, 5000);
	}
	UNTIL(n_calls == (int)ARRAY_LEN(answer), 5000);
	for (int i = n_calls - 1; i >= 0; i--) {
		char text[8];

		(void)snprintf(text, sizeof text, "%d", i);
		bus_reply(held[i], BYTES(text, strlen(text)));
	}
	UNTIL(n_answers == (int)ARRAY_LEN(answer), 5000);
	for (int i = 0; i < (int)ARRAY_LEN(answer); i++) {
		cr_assert_eq(answer[i].err, OK);
		cr_assert_eq(atoi(answer[i].text), i, "request %d got %s", i, answer[i].text);
		cr_assert_eq(answer[i].order, (int)ARRAY_LEN(answer) - 1 - i);
	}
}

Test(bus, says_unavailable_once_when_nobody_listens)
{
	struct answer a = { 0 };
	int64_t before = clock_boot_ms();

	ask(&a, "nobody", "hello", 600);
	cr_assert_eq(a.n, 0, "the callback comes from the loop");
	UNTIL(a.n, 5000);
	cr_assert_eq(a.err, ERR_UNAVAILABLE);
	cr_assert_geq(clock_boot_ms() - before, 600);
	turns_for(300);
	cr_assert_eq(a.n, 1);
}

Test(bus, asks_again_where_a_server_drops_a_request)
{
	struct answer a = { 0 };

	cr_assert_eq(bus_serve(server, "auth", 1, drop_first, NULL), OK);
	ask(&a, "auth", "again", 5000);
	UNTIL(a.n, 5000);
	cr_assert_eq(a.err, OK);
	cr_assert_eq(n_calls, 2);
}

Test(bus, brings_a_request_once_while_its_call_is_open)
{
	struct answer a = { 0 };

	cr_assert_eq(bus_serve(server, "auth", 1, hold, NULL), OK);
	ask(&a, "auth", "revoke", 20000);
	UNTIL(n_calls, 5000);
	turns_for(3 * BUS_RESEND_MS);
	cr_assert_eq(n_calls, 1);
	bus_reply(held[0], BYTES("done", 4));
	UNTIL(a.n, 5000);
	cr_assert_str_eq(a.text, "done");
}

Test(bus, asks_again_when_the_server_has_started_again)
{
	struct answer a = { 0 }, b = { 0 };

	cr_assert_eq(bus_serve(server, "auth", 1, hold, NULL), OK);
	ask(&a, "auth", "first", 10000);
	UNTIL(n_calls, 5000);
	bus_close(server);
	ask(&b, "auth", "meanwhile", 10000);
	turns_for(500);
	server = open_bus();
	cr_assert_eq(bus_serve(server, "auth", 1, echo, NULL), OK);
	UNTIL(a.n && b.n, 2000);
	cr_assert_str_eq(a.text, "first");
	cr_assert_str_eq(b.text, "meanwhile");
}

static int n_in_order;

static void check_order(void *ctx, struct bus_call *call, struct bytes request)
{
	int number;

	cr_assert_eq(request.len, sizeof number);
	memcpy(&number, request.data, sizeof number);
	if (number == n_in_order)
		n_in_order++;
	echo(ctx, call, request);
}

static int n_good;

static void on_number(void *ctx, enum err err, struct bytes reply)
{
	if (err == OK && reply.len == sizeof(int) && memcmp(reply.data, ctx, sizeof(int)) == 0)
		n_good++;
	n_answers++;
}

Test(bus, answers_each_of_ten_thousand_requests_once)
{
	enum { N = 10000 };
	int *number = xcalloc(N, sizeof *number);

	cr_assert_eq(bus_serve(server, "router", 1, check_order, NULL), OK);
	for (int i = 0; i < N; i++) {
		number[i] = i;
		bus_request(client, "router", BYTES(&number[i], sizeof number[i]), 60000, on_number,
		            &number[i]);
	}
	UNTIL(n_answers >= N, 60000);
	turns_for(100);
	cr_assert_eq(n_answers, N);
	cr_assert_eq(n_good, N);
	cr_assert_eq(n_in_order, N, "out of order after %d", n_in_order);
	mem_free(number);
}

static enum err last_err;

static void on_err(void *ctx, enum err err, struct bytes reply)
{
	(void)reply;
	last_err = err;
	++*(int *)ctx;
}

Test(bus, refuses_a_request_when_too_many_wait_already)
{
	int n_waiting = 0, n_refused = 0;

	for (int i = 0; i < BUS_MAX_WAITING; i++)
		bus_request(client, "nobody", BYTES("x", 1), 60000, on_err, &n_waiting);
	bus_request(client, "nobody", BYTES("x", 1), 60000, on_err, &n_refused);
	cr_assert_eq(n_refused, 0, "the callback comes from the loop");
	UNTIL(n_refused, 5000);
	cr_assert_eq(last_err, ERR_LIMIT);
	cr_assert_eq(n_waiting, 0);
}

static void answer_size(void *ctx, struct bus_call *call, struct bytes request)
{
	size_t size;
	uint8_t *reply;

	memcpy(&size, request.data, sizeof size);
	n_calls++;
	reply = xcalloc(1, size);
	memset(reply, 'r', size);
	bus_reply(call, BYTES(reply, size));
	mem_free(reply);
	(void)ctx;
}

Test(bus, carries_the_largest_message_and_refuses_a_larger_one)
{
	const size_t sizes[] = { BUS_MAX_BYTES, BUS_MAX_BYTES + 1 };
	uint8_t *body = xcalloc(1, BUS_MAX_BYTES + 1);

	cr_assert_eq(bus_serve(server, "echo", 1, echo, NULL), OK);
	cr_assert_eq(bus_serve(server, "size", 1, answer_size, NULL), OK);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		enum err expected = sizes[i] > BUS_MAX_BYTES ? ERR_LIMIT : OK;
		struct answer a = { 0 }, b = { 0 };

		bus_request(client, "echo", BYTES(body, sizes[i]), 20000, on_answer, &a);
		bus_request(client, "size", BYTES(&sizes[i], sizeof sizes[i]), 20000, on_answer,
		            &b);
		UNTIL(a.n && b.n, 20000);
		cr_assert_eq(a.err, expected, "request of %zu: %s", sizes[i], err_name(a.err));
		cr_assert_eq(b.err, expected, "reply of %zu: %s", sizes[i], err_name(b.err));
		cr_assert_eq(a.len, expected == OK ? sizes[i] : 0);
		cr_assert_eq(b.len, expected == OK ? sizes[i] : 0);
	}
	cr_assert_eq(bus_publish(server, "events", BYTES(body, BUS_MAX_BYTES + 1)), ERR_LIMIT);
	mem_free(body);
}

static void never(void *ctx, enum err err, struct bytes reply)
{
	(void)ctx, (void)err, (void)reply;
	cr_assert(false, "called back after bus_close()");
}

Test(bus, calls_nobody_back_when_it_is_closed)
{
	cr_assert_eq(bus_serve(server, "auth", 1, hold, NULL), OK);
	for (int i = 0; i < 10; i++) {
		bus_request(client, "auth", BYTES("held", 4), 300, never, NULL);
		bus_request(client, "nobody", BYTES("lost", 4), 300, never, NULL);
	}
	for (int i = 0; i < 1000; i++)
		bus_request(client, "auth", BYTES("queued", 6), 300, never, NULL);
	UNTIL(n_calls >= 10, 5000);
	bus_close(TAKE(client));
	bus_close(TAKE(server));
	turns_for(600);
}

/* ---- publish and subscribe ---- */

static int n_events, n_bytes;

static void on_event(void *ctx, struct bytes event)
{
	if (event.len == sizeof(int)) {
		int number;

		memcpy(&number, event.data, sizeof number);
		cr_assert_eq(number, *(int *)ctx, "event %d came after %d", number, *(int *)ctx);
		++*(int *)ctx;
	}
	n_events++;
	n_bytes += (int)event.len;
}

/* Publishes until the subscribers are there. */
static void until_heard(const char *name, int n_subscribers)
{
	n_events = 0;
	for (int i = 0; n_events < n_subscribers; i++) {
		cr_assert_lt(i, 500, "nobody heard of %s", name);
		cr_assert_eq(bus_publish(server, name, BYTES("?", 1)), OK);
		turn(10);
	}
	turns_for(50);
	n_events = 0;
}

Test(bus, brings_events_to_every_subscriber_of_their_name_alone)
{
	int unused = 0;

	cr_assert_eq(bus_subscribe(client, "auth.notices", 0, on_event, &unused), OK);
	cr_assert_eq(bus_subscribe(client, "auth.notices", 1, on_event, &unused), OK);
	until_heard("auth.notices", 2);
	cr_assert_eq(bus_publish(server, "model.changed", BYTES("no", 2)), OK);
	n_bytes = 0;
	cr_assert_eq(bus_publish(server, "auth.notices", BYTES("revoked", 7)), OK);
	UNTIL(n_events == 2, 5000);
	turns_for(50);
	cr_assert_eq(n_events, 2);
	cr_assert_eq(n_bytes, 14);
}

Test(bus, loses_no_event_while_the_subscriber_keeps_up)
{
	enum { N = 20000, BATCH = 200 };
	int expected = 0;

	cr_assert_eq(bus_subscribe(client, "insights", 1, on_event, &expected), OK);
	until_heard("insights", 1);
	for (int i = 0; i < N; i++) {
		cr_assert_eq(bus_publish(server, "insights", BYTES(&i, sizeof i)), OK);
		if (i % BATCH == BATCH - 1)
			UNTIL(expected > i - 4000, 5000);
	}
	UNTIL(expected == N, 10000);
}
