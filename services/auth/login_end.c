/*
 * The end of many logins, or of all that may ask for an account, at once: each through the one
 * revoke, as if somebody had asked for it. A revoke that the disk refuses is asked again, until
 * all are dead.
 */
#include "services/auth/key.h"
#include "services/auth/revoke.h"
#include "services/auth/users.h"

#define RETRY_MS     1000
#define REVOKES_ONCE 1024 /* of an account; then the next */

struct ending {
	TAILQ_ENTRY(ending) link;
	struct auth *auth;
	struct uuid account, user;
	int64_t before_ms;
	struct caller by;
	void (*fn)(void *ctx);
	void *ctx;
	unsigned pending;
	bool failed, stopped;
	bool whole;           /* logins of every user, and keys */
	uint64_t *ret_keys;   /* of these, counted */
	size_t n_keys, found; /* of this round */
	struct timer retry;
};

/* The asker of one revoke. */
struct end_call {
	struct bus_call base;
	struct ending *ending;
};

static void free_ending(struct ending *ending)
{
	if (!ending->stopped)
		TAILQ_REMOVE(&ending->auth->users->endings, ending, link);
	mem_free(ending);
}

static void start(void *self);

static void one_less(struct ending *ending)
{
	if (--ending->pending > 0)
		return;
	if (ending->whole && !ending->failed)
		*ending->ret_keys += ending->n_keys;
	if (!ending->stopped && (ending->failed || (ending->whole && ending->found > 0))) {
		timer_set(ending->auth->loop, &ending->retry, ending->failed ? RETRY_MS : 0, start,
		          ending);
		return;
	}
	if (ending->fn && !ending->stopped)
		ending->fn(ending->ctx);
	free_ending(ending);
}

static void on_reply(struct bus_call *base, struct bytes bytes)
{
	struct end_call *call = (struct end_call *)base;
	AUTO(wire_free)
	ProtobufCMessage *reply = wire_unpack(&auth__auth_reply__descriptor, bytes);

	if (!reply || ((const Auth__AuthReply *)reply)->error)
		call->ending->failed = true;
	one_less(call->ending);
	mem_free(call);
}

static void on_drop(struct bus_call *base)
{
	struct end_call *call = (struct end_call *)base;

	call->ending->failed = true;
	one_less(call->ending);
	mem_free(call);
}

static const struct bus_ops end_ops = { .reply = on_reply, .drop = on_drop };

struct found {
	struct uuid *id;
	size_t n, cap;
};

static bool is_over(const struct ending *ending, const Events__KeyRow *row)
{
	struct uuid user;

	return ending->whole || (wire_id(row->user, &user) && uuid_equal(&user, &ending->user) &&
	                         row->key->created_at < ending->before_ms);
}

/* Closes the scan. */
static void find_over(struct ending *ending, struct store_scan *scan, struct found *ret)
{
	struct bytes key, value;

	while (ret->n < REVOKES_ONCE && scan_next(scan, &key, &value)) {
		AUTO(wire_free)
		ProtobufCMessage *message = wire_unpack(&events__key_row__descriptor, value);
		const Events__KeyRow *row = (const Events__KeyRow *)message;

		if (!row || !is_over(ending, row))
			continue;
		if (ret->n == ret->cap) {
			ret->cap = ret->cap ? 2 * ret->cap : 16;
			ret->id = xrealloc(ret->id, ret->cap, sizeof *ret->id);
		}
		MUST(uuid_parse(row->key->id, &ret->id[ret->n++]));
	}
	if (scan_err(scan) != OK)
		ending->failed = true; /* looked for again */
	scan_close(scan);
}

static void find_all(struct ending *ending, struct found *ret)
{
	struct auth *auth = ending->auth;

	if (ending->whole)
		find_over(ending, rows_scan_keys(auth->store, &ending->account, NULL), ret);
	ending->n_keys = ret->n;
	find_over(ending, rows_scan_logins(auth->store, &ending->account), ret);
	ending->found = ret->n;
}

static void start(void *self)
{
	struct ending *ending = self;
	struct found over = { 0 };

	ending->pending = 1; /* answers may come from inside */
	ending->failed = false;
	find_all(ending, &over);
	for (size_t i = 0; i < over.n; i++) {
		struct end_call *call = xcalloc(1, sizeof *call);

		call->base.ops = &end_ops;
		call->ending = ending;
		ending->pending++;
		revoke_login(ending->auth, &call->base, &ending->by, &ending->account, &over.id[i]);
	}
	mem_free(over.id);
	one_less(ending);
}

static struct ending *ending_new(struct auth *auth, const struct uuid *account,
                                 const struct caller *by, void (*fn)(void *ctx), void *ctx)
{
	struct ending *ending = xcalloc(1, sizeof *ending);

	ending->auth = auth;
	ending->account = *account;
	ending->by = *by;
	/* It was allowed, and its own login may be the first to go. */
	ending->by.is_operator = ending->by.vouched = true;
	ending->by.scopes = SCOPES_ALL;
	ending->fn = fn;
	ending->ctx = ctx;
	TAILQ_INSERT_TAIL(&auth->users->endings, ending, link);
	return ending;
}

void logins_end(struct auth *auth, const struct uuid *account, const struct uuid *user,
                int64_t before_ms, const struct caller *by, void (*fn)(void *ctx), void *ctx)
{
	struct ending *ending = ending_new(auth, account, by, fn, ctx);

	ending->user = *user;
	ending->before_ms = before_ms;
	start(ending);
}

void account_end_all(struct auth *auth, const struct uuid *account, const struct caller *by,
                     uint64_t *ret_keys, void (*fn)(void *ctx), void *ctx)
{
	struct ending *ending = ending_new(auth, account, by, fn, ctx);

	ending->whole = true;
	ending->ret_keys = ret_keys;
	start(ending);
}

void logins_forget(struct auth *auth, const void *ctx)
{
	struct ending *ending;

	TAILQ_FOREACH(ending, &auth->users->endings, link)
	if (ending->ctx == ctx)
		ending->fn = NULL;
}

void logins_stop(struct auth *auth)
{
	struct ending *ending;

	while ((ending = TAILQ_FIRST(&auth->users->endings))) {
		TAILQ_REMOVE(&auth->users->endings, ending, link);
		ending->stopped = true;
		timer_stop(auth->loop, &ending->retry);
		if (ending->pending == 0)
			mem_free(ending);
	}
}
