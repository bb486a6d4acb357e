/*
 * notices - the numbered list of what edges must hear, without holes.
 *
 *     1 … floor          trimmed: nobody needs them any more
 *     floor + 1 … newest  kept, each with what still waits for edges, if something does
 */
#ifndef AUTH_NOTICES_H
#define AUTH_NOTICES_H

#include "common/principal.h"
#include "common/store.h"
#include "common/uuid.h"
#include "auth.pb-c.h"

#define REASON_REVOKED    "revoked"
#define REASON_DISABLED   "disabled"
#define REASON_CHANGED    "changed"
#define NOTICES_A_MESSAGE 1000
#define NOTICES_KEPT      1000 /* at least, for edges that come back */

struct spread;

struct notice_row {
	struct uuid account, key;
	const char *reason;      /* one of the three */
	Raeh__Principal *rights; /* signed; NULL: none */
	struct spread *spread;   /* NULL once nobody waits */
};

/* Zero it to start. */
struct notices {
	uint64_t floor, newest; /* committed */
	struct notice_row *row; /* of floor + 1 … newest */
	size_t cap;
};

void notices_done(struct notices *notices);

/* What the store holds; secret: signs the rights. ERR_IO, ERR_MALFORMED. */
CHECKED enum err notices_load(struct notices *notices, struct store *store,
                              const uint8_t secret[SECRET_BYTES]);
/* The next one, newest + 1: a key is dead. reason is kept. */
void notices_add(struct notices *notices, uint64_t number, const struct uuid *account,
                 const struct uuid *key, const char *reason);
/* The next one, as an event has it: perhaps with rights, which are signed here. ERR_MALFORMED. */
CHECKED enum err notices_add_message(struct notices *notices, const Auth__Notice *notice,
                                     const uint8_t secret[SECRET_BYTES]);
/* floor < number <= newest. Borrowed until the next notices_add() or notices_trim(). */
struct notice_row *notices_row(const struct notices *notices, uint64_t number);

/* Kept ones after a number, oldest first, at most NOTICES_A_MESSAGE, as the field of a message:
 * pointers into the one allocation that the caller frees (mem_free). They borrow the rows. */
size_t notices_after(const struct notices *notices, uint64_t after, Auth__Notice ***ret);

/* Lets go those up to `through` and NOTICES_KEPT behind the newest, as far as nobody waits. A
 * store that cannot write is tried again next time. */
void notices_trim(struct notices *notices, struct store *store, uint64_t through);

#endif
