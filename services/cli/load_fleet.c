#include "services/cli/load_fleet.h"

#include "common/clock.h"
#include "services/cli/ws_client.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES   12
#define WAVE_SAMPLES (5 * FLEET_RATE_HZ) /* six beats of 72 a minute: it goes on smoothly */
#define TIMES_MOST   1000000

struct member {
	struct fleet *fleet;
	struct ws *ws; /* NULL: gone */
	bool is_device, greeted, wants_write;
	unsigned number; /* among its kind */
	int64_t asked_us;
	int64_t t0_ms, due_ms; /* of the next frame: wall, boot */
	size_t sample;         /* where in the wave it begins   */
};

struct fleet {
	struct fleet_plan plan;
	struct member *member;
	unsigned asked, total;
	bool streams, closing;
	struct fleet_counts counts;
	struct fleet_times handshakes, latencies;
	int16_t wave[WAVE_SAMPLES];
};

/* ---- times ---- */

static void note(struct fleet_times *times, double ms)
{
	if (times->n == TIMES_MOST)
		return;
	if (times->n == times->room) {
		times->room = times->room ? 2 * times->room : 256;
		times->ms = xrealloc(times->ms, times->room, sizeof *times->ms);
	}
	times->ms[times->n++] = (float)ms;
}

static int by_size(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

double fleet_percentile(struct fleet_times *times, double share)
{
	if (times->n == 0)
		return NAN;
	qsort(times->ms, times->n, sizeof *times->ms, by_size);
	return (double)times->ms[(size_t)(share * (double)(times->n - 1))];
}

/* ---- one socket ---- */

static void on_open(void *ctx)
{
	(void)ctx; /* the first message follows */
}

static unsigned *open_now(struct member *member)
{
	return member->is_device ? &member->fleet->counts.devices
	                         : &member->fleet->counts.subscribers;
}

static void greet(struct member *member)
{
	struct fleet *fleet = member->fleet;
	unsigned fps = fleet->plan.frames_per_s;

	member->greeted = true;
	fleet->counts.under_way--;
	++*open_now(member);
	note(&fleet->handshakes, (double)(clock_boot_us() - member->asked_us) / 1000);
	member->t0_ms = clock_wall_ms();
	/* Not all of them at the same moment. */
	member->due_ms = clock_boot_ms() + (fps ? member->number * 37 % (1000 / fps) : 0);
}

static void on_text(void *ctx, struct bytes text)
{
	struct member *member = ctx;
	const char *at;

	if (!member->greeted) {
		greet(member);
		return;
	}
	at = member->is_device ? NULL : strstr(text.data, "\"ts\":");
	if (!at)
		return;
	member->fleet->counts.insights++;
	note(&member->fleet->latencies, (double)(clock_wall_ms() - strtoll(at + 5, NULL, 10)));
}

static void on_closed(void *ctx, int code, const char *reason)
{
	struct member *member = ctx;
	struct fleet_counts *counts = &member->fleet->counts;

	member->ws = NULL;
	counts->last_gone_us = clock_boot_us();
	if (member->greeted)
		--*open_now(member);
	else
		counts->under_way--;
	if (member->fleet->closing)
		return;
	if (counts->refused + counts->lost == 0)
		(void)snprintf(counts->why, sizeof counts->why, "%d %s", code, reason);
	counts->refused += !member->greeted;
	counts->lost += member->greeted;
	counts->lost_4001 += member->greeted && code == 4001;
}

/* The frame of span samples that begins where the last one ended; its bytes. */
static size_t next_frame(struct member *member, unsigned span, uint8_t *ret)
{
	struct fleet *fleet = member->fleet;

	memset(ret, 0, HEAD_BYTES);
	for (int i = 0; i < 8; i++)
		ret[1 + i] = (uint8_t)((uint64_t)member->t0_ms >> (56 - 8 * i));
	ret[9] = (uint8_t)(span >> 8);
	ret[10] = (uint8_t)span;
	for (unsigned i = 0; i < span; i++) {
		int16_t value = fleet->wave[(member->sample + i) % WAVE_SAMPLES];

		ret[HEAD_BYTES + 2 * i] = (uint8_t)value;
		ret[HEAD_BYTES + 2 * i + 1] = (uint8_t)((uint16_t)value >> 8);
	}
	member->sample += span;
	member->t0_ms += span * 1000 / FLEET_RATE_HZ;
	member->due_ms += span * 1000 / FLEET_RATE_HZ;
	return HEAD_BYTES + 2 * (size_t)span;
}

static bool is_due(const struct member *member, int64_t now_ms)
{
	return member->ws && member->is_device && member->greeted && member->due_ms <= now_ms;
}

static void on_writable(void *ctx)
{
	struct member *member = ctx;
	struct fleet *fleet = member->fleet;
	uint8_t frame[HEAD_BYTES + 2 * FLEET_RATE_HZ];
	bool more = true;

	member->wants_write = false;
	while (more && fleet->streams && is_due(member, clock_boot_ms())) {
		size_t len = next_frame(member, FLEET_RATE_HZ / fleet->plan.frames_per_s, frame);

		more = ws_send(member->ws, BYTES(frame, len));
		fleet->counts.frames++;
	}
	member->wants_write = !more;
}

static const struct ws_events events = { on_open, on_text, on_writable, on_closed };

/* ---- all of them ---- */

/* Devices and subscribers by turns, so that both are there early. */
static void open_one(struct fleet *fleet)
{
	unsigned i = fleet->asked++, devices = fleet->plan.devices;
	struct member *member = &fleet->member[i];
	char path[128];

	member->fleet = fleet;
	member->is_device = i >= fleet->plan.subscribers;
	member->number = member->is_device ? i - fleet->plan.subscribers : i;
	member->asked_us = clock_boot_us();
	MUST(member->number < (member->is_device ? devices : fleet->plan.subscribers));
	if (member->is_device)
		(void)snprintf(path, sizeof path,
		               "/stream/ingest?device_id=load-%u&device_model_id=%s",
		               member->number, fleet->plan.model_id);
	else
		(void)snprintf(path, sizeof path, "/stream/subscribe");
	fleet->counts.under_way++;
	member->ws =
	        ws_open(fleet->plan.web, fleet->plan.url, path, fleet->plan.key, &events, member);
}

struct fleet *fleet_open(const struct fleet_plan *plan)
{
	struct fleet *fleet = xcalloc(1, sizeof *fleet);

	fleet->plan = *plan;
	fleet->total = plan->devices + plan->subscribers;
	MUST(fleet->total <= FLEET_MOST && plan->frames_per_s <= FLEET_RATE_HZ);
	fleet->member = xcalloc(fleet->total, sizeof *fleet->member);
	for (int i = 0; i < WAVE_SAMPLES; i++) {
		double beat = fmod(i * 1.2 / FLEET_RATE_HZ, 1);

		fleet->wave[i] = (int16_t)(8000 * exp(-pow((beat - 0.2) / 0.1, 2)));
	}
	return fleet;
}

void fleet_free(struct fleet *fleet)
{
	if (!fleet)
		return;
	mem_free(fleet->handshakes.ms);
	mem_free(fleet->latencies.ms);
	mem_free(fleet->member);
	mem_free(fleet);
}

void fleet_tick(struct fleet *fleet)
{
	int64_t now_ms = clock_boot_ms();

	while (!fleet->closing && fleet->asked < fleet->total &&
	       fleet->counts.under_way < FLEET_AT_ONCE)
		open_one(fleet);
	for (unsigned i = 0; fleet->streams && i < fleet->asked; i++) {
		struct member *member = &fleet->member[i];

		if (member->wants_write || !is_due(member, now_ms))
			continue;
		member->wants_write = true;
		ws_want_write(member->ws);
	}
}

void fleet_stream(struct fleet *fleet, bool on)
{
	int64_t now_ms = clock_boot_ms(), wall_ms = clock_wall_ms();

	for (unsigned i = 0; on && !fleet->streams && i < fleet->asked; i++) {
		struct member *member = &fleet->member[i];
		int64_t late_ms = now_ms - member->due_ms;

		if (late_ms > 0) /* begins now: what it did not measure is not made up for */
			member->due_ms += late_ms;
		member->t0_ms = wall_ms;
	}
	fleet->streams = on && fleet->plan.frames_per_s > 0;
}

void fleet_close(struct fleet *fleet)
{
	fleet->closing = true;
	fleet->streams = false;
	for (unsigned i = 0; i < fleet->asked; i++)
		if (fleet->member[i].ws)
			ws_close(fleet->member[i].ws, 1000, "");
}

const struct fleet_counts *fleet_counts(const struct fleet *fleet)
{
	return &fleet->counts;
}

bool fleet_is_open(const struct fleet *fleet)
{
	return fleet->asked == fleet->total && fleet->counts.under_way == 0;
}

bool fleet_is_gone(const struct fleet *fleet)
{
	return fleet->counts.devices + fleet->counts.subscribers + fleet->counts.under_way == 0;
}

struct fleet_times *fleet_handshakes(struct fleet *fleet)
{
	return &fleet->handshakes;
}

struct fleet_times *fleet_latencies(struct fleet *fleet)
{
	return &fleet->latencies;
}
