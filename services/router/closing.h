/*
 * closing - asks publishers to close sessions that have no edge.
 *
 *     closings_add ─► [queue] ─► publisher-<partition mod P> ─► the directory
 *
 * At most CLOSING_IN_AIR are asked at a time. What a publisher does not confirm is dropped, as
 * is what waits for a publisher that has just not answered: the next round of the
 * reconciliation finds again what the directory calls open.
 */
#ifndef ROUTER_CLOSING_H
#define ROUTER_CLOSING_H

#include "common/uuid.h"

#include <stdbool.h>
#include <stddef.h>

#define CLOSING_IN_AIR      64
#define CLOSING_DEADLINE_MS 3000
#define CLOSING_PAUSE_MS    4000 /* for a publisher that did not answer */

struct router;
struct closings;

struct closing {
	struct uuid account, session;
	unsigned partition;
	uint32_t code;
	const char *reason; /* static */
	int64_t ended_at;   /* wall ms; set when it is asked */
	uint64_t epoch;     /* how often it had been resumed */
};

struct closings *closings_new(struct router *router);
void closings_free(struct closings *closings);
/* False: RECONCILE_MAX wait. */
bool closings_add(struct closings *closings, const struct closing *closing);
size_t closings_count(const struct closings *closings);

#endif
