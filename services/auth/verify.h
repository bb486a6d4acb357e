/*
 * verify - a credential in, a verdict out.
 *
 * Unknown and revoked keys take the same way: the digest, two reads, one refusal.
 */
#ifndef AUTH_VERIFY_H
#define AUTH_VERIFY_H

#include "services/auth/core.h"

void verify_wanted(struct auth *auth, struct bus_call *call, const char *credential);

#endif
