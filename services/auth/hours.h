/*
 * hours - what was done with each key, by hour: rows in the store, not journaled. What the logins
 * of a dashboard user did has one row, under the user's id.
 *
 * An edge reports what is new since its last report, numbered; the rows and the number are one
 * batch, so that a report that comes twice counts once, over restarts too. A row is kept
 * HOURS_KEPT: with each new one some that are older go.
 */
#ifndef AUTH_HOURS_H
#define AUTH_HOURS_H

#include "services/auth/core.h"

#define HOURS_KEPT (400 * 24)

/* ERR_LIMIT, ERR_IO: nothing is counted, the edge reports it again. */
CHECKED enum err hours_add(struct store *store, const Auth__KeysUsed *used);

/* Forgets the numbers of edges that have not reported for a day. */
void hours_tidy(struct store *store);

/* Answers the call, in slices: however long the list, leases and revokes are not kept waiting. */
void hours_wanted(struct auth *auth, struct bus_call *call, const struct uuid *account,
                  const Auth__ListUsage *list);
/* Drops what is not answered. */
void hours_done(struct auth *auth);

#endif
