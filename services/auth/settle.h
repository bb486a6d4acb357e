/*
 * settle - a committed revoke waits for edges, gets its receipt, answers who asked.
 *
 * The inside of revoke.h, shared by its two files.
 */
#ifndef AUTH_SETTLE_H
#define AUTH_SETTLE_H

#include "common/map.h"
#include "services/auth/revoke.h"
#include "services/auth/spread.h"

enum stage {
	WANTED,    /* waits for the append before it         */
	APPENDED,  /* not committed                          */
	COMMITTED, /* waits for edges                        */
	SETTLING,  /* its receipt is appended, not committed */
};

struct revoke {
	struct map_node by_key;
	TAILQ_ENTRY(revoke) link; /* in wanted, then in appended, then in none */
	struct revokes *revokes;
	enum stage stage;
	struct uuid account, key;
	struct caller caller; /* who asked first */
	Raeh__Origin *origin; /* from where; NULL: unknown */
	struct spread spread;
	int64_t revoked_at, began_ms; /* wall; boot */
	unsigned tries;
	struct bus_call *call[REVOKE_CALLS];
	size_t n_call;
	struct timer retry;
};
TAILQ_HEAD(revoke_list, revoke);

struct revokes {
	struct auth *auth;
	struct map by_key;
	struct revoke_list wanted, appended;
	uint64_t applied; /* the newest number that an event has taken */
	bool lent;        /* the next number is a change's: see revokes_lend() */
};

void revoke_free(struct revoke *revoke);
void revoke_refuse_all(struct revoke *revoke, const struct refusal *why);
struct bytes revoke_receipt_reply(Auth__Receipt *receipt, struct buf *buf);

void revoke_is_everywhere(struct spread *spread);

#endif
