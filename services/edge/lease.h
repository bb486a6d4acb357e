/*
 * lease - this edge's right to move bytes, and the notices that come with it.
 *
 * An edge registers as (slot, incarnation) and renews. auth extends the lease only for an
 * edge that has applied every notice pending at that moment; so while lease_held() is
 * true, every revoke that was answered is in force here.
 *
 *     send Renew at s ──► auth answers lease_ms ──► held until s + lease_ms - margin
 *
 * Counted from the *sending*, on CLOCK_BOOTTIME, less a margin: auth counts from its
 * answer, so it never believes a lease ended that we still hold.
 *
 * A lease that ran out is never renewed, only registered anew: auth may have forgotten
 * notices meanwhile, so on_registered must empty every verdict.
 */
#ifndef EDGE_LEASE_H
#define EDGE_LEASE_H

#include "auth.pb-c.h"
#include "common/bus.h"
#include "common/loop.h"
#include "common/uuid.h"

/* Share of the lease given away for clocks that run at different rates (1/20). */
#define LEASE_MARGIN_PARTS 20

struct lease;

struct lease_events {
	/* The notice is in force from this call on. */
	void (*on_notice)(void *ctx, const Auth__Notice *notice);
	/* Held anew: nothing known before may be believed. */
	void (*on_registered)(void *ctx);
};

struct lease_deps {
	struct loop *loop;
	struct bus *bus;
	uint32_t slot;
	struct uuid incarnation;
	bool holds_slot_lock;
	struct lease_events events;
	void *ctx;
};

/* Starts to register at once. */
struct lease *lease_new(const struct lease_deps *deps);
void lease_free(struct lease *lease);
AUTO_FREE(struct lease, lease_free)

bool lease_held(const struct lease *lease);
/* Boot time since which the lease is not held; 0 while it is. */
int64_t lease_lost_since_ms(const struct lease *lease);
/* The newest notice in force here. */
uint64_t lease_applied(const struct lease *lease);

/* The public key of tokens (common/token.h), once a lease was held; else NULL. */
const uint8_t *lease_token_key(const struct lease *lease);

/* Notices from a broadcast or a request: those next in order are applied; a hole is filled
 * by an early renewal. */
void lease_take_notices(struct lease *lease, Auth__Notice *const *notices, size_t n);

/* The edge has no sockets any more: ends the lease. fn when auth has it, or after 2 s. */
void lease_deregister(struct lease *lease, loop_fn *fn, void *ctx);

#endif
