/*
 * grant - what auth said about a credential, and everybody here who relies on it.
 *
 *     ASKING ──Verdict──► GOOD ──notice──► DEAD
 *        ▲                 │
 *        └──registered─────┘        (nothing known before a registration is believed)
 *
 * A user (a socket or a request) is entered under its credential *before* auth is asked,
 * so a revoke that races the answer finds it. A verdict older than a revoke of its key
 * (the tombstone) is asked again. Marking a key dead is O(grants of that key); its sockets
 * are closed after that, in slices. A notice that leaves the key some rights says which: they
 * hold at once, and the users that need one of those that are gone go the same way.
 *
 * Credentials stay in memory while somebody uses them (they are verified again on a
 * registration) and are wiped after.
 */
#ifndef EDGE_GRANT_H
#define EDGE_GRANT_H

#include "common/bus.h"
#include "common/list.h"
#include "common/map.h"
#include "common/uuid.h"
#include "services/edge/lease.h"
#include "services/edge/net.h"
#include "services/edge/origin.h"

struct grants;
struct grant;

/* The uniform refusal of unknown, revoked, expired and disabled keys. */
#define GRANT_REFUSED  "the API key is unknown or was revoked"
#define GRANT_NARROWED "the API key has lost a right that this needs"

struct grant_user {
	struct list link;
	struct grant *grant; /* NULL: not entered, or told that it is over */
	enum net_endpoint kind;
	const struct origin *from; /* for last_used_address; a copy is kept. NULL: not known */
	/* Once after grant_enter: OK, ERR_DENIED (why is a sentence) or ERR_UNAVAILABLE. May be
	 * called from inside grant_enter(). After anything but OK the user is out. */
	void (*on_answer)(struct grant_user *user, enum err err, const char *why);
	/* Its key died after OK, or lost a right it needs: no byte may move; the user is out. */
	void (*on_dead)(struct grant_user *user, const char *why);
	/* The key's rights are other ones now, grant_principal() has those until now: may it go
	 * on? NULL: it may. Calls nothing here. */
	bool (*may_go_on)(const struct grant_user *user, const Raeh__Principal *rights);
	bool answered;
};

struct grants_deps {
	struct loop *loop;
	struct bus *bus;
	struct lease *lease;
	size_t most; /* credentials remembered, in use or not */
	/* Sockets that were paused for a new registration may move again. */
	void (*on_revived)(void *ctx);
	/* What a key may do from now on: a verdict, or a change of its rights. May be NULL. */
	void (*on_rights)(void *ctx, const Raeh__Principal *principal);
	void *ctx;
};

struct grants *grants_new(const struct grants_deps *deps);
void grants_free(struct grants *grants); /* users are not told */
AUTO_FREE(struct grants, grants_free)

/* The user's memory must live until it leaves or is told that it is out. */
void grant_enter(struct grants *grants, const char *credential, struct grant_user *user);
void grant_leave(struct grants *grants, struct grant_user *user);

/* NULL unless the user was answered OK and its key lives. Borrowed until the next turn. */
const Raeh__Principal *grant_principal(const struct grant_user *user);
/* Lease held, answered OK, key alive, not expired: asked before each byte. */
bool grant_good(const struct grants *grants, const struct grant_user *user);

/* The notice is in force when this returns; counts the sockets that go. */
struct grant_counts {
	uint32_t ingest, subscribe;
};
struct grant_counts grants_apply(struct grants *grants, const Auth__Notice *notice);
/* Sockets that rely on the key. */
struct grant_counts grants_count(struct grants *grants, const struct uuid *key);
/* The lease was registered: ask about every credential again. */
void grants_forget(struct grants *grants);

/* One key used since the last call; origin is the receiver's: origin_free(); NULL: not known. */
struct grant_use {
	struct uuid key;
	int64_t ms; /* wall time of the last use */
	struct origin *origin;
};
/* At most n. */
size_t grants_used(struct grants *grants, struct grant_use *ret, size_t n);

#endif
