/*
 * change - keys whose settings change: PATCH, and rotation.
 *
 * A change of what a key may (scopes, device, expiry, rate, disabled) is a notice, and is
 * answered when it is in force on every edge, as a revoke is; label, external_id and metadata
 * are answered when they are durable. One change is appended at a time, and none beside a
 * revoke: each stands on what the one before has made.
 *
 * A repeat, and one whose answer was lost with a process, makes a notice of its own: so it is
 * not answered before the first is in force either.
 */
#ifndef AUTH_CHANGE_H
#define AUTH_CHANGE_H

#include "services/auth/core.h"

#define CHANGES_MOST 1024 /* under way; more are refused with 503 */

/* Takes the call. caller->account is the key's, else it is unknown. */
void patch_wanted(struct auth *auth, struct bus_call *call, const struct caller *caller,
                  ProtobufCBinaryData op_id, const Auth__PatchKey *patch);

/* A successor with the key's settings, minted and told once, in one append with what becomes of
 * the old key: it goes on, or ends after the overlap as a key that expires, or (0) is revoked
 * before the answer. */
void rotate_wanted(struct auth *auth, struct bus_call *call, const struct caller *caller,
                   ProtobufCBinaryData op_id, const Auth__RotateKey *rotate);

#endif
