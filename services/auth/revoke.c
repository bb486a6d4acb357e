#include "services/auth/revoke.h"

#include "common/clock.h"
#include "services/auth/deliver.h"
#include "services/auth/edges.h"
#include "services/auth/settle.h"

#include <stdlib.h>
#include <string.h>

struct revokes *revokes_new(struct auth *auth)
{
	struct revokes *revokes = xcalloc(1, sizeof *revokes);

	revokes->auth = auth;
	map_init(&revokes->by_key, sizeof(struct uuid));
	TAILQ_INIT(&revokes->wanted);
	TAILQ_INIT(&revokes->appended);
	return revokes;
}

void revokes_free(struct revokes *revokes)
{
	if (!revokes)
		return;
	while (revokes->by_key.count > 0)
		revoke_free(MAP_OWNER(map_any(&revokes->by_key), struct revoke, by_key));
	map_done(&revokes->by_key);
	mem_free(revokes);
}

static struct revoke *find(const struct revokes *revokes, const struct uuid *key)
{
	return MAP_OWNER(map_find(&revokes->by_key, key), struct revoke, by_key);
}

/* ---- from wanted to committed ---- */

static void append_wanted(struct revokes *revokes);

static void on_appended_committed(struct revokes *revokes)
{
	uint64_t before = revokes->auth->notices.newest;
	struct revoke *revoke, *next;

	lease_check(revokes->auth);
	TAILQ_FOREACH(revoke, &revokes->appended, link)
	{
		char key[UUID_TEXT];

		uuid_text(&revoke->key, key);
		log_info("key-revoked", "key=%s notice=%llu", key,
		         (unsigned long long)revoke->spread.number);
		revokes->auth->metrics.keys_revoked_total++;
		notices_add(&revokes->auth->notices, revoke->spread.number, &revoke->account,
		            &revoke->key, REASON_REVOKED);
	}
	while ((next = TAILQ_FIRST(&revokes->appended))) {
		TAILQ_REMOVE(&revokes->appended, next, link);
		next->stage = COMMITTED;
		spread_start(&next->spread);
	}
	deliver_broadcast(revokes->auth, before);
	deliver_notices(revokes->auth);
}

static void on_append_failed(struct revokes *revokes, enum err err)
{
	struct refusal why = err == ERR_LIMIT ? REFUSAL_AWAY("the disk is full")
	                                      : REFUSAL_AWAY("the journal is contended: try again");
	struct revoke_list failed = TAILQ_HEAD_INITIALIZER(failed);
	struct revoke *revoke;

	TAILQ_CONCAT(&failed, &revokes->appended, link);
	while ((revoke = TAILQ_LAST(&failed, revoke_list))) {
		TAILQ_REMOVE(&failed, revoke, link);
		revoke->stage = WANTED;
		if (err == ERR_CONFLICT && ++revoke->tries < COMMAND_TRIES) {
			TAILQ_INSERT_HEAD(&revokes->wanted, revoke, link);
			continue;
		}
		revoke_refuse_all(revoke, &why);
		revoke_free(revoke);
	}
}

static void on_committed(void *self, enum err err)
{
	struct revokes *revokes = self;

	if (err == OK)
		on_appended_committed(revokes);
	else
		on_append_failed(revokes, err);
	append_wanted(revokes);
}

/* Whether it may still be done, by the view as it stands. */
static bool still_wanted(struct revoke *revoke, struct refusal *ret_why)
{
	struct auth *auth = revoke->revokes->auth;
	enum err err = core_caller_again(auth, &revoke->caller);

	if (err != OK) {
		*ret_why = refusal_of(err, refusal_unauthorized());
		return false;
	}
	if (!(revoke->caller.scopes & SCOPE_KEYS)) {
		*ret_why = refusal(403, "the API key lacks the scope keys");
		return false;
	}
	return true;
}

static struct revoke *next_wanted(struct revokes *revokes)
{
	struct revoke *revoke;
	struct refusal why;

	while ((revoke = TAILQ_FIRST(&revokes->wanted))) {
		TAILQ_REMOVE(&revokes->wanted, revoke, link);
		if (still_wanted(revoke, &why))
			return revoke;
		revoke_refuse_all(revoke, &why);
		revoke_free(revoke);
	}
	return NULL;
}

struct revoked_event {
	Events__AuthEvent event;
	Events__KeyRevoked revoked;
	struct uuid by;
};

static void fill_event(struct revoked_event *one, const struct revoke *revoke)
{
	events__auth_event__init(&one->event);
	events__key_revoked__init(&one->revoked);
	one->event.event_case = EVENTS__AUTH_EVENT__EVENT_KEY_REVOKED;
	one->event.key_revoked = &one->revoked;
	one->event.has_by = caller_by(&revoke->caller, &one->by);
	one->event.by = wire_bytes_of(&one->by);
	one->event.origin = revoke->origin;
	one->revoked.account = wire_bytes_of(&revoke->account);
	one->revoked.key = wire_bytes_of(&revoke->key);
	one->revoked.notice = revoke->spread.number;
	one->revoked.reason = (char *)REASON_REVOKED;
}

/* All that is wanted by now, as one append; nothing while one is under way. */
static void append_wanted(struct revokes *revokes)
{
	struct revoked_event *event;
	Events__AuthEvent **events;
	struct revoke *revoke;
	size_t n = 0, i = 0;

	if (!TAILQ_EMPTY(&revokes->appended) || revokes->lent || !revokes->auth->journal)
		return;
	while (n < NOTICES_A_MESSAGE && (revoke = next_wanted(revokes))) {
		TAILQ_INSERT_TAIL(&revokes->appended, revoke, link);
		n++;
	}
	if (n == 0)
		return;
	event = xcalloc(n, sizeof *event);
	events = xcalloc(n, sizeof *events);
	TAILQ_FOREACH(revoke, &revokes->appended, link)
	{
		revoke->stage = APPENDED;
		revoke->spread.number = revokes->applied + 1 + i;
		revoke->revoked_at = clock_wall_ms();
		fill_event(&event[i], revoke);
		events[i] = &event[i].event;
		i++;
	}
	core_append(revokes->auth, events, n, on_committed, revokes);
	mem_free(events);
	mem_free(event);
}

bool revokes_lend(struct revokes *revokes, uint64_t *ret_number)
{
	if (!TAILQ_EMPTY(&revokes->appended) || revokes->lent)
		return false;
	revokes->lent = true;
	*ret_number = revokes->applied + 1;
	return true;
}

bool revokes_have_lent(const struct revokes *revokes)
{
	return revokes->lent;
}

void revokes_returned(struct revokes *revokes)
{
	revokes->lent = false;
	append_wanted(revokes);
}

void revokes_applied(struct revokes *revokes, uint64_t number)
{
	MUST(number == revokes->applied + 1);
	revokes->applied = number;
}

bool revoke_is_under_way(const struct revokes *revokes, const struct uuid *key)
{
	const struct revoke *revoke = find(revokes, key);

	return revoke && revoke->stage == APPENDED;
}

bool revokes_has(const struct revokes *revokes, const struct uuid *key)
{
	return find(revokes, key) != NULL;
}

bool revoke_so_far(const struct revokes *revokes, const struct uuid *key, Auth__Receipt *ret)
{
	const struct revoke *revoke = find(revokes, key);

	if (!revoke || revoke->stage < COMMITTED)
		return false;
	auth__receipt__init(ret);
	ret->revoked_at = revoke->revoked_at;
	ret->edges_acked = revoke->spread.acked;
	ret->edges_total = revoke->spread.total;
	ret->elapsed_ms = (uint32_t)(clock_boot_ms() - revoke->began_ms);
	return true;
}

/* ---- asking ---- */

static void join(struct revoke *revoke, struct bus_call *call)
{
	if (revoke->n_call == REVOKE_CALLS) {
		bus_drop(revoke->call[0]);
		memmove(revoke->call, revoke->call + 1, sizeof revoke->call - sizeof *revoke->call);
		revoke->n_call--;
	}
	revoke->call[revoke->n_call++] = call;
}

static struct revoke *revoke_new(struct revokes *revokes, const struct uuid *account,
                                 const struct uuid *key)
{
	struct revoke *revoke = xcalloc(1, sizeof *revoke);

	revoke->revokes = revokes;
	revoke->spread.auth = revokes->auth;
	revoke->spread.everywhere = revoke_is_everywhere;
	revoke->account = *account;
	revoke->key = *key;
	revoke->began_ms = clock_boot_ms();
	revoke->origin = core_origin(revokes->auth);
	map_add(&revokes->by_key, &revoke->by_key, &revoke->key);
	revokes->auth->metrics.revokes_waiting++;
	return revoke;
}

/* The receipt of a key that is dead, or why not. */
static void answer_receipt(struct auth *auth, struct bus_call *call, const struct uuid *account,
                           const struct uuid *key)
{
	Auth__Receipt *receipt;
	enum err err = rows_receipt(auth->store, account, key, &receipt);
	struct buf buf = { 0 };

	if (err != OK) {
		struct refusal why = refusal_of(err, refusal(404, DETAIL_NO_SUCH_KEY));

		core_refuse(auth, call, &why);
		return;
	}
	core_answer_bytes(auth, call, revoke_receipt_reply(receipt, &buf));
	buf_free(&buf);
	wire_free(&receipt->base);
}

/* Of a key that lives. Takes the call. */
static void begin(struct auth *auth, struct bus_call *call, const struct caller *caller,
                  const struct uuid *account, const struct uuid *key)
{
	struct revokes *revokes = auth->revokes;
	struct refusal why = REFUSAL_AWAY("too many revokes are under way");
	struct revoke *revoke;

	if (revokes->by_key.count >= REVOKES_MOST) {
		core_refuse(auth, call, &why);
		return;
	}
	revoke = revoke_new(revokes, account, key);
	revoke->caller = *caller;
	join(revoke, call);
	TAILQ_INSERT_TAIL(&revokes->wanted, revoke, link);
	append_wanted(revokes);
}

/* True: another asker's answer is this one's too. */
static bool joined(struct auth *auth, struct bus_call *call, const struct uuid *key)
{
	struct revoke *revoke = find(auth->revokes, key);

	if (revoke)
		join(revoke, call);
	return revoke != NULL;
}

void revoke_wanted(struct auth *auth, struct bus_call *call, const struct caller *caller,
                   const struct uuid *account, const char *id)
{
	struct refusal why = refusal(404, DETAIL_NO_SUCH_KEY);
	AUTO(wire_free) ProtobufCMessage *row = NULL;
	struct uuid key, owner;
	enum err err = uuid_parse(id, &key) ? rows_owner(auth->store, &key, &owner) : ERR_NOT_FOUND;

	if (err != OK || (account && !uuid_equal(account, &owner))) {
		why = refusal_of(err == OK ? ERR_NOT_FOUND : err, why);
		core_refuse(auth, call, &why);
		return;
	}
	if (joined(auth, call, &key))
		return;
	err = rows_key(auth->store, &owner, &key, (Events__KeyRow **)&row);
	if (err == OK) {
		begin(auth, call, caller, &owner, &key);
	} else if (err == ERR_NOT_FOUND) {
		answer_receipt(auth, call, &owner, &key);
	} else {
		why = refusal_of(err, why);
		core_refuse(auth, call, &why);
	}
}

void revoke_login(struct auth *auth, struct bus_call *call, const struct caller *caller,
                  const struct uuid *account, const struct uuid *login)
{
	if (!joined(auth, call, login))
		begin(auth, call, caller, account, login);
}

/* ---- after a restart ---- */

/* A revoke's notice, and it has no receipt: goes on. */
static enum err resume(struct revokes *revokes, uint64_t number)
{
	struct auth *auth = revokes->auth;
	struct notice_row *row = notices_row(&auth->notices, number);
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	const Events__AuthEvent *event;
	struct revoke *revoke;
	int64_t passed_ms;
	enum err err;

	if (strcmp(row->reason, REASON_REVOKED) != 0)
		return OK; /* who asked for the change asks again */
	err = rows_receipt(auth->store, &row->account, &row->key, (Auth__Receipt **)&message);
	if (err != ERR_NOT_FOUND)
		return err;
	err = rows_revoked(auth->store, &row->account, &row->key, (Events__AuthEvent **)&message);
	if (err == ERR_NOT_FOUND)
		return OK; /* its account was erased since, which waits for every revoke */
	if (err != OK)
		return err;
	event = (const Events__AuthEvent *)message;
	revoke = revoke_new(revokes, &row->account, &row->key);
	revoke->caller.is_operator = true; /* it was allowed */
	revoke->spread.number = number;
	revoke->revoked_at = event->at_ms;
	passed_ms = clock_wall_ms() - event->at_ms;
	revoke->began_ms -= passed_ms > 0 ? passed_ms : 0;
	revoke->stage = COMMITTED;
	spread_start(&revoke->spread);
	return OK;
}

enum err revokes_load(struct revokes *revokes)
{
	struct auth *auth = revokes->auth;
	const struct notices *notices = &auth->notices;
	uint64_t oldest = notices->newest; /* before the oldest that goes on */
	struct edge *edge;
	enum err err = OK;

	revokes->applied = notices->newest;
	TAILQ_FOREACH(edge, &auth->leases.edges, link)
	edge->applied = edge->discharged = notices->floor;
	for (uint64_t n = notices->newest; err == OK && n > notices->floor; n--) {
		err = resume(revokes, n);
		if (notices_row(notices, n)->spread)
			oldest = n - 1;
	}
	if (err == OK)
		deliver_broadcast(auth, oldest);
	return err;
}
