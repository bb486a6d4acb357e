#include "common/bus.h"
#include "common/clock.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
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

Test(bus, never_blocks_on_a_subscriber_that_does_not_read)
{
	uint8_t event[1000] = { 0 };
	int unused = 0;
	int64_t before;

	cr_assert_eq(bus_subscribe(client, "insights", 1, on_event, &unused), OK);
	until_heard("insights", 1);
	before = clock_boot_ms();
	for (int i = 0; i < 50000; i++)
		cr_assert_eq(bus_publish(server, "insights", BYTES(event, sizeof event)), OK);
	cr_assert_lt(clock_boot_ms() - before, 10000);
}

/* ---- peers and servers that go away ---- */

static int connect_raw(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s/%s.ipc", directory, name);
	cr_assert_geq(fd, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

static int n_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	(void)closedir(dir);
	return n;
}

/* Whole, half and no beginnings of a conversation, then gone. */
static void disturb(const char *name, int i)
{
	const uint8_t words[] = "\0SP\0\0\60\0\0 and so on, without end";
	int fd = connect_raw(name);

	if (fd < 0)
		return;
	if (i % 4 > 0)
		(void)!send(fd, words, (size_t)(i % (int)sizeof words), MSG_NOSIGNAL);
	if (i % 4 == 2)
		turn(0);
	(void)close(fd);
}

Test(bus, survives_peers_that_go_away_in_the_middle_of_anything)
{
	struct answer a = { 0 };
	int unused = 0, before;

	cr_assert_eq(bus_serve(server, "auth", 1, echo, NULL), OK);
	cr_assert_eq(bus_subscribe(client, "events", 1, on_event, &unused), OK);
	until_heard("events", 1);
	ask(&a, "auth", "before", 5000);
	UNTIL(a.n, 5000);
	before = n_descriptors();
	for (int i = 0; i < 1000; i++) {
		disturb("auth", i);
		disturb("events", i);
		if (i % 8 == 0)
			turn(0);
	}
	a.n = n_events = 0;
	ask(&a, "auth", "after", 1500);
	cr_assert_eq(bus_publish(server, "events", BYTES("after", 5)), OK);
	UNTIL(a.n && n_events, 1500);
	cr_assert_str_eq(a.text, "after");
	UNTIL(n_descriptors() == before, 5000);
}

Test(bus, ends_a_connection_that_announces_too_large_a_message)
{
	const uint32_t frame[] = { UINT32_MAX, 0, 1 };
	struct pollfd one;
	struct answer a = { 0 };

	cr_assert_eq(bus_serve(server, "auth", 1, echo, NULL), OK);
	one = (struct pollfd){ .fd = connect_raw("auth"), .events = POLLIN };
	cr_assert_eq(send(one.fd, frame, sizeof frame, 0), (ssize_t)sizeof frame);
	UNTIL(poll(&one, 1, 0) == 1, 5000);
	cr_assert_eq(recv(one.fd, (char[1]){ 0 }, 1, 0), 0);
	ask(&a, "auth", "still there", 5000);
	UNTIL(a.n, 5000);
	cr_assert_eq(a.err, OK);
	cr_assert_eq(n_calls, 1);
	(void)close(one.fd);
}

/* In the child: asks and hears as fast as it can, until it is killed. */
static void ask_again(void *ctx, enum err err, struct bytes reply)
{
	(void)err, (void)reply;
	bus_request(client, "auth", BYTES("............", 12), 5000, ask_again, ctx);
}

static void busy_peer(void)
{
	int unused = 0;

	loop = loop_new();
	client = open_bus();
	if (bus_subscribe(client, "events", 1, on_event, &unused) != OK)
		return;
	for (int i = 0; i < BUS_MAX_IN_AIR; i++)
		ask_again(NULL, OK, BYTES(NULL, 0));
	loop_run(loop);
}

Test(bus, survives_busy_peers_that_are_killed)
{
	struct answer a = { 0 };
	uint8_t event[300] = { 0 };
	int before;

	cr_assert_eq(bus_serve(server, "auth", 1, echo, NULL), OK);
	cr_assert_eq(bus_publish(server, "events", BYTES("x", 1)), OK);
	before = n_descriptors();
	for (int i = 0; i < 60; i++) {
		int64_t end = clock_boot_ms() + 2 + i % 7 * 3;
		pid_t pid = fork();

		if (pid == 0) {
			busy_peer();
			_exit(0);
		}
		while (clock_boot_ms() < end) {
			cr_assert_eq(bus_publish(server, "events", BYTES(event, sizeof event)), OK);
			turn(0);
		}
		cr_assert_eq(kill(pid, SIGKILL), 0);
		cr_assert_eq(waitpid(pid, NULL, 0), pid);
	}
	cr_assert_gt(n_calls, 1000, "the peers were not busy");
	ask(&a, "auth", "after", 1500);
	UNTIL(a.n, 1500);
	cr_assert_eq(a.err, OK);
	UNTIL(n_descriptors() <= before + 2, 5000); /* our own connection, both ends */
}

/* In the child: a server, until it is killed. */
static void serve_until_killed(int ready_fd)
{
	loop = loop_new();
	server = open_bus();
	if (bus_serve(server, "auth", 1, echo, NULL) == OK &&
	    bus_publish(server, "events", BYTES("x", 1)) == OK)
		(void)!write(ready_fd, "!", 1);
	loop_run(loop);
}

static pid_t start_server(void)
{
	int ends[2];
	char byte;
	pid_t pid;

	cr_assert_eq(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		serve_until_killed(ends[1]);
		_exit(0);
	}
	(void)close(ends[1]);
	cr_assert_eq(read(ends[0], &byte, 1), 1, "the server could not listen");
	(void)close(ends[0]);
	return pid;
}

Test(bus, goes_on_when_a_killed_server_has_started_again)
{
	for (int i = 0; i < 20; i++) {
		struct answer before = { 0 }, after = { 0 };
		pid_t pid = start_server();

		ask(&before, "auth", "before", 2000);
		UNTIL(before.n, 2000);
		cr_assert_eq(before.err, OK);
		for (int n = 0; n < 2 * BUS_MAX_IN_AIR; n++)
			ask(&after, "auth", "after", 5000);
		turn(0);
		cr_assert_eq(kill(pid, SIGKILL), 0);
		cr_assert_eq(waitpid(pid, NULL, 0), pid);
		pid = start_server();
		UNTIL(after.n == 2 * BUS_MAX_IN_AIR, 2000);
		cr_assert_eq(after.err, OK);
		cr_assert_eq(kill(pid, SIGKILL), 0);
		cr_assert_eq(waitpid(pid, NULL, 0), pid);
	}
}

Test(bus, holds_requests_for_a_server_that_is_stopped)
{
	uint8_t body[60000] = { 0 };
	pid_t pid = start_server();
	int n_done = 0;

	for (int i = 0; i < 200; i++)
		bus_request(client, "auth", BYTES(body, sizeof body), 20000, on_err, &n_done);
	cr_assert_eq(kill(pid, SIGSTOP), 0);
	turns_for(3 * BUS_RESEND_MS);
	cr_assert_eq(kill(pid, SIGCONT), 0);
	UNTIL(n_done == 200, 5000);
	cr_assert_eq(last_err, OK);
	cr_assert_eq(kill(pid, SIGKILL), 0);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

/* ---- addresses ---- */

Test(bus, lets_one_process_listen_at_a_name_and_leaves_it_alone)
{
	struct answer a = { 0 };

	cr_assert_eq(bus_serve(server, "auth", 1, echo, NULL), OK);
	cr_assert_eq(bus_serve(client, "auth", 1, echo, NULL), ERR_CONFLICT);
	cr_assert_neq(bus_why(client)[0], '\0');
	ask(&a, "auth", "still there", 5000);
	UNTIL(a.n, 5000);
	cr_assert_eq(a.err, OK);
}

Test(bus, keeps_its_directory_to_itself)
{
	struct stat stat_now;
	struct bus_config config = { .directory = directory };
	struct bus *bus = NULL;

	cr_assert_eq(chmod(directory, 0777), 0);
	cr_assert_eq(bus_open(loop, &config, &bus), OK);
	cr_assert_eq(stat(directory, &stat_now), 0);
	cr_assert_eq(stat_now.st_mode & 0777, 0700);
	bus_close(bus);
	if (geteuid() == 0) {
		cr_assert_eq(chown(directory, 1, 1), 0);
		cr_assert_eq(bus_open(loop, &config, &bus), ERR_DENIED);
	}
	config.directory = "/nonexistent/directory";
	cr_assert_eq(bus_open(loop, &config, &bus), ERR_IO);
	config.directory = NULL;
	cr_assert_eq(bus_open(loop, &config, &bus), ERR_MALFORMED);
}

Test(bus, refuses_a_directory_whose_name_leaves_no_room_for_a_socket)
{
	AUTO_MEM char *deep = xasprintf("%s/%080d", directory, 0);
	struct bus_config config = { .directory = deep };
	AUTO(bus_close) struct bus *bus = NULL;
	int n = 0;

	cr_assert_eq(bus_open(loop, &config, &bus), OK);
	cr_assert_eq(bus_serve(bus, "auth", 1, echo, NULL), ERR_LIMIT);
	cr_assert_not_null(strstr(bus_why(bus), "auth"));
	cr_assert_eq(bus_publish(bus, "events", BYTES("x", 1)), ERR_LIMIT);
	cr_assert_eq(bus_subscribe(bus, "events", 1, on_event, NULL), ERR_LIMIT);
	bus_request(bus, "auth", BYTES("x", 1), 100, on_err, &n);
	UNTIL(n, 5000);
	cr_assert_eq(last_err, ERR_UNAVAILABLE);
	(void)rmdir(deep);
}

Test(bus, takes_no_name_that_could_leave_the_directory, .signal = SIGABRT)
{
	cr_assert_eq(bus_serve(server, "../auth", 1, echo, NULL), OK);
}

static char served[16];

static void note_priority(void *ctx, struct bus_call *call, struct bytes request)
{
	(void)strncat(served, ctx, sizeof served - strlen(served) - 1);
	bus_reply(call, request);
}

Test(bus, serves_the_lower_priority_number_first)
{
	struct answer a = { 0 };

	cr_assert_eq(bus_serve(server, "rest", 1, note_priority, "r"), OK);
	cr_assert_eq(bus_serve(server, "lease", 0, note_priority, "l"), OK);
	ask(&a, "rest", "", 5000);
	ask(&a, "lease", "", 5000);
	UNTIL(a.n == 2, 5000);
	served[0] = '\0';
	ask(&a, "rest", "", 5000);
	ask(&a, "lease", "", 5000);
	UNTIL(a.n == 4, 5000);
	cr_assert_str_eq(served, "lr");
}
