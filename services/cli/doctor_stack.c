/* doctor.h: the running stack. */
#include "common/bus.h"
#include "services/cli/doctor.h"
#include "services/cli/health.h"
#include "services/cli/http_client.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MS    3000
#define MAX_SERVICES (2 + UP_MAX_EDGES + UP_MAX_PUBLISHERS)

/* One question for the numbers of a service: any answer shows that it lives. */
struct question {
	struct asking *asking;
	char name[BUS_NAME_MAX];
	bool answered;
};

struct asking {
	struct loop *loop;
	struct question question[MAX_SERVICES];
	size_t n, open;
};

static void on_reply(void *self, enum err err, struct bytes reply)
{
	struct question *question = self;

	(void)reply;
	question->answered = err == OK;
	if (--question->asking->open == 0)
		loop_stop(question->asking->loop);
}

static void ask(struct asking *asking, struct bus *bus, const char *format, int number)
{
	struct question *question = &asking->question[asking->n++];
	struct buf packed = { 0 };

	question->asking = asking;
	asking->open++;
	(void)snprintf(question->name, sizeof question->name, "%s", format);
	if (number >= 0)
		(void)snprintf(question->name, sizeof question->name, "%s-%d", format, number);
	MUST(health_question(question->name, &packed));
	bus_request(bus, question->name, BYTES(packed.data, packed.len), ANSWER_MS, on_reply,
	            question);
	buf_free(&packed);
}

static void ask_all(struct asking *asking, struct bus *bus, const struct installation_state *state)
{
	ask(asking, bus, "auth", -1);
	ask(asking, bus, "router", -1);
	for (int i = 0; i < state->publishers && i < UP_MAX_PUBLISHERS; i++)
		ask(asking, bus, "publisher", i);
	for (int i = 0; i < state->edges && i < UP_MAX_EDGES; i++)
		ask(asking, bus, "edge", i);
}

static void check_bus(struct doctor *doctor, struct loop *loop)
{
	AUTO(bus_close) struct bus *bus = NULL;
	AUTO_MEM char *run = xasprintf("%s/run", doctor->settings.data);
	const struct bus_config config = { run, doctor->settings.bus_ca, doctor->settings.bus_cert,
		                           doctor->settings.bus_hosts };
	AUTO_MEM struct asking *asking = xcalloc(1, sizeof *asking);

	asking->loop = loop;
	if (bus_open(loop, &config, &bus) != OK) {
		doctor_add(doctor, "bus", "look at the owner and the mode of that directory",
		           "%s cannot be used", run);
		return;
	}
	ask_all(asking, bus, &doctor->state);
	loop_run(loop);
	for (size_t i = 0; i < asking->n; i++) {
		const struct question *question = &asking->question[i];

		doctor_add(
		        doctor, question->name,
		        question->answered ? NULL : "its log says why; `raeh up` starts it again",
		        question->answered ? "answers on the bus" : "does not answer on the bus");
	}
}

static void check_ready(struct doctor *doctor, struct loop *loop)
{
	AUTO(web_free) struct web *web = web_new(loop, NULL);
	struct http_request request = {
		.method = "GET", .path = "/readyz", .timeout_ms = ANSWER_MS, .unverified = true
	};
	struct http_answer answer = { 0 };
	struct buf body = { 0 };
	struct url url;
	char why[256];

	if (!url_parse(doctor->state.url, &url, why)) {
		doctor_add(doctor, "readyz", "ask again in a moment", "the stack is only starting");
		return;
	}
	MUST(web);
	request.url = &url;
	http_call_wait(web, &request, &answer, &body);
	http_explain(&answer, why);
	if (answer.status == 200)
		doctor_add(doctor, "readyz", NULL, "%s is ready", doctor->state.url);
	else
		doctor_add(doctor, "readyz", "see above which service does not answer, and its log",
		           "%s: %s", doctor->state.url, why);
	buf_free(&body);
}

static void check_port(struct doctor *doctor)
{
	struct listen_address address;
	char why[256];
	int fd;

	if (!listen_parse(doctor->settings.listen, &address, why))
		return; /* said with the settings */
	if (listen_open(&address, &fd, 1, why) == OK) {
		doctor_add(doctor, "address", NULL, "%s is free", doctor->settings.listen);
		(void)close(fd);
	} else {
		doctor_add(doctor, "address", "stop what listens there, or choose another --listen",
		           "%s", why);
	}
}

void doctor_stack(struct doctor *doctor)
{
	AUTO(loop_free) struct loop *loop = NULL;
	AUTO_MEM char *advice = NULL;

	if (!doctor->state.holder) {
		advice = xasprintf("raeh up --data %s", doctor->settings.data);
		doctor_add(doctor, "stack", advice, "no stack is running on %s",
		           doctor->settings.data);
		check_port(doctor);
		return;
	}
	doctor_add(doctor, "stack", NULL, "process %d runs it", (int)doctor->state.holder);
	loop = loop_new();
	check_bus(doctor, loop);
	check_ready(doctor, loop);
}
