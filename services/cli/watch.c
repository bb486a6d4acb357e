/*
 * raeh watch - live insights in the terminal.
 */
#include "common/json.h"
#include "common/wire.h"
#include "publisher.pb-c.h"
#include "services/cli/client_options.h"
#include "services/cli/policy.h"
#include "services/cli/ws_client.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <time.h>

#define PATH "/stream/subscribe"

struct watch {
	struct client_options client;
	const char *type, *session;
	struct buf path;
	bool json, stopping, failed;
	struct web *web;
	struct ws *ws;
	unsigned attempt;
	struct timer timer;
};

static void print_line(const Publisher__Insight *insight)
{
	time_t seconds = (time_t)(insight->ts / 1000);
	char clock[16] = "";
	struct tm local;
	/* Cut, not rounded: 0.499 is unfit and must not read 0.50. */
	double cut = floor(insight->confidence * 100 + 1e-9) / 100;

	if (localtime_r(&seconds, &local))
		(void)strftime(clock, sizeof clock, "%H:%M:%S", &local);
	(void)printf("%s  %-10s %7.1f %-5s confidence %.2f  %-10s  %s\n", clock, insight->type,
	             insight->value, insight->unit, cut, insight->sqi_class, insight->device_id);
}

/* Of a server that knows no filters, too. */
static bool is_wanted(const struct watch *watch, const Publisher__Insight *insight)
{
	return (!watch->type || strcmp(watch->type, insight->type) == 0) &&
	       (!watch->session || strcasecmp(watch->session, insight->session_id) == 0);
}

/* What is no insight is a greeting, or something newer than we are. */
static void on_text(void *self, struct bytes text)
{
	struct watch *watch = self;
	Publisher__Insight *insight =
	        (Publisher__Insight *)json_new(&publisher__insight__descriptor);
	char why[JSON_WHY];

	watch->attempt = 0;
	if (json_to_message(text, &insight->base, why) == OK && is_wanted(watch, insight)) {
		if (watch->json)
			(void)printf("%s\n", (const char *)text.data);
		else
			print_line(insight);
		if (fflush(stdout) != 0) { /* nobody reads us any more */
			watch->stopping = true;
			ws_close(watch->ws, 1000, "");
		}
	}
	wire_free(&insight->base);
}

static void connect_now(void *self);

static void on_closed(void *self, int code, const char *reason)
{
	struct watch *watch = self;
	int64_t delay_ms;

	watch->ws = NULL;
	if (watch->stopping || code == 1000) {
		web_stop(watch->web);
		return;
	}
	if (!reconnect_allowed(code)) {
		watch->failed = true;
		cli_say("the server closed with %d%s%s", code, reason[0] ? ": " : "", reason);
		web_stop(watch->web);
		return;
	}
	if (watch->attempt++ == 0)
		cli_say("closed with %d%s%s; connecting again", code, reason[0] ? ": " : "",
		        reason);
	delay_ms = reconnect_delay_ms(watch->attempt, code, randombytes_random());
	timer_set(web_loop(watch->web), &watch->timer, delay_ms, connect_now, watch);
}

static void on_open(void *self)
{
	(void)self; /* the greeting follows */
}

static void on_writable(void *self)
{
	(void)self; /* a subscriber has nothing to say */
}

static const struct ws_events events = { on_open, on_text, on_writable, on_closed };

static void connect_now(void *self)
{
	struct watch *watch = self;

	watch->ws = ws_open(watch->web, &watch->client.url, (const char *)watch->path.data,
	                    watch->client.key, &events, watch);
}

static void add_filter(struct buf *path, const char *name, const char *value)
{
	if (!value)
		return;
	buf_append(path, path->len == sizeof PATH - 1 ? "?" : "&", 1);
	buf_append(path, name, strlen(name));
	buf_append(path, "=", 1);
	url_append_encoded(path, value);
}

/* The server filters: some types come to those alone who ask for them. */
static void make_path(struct watch *watch)
{
	buf_append(&watch->path, PATH, sizeof PATH - 1);
	add_filter(&watch->path, "type", watch->type);
	add_filter(&watch->path, "session_id", watch->session);
	buf_append(&watch->path, "", 1);
}

static void on_stop(void *self)
{
	struct watch *watch = self;

	if (watch->ws && !watch->stopping)
		ws_close(watch->ws, 1000, "");
	else
		web_stop(watch->web);
	watch->stopping = true;
}

int watch_run(const struct command *self, int argc, char **argv)
{
	struct watch watch = { 0 };
	/* clang-format off */
	const struct config_item items[] = {
		CLIENT_ITEMS(watch.client),
		{ "type", CONFIG_TEXT, &watch.type, NULL, 0, 0, "only these: hr, rr, spo2, hrv_rmssd, hrv_sdnn or motion" },
		{ "session", CONFIG_TEXT, &watch.session, NULL, 0, 0,
		  "only those of this session" },
		{ "json", CONFIG_FLAG, &watch.json, NULL, 0, 0,
		  "one JSON document a line, an insight each, until Ctrl-C" },
		{ 0 },
	};
	/* clang-format on */
	int status = cli_options(self, items, NULL, argc, argv, NULL, NULL);
	struct loop *loop;

	if (status < 0)
		status = client_options_check(self, &watch.client);
	if (status >= 0)
		return status;
	MUST(sodium_init() >= 0);
	loop = loop_new();
	cli_on_stop(loop, on_stop, &watch);
	watch.web = web_new(loop, watch.client.ca_file);
	make_path(&watch);
	if (watch.web) {
		connect_now(&watch);
		web_run(watch.web);
		status = watch.failed ? CLI_FAILED : CLI_DONE;
	} else {
		status = cli_fail("--ca: the file holds no certificate that can be read");
	}
	web_free(watch.web);
	buf_free(&watch.path);
	loop_free(loop);
	client_options_wipe(&watch.client);
	return status;
}
