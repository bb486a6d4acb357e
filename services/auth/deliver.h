/*
 * deliver - tells each edge its notices until it has acknowledged them or lost its lease.
 *
 * A request to edge-<slot> holds every notice for which a revoke still waits for this edge,
 * oldest first. A new one leaves every DELIVER_TICK_MS, at most DELIVER_IN_AIR unanswered, so
 * that a lost message costs a tick. Repeats are harmless: notices are numbered.
 */
#ifndef AUTH_DELIVER_H
#define AUTH_DELIVER_H

#include "services/auth/core.h"

#define DELIVER_TICK_MS     50
#define DELIVER_DEADLINE_MS 400
#define DELIVER_IN_AIR      8

/* To every edge that lacks some, now, and from now on by itself. */
void deliver_notices(struct auth *auth);
/* Those after a number to all who listen: fast, and may be lost. */
void deliver_broadcast(struct auth *auth, uint64_t after);
void deliver_done(struct auth *auth);

#endif
