/*
 * The end of many logins at once: each through the one revoke, as if somebody had asked for
 * it. A revoke that the disk refuses is asked again, until all are dead.
 */
#include "services/auth/key.h"
#include "services/auth/revoke.h"
#include "services/auth/users.h"

#define RETRY_MS 1000

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
	if (ending->failed && !ending->stopped) {
		timer_set(ending->auth->loop, &ending->retry, RETRY_MS, start, ending);
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

/* Ids of those that are over; the caller frees them. */
static size_t find_over(struct ending *ending, struct uuid **ret)
{
	struct store_scan *scan = rows_scan_logins(ending->auth->store, &ending->account);
	struct bytes key, value;
	struct uuid user, *id = NULL;
	size_t n = 0, cap = 0;

	while (scan_next(scan, &key, &value)) {
		AUTO(wire_free)
		ProtobufCMessage *message = wire_unpack(&events__key_row__descriptor, value);
		const Events__KeyRow *row = (const Events__KeyRow *)message;

		if (!row || !wire_id(row->user, &user) || !uuid_equal(&user, &ending->user) ||
		    row->key->created_at >= ending->before_ms)
			continue;
		if (n == cap) {
			cap = cap ? 2 * cap : 16;
			id = xrealloc(id, cap, sizeof *id);
		}
		MUST(uuid_parse(row->key->id, &id[n++]));
	}
	if (scan_err(scan) != OK)
		ending->failed = true; /* looked for again */
	scan_close(scan);
	*ret = id;
	return n;
}

static void start(void *self)
{
	struct ending *ending = self;
	struct uuid *id;
	size_t n;

	ending->pending = 1; /* answers may come from inside */
	ending->failed = false;
	n = find_over(ending, &id);
	for (size_t i = 0; i < n; i++) {
		struct end_call *call = xcalloc(1, sizeof *call);

		call->base.ops = &end_ops;
		call->ending = ending;
		ending->pending++;
		revoke_login(ending->auth, &call->base, &ending->by, &ending->account, &id[i]);
	}
	mem_free(id);
	one_less(ending);
}

void logins_end(struct auth *auth, const struct uuid *account, const struct uuid *user,
                int64_t before_ms, const struct caller *by, void (*fn)(void *ctx), void *ctx)
{
	struct ending *ending = xcalloc(1, sizeof *ending);

	ending->auth = auth;
	ending->account = *account;
	ending->user = *user;
	ending->before_ms = before_ms;
	ending->by = *by;
	ending->by.is_operator =
	        true; /* it was allowed, and its own login may be the first to go */
	ending->by.scopes = SCOPES_ALL;
	ending->fn = fn;
	ending->ctx = ctx;
	TAILQ_INSERT_TAIL(&auth->users->endings, ending, link);
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
