/*
 * publisher - the actor of the sessions of its partitions.
 *
 *     edge   ── Items ──►             ┌─ items ── sessions ── analysis
 *     router ── CloseOrphan ──►  publisher ─ outbox ──► publisher-<n>.insights
 *     edge   ── FetchInsights,        └─ history
 *               GetSession, … ──►
 *
 * What a turn of the loop has written is synced once; then its answers leave and its
 * insights are broadcast, never before.
 */
#ifndef PUBLISHER_PUBLISHER_H
#define PUBLISHER_PUBLISHER_H

#include "common/bus.h"
#include "common/store.h"

#define PUBLISHER_SESSIONS_MOST 20000

struct publisher;

/* All borrowed. */
struct publisher_deps {
	struct loop *loop;
	struct bus *bus;
	struct store *store;
	const uint8_t *secret;       /* 32 bytes: of principals */
	unsigned number, publishers; /* this one, of so many: partitions p with p % publishers ==
	                              * number */
	size_t sessions_most;        /* in memory; 0: PUBLISHER_SESSIONS_MOST */
	int64_t retain_frames_ms, retain_insights_ms; /* 0: for ever */
};

/* NULL: the store or the bus refused; logged. */
struct publisher *publisher_new(const struct publisher_deps *deps);
/* Writes a checkpoint of each session; drops the calls that wait. */
void publisher_free(struct publisher *publisher);
AUTO_FREE(struct publisher, publisher_free)

#endif
