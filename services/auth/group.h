/*
 * group - several keys revoked with one answer: with the keys that a key has minted, or all
 * with an external_id.
 *
 *     roots ──► revoke_wanted(), one by one ──► receipts ──► the answer
 *       └─ cascade: children are looked for at once, and again when their parent's revoke is in
 *          force: by then it mints no more, so none is missed
 *
 * Goes on in slices, a few thousand revokes at a time, however many keys there are.
 */
#ifndef AUTH_GROUP_H
#define AUTH_GROUP_H

#include "services/auth/core.h"

#define GROUPS_MOST     64   /* more are refused with 503 */
#define GROUP_IN_AIR    4096 /* revokes of one group under way */
#define RECEIPTS_LISTED 4096 /* all are revoked; so many are told */

/* Take the call. account NULL: of any; caller may revoke. */
void revoke_key_wanted(struct auth *auth, struct bus_call *call, const struct caller *caller,
                       const struct uuid *account, const Auth__RevokeKey *wanted);
void revoke_keys_wanted(struct auth *auth, struct bus_call *call, const struct caller *caller,
                        const Auth__RevokeKeys *wanted);

/* After the revokes are let go. */
void groups_done(struct auth *auth);

#endif
