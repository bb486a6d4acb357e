#include "services/publisher/ledger.h"

#include <math.h>
#include <string.h>

#define TIME_MOST    (INT64_C(1) << 52) /* ms; what lies beyond is no time */
#define MISSING_MOST (INT64_C(1) << 60) /* of a client that jumps to and fro */

const char *gap_cause_name(enum gap_cause cause)
{
	static const char *const names[GAP_CAUSES] = { "never-sent", "late" };

	return names[cause];
}

void ledger_done(struct ledger *ledger)
{
	mem_free(ledger->gap);
	ledger->gap = NULL;
	ledger->n = ledger->cap = 0;
}

static void remove_gap(struct ledger *ledger, size_t i)
{
	memmove(&ledger->gap[i], &ledger->gap[i + 1], (--ledger->n - i) * sizeof ledger->gap[0]);
}

static int64_t distance(const struct gap *a, const struct gap *b)
{
	return a->from_ms < b->from_ms ? b->from_ms - a->to_ms : a->from_ms - b->to_ms;
}

static void merge(struct gap *into, const struct gap *from)
{
	into->from_ms = from->from_ms < into->from_ms ? from->from_ms : into->from_ms;
	into->to_ms = from->to_ms > into->to_ms ? from->to_ms : into->to_ms;
	into->missing_ms += from->missing_ms;
	if (into->missing_ms > MISSING_MOST)
		into->missing_ms = MISSING_MOST;
	into->frames += from->frames;
	into->intervals += from->intervals;
}

/* More places than (slot, cause) pairs: two of one pair are always there. */
static void make_room(struct ledger *ledger)
{
	size_t last[ANALYSIS_MAX_SLOTS][GAP_CAUSES];
	size_t left = 0, right = 0;
	int64_t least = INT64_MAX;

	_Static_assert(LEDGER_GAPS > ANALYSIS_MAX_SLOTS * GAP_CAUSES, "pairs must repeat");
	memset(last, 0xff, sizeof last);
	for (size_t i = 0; i < ledger->n; i++) {
		const struct gap *gap = &ledger->gap[i];
		size_t *before = &last[gap->slot][gap->cause];

		if (*before != SIZE_MAX && distance(&ledger->gap[*before], gap) < least) {
			least = distance(&ledger->gap[*before], gap);
			left = *before;
			right = i;
		}
		*before = i;
	}
	merge(&ledger->gap[left], &ledger->gap[right]);
	remove_gap(ledger, right);
}

static void add_gap(struct ledger *ledger, struct gap gap)
{
	if (ledger->n == LEDGER_GAPS)
		make_room(ledger);
	if (ledger->n == ledger->cap) {
		ledger->cap = ledger->cap ? 2 * ledger->cap : 4;
		ledger->gap = xrealloc(ledger->gap, ledger->cap, sizeof ledger->gap[0]);
	}
	ledger->gap[ledger->n++] = gap;
	ledger->changed = true;
}

void ledger_restore(struct ledger *ledger, const struct gap *gap)
{
	if (gap->slot < ANALYSIS_MAX_SLOTS && gap->cause < GAP_CAUSES && ledger->n < LEDGER_GAPS)
		add_gap(ledger, *gap);
	ledger->changed = false;
}

static void add_missing(struct ledger *ledger, unsigned slot, int64_t from, int64_t to)
{
	add_gap(ledger, (struct gap){ .slot = (uint8_t)slot,
	                              .cause = GAP_NEVER_SENT,
	                              .from_ms = from,
	                              .to_ms = to,
	                              .missing_ms = to - from,
	                              .intervals = 1 });
}

/* Frames that are late in a row are one interval. */
static void add_late(struct ledger *ledger, unsigned slot, int64_t from, int64_t to, int64_t slack)
{
	for (size_t i = ledger->n; i-- > 0;) {
		struct gap *gap = &ledger->gap[i];

		if (gap->slot != slot || gap->cause != GAP_LATE || gap->intervals > 1 ||
		    from > gap->to_ms + slack || to < gap->from_ms - slack)
			continue;
		gap->from_ms = from < gap->from_ms ? from : gap->from_ms;
		gap->to_ms = to > gap->to_ms ? to : gap->to_ms;
		gap->missing_ms = gap->to_ms - gap->from_ms;
		gap->frames++;
		ledger->changed = true;
		return;
	}
	add_gap(ledger, (struct gap){ .slot = (uint8_t)slot,
	                              .cause = GAP_LATE,
	                              .from_ms = from,
	                              .to_ms = to,
	                              .missing_ms = to - from,
	                              .frames = 1,
	                              .intervals = 1 });
}

/* What is left of one gap when from..to was sent after all. True: nothing. */
static bool fill_one(struct ledger *ledger, struct gap *gap, int64_t from, int64_t to,
                     int64_t slack)
{
	int64_t left = from - gap->from_ms, right = gap->to_ms - to;
	struct gap rest = *gap;

	ledger->changed = true;
	if (gap->intervals > 1) { /* which of them it was is not known any more */
		gap->missing_ms -= (right < 0 ? gap->to_ms : to) - (left < 0 ? gap->from_ms : from);
		return gap->missing_ms <= slack;
	}
	if (left <= slack && right <= slack)
		return true;
	if (left <= slack)
		gap->from_ms = to;
	else
		gap->to_ms = from;
	gap->missing_ms = gap->to_ms - gap->from_ms;
	if (left > slack && right > slack)
		add_missing(ledger, rest.slot, to, rest.to_ms); /* gap may have moved */
	return false;
}

/* True: it lies in a gap, or reaches into one. */
static bool fill(struct ledger *ledger, unsigned slot, int64_t from, int64_t to, int64_t slack)
{
	bool fills = false;

	for (size_t i = ledger->n; i-- > 0;) {
		const struct gap *gap = &ledger->gap[i];

		if (gap->slot != slot || gap->cause != GAP_NEVER_SENT || to <= gap->from_ms ||
		    from >= gap->to_ms)
			continue;
		fills = true;
		if (fill_one(ledger, &ledger->gap[i], from, to, slack))
			remove_gap(ledger, i);
		if (i > ledger->n)
			i = ledger->n;
	}
	return fills;
}

/* Behind what was sent, where nothing was missing: over again, or the device's clock was set
 * back. */
static void note_behind(struct ledger *ledger, unsigned slot, int64_t from, int64_t to,
                        int64_t slack)
{
	int64_t *behind = &ledger->behind_ms[slot];

	if (from > ledger->end_ms[slot] - LEDGER_BACK) {
		*behind = 0;
	} else if (*behind != 0 && from >= *behind - slack && from <= *behind + slack) {
		ledger->end_ms[slot] = to;
		*behind = 0;
		return;
	} else {
		*behind = to;
	}
	if (to > ledger->end_ms[slot])
		ledger->end_ms[slot] = to;
}

void ledger_note(struct ledger *ledger, unsigned slot, double rate_hz, int64_t t0_ms,
                 uint32_t samples, bool late)
{
	int64_t length = llround(samples * 1000.0 / rate_hz);
	int64_t slack = llround(1500.0 / rate_hz) + length / 50 + 1;
	int64_t from = t0_ms, to, *end = &ledger->end_ms[slot];
	bool fills;

	if (from < -TIME_MOST || from > TIME_MOST)
		return;
	to = from + length;
	fills = fill(ledger, slot, from, to, slack);
	if (!ledger->began[slot]) {
		ledger->began[slot] = true;
		ledger->first_ms[slot] = from;
		*end = to;
	} else if (from > *end + slack) {
		add_missing(ledger, slot, *end, from);
		*end = to;
		ledger->behind_ms[slot] = 0;
	} else if (from >= *end - slack || fills) {
		*end = to > *end ? to : *end;
		ledger->behind_ms[slot] = 0;
	} else {
		note_behind(ledger, slot, from, to, slack);
	}
	if (late)
		add_late(ledger, slot, from, to, slack);
}
