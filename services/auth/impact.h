/*
 * impact - what a revoke of a key would close: each edge that may hold a lease is asked once.
 */
#ifndef AUTH_IMPACT_H
#define AUTH_IMPACT_H

#include "services/auth/core.h"

#define IMPACTS_MOST 256  /* under way; more are refused with 503 */
#define IMPACT_MS    1500 /* an edge that does not answer is silent */

/* Takes the call. account NULL: a key of any. */
void impact_wanted(struct auth *auth, struct bus_call *call, const struct uuid *account,
                   const char *id);
void impacts_done(struct auth *auth);

#endif
