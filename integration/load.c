/*
 * load - devices and subscribers by the thousand, from one process.
 *
 *     load PORT MODEL          on 127.0.0.1; MODEL: UUID of a device model
 *
 * Told what to do by lines on standard input; each is answered, when it is done, by one line
 * of JSON on standard output. Times are CLOCK_MONOTONIC.
 *
 *     key KEY                  used by what is opened from now on
 *     slot RATE CHANNELS BITS  one slot of the model, in its order
 *     connect N                opens N more devices, until each has its handshake message
 *     subscribe N              the same for subscribers
 *     stream FPS SECONDS SPAN  each device sends FPS frames a second, evenly spread over all
 *                              devices (its slots in turn), each of SPAN ms of signal.
 *                              Latency: from the frame that completes an insight's window to
 *                              the insight at the first subscriber
 *     flood SECONDS SPAN       each device sends as fast as the server takes it
 *     closes SECONDS           until every socket is closed; when the first and last was
 *     quit
 *
 * bench.py drives it. It asserts nothing.
 */
#include "integration/load/client.h"
#include "integration/load/shape.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MOST_CLIENTS   19000
#define MOST_LATENCIES 2000000
#define AT_ONCE        200 /* handshakes under way, as a fleet that reconnects with jitter */
#define OPEN_S         60
#define FLOOD_BYTES    (128u * 1024)

struct load {
	struct sockaddr_in to;
	const char *model;
	char key[64];
	int epoll_fd;
	struct client *clients, **device;
	size_t n, n_devices, n_subscribers;
	size_t greeted, gone;
	struct shape shape;
	int64_t base_ms;
	float *latency_ms;
	size_t n_latencies;
	uint64_t insights, unmatched, sent, refused;
	const struct client *first_subscriber;
};

/* ---- what the server says ---- */

static bool field(struct bytes text, const char *name, int64_t *ret)
{
	const char *at = memmem(text.data, text.len, name, strlen(name));

	if (!at)
		return false;
	*ret = strtoll(at + strlen(name), NULL, 10); /* a comma, quote or brace ends it */
	return true;
}

static void on_insight(struct load *load, struct bytes text)
{
	int64_t device, t, best_end = INT64_MAX, sent = 0, now = now_us();
	const struct client *client;

	load->insights++;
	if (!field(text, "\"device_id\":\"d", &device) || !field(text, "\"t\":", &t))
		return;
	if (device < 0 || (size_t)device >= load->n_devices)
		return;
	client = load->device[device];
	for (uint32_t i = 0; i < CLIENT_REMEMBERS; i++)
		if (client->end_ms[i] >= t && client->end_ms[i] < best_end) {
			best_end = client->end_ms[i];
			sent = client->sent_us[i];
		}
	if (best_end == INT64_MAX)
		load->unmatched++;
	else if (load->n_latencies < MOST_LATENCIES)
		load->latency_ms[load->n_latencies++] = (float)(now - sent) / 1000;
}

static void on_text(void *ctx, struct client *client, struct bytes text)
{
	struct load *load = ctx;

	if (!client->greeted)
		load->greeted++;
	else if (client == load->first_subscriber)
		on_insight(load, text);
}

static void request_of(const struct load *load, const struct client *client, char ret[768])
{
	char query[256] = "";

	if (!client->subscribes)
		(void)snprintf(query, sizeof query, "?device_id=d%u&device_model_id=%s",
		               client->number, load->model);
	(void)snprintf(
	        ret, 768,
	        "GET /stream/%s%s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
	        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
	        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
	        client->subscribes ? "subscribe" : "ingest", query, load->key);
}

/* Serves what is ready; waits until then, at most. */
static void serve(struct load *load, int64_t until_us)
{
	struct epoll_event event[512];
	int64_t left = until_us - now_us();
	struct timespec wait = { 0 };
	char request[768];
	int n;

	if (left > 0)
		wait = (struct timespec){ left / 1000000, left % 1000000 * 1000 };
	n = epoll_pwait2(load->epoll_fd, event, ARRAY_LEN(event), &wait, NULL);
	for (int i = 0; i < n; i++) {
		struct client *client = event[i].data.ptr;

		if (client->state == CLIENT_GONE)
			continue;
		if (client->state == CLIENT_CONNECTING)
			request_of(load, client, request);
		client_serve(client, event[i].events, request, on_text, load);
		load->gone += client->state == CLIENT_GONE;
	}
}

/* ---- opening and closing ---- */

static void open_one(struct load *load, bool subscribes)
{
	struct client *client = &load->clients[load->n];

	client->subscribes = subscribes;
	client->number = (uint32_t)(subscribes ? load->n_subscribers : load->n_devices);
	client->t0_ms = load->base_ms;
	if (!subscribes) {
		client->sent_us = xcalloc(CLIENT_REMEMBERS, sizeof *client->sent_us);
		client->end_ms = xcalloc(CLIENT_REMEMBERS, sizeof *client->end_ms);
		load->device[load->n_devices] = client;
	}
	if (!client_connect(client, load->epoll_fd, &load->to)) {
		perror("load: connect");
		exit(EXIT_FAILURE);
	}
	load->n++;
	if (subscribes && load->n_subscribers++ == 0)
		load->first_subscriber = client;
	load->n_devices += !subscribes;
}

static void open_many(struct load *load, size_t count, bool subscribes)
{
	int64_t start = now_us(), end = start + OPEN_S * 1000000LL;
	size_t asked = 0, before = load->greeted, gone = load->gone;

	while (load->greeted - before + (load->gone - gone) < count && now_us() < end) {
		while (asked < count && load->n < MOST_CLIENTS &&
		       asked - (load->greeted - before) - (load->gone - gone) < AT_ONCE) {
			open_one(load, subscribes);
			asked++;
		}
		serve(load, end);
	}
	printf("{\"opened\":%zu,\"refused\":%zu,\"ms\":%.1f}\n", load->greeted - before,
	       load->gone - gone, (double)(now_us() - start) / 1000);
}

static void wait_closes(struct load *load, double seconds)
{
	int64_t end = now_us() + (int64_t)(seconds * 1e6), first = INT64_MAX, last = 0;
	unsigned code_4001 = 0;

	while (load->gone < load->n && now_us() < end)
		serve(load, end);
	for (size_t i = 0; i < load->n; i++) {
		const struct client *client = &load->clients[i];

		if (client->state != CLIENT_GONE)
			continue;
		code_4001 += client->code == 4001;
		first = client->gone_us < first ? client->gone_us : first;
		last = client->gone_us > last ? client->gone_us : last;
	}
	printf("{\"closed\":%zu,\"with_4001\":%u,\"first_s\":%.6f,\"last_s\":%.6f}\n", load->gone,
	       code_4001, (double)first / 1e6, (double)last / 1e6);
	for (size_t i = 0; i < load->n; i++)
		client_drop(&load->clients[i]);
	memset(load->clients, 0, load->n * sizeof *load->clients);
	load->n = load->n_devices = load->n_subscribers = load->greeted = load->gone = 0;
	load->first_subscriber = NULL;
}

/* ---- frames ---- */

/* The next frame of a device; its length. */
static size_t next_frame(const struct load *load, const struct client *client, int span_ms,
                         uint8_t ret[FRAME_MOST])
{
	const struct shape_frame frame = { client->slot, client->t0_ms, span_ms,
		                           client->t0_ms - load->base_ms + client->number * 70 };

	return shape_frame(&load->shape, &frame, ret);
}

/* t0 moves on when each slot had its turn. */
static void frame_done(const struct load *load, struct client *client, int span_ms)
{
	bool last = client->slot + 1u == load->shape.n_slots;
	uint32_t place = client->frames % CLIENT_REMEMBERS;

	if (last) {
		client->sent_us[place] = now_us();
		client->end_ms[place] = client->t0_ms + span_ms;
		client->frames++;
		client->t0_ms += span_ms;
	}
	client->slot = last ? 0 : client->slot + 1;
}

static void send_one(struct load *load, struct client *client, int span_ms)
{
	uint8_t frame[FRAME_MOST];
	size_t len;

	if (client->state != CLIENT_OPEN)
		return;
	len = next_frame(load, client, span_ms, frame);
	frame_done(load, client, span_ms); /* before: the insight may be faster than we are */
	if (client_send(client, frame, len))
		load->sent++;
	else
		load->refused++;
}

static int by_size(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

static double percentile(const struct load *load, double share)
{
	if (load->n_latencies == 0)
		return NAN;
	return load->latency_ms[(size_t)(share * (double)(load->n_latencies - 1))];
}

static void print_streamed(struct load *load, int64_t start_us, int64_t most_late_us)
{
	qsort(load->latency_ms, load->n_latencies, sizeof *load->latency_ms, by_size);
	printf("{\"sent\":%" PRIu64 ",\"not_taken\":%" PRIu64 ",\"s\":%.3f,\"most_late_ms\":%.1f,"
	       "\"insights\":%" PRIu64 ",\"unmatched\":%" PRIu64 ",\"closed\":%zu",
	       load->sent, load->refused, (double)(now_us() - start_us) / 1e6,
	       (double)most_late_us / 1e3, load->insights, load->unmatched, load->gone);
	if (load->n_latencies > 0)
		printf(",\"p50_ms\":%.3f,\"p90_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f",
		       percentile(load, 0.5), percentile(load, 0.9), percentile(load, 0.99),
		       percentile(load, 1));
	printf("}\n");
}

static void begin_counting(struct load *load)
{
	load->sent = load->refused = load->insights = load->unmatched = 0;
	load->n_latencies = 0;
}

static void stream(struct load *load, double fps, double seconds, int span_ms)
{
	int64_t start = now_us(), most_late = 0;
	double every_us = 1e6 / (fps * (double)load->n_devices);
	uint64_t most = (uint64_t)(seconds * 1e6 / every_us), i = 0;
	size_t next = 0;

	begin_counting(load);
	while (i < most && load->gone < load->n) {
		int64_t due = start + (int64_t)((double)i * every_us), now = now_us();

		if (now < due) {
			serve(load, due);
			continue;
		}
		most_late = now - due > most_late ? now - due : most_late;
		while (load->clients[next].subscribes)
			next = (next + 1) % load->n;
		send_one(load, &load->clients[next], span_ms);
		next = (next + 1) % load->n;
		if (++i % 64 == 0)
			serve(load, now);
	}
	for (int64_t end = now_us() + 300000; now_us() < end;) /* the last insights come */
		serve(load, end);
	print_streamed(load, start, most_late);
}

/* Many frames in one write, as often as the kernel takes one. */
static void flood(struct load *load, double seconds, int span_ms)
{
	int64_t start = now_us(), end = start + (int64_t)(seconds * 1e6);
	uint8_t *wire = xcalloc(1, FLOOD_BYTES + FRAME_MOST + 8), frame[FRAME_MOST];

	begin_counting(load);
	while (now_us() < end && load->gone < load->n) {
		for (size_t i = 0; i < load->n; i++) {
			struct client *client = &load->clients[i];
			size_t len = 0, taken;

			if (client->subscribes || client->state != CLIENT_OPEN ||
			    client->out.len > 0)
				continue;
			while (len < FLOOD_BYTES) {
				len += client_frame(wire + len, frame,
				                    next_frame(load, client, span_ms, frame));
				frame_done(load, client, span_ms);
				load->sent++;
			}
			taken = client_send_raw(client, wire, len);
			buf_append(&client->out, wire + taken, len - taken);
		}
		serve(load, now_us() + 1000);
	}
	mem_free(wire);
	print_streamed(load, start, 0);
}

/* False: quit. */
static bool command(struct load *load, const char *line)
{
	double a, b;
	int n, c, d;

	if (sscanf(line, "key %63s", load->key) == 1) {
		printf("{}\n");
	} else if (sscanf(line, "slot %d %d %d", &n, &c, &d) == 3) {
		shape_add_slot(&load->shape, n, c, d);
		printf("{}\n");
	} else if (sscanf(line, "connect %d", &n) == 1)
		open_many(load, (size_t)n, false);
	else if (sscanf(line, "subscribe %d", &n) == 1)
		open_many(load, (size_t)n, true);
	else if (sscanf(line, "stream %lf %lf %d", &a, &b, &n) == 3)
		stream(load, a, b, n);
	else if (sscanf(line, "flood %lf %d", &b, &n) == 2)
		flood(load, b, n);
	else if (sscanf(line, "closes %lf", &b) == 1)
		wait_closes(load, b);
	else
		return false;
	(void)fflush(stdout);
	return true;
}

/* Between two commands the sockets are served all the same: pings want their answer. */
static bool wait_line(struct load *load, char line[256])
{
	size_t len = 0;

	for (;;) {
		ssize_t n = read(STDIN_FILENO, line + len, 1);

		if (n == 0)
			return false;
		if (n < 0)
			serve(load, now_us() + 20000);
		else if (line[len] == '\n')
			break;
		else
			len += len < 254;
	}
	line[len] = '\0';
	return true;
}

int main(int argc, char **argv)
{
	struct load load = { .epoll_fd = epoll_create1(EPOLL_CLOEXEC) };
	struct rlimit files;
	char line[256];

	if (argc != 3) {
		(void)fprintf(stderr, "usage: load PORT MODEL\n");
		return 2;
	}
	MUST(getrlimit(RLIMIT_NOFILE, &files) == 0);
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
	(void)prctl(PR_SET_TIMERSLACK, 1000UL); /* ns: frames are to leave when they are due */
	(void)fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
	load.to.sin_family = AF_INET;
	load.to.sin_port = htons((uint16_t)atoi(argv[1]));
	load.to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	load.model = argv[2];
	load.base_ms = (int64_t)time(NULL) * 1000;
	load.clients = xcalloc(MOST_CLIENTS, sizeof *load.clients);
	load.device = xcalloc(MOST_CLIENTS, sizeof(struct client *));
	load.latency_ms = xcalloc(MOST_LATENCIES, sizeof *load.latency_ms);
	while (wait_line(&load, line) && command(&load, line))
		;
	return EXIT_SUCCESS; /* the kernel closes the sockets */
}
