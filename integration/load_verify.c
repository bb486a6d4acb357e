/*
 * load_verify - how many credentials a second auth judges.
 *
 *     load_verify DATA SECONDS KEY...      over the bus of the stack on DATA
 *
 * Keeps BUS_MAX_IN_AIR questions in the air, about each key in turn; prints one line of JSON.
 */
#include "auth.pb-c.h"
#include "common/bus.h"
#include "common/clock.h"
#include "common/wire.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 5000

struct asking {
	struct loop *loop;
	struct bus *bus;
	char **keys;
	size_t n_keys, next;
	int64_t end_us;
	unsigned in_air;
	uint64_t good, bad;
};

static void on_verdict(void *ctx, enum err err, struct bytes data);

static void ask(struct asking *asking)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__Verify verify = AUTH__VERIFY__INIT;
	struct buf packed = { 0 };

	verify.credential = asking->keys[asking->next++ % asking->n_keys];
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_VERIFY;
	request.verify = &verify;
	asking->in_air++;
	bus_request(asking->bus, "auth", wire_pack(&packed, &request.base), ANSWER_MS, on_verdict,
	            asking);
	buf_free(&packed);
}

static void on_verdict(void *ctx, enum err err, struct bytes data)
{
	struct asking *asking = ctx;
	AUTO(wire_free)
	ProtobufCMessage *message =
	        err == OK ? wire_unpack(&auth__auth_reply__descriptor, data) : NULL;
	const Auth__AuthReply *reply = (const Auth__AuthReply *)message;

	asking->in_air--;
	if (reply && reply->result_case == AUTH__AUTH_REPLY__RESULT_VERDICT)
		asking->good++;
	else
		asking->bad++;
	if (clock_boot_us() < asking->end_us)
		ask(asking);
	else if (asking->in_air == 0)
		loop_stop(asking->loop);
}

int main(int argc, char **argv)
{
	AUTO(loop_free) struct loop *loop = NULL;
	AUTO(bus_close) struct bus *bus = NULL;
	AUTO_MEM char *run = NULL;
	struct asking asking = { 0 };
	struct bus_config config = { 0 };
	int64_t start;

	if (argc < 4) {
		(void)fprintf(stderr, "usage: load_verify DATA SECONDS KEY...\n");
		return 2;
	}
	run = xasprintf("%s/run", argv[1]);
	config.directory = run;
	(void)signal(SIGPIPE, SIG_IGN);
	loop = loop_new();
	if (bus_open(loop, &config, &bus) != OK) {
		(void)fprintf(stderr, "load_verify: no bus in %s\n", run);
		return EXIT_FAILURE;
	}
	start = clock_boot_us();
	asking = (struct asking){ .loop = loop,
		                  .bus = bus,
		                  .keys = argv + 3,
		                  .n_keys = (size_t)argc - 3,
		                  .end_us = start + (int64_t)(atof(argv[2]) * 1e6) };
	for (int i = 0; i < BUS_MAX_IN_AIR; i++)
		ask(&asking);
	loop_run(loop);
	printf("{\"verdicts\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"s\":%.3f}\n", asking.good,
	       asking.bad, (double)(clock_boot_us() - start) / 1e6);
	return EXIT_SUCCESS;
}
