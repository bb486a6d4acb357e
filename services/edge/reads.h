/*
 * reads - who has read health data through this edge, for the audit trail.
 *
 *     an answer, a subscription ─reads_note()─► a count a key, resource and minute
 *     each minute ─AuditReads, numbered─► auth, again until it has journaled them
 *
 * Bounded: past READS_MOST different ones that auth has not taken, what is read is noted by its
 * kind, not by its name, so that nobody reads unseen by reading much. Past twice as many, further
 * ones are not noted, counted and logged. An edge that is killed loses the minute.
 */
#ifndef EDGE_READS_H
#define EDGE_READS_H

#include "common/bus.h"
#include "common/uuid.h"
#include "raeh.pb-c.h"
#include "services/edge/origin.h"

#define READS_MOST      16384
#define READS_MINUTE_MS 60000

struct reads;

struct reads_deps {
	struct loop *loop;
	struct bus *bus;
	uint32_t slot;
	struct uuid incarnation;
};

struct reads *reads_new(const struct reads_deps *deps);
void reads_free(struct reads *reads);
AUTO_FREE(struct reads, reads_free)

/* resource: text, as the path of the request; kind: such resources, one of few. origin NULL:
 * unknown. */
void reads_note(struct reads *reads, const Raeh__Principal *principal, const char *resource,
                const char *kind, const struct origin *origin);
/* Tells all now; fn when auth has it, or after half a second. */
void reads_flush(struct reads *reads, loop_fn *fn, void *ctx);
uint64_t reads_lost(const struct reads *reads);

#endif
