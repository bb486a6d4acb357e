/*
 * router - the actor of device models, devices and sessions: which session is open for a
 * device, and on which edge.
 *
 *     edge ──RouterRequest──► [router]  validate ─► event ─► journal ─► commit ─► RouterReply
 *                                       └─ commit ─► router.events, edge-<slot>, publisher-<n>
 *
 * One command of an aggregate (a device, a model's name) is uncommitted at a time; others wait
 * behind it in order. Nothing is answered or told before its commit. A command may arrive twice:
 * the second is answered as the first.
 *
 * Everything durable is in the journal and the view that it makes; memory holds only commands
 * under way, recent answers and the reconciliation's notes. Borrows what deps names.
 */
#ifndef ROUTER_ROUTER_H
#define ROUTER_ROUTER_H

#include "common/bus.h"
#include "common/store.h"

#define ROUTER_MAX_PUBLISHERS 64

struct router;

struct router_deps {
	struct loop *loop;
	struct bus *bus;
	struct store *store;
	const uint8_t *secret; /* bus.key, SECRET_BYTES: checks principals; copied */
	unsigned publishers; /* 1 – ROUTER_MAX_PUBLISHERS; partition mod this is the publisher */
};

/* Publishes `router.events` at once and serves `router` when the store has synced what it found:
 * an answer must not rest on what a power cut could still take. ERR_*: the bus refused, or the
 * store cannot be read. */
CHECKED enum err router_new(const struct router_deps *deps, struct router **ret);
/* Before its bus and store go. Commands under way get no answer. */
void router_free(struct router *router);
AUTO_FREE(struct router, router_free)

/* For tests: see journal_set_faults(). */
void router_set_faults(struct router *router, int64_t delay_ms, unsigned conflict_every);

#endif
