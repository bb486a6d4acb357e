/*
 * revoke - the one way in which a key dies, and the promise that goes with it:
 *
 *     when a revoke is answered it is durable, and in force on every edge.
 *
 *     wanted ──append──► committed ──every edge acknowledges or loses its lease──► settled
 *                           │ broadcast + deliver.h                      │ receipt journaled
 *                           └ from here on every Verify says no          └ all askers answered
 *
 * The notices are the numbered list of what edges must hear. One append of revokes is under
 * way at a time, with all that were wanted meanwhile: so that numbers have no holes.
 *
 * After a restart, revokes without a receipt go on where they stood.
 */
#ifndef AUTH_REVOKE_H
#define AUTH_REVOKE_H

#include "services/auth/core.h"

#define REVOKES_MOST    16384 /* under way; more are refused with 503 */
#define REVOKE_CALLS    64    /* that wait for one receipt; an older one asks again */
#define SETTLE_RETRY_MS 1000
#define CHILDREN_LISTED 1000 /* of a key, in receipts and elsewhere */

struct revokes *revokes_new(struct auth *auth);
void revokes_free(struct revokes *revokes);
/* After notices and edges: goes on with what has no receipt. ERR_IO, ERR_MALFORMED. */
CHECKED enum err revokes_load(struct revokes *revokes);

/* Takes the call. caller: who asks; id: as the client wrote it; account NULL = any. */
void revoke_wanted(struct auth *auth, struct bus_call *call, const struct caller *caller,
                   const struct uuid *account, const char *id);
/* The same for a dashboard login that lives. */
void revoke_login(struct auth *auth, struct bus_call *call, const struct caller *caller,
                  const struct uuid *account, const struct uuid *login);
/* A revoke of this key is under way, or is wanted. */
bool revokes_has(const struct revokes *revokes, const struct uuid *key);
/* It is durable and on its way to the edges: what the receipt says so far, no pointers. False: it
 * is not durable yet, or settled. */
bool revoke_so_far(const struct revokes *revokes, const struct uuid *key, Auth__Receipt *ret);
/* Its revoke is appended and not committed: what it asks must wait. */
bool revoke_is_under_way(const struct revokes *revokes, const struct uuid *key);

/* apply() of an event with a notice, in memory. */
void revokes_applied(struct revokes *revokes, uint64_t number);

/* The next notice's number, for one event that is no revoke (change.h), until revokes_returned().
 * False: an append with numbers is under way: wait for it (command_park). */
bool revokes_lend(struct revokes *revokes, uint64_t *ret_number);
void revokes_returned(struct revokes *revokes);
bool revokes_have_lent(const struct revokes *revokes);

#endif
