/*
 * ledger - what is missing of a session, slot by slot, on the clock of t0. Pure.
 *
 *     samples  ▄▄▄▄▄▄▄▄········▄▄▄▄▄▄▄▄▄▄▄▄
 *                      └ never-sent: from the end of one frame to the t0 of the next
 *
 * A frame that comes later fills the gap that it lies in; when it came behind windows that were
 * computed already it fills it with `late`: it is stored, but no insight has seen it. Jitter is no
 * gap: one and a half samples, and 2 % of a frame for a crystal that runs off.
 *
 * The list is bounded: beyond LEDGER_GAPS the two neighbours (of one slot and cause) that lie
 * closest become one, that says of how many intervals it is made and how much is missing in them.
 */
#ifndef PUBLISHER_LEDGER_H
#define PUBLISHER_LEDGER_H

#include "services/publisher/analysis.h"

#define LEDGER_GAPS 256
#define LEDGER_BACK 2000 /* ms behind, and no gap filled: two such frames begin a new segment */

enum gap_cause { GAP_NEVER_SENT, GAP_LATE, GAP_CAUSES };
const char *gap_cause_name(enum gap_cause cause);

struct gap {
	uint8_t slot, cause;
	int64_t from_ms, to_ms; /* session time */
	int64_t missing_ms;     /* of it; less than to - from when it was put together */
	uint32_t frames;        /* late ones */
	uint32_t intervals;
};

struct ledger {
	bool began[ANALYSIS_MAX_SLOTS];
	int64_t first_ms[ANALYSIS_MAX_SLOTS], end_ms[ANALYSIS_MAX_SLOTS]; /* of what was sent */
	int64_t behind_ms[ANALYSIS_MAX_SLOTS]; /* end of the last frame behind; 0: none */
	struct gap *gap;
	size_t n, cap;
	bool changed; /* the list, since the owner has set it to false */
};

void ledger_done(struct ledger *ledger);
/* One stored frame of a slot. */
void ledger_note(struct ledger *ledger, unsigned slot, double rate_hz, int64_t t0_ms,
                 uint32_t samples, bool late);
/* A gap as it was, out of a row. */
void ledger_restore(struct ledger *ledger, const struct gap *gap);

#endif
