/*
 * raeh health - whether one service answers on the bus: a container's health check.
 */
#include "services/cli/health.h"

#include "auth.pb-c.h"
#include "common/bus.h"
#include "common/wire.h"
#include "edge.pb-c.h"
#include "publisher.pb-c.h"
#include "router.pb-c.h"
#include "services/cli/admin.h"

#include <signal.h>
#include <string.h>

#define ANSWER_MS 3000

bool health_question(const char *name, struct buf *ret)
{
	Auth__AuthRequest auth = AUTH__AUTH_REQUEST__INIT;
	Router__RouterRequest router = ROUTER__ROUTER_REQUEST__INIT;
	Publisher__PublisherRequest publisher = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Edge__EdgeRequest edge = EDGE__EDGE_REQUEST__INIT;
	Raeh__Empty empty = RAEH__EMPTY__INIT;
	const struct {
		const char *kind;
		const ProtobufCMessage *request;
	} kinds[] = {
		{"auth",        &auth.base     },
		{ "router",     &router.base   },
		{ "publisher-", &publisher.base},
		{ "edge-",      &edge.base     }
	};

	auth.command_case = AUTH__AUTH_REQUEST__COMMAND_METRICS;
	auth.metrics = &empty;
	router.command_case = ROUTER__ROUTER_REQUEST__COMMAND_METRICS;
	router.metrics = &empty;
	publisher.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_METRICS;
	publisher.metrics = &empty;
	edge.command_case = EDGE__EDGE_REQUEST__COMMAND_METRICS;
	edge.metrics = &empty;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		size_t len = strlen(kinds[i].kind);
		const char *number = name + len;

		if (strncmp(name, kinds[i].kind, len) != 0)
			continue;
		if (kinds[i].kind[len - 1] == '-' ? *number && strlen(number) <= 3 &&
		                                            !number[strspn(number, "0123456789")]
		                                  : !*number) {
			(void)wire_pack(ret, kinds[i].request);
			return true;
		}
	}
	return false;
}

struct waiting {
	struct loop *loop;
	bool answered;
};

static void on_reply(void *self, enum err err, struct bytes reply)
{
	struct waiting *waiting = self;

	(void)reply;
	waiting->answered = err == OK;
	loop_stop(waiting->loop);
}

static int ask(const struct admin_place *place, const char *name, struct bytes question)
{
	AUTO(loop_free) struct loop *loop = loop_new();
	AUTO(bus_close) struct bus *bus = NULL;
	AUTO_MEM char *run = xasprintf("%s/run", place->data);
	const struct bus_config config = { run, place->bus_ca, place->bus_cert, place->bus_hosts };
	struct waiting waiting = { .loop = loop };

	(void)signal(SIGPIPE, SIG_IGN);
	if (bus_open(loop, &config, &bus) != OK)
		return cli_fail("the bus cannot be used: see --data and RAEH_BUS_*");
	bus_request(bus, name, question, ANSWER_MS, on_reply, &waiting);
	loop_run(loop);
	if (!waiting.answered)
		return cli_fail("%s does not answer", name);
	return CLI_DONE;
}

int health_run(const struct command *self, int argc, char **argv)
{
	struct admin_place place = { 0 };
	/* clang-format off */
	const struct config_item items[] = {
		ADMIN_ITEMS(place),
		{ 0 },
	};
	/* clang-format on */
	const char *name[1];
	int n = 1, status = cli_options(self, items, NULL, argc, argv, name, &n);
	struct buf question = { 0 };

	if (status >= 0)
		return status;
	if (n != 1 || !health_question(name[0], &question))
		return cli_misused(self, "expected auth, router, publisher-N or edge-N, got %s",
		                   n == 1 ? name[0] : "nothing");
	status = ask(&place, name[0], BYTES(question.data, question.len));
	buf_free(&question);
	return status;
}
