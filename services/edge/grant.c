#include "services/edge/grant.h"

#include "common/apikey.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/token.h"
#include "common/wire.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define VERIFY_MS       8000  /* deadline of one question                                  */
#define RETRY_MS        200   /* auth is away: ask again                                    */
#define TOMBSTONE_MS    60000 /* longer than any answer can be under way                    */
#define EXPIRY_LOOK_MS  60000 /* the wall clock may be set: looked at so often              */
#define SLICE           512   /* sockets told in one turn, so that others keep their latency */
#define CREDENTIAL_TEXT 513

enum state { ASKING, GOOD, DEAD };

struct grant {
	struct grants *grants;
	struct map_node by_print; /* fingerprint: BLAKE2b of the credential */
	uint8_t print[32];
	char credential[CREDENTIAL_TEXT]; /* while it has users: wiped after */
	enum state state;
	bool in_map, in_air, refused;
	char why[124];
	struct uuid key;
	Raeh__Principal *principal; /* NULL before the first answer */
	Raeh__Principal *token;     /* as it was made; NULL: a key, or not yet read */
	struct list users, waiting; /* waiting: entered, not answered */
	struct list link;           /* grants->idle, ->dying or ->all */
	struct list by_key;         /* keyed->grants */
	struct keyed *keyed;
	struct grant_counts counts;
	struct timer retry;
	int64_t used_ms;          /* wall time of the last use not yet reported; 0 = none */
	struct origin *used_from; /* of the last use; NULL: not known, or reported */
};

/* The grants of one key. */
struct keyed {
	struct map_node node;
	struct uuid key;
	struct list grants;
	Raeh__Principal *rights; /* of the key itself, the newest known; NULL: not yet */
};

struct tombstone {
	struct map_node node;
	struct list link; /* oldest first */
	struct uuid key;
	uint64_t notice;
	int64_t at_ms;
};

struct grants {
	struct grants_deps deps;
	struct map by_print, by_key, tombstones;
	struct list tombs; /* of struct tombstone, by age */
	struct list busy;  /* grants with users, or asking */
	struct list idle;  /* GOOD without users, oldest first */
	struct list dying; /* DEAD or refused, users still to be told */
	size_t count;
	uint64_t floor; /* no verdict given before this notice is believed */
	struct timer slice;
};

static struct grant *grant_of(struct list *link)
{
	return LIST_OWNER(link, struct grant, link);
}

static void unkey(struct grant *grant)
{
	struct keyed *keyed = grant->keyed;

	if (!keyed)
		return;
	list_remove(&grant->by_key);
	grant->keyed = NULL;
	if (list_empty(&keyed->grants)) {
		map_remove(&grant->grants->by_key, &keyed->node);
		if (keyed->rights)
			wire_free(&keyed->rights->base);
		mem_free(keyed);
	}
}

static void enkey(struct grant *grant, const struct uuid *key)
{
	struct grants *grants = grant->grants;
	struct keyed *keyed;

	unkey(grant); /* first: it may free what is looked up below */
	keyed = MAP_OWNER(map_find(&grants->by_key, key), struct keyed, node);
	if (!keyed) {
		keyed = xcalloc(1, sizeof *keyed);
		keyed->key = *key;
		list_init(&keyed->grants);
		map_add(&grants->by_key, &keyed->node, &keyed->key);
	}
	grant->key = *key;
	grant->keyed = keyed;
	list_append(&keyed->grants, &grant->by_key);
}

static void unmap(struct grant *grant)
{
	if (grant->in_map)
		map_remove(&grant->grants->by_print, &grant->by_print);
	grant->in_map = false;
}

static void drop(struct grant *grant)
{
	unmap(grant);
	unkey(grant);
	list_remove(&grant->link);
	timer_stop(grant->grants->deps.loop, &grant->retry);
	if (grant->principal)
		wire_free(&grant->principal->base);
	if (grant->token)
		wire_free(&grant->token->base);
	origin_free(grant->used_from);
	grant->grants->count--;
	sodium_memzero(grant->credential, sizeof grant->credential);
	mem_free(grant);
}

static bool has_users(const struct grant *grant)
{
	return !list_empty(&grant->users) || !list_empty(&grant->waiting);
}

static void make_idle(struct grant *grant)
{
	list_append(&grant->grants->idle, &grant->link);
	sodium_memzero(grant->credential, sizeof grant->credential);
}

/* Puts it where it belongs after its users or its state have changed. May free it. */
static void settle(struct grant *grant)
{
	struct grants *grants = grant->grants;

	if (grant->in_air)
		return;
	if (has_users(grant)) {
		list_append(grant->state == DEAD ? &grants->dying : &grants->busy, &grant->link);
		return;
	}
	if (grant->state == GOOD && grants->count <= grants->deps.most)
		make_idle(grant);
	else
		drop(grant);
}

static void slice_soon(struct grants *grants);

static void die(struct grant *grant, const char *why)
{
	struct grants *grants = grant->grants;

	grant->state = DEAD;
	(void)snprintf(grant->why, sizeof grant->why, "%s", why);
	unmap(grant);
	unkey(grant);
	timer_stop(grants->deps.loop, &grant->retry);
	if (!grant->in_air)
		settle(grant);
	else
		list_append(&grants->dying, &grant->link);
	slice_soon(grants);
}

static void count(struct grant *grant, const struct grant_user *user)
{
	if (user->kind == NET_INGEST)
		grant->counts.ingest++;
	else if (user->kind == NET_SUBSCRIBE || user->kind == NET_ECHO)
		grant->counts.subscribe++;
}

static void uncount(struct grant *grant, const struct grant_user *user)
{
	if (user->kind == NET_INGEST)
		grant->counts.ingest--;
	else if (user->kind == NET_SUBSCRIBE || user->kind == NET_ECHO)
		grant->counts.subscribe--;
}

static void put_out(struct grant_user *user)
{
	uncount(user->grant, user);
	list_remove(&user->link);
	user->grant = NULL;
}

static void tell_one(struct grant *grant, struct grant_user *user)
{
	bool refused = !user->answered;

	user->answered = true;
	put_out(user);
	if (refused)
		user->on_answer(user, ERR_DENIED, grant->why);
	else
		user->on_dead(user, grant->why);
}

/* Tells the users of dead grants, SLICE a turn. */
static void slice(void *ctx)
{
	struct grants *grants = ctx;
	struct list *link;
	size_t left = SLICE;

	while (left > 0 && (link = list_first(&grants->dying)) != NULL) {
		struct grant *grant = grant_of(link);
		struct list *user = list_first(&grant->users);

		if (!user)
			user = list_first(&grant->waiting);
		if (user) {
			tell_one(grant, LIST_OWNER(user, struct grant_user, link));
			left--;
		} else if (grant->in_air) {
			list_append(&grants->busy, &grant->link); /* its answer will drop it */
		} else {
			drop(grant);
		}
	}
	if (!list_empty(&grants->dying))
		slice_soon(grants);
}

static void slice_soon(struct grants *grants)
{
	timer_set(grants->deps.loop, &grants->slice, 0, slice, grants);
}

static void answer_waiting(struct grant *grant)
{
	struct list *link;

	/* A callback may leave, kill or enter: look at the list anew each time. */
	while (grant->state == GOOD && (link = list_first(&grant->waiting)) != NULL) {
		struct grant_user *user = LIST_OWNER(link, struct grant_user, link);

		list_append(&grant->users, &user->link);
		user->answered = true;
		user->on_answer(user, OK, "");
	}
}

static void ask(void *ctx);

static struct tombstone *tombstone_of(struct grants *grants, const struct uuid *key)
{
	return MAP_OWNER(map_find(&grants->tombstones, key), struct tombstone, node);
}

/* Its sockets close with 4001; nothing has moved since the moment itself (grant_good). */
static void expire(void *ctx)
{
	struct grant *grant = ctx;
	int64_t left = grant->principal->expires_ms - clock_wall_ms();

	if (left <= 0)
		die(grant, GRANT_REFUSED);
	else
		timer_set(grant->grants->deps.loop, &grant->retry,
		          left < EXPIRY_LOOK_MS ? left : EXPIRY_LOOK_MS, expire, grant);
}

/* ---- rights ---- */

static struct grant *grant_of_the_dead(struct grants *grants)
{
	struct grant *grant = xcalloc(1, sizeof *grant);

	grant->grants = grants;
	grant->state = DEAD;
	(void)snprintf(grant->why, sizeof grant->why, "%s", GRANT_NARROWED);
	list_init(&grant->users);
	list_init(&grant->waiting);
	list_append(&grants->dying, &grant->link);
	grants->count++;
	return grant;
}

static void move_user(struct grant *to, struct grant_user *user)
{
	uncount(user->grant, user);
	user->grant = to;
	count(to, user);
	list_append(&to->users, &user->link);
}

/* Its users that may not go on with these rights go to a grant that is dead. */
static struct grant_counts evict(struct grant *grant, const Raeh__Principal *rights)
{
	struct grant_counts none = { 0 };
	struct grant *dead = NULL;

	LIST_EACH(link, &grant->users)
	{
		struct grant_user *user = LIST_OWNER(link, struct grant_user, link);

		if (!user->may_go_on || user->may_go_on(user, rights))
			continue;
		if (!dead)
			dead = grant_of_the_dead(grant->grants);
		move_user(dead, user);
	}
	if (!dead)
		return none;
	slice_soon(grant->grants);
	return dead->counts;
}

/* From now on the key has these rights. */
static struct grant_counts take_rights(struct grant *grant, const Raeh__Principal *rights)
{
	struct grant_counts gone = { 0 };

	if (grant->principal) {
		gone = evict(grant, rights);
		wire_free(&grant->principal->base);
	}
	grant->principal = (Raeh__Principal *)wire_copy(&rights->base);
	if (grant->grants->deps.on_rights)
		grant->grants->deps.on_rights(grant->grants->deps.ctx, grant->principal);
	return gone;
}

/* GOOD: ends it in time. */
static void watch_expiry(struct grant *grant)
{
	struct loop *loop = grant->grants->deps.loop;

	if (grant->principal->has_expires_ms)
		timer_set(loop, &grant->retry, 1, expire, grant);
	else
		timer_stop(loop, &grant->retry);
}

static void know_rights(struct keyed *keyed, const Raeh__Principal *rights)
{
	if (keyed->rights)
		wire_free(&keyed->rights->base);
	keyed->rights = (Raeh__Principal *)wire_copy(&rights->base);
}

/* Not given before the revoke or change of this key, or the registration, that we know of. */
static bool is_new_enough(struct grants *grants, const struct uuid *key,
                          const Raeh__Principal *rights)
{
	const struct tombstone *tomb = tombstone_of(grants, key);

	return rights->notice >= grants->floor && (!tomb || rights->notice >= tomb->notice);
}

/* key: that of the principal; parent: NULL, or the rights of a token's key. */
static void become_good(struct grant *grant, const struct uuid *key,
                        const Raeh__Principal *principal, const Raeh__Principal *parent)
{
	struct grants *grants = grant->grants;

	(void)take_rights(grant, principal);
	enkey(grant, key);
	if (parent || !grant->token)
		know_rights(grant->keyed, parent ? parent : principal);
	grant->state = GOOD;
	grant->used_ms = clock_wall_ms();
	grant->in_air = true; /* callbacks may let everybody leave: keep it through them */
	if (!list_empty(&grant->users))
		grants->deps.on_revived(grants->deps.ctx);
	answer_waiting(grant);
	grant->in_air = false;
	if (grant->state == GOOD)
		watch_expiry(grant);
	settle(grant);
}

static void take_verdict(struct grant *grant, const Auth__Verdict *verdict)
{
	struct grants *grants = grant->grants;
	struct uuid key, account;

	if (!wire_id(verdict->principal->key, &key) ||
	    !wire_id(verdict->principal->account, &account)) {
		log_error("bad-verdict", "why=\"ids of another length\"");
		timer_set(grants->deps.loop, &grant->retry, RETRY_MS, ask, grant);
		return;
	}
	if (!is_new_enough(grants, &key, verdict->principal)) {
		ask(grant);
		return;
	}
	if (lease_held(grants->deps.lease)) /* else the next registration asks again */
		become_good(grant, &key, verdict->principal, verdict->parent);
}

static void on_verdict(void *ctx, enum err err, struct bytes data)
{
	struct grant *grant = ctx;
	struct grants *grants = grant->grants;
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	const Auth__AuthReply *reply;

	grant->in_air = false;
	if (grant->state == DEAD) {
		settle(grant);
		slice_soon(grants);
		return;
	}
	if (!has_users(grant)) {
		drop(grant);
		return;
	}
	if (err == OK)
		message = wire_unpack(&auth__auth_reply__descriptor, data);
	reply = (const Auth__AuthReply *)message;
	if (reply && reply->error && reply->error->status == 401)
		die(grant, GRANT_REFUSED);
	else if (reply && !reply->error && reply->result_case == AUTH__AUTH_REPLY__RESULT_VERDICT)
		take_verdict(grant, reply->verdict);
	else
		timer_set(grants->deps.loop, &grant->retry, RETRY_MS, ask, grant);
}

/* A token that says what is so, under what is known of its key, needs no question. False: auth
 * must say. May free the grant. */
static bool settled_here(struct grant *grant)
{
	struct grants *grants = grant->grants;
	const uint8_t *key = lease_token_key(grants->deps.lease);
	const struct keyed *keyed;
	struct uuid parent;

	if (!apikey_is_token_form(grant->credential, strlen(grant->credential)) || !key)
		return false;
	if (!grant->token)
		grant->token = token_open(grant->credential, key);
	if (!grant->token || grant->token->expires_ms <= clock_wall_ms()) {
		die(grant, grant->token ? GRANT_REFUSED : "the token was not made here");
		return true;
	}
	MUST(wire_id(grant->token->key, &parent)); /* token_open() has looked */
	keyed = MAP_OWNER(map_find(&grants->by_key, &parent), struct keyed, node);
	if (!keyed || !keyed->rights || !is_new_enough(grants, &parent, keyed->rights) ||
	    !token_is_within(grant->token, keyed->rights))
		return false;
	become_good(grant, &parent, grant->token, NULL);
	return true;
}

/* Without a lease nothing is asked: an answer could not be believed. */
static void ask(void *ctx)
{
	struct grant *grant = ctx;
	struct grants *grants = grant->grants;
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__Verify verify = AUTH__VERIFY__INIT;
	struct buf buf = { 0 };

	if (grant->in_air || grant->state != ASKING || !lease_held(grants->deps.lease) ||
	    settled_here(grant))
		return;
	verify.credential = grant->credential;
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_VERIFY;
	request.verify = &verify;
	grant->in_air = true;
	bus_request(grants->deps.bus, "auth", wire_pack(&buf, &request.base), VERIFY_MS, on_verdict,
	            grant);
	sodium_memzero(buf.data, buf.len);
	buf_free(&buf);
}

static struct grant *grant_new(struct grants *grants, const uint8_t print[32])
{
	struct grant *grant = xcalloc(1, sizeof *grant);

	grant->grants = grants;
	memcpy(grant->print, print, sizeof grant->print);
	list_init(&grant->users);
	list_init(&grant->waiting);
	map_add(&grants->by_print, &grant->by_print, grant->print);
	grant->in_map = true;
	list_append(&grants->busy, &grant->link);
	grants->count++;
	return grant;
}

static void make_room(struct grants *grants)
{
	struct list *oldest;

	while (grants->count >= grants->deps.most && (oldest = list_first(&grants->idle)) != NULL)
		drop(grant_of(oldest));
}

static void note_origin(struct grant *grant, const struct origin *from)
{
	if (!from || origin_equal(grant->used_from, from))
		return;
	origin_free(grant->used_from);
	grant->used_from = origin_copy(from);
}

void grant_enter(struct grants *grants, const char *credential, struct grant_user *user)
{
	uint8_t print[32];
	struct grant *grant;

	(void)crypto_generichash(print, sizeof print, (const uint8_t *)credential,
	                         strlen(credential), NULL, 0);
	grant = MAP_OWNER(map_find(&grants->by_print, print), struct grant, by_print);
	if (!grant) {
		make_room(grants);
		grant = grant_new(grants, print);
	}
	(void)snprintf(grant->credential, sizeof grant->credential, "%s", credential);
	user->grant = grant;
	user->answered = false;
	list_append(&grant->waiting, &user->link);
	count(grant, user);
	note_origin(grant, user->from);
	list_append(&grants->busy, &grant->link);
	if (grant->state == GOOD && lease_held(grants->deps.lease)) {
		grant->used_ms = clock_wall_ms();
		list_append(&grant->users, &user->link);
		user->answered = true;
		user->on_answer(user, OK, "");
	} else if (grant->state == ASKING && !grant->retry.place) {
		ask(grant);
	}
}

void grant_leave(struct grants *grants, struct grant_user *user)
{
	struct grant *grant = user->grant;

	(void)grants;
	if (!grant)
		return;
	put_out(user);
	settle(grant);
}

const Raeh__Principal *grant_principal(const struct grant_user *user)
{
	const struct grant *grant = user->grant;

	return grant && user->answered && grant->state != DEAD ? grant->principal : NULL;
}

bool grant_good(const struct grants *grants, const struct grant_user *user)
{
	const struct grant *grant = user->grant;

	if (!grant || !user->answered || grant->state != GOOD || !lease_held(grants->deps.lease))
		return false;
	return !grant->principal->has_expires_ms || clock_wall_ms() < grant->principal->expires_ms;
}

static void remember(struct grants *grants, const struct uuid *key, uint64_t notice)
{
	struct tombstone *tomb = tombstone_of(grants, key);
	struct list *oldest;
	int64_t now = clock_boot_ms();

	if (!tomb) {
		tomb = xcalloc(1, sizeof *tomb);
		tomb->key = *key;
		map_add(&grants->tombstones, &tomb->node, &tomb->key);
	}
	tomb->notice = notice;
	tomb->at_ms = now;
	list_append(&grants->tombs, &tomb->link);
	while ((oldest = list_first(&grants->tombs)) != NULL) {
		struct tombstone *old = LIST_OWNER(oldest, struct tombstone, link);

		if (now - old->at_ms < TOMBSTONE_MS)
			break;
		list_remove(&old->link);
		map_remove(&grants->tombstones, &old->node);
		mem_free(old);
	}
}

struct grant_counts grants_count(struct grants *grants, const struct uuid *key)
{
	struct keyed *keyed = MAP_OWNER(map_find(&grants->by_key, key), struct keyed, node);
	struct grant_counts total = { 0 };

	if (!keyed)
		return total;
	LIST_EACH(link, &keyed->grants)
	{
		const struct grant *grant = LIST_OWNER(link, struct grant, by_key);

		total.ingest += grant->counts.ingest;
		total.subscribe += grant->counts.subscribe;
	}
	return total;
}

static struct grant_counts kill_key(struct grants *grants, const struct uuid *key)
{
	struct grant_counts total = grants_count(grants, key);
	struct keyed *keyed = MAP_OWNER(map_find(&grants->by_key, key), struct keyed, node);

	while (keyed) { /* the last die() frees it */
		struct grant *grant = LIST_OWNER(list_first(&keyed->grants), struct grant, by_key);
		bool last = keyed->grants.next == keyed->grants.prev;

		die(grant, GRANT_REFUSED);
		if (last)
			break;
	}
	return total;
}

/* Its rights stand, or auth must say which are left: until then nothing moves. One without users
 * has no credential any more to ask with: who comes brings it. */
static void hold_token(struct grant *grant, const Raeh__Principal *rights)
{
	if (grant->state != GOOD || token_is_within(grant->principal, rights))
		return;
	grant->state = ASKING;
	if (has_users(grant))
		timer_set(grant->grants->deps.loop, &grant->retry, 0, ask, grant);
	else
		timer_stop(grant->grants->deps.loop, &grant->retry);
}

/* One that is asked about anew keeps its place; what is answered is held to the notice. */
static struct grant_counts narrow_key(struct grants *grants, const struct uuid *key,
                                      const Raeh__Principal *rights)
{
	struct keyed *keyed = MAP_OWNER(map_find(&grants->by_key, key), struct keyed, node);
	struct grant_counts total = { 0 };

	if (!keyed)
		return total;
	know_rights(keyed, rights);
	LIST_EACH(link, &keyed->grants)
	{
		struct grant *grant = LIST_OWNER(link, struct grant, by_key);
		struct grant_counts gone;

		if (grant->token) {
			hold_token(grant, rights);
			continue;
		}
		gone = take_rights(grant, rights);
		total.ingest += gone.ingest;
		total.subscribe += gone.subscribe;
		if (grant->state != GOOD)
			continue;
		watch_expiry(grant);
		if (!has_users(grant))
			make_idle(grant); /* drops none: the list is being walked */
	}
	return total;
}

struct grant_counts grants_apply(struct grants *grants, const Auth__Notice *notice)
{
	struct grant_counts none = { 0 };
	struct uuid key;

	if (!wire_id(notice->key, &key)) {
		log_error("bad-notice", "number=%llu", (unsigned long long)notice->number);
		return none;
	}
	remember(grants, &key, notice->number);
	if (!notice->rights)
		return kill_key(grants, &key);
	return narrow_key(grants, &key, notice->rights);
}

static void forget_one(void *ctx, struct map_node *node)
{
	struct grant *grant = MAP_OWNER(node, struct grant, by_print);

	(void)ctx;
	if (grant->state == GOOD) {
		grant->state = ASKING;
		if (!has_users(grant) && !grant->in_air) {
			drop(grant);
			return;
		}
	}
	if (grant->in_air)
		return;
	if (!has_users(grant)) {
		drop(grant);
		return;
	}
	timer_stop(grant->grants->deps.loop, &grant->retry);
	ask(grant);
}

static void forget_rights(void *ctx, struct map_node *node)
{
	struct keyed *keyed = MAP_OWNER(node, struct keyed, node);

	(void)ctx;
	if (keyed->rights)
		wire_free(&keyed->rights->base);
	keyed->rights = NULL;
}

void grants_forget(struct grants *grants)
{
	map_each(&grants->by_key, forget_rights, grants);
	grants->floor = lease_applied(grants->deps.lease);
	map_each(&grants->by_print, forget_one, grants);
}

struct usage {
	struct grant_use *use;
	size_t n, most;
};

static void report_use(void *ctx, struct map_node *node)
{
	struct grant *grant = MAP_OWNER(node, struct grant, by_print);
	struct usage *usage = ctx;

	if (grant->used_ms == 0 || grant->state != GOOD || usage->n == usage->most)
		return;
	usage->use[usage->n++] =
	        (struct grant_use){ grant->key, grant->used_ms, TAKE(grant->used_from) };
	grant->used_ms = 0;
}

size_t grants_used(struct grants *grants, struct grant_use *ret, size_t n)
{
	struct usage usage = { ret, 0, n };

	map_each(&grants->by_print, report_use, &usage);
	return usage.n;
}

struct grants *grants_new(const struct grants_deps *deps)
{
	struct grants *grants = xcalloc(1, sizeof *grants);

	grants->deps = *deps;
	map_init(&grants->by_print, 32);
	map_init(&grants->by_key, sizeof(struct uuid));
	map_init(&grants->tombstones, sizeof(struct uuid));
	list_init(&grants->tombs);
	list_init(&grants->busy);
	list_init(&grants->idle);
	list_init(&grants->dying);
	return grants;
}

static void drop_list(struct list *head)
{
	struct list *link;

	while ((link = list_first(head)) != NULL) {
		struct grant *grant = grant_of(link);
		struct list *user;

		while ((user = list_first(&grant->users)) != NULL ||
		       (user = list_first(&grant->waiting)) != NULL)
			put_out(LIST_OWNER(user, struct grant_user, link));
		drop(grant);
	}
}

void grants_free(struct grants *grants)
{
	struct list *oldest;

	if (!grants)
		return;
	drop_list(&grants->busy);
	drop_list(&grants->idle);
	drop_list(&grants->dying);
	while ((oldest = list_first(&grants->tombs)) != NULL) {
		struct tombstone *tomb = LIST_OWNER(oldest, struct tombstone, link);

		list_remove(&tomb->link);
		map_remove(&grants->tombstones, &tomb->node);
		mem_free(tomb);
	}
	timer_stop(grants->deps.loop, &grants->slice);
	map_done(&grants->by_print);
	map_done(&grants->by_key);
	map_done(&grants->tombstones);
	mem_free(grants);
}
