/*
 * load_fleet - many devices and subscribers at once, for `raeh load`.
 *
 *     fleet_open ─► each opens, at most FLEET_AT_ONCE at a time ─► devices stream ─► fleet_close
 *
 * A device sends a made pulse of 72 beats a minute in one slot (ppg_green, 100 Hz, 16 bits),
 * its frames evenly in time and apart from those of the others. Everything is called from the
 * loop of web; the owner calls fleet_tick() now and then.
 */
#ifndef CLI_LOAD_FLEET_H
#define CLI_LOAD_FLEET_H

#include "services/cli/url.h"
#include "services/cli/web.h"

#define FLEET_AT_ONCE 200 /* handshakes under way, as a fleet that reconnects with jitter */
#define FLEET_MOST    10000
#define FLEET_RATE_HZ 100

struct fleet_plan {
	struct web *web;
	const struct url *url;
	const char *key, *model_id;
	unsigned devices, subscribers;
	unsigned frames_per_s; /* of each device; 0: they stay silent */
};

/* Milliseconds, of which the oldest are kept. */
struct fleet_times {
	float *ms;
	size_t n, room;
};
/* Sorts. share 0.5: the median. NAN: there are none. */
double fleet_percentile(struct fleet_times *times, double share);

struct fleet_counts {
	unsigned devices, subscribers; /* open now                               */
	unsigned refused;              /* gone before their first message         */
	unsigned lost;                 /* gone after it, not by fleet_close()     */
	unsigned lost_4001;            /* of these, because the key was refused   */
	unsigned under_way;
	uint64_t frames, insights;
	int64_t last_gone_us; /* boot time; 0: none yet */
	char why[160];        /* what the first that was refused or lost was told */
};

struct fleet;

/* Borrows plan and what it points at. */
struct fleet *fleet_open(const struct fleet_plan *plan);
/* With every socket gone, or the loop not run any more. */
void fleet_free(struct fleet *fleet);
AUTO_FREE(struct fleet, fleet_free)

/* Opens further ones, lets devices send what is due. */
void fleet_tick(struct fleet *fleet);
void fleet_stream(struct fleet *fleet, bool on);
/* Closes all with 1000. */
void fleet_close(struct fleet *fleet);

const struct fleet_counts *fleet_counts(const struct fleet *fleet);
/* Nothing is still to be opened or under way. */
bool fleet_is_open(const struct fleet *fleet);
bool fleet_is_gone(const struct fleet *fleet);
struct fleet_times *fleet_handshakes(struct fleet *fleet);
/* From an insight's `ts` to us: only true on the machine of the stack, or with a good clock. */
struct fleet_times *fleet_latencies(struct fleet *fleet);

#endif
