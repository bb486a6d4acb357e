/*
 * bench_bus - round trips and throughput of the bus between two processes.
 *
 *     bench_bus [seconds a row]
 *
 * A child serves; the parent keeps 1, 8 or 48 requests of 64 bytes in the air, then
 * hears events of 224 bytes. Prints; asserts nothing.
 */
#include "common/bus.h"
#include "common/clock.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_SAMPLES   4000000
#define REQUEST_BYTES 64
#define EVENT_BYTES   224
#define EVENTS_A_TURN 200

struct bench {
	struct loop *loop;
	struct bus *bus;
	struct timer timer;
	uint32_t *us; /* of each round trip */
	size_t n;
	bool stopping;
	uint64_t n_events;
	bool failed;
};

struct flight {
	struct bench *bench;
	int64_t sent_us;
};

static void echo(void *ctx, struct bus_call *call, struct bytes request)
{
	(void)ctx;
	bus_reply(call, request);
}

static void publish(void *ctx)
{
	static const uint8_t event[EVENT_BYTES];
	struct bench *bench = ctx;

	for (int i = 0; i < EVENTS_A_TURN; i++)
		if (bus_publish(bench->bus, "events", BYTES(event, sizeof event)) != OK)
			bench->failed = true;
	timer_set(bench->loop, &bench->timer, 1, publish, bench);
}

static void serve(const struct bus_config *config)
{
	struct bench bench = { .loop = loop_new() };

	if (bus_open(bench.loop, config, &bench.bus) != OK ||
	    bus_serve(bench.bus, "echo", 0, echo, NULL) != OK)
		_exit(EXIT_FAILURE);
	publish(&bench);
	loop_run(bench.loop);
	_exit(EXIT_SUCCESS);
}

static void ask(struct flight *flight);

static void on_reply(void *ctx, enum err err, struct bytes reply)
{
	struct flight *flight = ctx;
	struct bench *bench = flight->bench;

	(void)reply;
	bench->failed |= err != OK;
	if (bench->n < MAX_SAMPLES)
		bench->us[bench->n++] = (uint32_t)(clock_boot_us() - flight->sent_us);
	if (!bench->stopping)
		ask(flight);
}

static void ask(struct flight *flight)
{
	static const uint8_t body[REQUEST_BYTES];

	flight->sent_us = clock_boot_us();
	bus_request(flight->bench->bus, "echo", BYTES(body, sizeof body), 10000, on_reply, flight);
}

static void stop(void *ctx)
{
	struct bench *bench = ctx;

	loop_stop(bench->loop);
}

static void run_for(struct bench *bench, int64_t ms)
{
	timer_set(bench->loop, &bench->timer, ms, stop, bench);
	loop_run(bench->loop);
}

static int by_value(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

static void measure(struct bench *bench, size_t in_air, int64_t ms)
{
	struct flight flight[BUS_MAX_IN_AIR];

	bench->n = 0;
	bench->stopping = false;
	for (size_t i = 0; i < in_air; i++) {
		flight[i] = (struct flight){ .bench = bench };
		ask(&flight[i]);
	}
	run_for(bench, ms);
	qsort(bench->us, bench->n, sizeof *bench->us, by_value);
	if (bench->n > 0)
		printf("%2zu in the air: %7.0f round trips/s, p50 %" PRIu32 " us, p99 %" PRIu32
		       " us\n",
		       in_air, (double)bench->n * 1000 / (double)ms, bench->us[bench->n / 2],
		       bench->us[bench->n * 99 / 100]);
	bench->stopping = true;
	run_for(bench, 200); /* the last ones come home */
}

static void on_event(void *ctx, struct bytes event)
{
	struct bench *bench = ctx;

	(void)event;
	bench->n_events++;
}

int main(int argc, char **argv)
{
	int64_t ms = (argc > 1 ? atoi(argv[1]) : 2) * 1000;
	char directory[] = "/tmp/raeh-bench-XXXXXX";
	struct bus_config config = { .directory = mkdtemp(directory) };
	struct bench bench = { .us = xcalloc(MAX_SAMPLES, sizeof *bench.us) };
	AUTO_MEM char *clean = xasprintf("rm -rf %s", directory);
	pid_t pid = fork();

	if (pid == 0)
		serve(&config);
	bench.loop = loop_new();
	if (bus_open(bench.loop, &config, &bench.bus) != OK)
		return EXIT_FAILURE;
	measure(&bench, 1, ms);
	measure(&bench, 8, ms);
	measure(&bench, BUS_MAX_IN_AIR, ms);
	if (bus_subscribe(bench.bus, "events", 1, on_event, &bench) != OK)
		return EXIT_FAILURE;
	run_for(&bench, ms);
	printf("events heard: %.0f/s of at most %d\n", (double)bench.n_events * 1000 / (double)ms,
	       1000 * EVENTS_A_TURN);
	bus_close(bench.bus);
	loop_free(bench.loop);
	mem_free(bench.us);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	return system(clean) != 0 || bench.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
