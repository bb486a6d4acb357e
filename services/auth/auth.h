/*
 * auth - the actor of accounts, API keys, verdicts, leases of the edges, and revocation.
 *
 *     edges ──► auth, auth.lease      cli ──► auth.admin      router ──► auth (live_edges)
 *     auth ──► edge-<slot> (apply_notices), broadcasts on auth.notices
 *
 * auth_new() reads the view, resumes the revokes that were not answered when the process
 * ended, and serves its three names on the bus it is given. Everything it does later comes
 * from the loop. README.md is the card.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "common/bus.h"
#include "common/journal.h"
#include "common/principal.h"
#include "services/auth/password.h"

#define LEASE_MS_DEFAULT 30000
#define LEASE_MS_LEAST   1000
#define LEASE_MS_MOST    600000

struct auth;

/* Who may make an account in the dashboard. */
enum sign_up { SIGN_UP_CLOSED, SIGN_UP_OPEN, SIGN_UP_FIRST /* until there is one */ };

/* Borrows all of it but the secrets, which it copies. */
struct auth_deps {
	struct loop *loop;
	struct bus *bus;
	struct store *store;
	struct hasher *hasher;
	const char *process;                 /* for metrics */
	uint8_t digest_secret[SECRET_BYTES]; /* of the digests of keys */
	uint8_t bus_secret[SECRET_BYTES];    /* of principals */
	uint8_t token_seed[SECRET_BYTES];    /* of the key that signs tokens */
	int64_t lease_ms;
	enum sign_up sign_up;
};

/* ERR_UNAVAILABLE when the bus does not serve or the view cannot be read: logged. */
CHECKED enum err auth_new(const struct auth_deps *deps, struct auth **ret);
/* Before its bus, which is closed before the loop turns again (answers to auth's own requests
 * would find nobody), and before its store. Calls that wait are dropped: their askers ask again. */
void auth_free(struct auth *auth);
AUTO_FREE(struct auth, auth_free)

/* For tests of what a slow or contended journal does. */
struct journal *auth_journal(struct auth *auth);

#endif
