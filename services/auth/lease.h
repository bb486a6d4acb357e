/*
 * lease - which edge incarnations may still hold a lease, and what each has applied.
 *
 *     (slot, incarnation) ──► live until until_ms, on auth's own clock, from auth's own answer
 *
 * The edge counts from the sending of its renewal, so it stops before auth gives it up.
 * Pure: the time is a parameter; nothing here sends or stores.
 */
#ifndef AUTH_LEASE_H
#define AUTH_LEASE_H

#include "common/uuid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define EDGES_MOST 1024

struct edge {
	TAILQ_ENTRY(edge) link;
	uint32_t slot;
	struct uuid incarnation;
	int64_t longest_ms;  /* journaled: no lease granted to it is longer */
	int64_t until_ms;    /* boot time */
	bool live;           /* may hold a lease */
	bool committed;      /* its registration is durable: it may be answered */
	bool ended;          /* an event says so; reaped in the next turn */
	uint64_t applied;    /* notices that it has acknowledged */
	uint64_t discharged; /* notices that no revoke waits for it any more */
	unsigned in_air;     /* notices sent to it and not answered */
};

/* Zero it and leases_start(). */
struct leases {
	TAILQ_HEAD(edges, edge) edges; /* by age of registration */
	size_t n;
};

void leases_start(struct leases *leases);
void leases_done(struct leases *leases);

/* Not those that have ended. */
struct edge *leases_find(const struct leases *leases, uint32_t slot,
                         const struct uuid *incarnation);
/* Live until until_ms. The incarnation is not there yet, and n < EDGES_MOST. */
struct edge *leases_add(struct leases *leases, uint32_t slot, const struct uuid *incarnation,
                        int64_t longest_ms, int64_t until_ms);
void leases_remove(struct leases *leases, struct edge *edge);

/* From now on for lease_ms, at most its longest. Returns what was granted. */
int64_t lease_extend(struct edge *edge, int64_t now_ms, int64_t lease_ms);

/* Marks those whose time is over and calls fn for each. */
typedef void lease_over_fn(void *ctx, struct edge *edge);
void leases_expire(struct leases *leases, int64_t now_ms, lease_over_fn *fn, void *ctx);
/* When the next live one is over; INT64_MAX. */
int64_t leases_next_over_ms(const struct leases *leases);
size_t leases_live(const struct leases *leases);

#endif
