#include "common/bus.h"
#include "common/clock.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <nng/nng.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The bus between hosts: nng over tls+tcp, with certificates made here. Skipped with nng
 * 1.5, which now and then waits for itself for ever at the end (bus_sockets.h). */

static char directory[64], hosts[256];
static struct loop *loop;

static void run(const char *format, const char *a, const char *b)
{
	AUTO_MEM char *command = xasprintf(format, directory, a, b);
	AUTO_MEM char *quiet = xasprintf("cd %s && { %s; } >openssl.log 2>&1", directory, command);

	cr_assert_eq(system(quiet), 0, "failed: %s", quiet);
}

static void make_ca(const char *name)
{
	run("cd %1$s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
	    "-keyout %2$s.key -out %2$s.pem -days 2 -subj /CN=%2$s "
	    "-addext basicConstraints=critical,CA:TRUE",
	    name, "");
}

/* One file with the certificate and its key. */
static void make_certificate(const char *ca, const char *host)
{
	run("cd %1$s && openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
	    "-keyout %2$s-%3$s.key -out x.csr -subj /CN=%3$s && "
	    "openssl x509 -req -in x.csr -CA %2$s.pem -CAkey %2$s.key -CAcreateserial -days 2 "
	    "-out x.crt && cat x.crt %2$s-%3$s.key >%2$s-%3$s.pem",
	    ca, host);
}

static int free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t len = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	cr_assert_eq(bind(fd, (struct sockaddr *)&address, len), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	(void)close(fd);
	return ntohs(address.sin_port);
}

static void given(void)
{
	if (strncmp(nng_version(), "1.5.", 4) == 0)
		cr_skip_test("nng %s does not close reliably", nng_version());
	(void)snprintf(directory, sizeof directory, "/tmp/raeh-tls-XXXXXX");
	cr_assert_not_null(mkdtemp(directory));
	make_ca("ours");
	make_certificate("ours", "localhost");
	(void)snprintf(hosts, sizeof hosts,
	               "auth=localhost:%d,auth.lease=localhost:%d,events=localhost:%d", free_port(),
	               free_port(), free_port());
	loop = loop_new();
}

/* nng 1.10 now and then never frees a dialer that is closed in its TLS handshake, here that of the
 * refused peer: about one run in six. What raeh allocates itself is still looked at. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libnng.so\n";
}

static void done(void)
{
	AUTO_MEM char *command = xasprintf("rm -rf %s", directory);

	loop_free(loop);
	if (directory[0])
		cr_assert_eq(system(command), 0);
}

TestSuite(bus_nng, .init = given, .fini = done);

static struct bus *open_bus(const char *ca, const char *certificate)
{
	AUTO_MEM char *tls_ca = xasprintf("%s/%s.pem", directory, ca);
	AUTO_MEM char *tls_cert_key = xasprintf("%s/%s.pem", directory, certificate);
	struct bus_config config = { .tls_ca = tls_ca,
		                     .tls_cert_key = tls_cert_key,
		                     .hosts = hosts };
	struct bus *bus = NULL;

	cr_assert_eq(bus_open(loop, &config, &bus), OK);
	return bus;
}

static void turn(void)
{
	struct pollfd one = { .fd = loop_fd(loop), .events = POLLIN };

	(void)poll(&one, 1, 20);
	loop_dispatch(loop);
}

#define UNTIL(condition, limit_ms)                                                                 \
	for (int64_t until_ = clock_boot_ms() + (limit_ms); !(condition); turn())                  \
	cr_assert_lt(clock_boot_ms(), until_, "waited %d ms for: %s", (int)(limit_ms), #condition)

static int n_calls, n_ok, n_failed, n_events;
static enum err last_err;
static size_t last_len;

static void echo(void *ctx, struct bus_call *call, struct bytes request)
{
	(void)ctx;
	n_calls++;
	bus_reply(call, request);
}

static void on_answer(void *ctx, enum err err, struct bytes reply)
{
	(void)ctx;
	++*(err == OK ? &n_ok : &n_failed);
	last_err = err;
	last_len = reply.len;
}

static void on_event(void *ctx, struct bytes event)
{
	(void)ctx;
	cr_assert_eq(event.len, 5);
	n_events++;
}

static void ask(struct bus *bus, const char *name, int64_t deadline_ms)
{
	bus_request(bus, name, BYTES("hello", 5), deadline_ms, on_answer, NULL);
}

Test(bus_nng, carries_requests_and_events_over_mutual_tls)
{
	AUTO(bus_close) struct bus *server = open_bus("ours", "ours-localhost");
	AUTO(bus_close) struct bus *client = open_bus("ours", "ours-localhost");

	cr_assert_eq(bus_serve(server, "auth", 1, echo, NULL), OK, "%s", bus_why(server));
	cr_assert_eq(bus_serve(server, "auth.lease", 0, echo, NULL), OK, "%s", bus_why(server));
	cr_assert_eq(bus_subscribe(client, "events", 1, on_event, NULL), OK, "%s", bus_why(client));
	for (int i = 0; i < 100; i++) {
		ask(client, "auth", 10000);
		ask(client, "auth.lease", 10000);
	}
	UNTIL(n_ok == 200, 10000);
	cr_assert_eq(last_len, 5);
	for (int i = 0; n_events == 0; i++) {
		cr_assert_lt(i, 500);
		cr_assert_eq(bus_publish(server, "events", BYTES("event", 5)), OK);
		turn();
	}
	cr_assert_eq(n_failed, 0);
}

/* Of this machine's loopback addresses one that "localhost" is not. */
static bool answers_at_another_address(int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		                       .sin_port = htons((uint16_t)port),
		                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	bool answers = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;

	(void)close(fd);
	return answers;
}

Test(bus_nng, serves_at_localhost_for_its_own_host_alone)
{
	AUTO(bus_close) struct bus *server = NULL;
	int near = free_port(), far = free_port();

	(void)snprintf(hosts, sizeof hosts, "near=localhost:%d,far=far.example:%d", near, far);
	server = open_bus("ours", "ours-localhost");
	cr_assert_eq(bus_serve(server, "near", 1, echo, NULL), OK, "%s", bus_why(server));
	cr_assert_eq(bus_serve(server, "far", 1, echo, NULL), OK, "%s", bus_why(server));

	cr_assert(!answers_at_another_address(near));
	cr_assert(answers_at_another_address(far));
	ask(server, "near", 5000);
	UNTIL(n_ok == 1, 5000);
}

Test(bus_nng, waits_for_a_server_that_comes_later)
{
	AUTO(bus_close) struct bus *client = open_bus("ours", "ours-localhost");
	AUTO(bus_close) struct bus *server = NULL;

	ask(client, "auth", 10000);
	for (int64_t end = clock_boot_ms() + 600; clock_boot_ms() < end;)
		turn();
	server = open_bus("ours", "ours-localhost");
	cr_assert_eq(bus_serve(server, "auth", 1, echo, NULL), OK, "%s", bus_why(server));
	UNTIL(n_ok == 1, 5000);
}

Test(bus_nng, carries_the_largest_message_and_refuses_a_larger_one)
{
	AUTO(bus_close) struct bus *server = open_bus("ours", "ours-localhost");
	AUTO(bus_close) struct bus *client = open_bus("ours", "ours-localhost");
	uint8_t *body = xcalloc(1, BUS_MAX_BYTES + 1);

	cr_assert_eq(bus_serve(server, "auth", 1, echo, NULL), OK, "%s", bus_why(server));
	bus_request(client, "auth", BYTES(body, BUS_MAX_BYTES), 30000, on_answer, NULL);
	UNTIL(n_ok == 1, 30000);
	cr_assert_eq(last_len, BUS_MAX_BYTES);
	bus_request(client, "auth", BYTES(body, BUS_MAX_BYTES + 1), 30000, on_answer, NULL);
	UNTIL(n_failed == 1, 5000);
	cr_assert_eq(last_err, ERR_LIMIT);
	mem_free(body);
}

/* A client of ours is answered, this one is not heard of. */
static void expect_refusal(const char *client_ca, const char *client_certificate)
{
	AUTO(bus_close) struct bus *server = open_bus("ours", "ours-localhost");
	AUTO(bus_close) struct bus *good = open_bus("ours", "ours-localhost");
	AUTO(bus_close) struct bus *bad = open_bus(client_ca, client_certificate);

	cr_assert_eq(bus_serve(server, "auth", 1, echo, NULL), OK, "%s", bus_why(server));
	ask(good, "auth", 5000);
	UNTIL(n_ok == 1, 5000);
	ask(bad, "auth", 1500);
	UNTIL(n_failed == 1, 5000);
	cr_assert_eq(last_err, ERR_UNAVAILABLE);
	cr_assert_eq(n_calls, 1);
}

Test(bus_nng, refuses_a_client_whose_certificate_another_authority_signed)
{
	make_ca("theirs");
	make_certificate("theirs", "localhost");
	expect_refusal("ours", "theirs-localhost");
}

Test(bus_nng, refuses_a_server_whose_certificate_another_authority_signed)
{
	make_ca("theirs");
	make_certificate("theirs", "localhost");
	expect_refusal("theirs", "ours-localhost");
}

Test(bus_nng, refuses_a_server_whose_certificate_bears_another_name)
{
	AUTO(bus_close) struct bus *server = NULL;
	AUTO(bus_close) struct bus *client = open_bus("ours", "ours-localhost");

	make_certificate("ours", "elsewhere");
	server = open_bus("ours", "ours-elsewhere");
	cr_assert_eq(bus_serve(server, "auth", 1, echo, NULL), OK, "%s", bus_why(server));
	ask(client, "auth", 1500);
	UNTIL(n_failed == 1, 5000);
	cr_assert_eq(n_calls, 0);
}

Test(bus_nng, says_which_name_is_missing_in_the_hosts)
{
	AUTO(bus_close) struct bus *bus = open_bus("ours", "ours-localhost");

	cr_assert_eq(bus_serve(bus, "router", 1, echo, NULL), ERR_NOT_FOUND);
	cr_assert_not_null(strstr(bus_why(bus), "router"));
	cr_assert_eq(bus_publish(bus, "insights", BYTES("x", 1)), ERR_NOT_FOUND);
	cr_assert_eq(bus_subscribe(bus, "auth.notices", 0, on_event, NULL), ERR_NOT_FOUND);
	ask(bus, "router", 200);
	UNTIL(n_failed == 1, 5000);
	cr_assert_eq(last_err, ERR_UNAVAILABLE);
}

Test(bus_nng, says_that_a_certificate_cannot_be_read)
{
	AUTO(bus_close) struct bus *bus = open_bus("ours", "missing");
	struct bus *none = NULL;
	struct bus_config half = { .hosts = hosts };

	cr_assert_eq(bus_serve(bus, "auth", 1, echo, NULL), ERR_IO);
	cr_assert_neq(bus_why(bus)[0], '\0');
	cr_assert_eq(bus_open(loop, &half, &none), ERR_MALFORMED);
}
