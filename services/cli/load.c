/*
 * raeh load - a fleet at once, against a stack that runs: what it takes, how fast it answers.
 */
#include "auth.pb-c.h"
#include "cli.pb-c.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/wire.h"
#include "services/cli/client_options.h"
#include "services/cli/http_client.h"
#include "services/cli/load_fleet.h"
#include "services/cli/simulated.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TICK_MS   10
#define SHOW_MS   500
#define OPEN_S    120
#define CLOSE_S   30
#define REVOKE_MS 90000

struct load;

struct scenario {
	const char *name, *about;
	int64_t devices, subscribers; /* when nobody says otherwise */
	bool streams, revokes;
};
static const struct scenario scenarios[] = {
	{"steady",         "devices stream, one app hears",                           100,  1,   true,  false},
	{ "connect-storm", "all connect at once, and go",                             1000, 0,   false, false},
	{ "revoke",        "devices and apps on one key, which is revoked meanwhile", 500,  500, true,
         true	                                                                                        },
	{ "subscribers",   "few devices, many apps that hear all of it",              10,   500, true,  false},
};

struct load {
	struct client_options client;
	const struct scenario *scenario;
	int64_t devices, subscribers, frames_per_s, seconds;
	bool json, terminal, stopping, interrupted;
	struct web *web;
	struct loop *loop;
	struct fleet *fleet;
	struct timer tick, show;
	bool (*done)(const struct load *load); /* what is waited for */
	int64_t until_ms, began_ms, streamed_ms;
	char key[TOKEN_MAX + 1], key_id[UUID_TEXT]; /* minted, to be revoked */
	int64_t revoke_us, receipt_us;
	int receipt_status;
	char why[256];
};

/* ---- waiting ---- */

static void on_tick(void *self)
{
	struct load *load = self;

	fleet_tick(load->fleet);
	if (load->stopping || load->done(load) || clock_boot_ms() >= load->until_ms) {
		web_stop(load->web);
		return;
	}
	timer_set(load->loop, &load->tick, TICK_MS, on_tick, load);
}

static void on_show(void *self)
{
	struct load *load = self;
	const struct fleet_counts *counts = fleet_counts(load->fleet);
	double seconds = (double)(clock_boot_ms() - load->began_ms) / 1000;

	(void)fprintf(
	        stderr,
	        "%s%6.1f s  %u devices, %u apps open; %llu frames, %llu insights; %u refused, "
	        "%u closed%s",
	        load->terminal ? "\r\033[K" : "", seconds, counts->devices, counts->subscribers,
	        (unsigned long long)counts->frames, (unsigned long long)counts->insights,
	        counts->refused, counts->lost, load->terminal ? "" : "\n");
	timer_set(load->loop, &load->show, load->terminal ? SHOW_MS : 10 * SHOW_MS, on_show, load);
}

/* Until done() or so long. */
static void wait_for(struct load *load, bool (*done)(const struct load *load), int64_t ms)
{
	load->done = done;
	load->until_ms = clock_boot_ms() + ms;
	timer_set(load->loop, &load->tick, 0, on_tick, load);
	web_run(load->web);
	timer_stop(load->loop, &load->tick);
}

static bool all_open(const struct load *load)
{
	return fleet_is_open(load->fleet);
}

static bool all_gone(const struct load *load)
{
	return fleet_is_gone(load->fleet);
}

static bool all_lost(const struct load *load)
{
	return fleet_is_gone(load->fleet) || fleet_counts(load->fleet)->lost > 0;
}

static bool revoked(const struct load *load)
{
	return load->receipt_status != 0 && fleet_is_gone(load->fleet);
}

static void on_stop(void *self)
{
	struct load *load = self;

	load->stopping = load->interrupted = true;
}

/* ---- the key that is revoked ---- */

static bool mint(struct load *load)
{
	struct http_request request = { .url = &load->client.url,
		                        .method = "POST",
		                        .path = "/v1/keys",
		                        .key = load->client.key,
		                        .body = "{\"label\":\"raeh load\","
		                                "\"scopes\":[\"ingest\",\"subscribe\"]}",
		                        .timeout_ms = REVOKE_MS };
	struct http_answer answer = { 0 };
	struct buf body = { 0 };
	Auth__Key *key = (Auth__Key *)json_new(&auth__key__descriptor);
	bool made = false;

	http_call_wait(load->web, &request, &answer, &body);
	if (answer.status != 201)
		http_explain(&answer, load->why);
	else if (json_to_message(answer.body, &key->base, load->why) == OK && key->key)
		made = true;
	if (made) {
		(void)snprintf(load->key, sizeof load->key, "%s", key->key);
		(void)snprintf(load->key_id, sizeof load->key_id, "%s", key->id);
		sodium_memzero(key->key, strlen(key->key));
	}
	if (body.data)
		sodium_memzero(body.data, body.cap);
	buf_free(&body);
	wire_free(&key->base);
	return made;
}

static void on_receipt(void *self, const struct http_answer *answer)
{
	struct load *load = self;

	load->receipt_us = clock_boot_us();
	load->receipt_status = answer->status ? answer->status : -1;
	if (answer->status != 200)
		http_explain(answer, load->why);
}

static void revoke_key(struct load *load)
{
	AUTO_MEM char *path = xasprintf("/v1/keys/%s", load->key_id);
	const struct http_request request = { .url = &load->client.url,
		                              .method = "DELETE",
		                              .path = path,
		                              .key = load->client.key,
		                              .timeout_ms = REVOKE_MS };

	load->revoke_us = clock_boot_us();
	http_call(load->web, &request, on_receipt, load);
	wait_for(load, revoked, REVOKE_MS);
}

/* ---- a run ---- */

static bool prepare(struct load *load, char model_id[UUID_TEXT])
{
	static const struct recording recording = {
		.n_slots = 1,
		.slot = { { "ppg_green", FLEET_RATE_HZ, 16, 1 } },
		.sample_rate_hz = FLEET_RATE_HZ,
	};

	if (!simulated_register(load->web, &load->client, &recording, model_id, load->why))
		return false;
	if (load->scenario->revokes)
		return mint(load);
	(void)snprintf(load->key, sizeof load->key, "%s", load->client.key);
	return true;
}

static void stream(struct load *load)
{
	int64_t start_ms = clock_boot_ms();

	fleet_stream(load->fleet, true);
	wait_for(load, all_lost, load->seconds * 1000);
	load->streamed_ms = clock_boot_ms() - start_ms;
}

/* What went wrong first; NULL: nothing. */
static const char *fault_of(struct load *load, const struct fleet_counts *counts)
{
	unsigned expected =
	        load->scenario->revokes ? (unsigned)(load->devices + load->subscribers) : 0;

	if (load->why[0])
		return load->why;
	if (load->interrupted)
		return "interrupted";
	if (counts->refused > 0 || counts->lost != expected) {
		(void)snprintf(load->why, sizeof load->why,
		               "%u refused, %u closed where %u were expected; the first: %s",
		               counts->refused, counts->lost, expected, counts->why);
		return load->why;
	}
	if (load->scenario->streams && counts->insights == 0 && load->subscribers > 0 &&
	    load->seconds >= 15)
		return "no insight was heard";
	return NULL;
}

static void put_times(Cli__LoadResult *result, struct load *load)
{
	struct fleet_times *handshakes = fleet_handshakes(load->fleet);
	struct fleet_times *latencies = fleet_latencies(load->fleet);

	result->has_handshake_p50_ms = result->has_handshake_p99_ms = handshakes->n > 0;
	result->handshake_p50_ms = fleet_percentile(handshakes, 0.5);
	result->handshake_p99_ms = fleet_percentile(handshakes, 0.99);
	result->has_insight_p50_ms = result->has_insight_p99_ms = latencies->n > 0;
	result->insight_p50_ms = fleet_percentile(latencies, 0.5);
	result->insight_p99_ms = fleet_percentile(latencies, 0.99);
	result->has_receipt_ms = result->has_last_close_ms = load->receipt_status == 200;
	result->receipt_ms = (uint32_t)((load->receipt_us - load->revoke_us) / 1000);
	result->last_close_ms =
	        (double)(fleet_counts(load->fleet)->last_gone_us - load->revoke_us) / 1000;
}

static void print_words(const Cli__LoadResult *result)
{
	(void)printf("%-22s %s\n", "scenario", result->scenario);
	(void)printf("%-22s %u devices, %u apps in %.2f s\n", "opened", result->devices,
	             result->subscribers, result->opening_s);
	if (result->has_handshake_p50_ms)
		(void)printf("%-22s p50 %.1f ms, p99 %.1f ms\n", "first message after",
		             result->handshake_p50_ms, result->handshake_p99_ms);
	if (result->frames > 0)
		(void)printf("%-22s %llu, %.0f a second\n", "frames",
		             (unsigned long long)result->frames, result->frames_per_s);
	if (result->has_insight_p50_ms)
		(void)printf("%-22s %llu, after p50 %.0f ms, p99 %.0f ms\n", "insights heard",
		             (unsigned long long)result->insights, result->insight_p50_ms,
		             result->insight_p99_ms);
	if (result->has_receipt_ms)
		(void)printf("%-22s receipt after %u ms, last socket gone after %.0f ms\n",
		             "revoke", result->receipt_ms, result->last_close_ms);
	(void)printf("%-22s %s\n", "result", result->good ? "good" : result->fault);
}

static int report(struct load *load, const struct fleet_counts *open, double opening_s)
{
	const struct fleet_counts *counts = fleet_counts(load->fleet);
	Cli__LoadResult result = CLI__LOAD_RESULT__INIT;
	AUTO_MEM char *text = NULL;

	result.scenario = (char *)load->scenario->name;
	result.fault = (char *)fault_of(load, counts);
	result.good = !result.fault;
	result.devices = open->devices;
	result.subscribers = open->subscribers;
	result.refused = counts->refused;
	result.lost = load->scenario->revokes && result.good ? 0 : counts->lost;
	result.seconds = (double)(clock_boot_ms() - load->began_ms) / 1000;
	result.opening_s = opening_s;
	result.frames = counts->frames;
	result.frames_per_s = load->streamed_ms > 0
	                              ? (double)counts->frames * 1000 / (double)load->streamed_ms
	                              : 0;
	result.insights = counts->insights;
	put_times(&result, load);
	if (load->json) {
		text = json_of_message(&result.base);
		(void)printf("%s\n", text);
	} else {
		print_words(&result);
	}
	return result.good ? CLI_DONE : cli_fail("%s", result.fault);
}

static int run_fleet(struct load *load, const char *model_id)
{
	const struct fleet_plan plan = { .web = load->web,
		                         .url = &load->client.url,
		                         .key = load->key,
		                         .model_id = model_id,
		                         .devices = (unsigned)load->devices,
		                         .subscribers = (unsigned)load->subscribers,
		                         .frames_per_s = load->scenario->streams
		                                                 ? (unsigned)load->frames_per_s
		                                                 : 0 };
	struct fleet_counts open;
	double opening_s;

	load->fleet = fleet_open(&plan);
	load->began_ms = clock_boot_ms();
	timer_set(load->loop, &load->show, SHOW_MS, on_show, load);
	wait_for(load, all_open, OPEN_S * 1000);
	open = *fleet_counts(load->fleet);
	opening_s = (double)(clock_boot_ms() - load->began_ms) / 1000;
	if (load->scenario->streams && !load->stopping)
		stream(load);
	if (load->scenario->revokes && !load->stopping)
		revoke_key(load);
	fleet_close(load->fleet);
	load->stopping = false; /* a second Ctrl-C does not wait for that */
	wait_for(load, all_gone, CLOSE_S * 1000);
	timer_stop(load->loop, &load->show);
	if (load->terminal)
		(void)fprintf(stderr, "\r\033[K");
	return report(load, &open, opening_s);
}

static int run(struct load *load)
{
	AUTO(loop_free) struct loop *loop = loop_new();
	AUTO(web_free) struct web *web = NULL;
	char model_id[UUID_TEXT];
	int status;

	load->loop = loop;
	cli_on_stop(loop, on_stop, load);
	load->web = web = web_new(loop, load->client.ca_file);
	if (!web)
		return cli_fail("--ca: the file holds no certificate that can be read");
	if (!prepare(load, model_id))
		return cli_fail("%s", load->why);
	status = run_fleet(load, model_id);
	web_free(TAKE(web)); /* what is still open calls back: before the fleet goes */
	fleet_free(load->fleet);
	return status;
}

/* ---- options ---- */

static const struct scenario *scenario_named(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_LEN(scenarios); i++)
		if (strcmp(scenarios[i].name, name) == 0)
			return &scenarios[i];
	return NULL;
}

static int options(const struct command *self, struct load *load, int argc, char **argv)
{
	/* clang-format off */
	const struct config_item items[] = {
		CLIENT_ITEMS(load->client),
		{ "devices", CONFIG_INT, &load->devices, "-1", -1, FLEET_MOST,
		  "how many stream; default by the scenario" },
		{ "subscribers", CONFIG_INT, &load->subscribers, "-1", -1, FLEET_MOST,
		  "how many apps hear; default by the scenario" },
		{ "frames-per-s", CONFIG_INT, &load->frames_per_s, "5", 1, 50,
		  "of each device; together they are 1 s of signal a second" },
		{ "seconds", CONFIG_INT, &load->seconds, "20", 1, 86400, "how long they stream" },
		{ "json", CONFIG_FLAG, &load->json, NULL, 0, 0, "one JSON document at the end" },
		{ 0 },
	};
	/* clang-format on */
	const char *name = NULL;
	int n = 1, status = cli_options(self, items, NULL, argc, argv, &name, &n);

	if (status >= 0)
		return status;
	load->scenario = scenario_named(n == 1 ? name : NULL);
	if (!load->scenario)
		return cli_misused(self, "expected steady, connect-storm, revoke or subscribers");
	if (load->devices < 0)
		load->devices = load->scenario->devices;
	if (load->subscribers < 0)
		load->subscribers = load->scenario->subscribers;
	if (load->devices + load->subscribers < 1 || load->devices + load->subscribers > FLEET_MOST)
		return cli_misused(self, "expected 1 to %d devices and apps together", FLEET_MOST);
	return client_options_check(self, &load->client);
}

int load_run(const struct command *self, int argc, char **argv)
{
	struct load load = { .terminal = isatty(STDERR_FILENO) };
	int status = options(self, &load, argc, argv);

	if (status >= 0)
		return status;
	MUST(sodium_init() >= 0);
	status = run(&load);
	sodium_memzero(load.key, sizeof load.key);
	client_options_wipe(&load.client);
	return status;
}
