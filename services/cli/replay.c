/*
 * raeh replay - a simulated device that streams a recording.
 */
#include "cli.pb-c.h"
#include "common/json.h"
#include "services/cli/simulated.h"
#include "services/cli/stream.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BAR_COLUMNS 24
#define BAR_MS      200   /* between two drawings of the bar */
#define LINE_MS     10000 /* between two lines elsewhere     */

struct replay {
	struct client_options client;
	const char *meta, *device, *model_id, *speed_text;
	int64_t frame_ms;
	bool loop, json, quiet, terminal;
	double speed;
	struct loop *events;
	struct stream *stream;
	struct timer timer;
};

/* "1", "0.5", "max" (0). */
static bool parse_speed(const char *text, double *ret)
{
	char *end;

	if (strcmp(text, "max") == 0) {
		*ret = 0;
		return true;
	}
	*ret = strtod(text, &end);
	return end != text && !*end && isfinite(*ret) && *ret > 0 && *ret <= 1e6;
}

static char *device_of(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	size_t len = strlen(name);

	if (len > 4 && strcmp(name + len - 4, ".csv") == 0)
		len -= 4;
	return xasprintf("replay-%.*s", (int)(len < 100 ? len : 100), name);
}

static void show(void *self)
{
	struct replay *replay = self;
	struct progress progress = stream_progress(replay->stream);
	char text[160];

	progress_text(&progress, replay->terminal ? BAR_COLUMNS : 0, text);
	(void)fprintf(stderr, replay->terminal ? "\r\033[K%s" : "%s\n", text);
	timer_set(replay->events, &replay->timer, replay->terminal ? BAR_MS : LINE_MS, show,
	          replay);
}

static void on_stop(void *self)
{
	struct replay *replay = self;

	if (replay->stream)
		stream_stop(replay->stream);
	else
		exit(CLI_DONE); /* nothing is open yet */
}

static void print_json(const struct stream_result *result, const struct progress *progress)
{
	Cli__ReplayResult document = CLI__REPLAY_RESULT__INIT;
	AUTO_MEM char *text = NULL;

	document.session_id = result->session_id[0] ? (char *)result->session_id : NULL;
	document.sessions = result->sessions;
	document.frames = progress->frames;
	document.bytes = progress->bytes;
	document.seconds = progress->elapsed_s;
	document.signal_s = progress->done_s;
	document.reconnects = result->reconnects;
	document.has_close_code = result->close_code != 0;
	document.close_code = (uint32_t)result->close_code;
	document.close_reason = document.has_close_code ? (char *)result->close_reason : NULL;
	text = json_of_message(&document.base);
	(void)printf("%s\n", text);
}

static void print_words(const struct stream_result *result, const struct progress *progress)
{
	char sent[16];

	progress_time(progress->done_s, sent);
	(void)printf("sent %s of signal: %llu frames, %llu bytes in %.1f s; session %s\n", sent,
	             (unsigned long long)progress->frames, (unsigned long long)progress->bytes,
	             progress->elapsed_s, result->session_id[0] ? result->session_id : "none");
	if (result->close_code)
		(void)printf("closed with %d%s%s\n", result->close_code,
		             result->close_reason[0] ? ": " : "", result->close_reason);
}

static int report(const struct replay *replay)
{
	const struct stream_result *result = stream_result(replay->stream);
	struct progress progress = stream_progress(replay->stream);

	if (replay->terminal && !replay->quiet)
		(void)fprintf(stderr, "\r\033[K");
	if (replay->json)
		print_json(result, &progress);
	else if (!replay->quiet)
		print_words(result, &progress);
	if (result->good)
		return CLI_DONE;
	return cli_fail("the server closed with %d%s%s", result->close_code,
	                result->close_reason[0] ? ": " : "", result->close_reason);
}

static int stream_all(struct replay *replay, struct web *web, const struct recording *recording,
                      const char *device, const char *model_id)
{
	const struct stream_plan plan = { .web = web,
		                          .url = &replay->client.url,
		                          .key = replay->client.key,
		                          .device_id = device,
		                          .model_id = model_id,
		                          .recording = recording,
		                          .frame_ms = (unsigned)replay->frame_ms,
		                          .speed = replay->speed,
		                          .loop = replay->loop };
	int status;

	replay->stream = stream_new(&plan);
	if (!replay->quiet)
		timer_set(replay->events, &replay->timer, replay->terminal ? 0 : LINE_MS, show,
		          replay);
	web_run(web);
	timer_stop(replay->events, &replay->timer);
	status = report(replay);
	stream_free(TAKE(replay->stream));
	return status;
}

static int run(struct replay *replay, const struct recording *recording, const char *path)
{
	AUTO(loop_free) struct loop *loop = loop_new();
	AUTO(web_free) struct web *web = NULL;
	AUTO_MEM char *own_name = device_of(path);
	char model_id[UUID_TEXT], why[256];

	replay->events = loop;
	cli_on_stop(loop, on_stop, replay);
	web = web_new(loop, replay->client.ca_file);
	if (!web)
		return cli_fail("--ca: the file holds no certificate that can be read");
	if (replay->model_id)
		(void)snprintf(model_id, sizeof model_id, "%s", replay->model_id);
	else if (!simulated_register(web, &replay->client, recording, model_id, why))
		return cli_fail("%s", why);
	return stream_all(replay, web, recording, replay->device ? replay->device : own_name,
	                  model_id);
}

static int options(const struct command *self, struct replay *replay, int argc, char **argv,
                   const char **path)
{
	/* clang-format off */
	const struct config_item items[] = {
		CLIENT_ITEMS(replay->client),
		{ "meta", CONFIG_TEXT, &replay->meta, NULL, 0, 0,
		  "JSON beside it with the sample rate; default FILE.json" },
		{ "device", CONFIG_TEXT, &replay->device, NULL, 0, 0,
		  "device id; default replay-FILE" },
		{ "model-id", CONFIG_TEXT, &replay->model_id, NULL, 0, 0,
		  "device model to use; default: found or registered by the channels" },
		{ "speed", CONFIG_TEXT, &replay->speed_text, "1", 0, 0,
		  "signal seconds a second, or max" },
		{ "frame-ms", CONFIG_INT, &replay->frame_ms, "200", 1, 1000,
		  "signal in one frame" },
		{ "loop", CONFIG_FLAG, &replay->loop, NULL, 0, 0, "again and again until Ctrl-C" },
		{ "quiet", CONFIG_FLAG, &replay->quiet, NULL, 0, 0, "neither progress nor summary" },
		{ "json", CONFIG_FLAG, &replay->json, NULL, 0, 0, "one JSON document at the end" },
		{ 0 },
	};
	/* clang-format on */
	int n = 1, status = cli_options(self, items, NULL, argc, argv, path, &n);

	if (status >= 0)
		return status;
	if (n != 1)
		return cli_misused(self, "expected a recording, got nothing");
	if (!parse_speed(replay->speed_text, &replay->speed))
		return cli_misused(self, "--speed: expected a number above 0 or max, got \"%.40s\"",
		                   replay->speed_text);
	return client_options_check(self, &replay->client);
}

int replay_run(const struct command *self, int argc, char **argv)
{
	struct replay replay = { .terminal = isatty(STDERR_FILENO) };
	AUTO(recording_close) struct recording *recording = NULL;
	struct recording_fault fault;
	const char *path = NULL;
	int status = options(self, &replay, argc, argv, &path);

	if (status >= 0)
		return status;
	MUST(sodium_init() >= 0);
	if (recording_open(path, replay.meta, &fault, &recording) == OK)
		status = run(&replay, recording, path);
	else
		status = cli_fail("%s", fault.text);
	client_options_wipe(&replay.client);
	return status;
}
