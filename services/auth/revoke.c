#include "services/auth/revoke.h"

#include "common/clock.h"
#include "services/auth/deliver.h"
#include "services/auth/edges.h"

#include <stdlib.h>
#include <string.h>

enum stage {
	WANTED,    /* waits for the append before it         */
	APPENDED,  /* not committed                          */
	COMMITTED, /* waits for edges                        */
	SETTLING,  /* its receipt is appended, not committed */
};

struct revoke {
	TAILQ_ENTRY(revoke) link; /* in wanted, then in appended, then in none */
	struct revokes *revokes;
	enum stage stage;
	struct uuid account, key;
	struct caller caller; /* who asked first */
	uint64_t number;
	int64_t revoked_at, began_ms;   /* wall; boot */
	uint32_t waiting, acked, total; /* edges */
	uint32_t ingest, subscribe;
	unsigned tries;
	struct bus_call *call[REVOKE_CALLS];
	size_t n_call;
	struct timer retry;
};
TAILQ_HEAD(revoke_list, revoke);

/* One notice that is kept. */
struct row {
	struct uuid account, key;
	struct revoke *revoke; /* NULL once settled */
};

struct revokes {
	struct auth *auth;
	struct idmap by_key;
	struct revoke_list wanted, appended;
	uint64_t applied; /* the newest number that an event has taken */
	uint64_t floor, newest;
	struct row *row; /* of floor + 1 … newest */
	size_t cap;
};

struct revokes *revokes_new(struct auth *auth)
{
	struct revokes *revokes = xcalloc(1, sizeof *revokes);

	revokes->auth = auth;
	TAILQ_INIT(&revokes->wanted);
	TAILQ_INIT(&revokes->appended);
	return revokes;
}

/* Stays in its list, if it is in one. */
static void free_revoke(struct revoke *revoke)
{
	struct revokes *revokes = revoke->revokes;

	for (size_t i = 0; i < revoke->n_call; i++)
		bus_drop(revoke->call[i]);
	timer_stop(revokes->auth->loop, &revoke->retry);
	idmap_remove(&revokes->by_key, &revoke->key);
	revokes->auth->metrics.revokes_waiting--;
	mem_free(revoke);
}

void revokes_free(struct revokes *revokes)
{
	struct idmap_slot *slot;

	if (!revokes)
		return;
	for (size_t i = 0; (slot = idmap_next(&revokes->by_key, &i)); i = 0)
		free_revoke(slot->value);
	idmap_done(&revokes->by_key);
	mem_free(revokes->row);
	mem_free(revokes);
}

/* ---- notices ---- */

uint64_t notices_newest(const struct revokes *revokes)
{
	return revokes->newest;
}

uint64_t notices_floor(const struct revokes *revokes)
{
	return revokes->floor;
}

static struct row *row_of(const struct revokes *revokes, uint64_t number)
{
	MUST(number > revokes->floor && number <= revokes->newest);
	return &revokes->row[number - revokes->floor - 1];
}

static struct row *add_row(struct revokes *revokes, uint64_t number, const struct uuid *account,
                           const struct uuid *key)
{
	size_t n = revokes->newest - revokes->floor;

	MUST(number == revokes->newest + 1);
	if (n == revokes->cap) {
		revokes->cap = revokes->cap ? 2 * revokes->cap : 64;
		revokes->row = xrealloc(revokes->row, revokes->cap, sizeof *revokes->row);
	}
	revokes->row[n] = (struct row){ *account, *key, NULL };
	revokes->newest = number;
	return &revokes->row[n];
}

size_t notices_after(const struct revokes *revokes, uint64_t after, Auth__Notice ***ret)
{
	uint64_t first = after < revokes->floor ? revokes->floor + 1 : after + 1;
	size_t n = first > revokes->newest ? 0 : revokes->newest - first + 1;
	Auth__Notice **list, *notice;

	if (n > NOTICES_A_MESSAGE)
		n = NOTICES_A_MESSAGE;
	list = xcalloc(n, sizeof *list + sizeof *notice);
	notice = (Auth__Notice *)(list + n);
	for (size_t i = 0; i < n; i++) {
		struct row *row = row_of(revokes, first + i);

		auth__notice__init(&notice[i]);
		notice[i].number = first + i;
		notice[i].account = wire_bytes_of(&row->account);
		notice[i].key = wire_bytes_of(&row->key);
		notice[i].reason = (char *)REASON_REVOKED;
		list[i] = &notice[i];
	}
	*ret = list;
	return n;
}

void notices_trim(struct revokes *revokes)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();
	uint64_t through = revokes->newest > NOTICES_KEPT ? revokes->newest - NOTICES_KEPT : 0;
	size_t n = 0;
	struct edge *edge;

	TAILQ_FOREACH(edge, &revokes->auth->leases.edges, link)
	if (edge->live && edge->applied < through)
		through = edge->applied;
	while (revokes->floor + n < through && !revokes->row[n].revoke)
		n++;
	if (n == 0)
		return;
	rows_trim_notices(batch, revokes->floor + n);
	if (store_write(revokes->auth->store, batch) != OK)
		return; /* a broken or full disk: tried again, and said by those who must write */
	memmove(revokes->row, revokes->row + n,
	        (revokes->newest - revokes->floor - n) * sizeof *revokes->row);
	revokes->floor += n;
}

/* ---- the receipt ---- */

static void answer_all(struct revoke *revoke, struct bytes reply)
{
	for (size_t i = 0; i < revoke->n_call; i++)
		bus_reply(revoke->call[i], reply);
	revoke->n_call = 0;
}

static void refuse_all(struct revoke *revoke, const struct refusal *why)
{
	struct buf buf = { 0 };

	refusal_pack(why, &buf);
	for (size_t i = 0; i < revoke->n_call; i++)
		core_answer_bytes(revoke->revokes->auth, revoke->call[i], BYTES(buf.data, buf.len));
	revoke->n_call = 0;
	buf_free(&buf);
}

static struct bytes receipt_reply(Auth__Receipt *receipt, struct buf *buf)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;

	reply.result_case = AUTH__AUTH_REPLY__RESULT_RECEIPT;
	reply.receipt = receipt;
	return wire_pack(buf, &reply.base);
}

static void settle(void *self);

static void on_settled(void *self, enum err err)
{
	struct revoke *revoke = self;
	struct revokes *revokes = revoke->revokes;
	struct auth *auth = revokes->auth;
	Auth__Receipt *receipt;
	struct buf buf = { 0 };

	if (err == ERR_CONFLICT) {
		settle(revoke);
		return;
	}
	if (err != OK) {
		struct refusal why =
		        REFUSAL_AWAY("the key is revoked on every edge, but the disk is "
		                     "too full for the receipt");

		refuse_all(revoke, &why);
		timer_set(auth->loop, &revoke->retry, SETTLE_RETRY_MS, settle, revoke);
		return;
	}
	if (rows_receipt(auth->store, &revoke->account, &revoke->key, &receipt) == OK) {
		auth->metrics.revoke_ms_total += receipt->elapsed_ms;
		answer_all(revoke, receipt_reply(receipt, &buf));
		wire_free(&receipt->base);
		buf_free(&buf);
	}
	row_of(revokes, revoke->number)->revoke = NULL;
	free_revoke(revoke); /* who still waits asks again and gets the stored receipt */
}

static void settle(void *self)
{
	struct revoke *revoke = self;
	int64_t elapsed_ms = clock_boot_ms() - revoke->began_ms;
	Auth__SocketsClosed sockets = AUTH__SOCKETS_CLOSED__INIT;
	Auth__Receipt receipt = AUTH__RECEIPT__INIT;
	Events__RevokeSettled settled = EVENTS__REVOKE_SETTLED__INIT;
	Events__AuthEvent event = EVENTS__AUTH_EVENT__INIT, *events[] = { &event };

	revoke->stage = SETTLING;
	sockets.ingest = revoke->ingest;
	sockets.subscribe = revoke->subscribe;
	receipt.revoked_at = revoke->revoked_at;
	receipt.sockets_closed = &sockets;
	receipt.edges_acked = revoke->acked;
	receipt.edges_total = revoke->total;
	receipt.elapsed_ms = (uint32_t)(elapsed_ms < 0            ? 0
	                                : elapsed_ms > UINT32_MAX ? UINT32_MAX
	                                                          : elapsed_ms);
	settled.account = wire_bytes_of(&revoke->account);
	settled.key = wire_bytes_of(&revoke->key);
	settled.receipt = &receipt;
	event.event_case = EVENTS__AUTH_EVENT__EVENT_REVOKE_SETTLED;
	event.revoke_settled = &settled;
	core_append(revoke->revokes->auth, events, 1, on_settled, revoke);
}

static void settle_if_all_have(struct revoke *revoke)
{
	if (revoke->waiting == 0 && revoke->stage == COMMITTED)
		settle(revoke);
}

/* ---- edges ---- */

void edge_joined(struct revokes *revokes, struct edge *edge)
{
	edge->applied = edge->discharged = revokes->newest;
}

void edge_applied(struct revokes *revokes, struct edge *edge, uint64_t applied)
{
	if (applied > edge->applied && applied <= revokes->newest)
		edge->applied = applied;
}

/* Of the edge's answer about notice number; NULL when it says nothing about it. */
static const Auth__SocketsClosed *closed_for(uint64_t number, uint64_t first,
                                             Auth__SocketsClosed *const *closed, size_t n_closed)
{
	return number >= first && number - first < n_closed ? closed[number - first] : NULL;
}

void edge_discharged(struct revokes *revokes, struct edge *edge, uint64_t first,
                     Auth__SocketsClosed *const *closed, size_t n_closed)
{
	while (edge->discharged < edge->applied) {
		uint64_t number = ++edge->discharged;
		struct revoke *revoke = row_of(revokes, number)->revoke;
		const Auth__SocketsClosed *sockets = closed_for(number, first, closed, n_closed);

		if (!revoke)
			continue;
		revoke->waiting--;
		revoke->acked++;
		revoke->ingest += sockets ? sockets->ingest : 0;
		revoke->subscribe += sockets ? sockets->subscribe : 0;
		settle_if_all_have(revoke);
	}
}

void edge_over(struct revokes *revokes, struct edge *edge)
{
	edge_discharged(revokes, edge, 0, NULL, 0); /* what it had acknowledged counts */
	while (edge->discharged < revokes->newest) {
		struct revoke *revoke = row_of(revokes, ++edge->discharged)->revoke;

		if (!revoke)
			continue;
		revoke->waiting--;
		revokes->auth->metrics.edges_lost_total++;
		settle_if_all_have(revoke);
	}
}

/* A revoke has become true: who must hear it? */
static void wait_for_edges(struct revoke *revoke)
{
	struct revokes *revokes = revoke->revokes;
	struct edge *edge;

	revoke->stage = COMMITTED;
	TAILQ_FOREACH(edge, &revokes->auth->leases.edges, link)
	{
		if (!edge->live) {
			edge->discharged = revoke->number;
			continue;
		}
		revoke->waiting++;
		revoke->total++;
	}
	settle_if_all_have(revoke);
}

/* ---- from wanted to committed ---- */

static void append_wanted(struct revokes *revokes);

static void broadcast(struct revokes *revokes, uint64_t after)
{
	Auth__Notices message = AUTH__NOTICES__INIT;
	struct buf buf = { 0 };

	message.n_notices = notices_after(revokes, after, &message.notices);
	/* Lost is allowed: deliver and Renew see to it that every edge hears it. */
	if (message.n_notices > 0 &&
	    bus_publish(revokes->auth->bus, "auth.notices", wire_pack(&buf, &message.base)) != OK)
		log_warn("broadcast-failed", "why=\"%s\"", bus_why(revokes->auth->bus));
	buf_free(&buf);
	mem_free(message.notices);
}

static void on_appended_committed(struct revokes *revokes)
{
	uint64_t before = revokes->newest;
	struct revoke *revoke, *next;

	lease_check(revokes->auth);
	TAILQ_FOREACH(revoke, &revokes->appended, link)
	{
		char key[UUID_TEXT];

		uuid_text(&revoke->key, key);
		log_info("key-revoked", "key=%s notice=%llu", key,
		         (unsigned long long)revoke->number);
		revokes->auth->metrics.keys_revoked_total++;
		add_row(revokes, revoke->number, &revoke->account, &revoke->key)->revoke = revoke;
	}
	while ((next = TAILQ_FIRST(&revokes->appended))) {
		TAILQ_REMOVE(&revokes->appended, next, link);
		wait_for_edges(next);
	}
	broadcast(revokes, before);
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
		refuse_all(revoke, &why);
		free_revoke(revoke);
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
		refuse_all(revoke, &why);
		free_revoke(revoke);
	}
	return NULL;
}

struct revoked_event {
	Events__AuthEvent event;
	Events__KeyRevoked revoked;
};

static void fill_event(struct revoked_event *one, const struct revoke *revoke)
{
	events__auth_event__init(&one->event);
	events__key_revoked__init(&one->revoked);
	one->event.event_case = EVENTS__AUTH_EVENT__EVENT_KEY_REVOKED;
	one->event.key_revoked = &one->revoked;
	if (!revoke->caller.is_operator) {
		one->event.has_by = true;
		one->event.by = wire_bytes_of(&revoke->caller.key);
	}
	one->revoked.account = wire_bytes_of(&revoke->account);
	one->revoked.key = wire_bytes_of(&revoke->key);
	one->revoked.notice = revoke->number;
	one->revoked.reason = (char *)REASON_REVOKED;
}

/* All that is wanted by now, as one append; nothing while one is under way. */
static void append_wanted(struct revokes *revokes)
{
	struct revoked_event *event;
	Events__AuthEvent **events;
	struct revoke *revoke;
	size_t n = 0, i = 0;

	if (!TAILQ_EMPTY(&revokes->appended))
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
		revoke->number = revokes->applied + 1 + i;
		revoke->revoked_at = clock_wall_ms();
		fill_event(&event[i], revoke);
		events[i] = &event[i].event;
		i++;
	}
	core_append(revokes->auth, events, n, on_committed, revokes);
	mem_free(events);
	mem_free(event);
}

void revokes_applied(struct revokes *revokes, uint64_t number)
{
	MUST(number == revokes->applied + 1);
	revokes->applied = number;
}

bool revoke_is_under_way(const struct revokes *revokes, const struct uuid *key)
{
	const struct revoke *revoke = idmap_get(&revokes->by_key, key);

	return revoke && revoke->stage == APPENDED;
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
	revoke->account = *account;
	revoke->key = *key;
	revoke->began_ms = clock_boot_ms();
	idmap_put(&revokes->by_key, key, revoke);
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
	core_answer_bytes(auth, call, receipt_reply(receipt, &buf));
	buf_free(&buf);
	wire_free(&receipt->base);
}

void revoke_wanted(struct auth *auth, struct bus_call *call, const struct caller *caller,
                   const struct uuid *account, const char *id)
{
	struct revokes *revokes = auth->revokes;
	struct refusal why = refusal(404, DETAIL_NO_SUCH_KEY);
	AUTO(wire_free) ProtobufCMessage *row = NULL;
	struct revoke *revoke;
	struct uuid key, owner;
	enum err err = uuid_parse(id, &key) ? rows_owner(auth->store, &key, &owner) : ERR_NOT_FOUND;

	if (err != OK || (account && !uuid_equal(account, &owner))) {
		why = refusal_of(err == OK ? ERR_NOT_FOUND : err, why);
		core_refuse(auth, call, &why);
		return;
	}
	revoke = idmap_get(&revokes->by_key, &key);
	if (revoke) {
		join(revoke, call);
		return;
	}
	err = rows_key(auth->store, &owner, &key, (Events__KeyRow **)&row);
	if (err == ERR_NOT_FOUND) {
		answer_receipt(auth, call, &owner, &key);
		return;
	}
	if (err != OK || revokes->by_key.n >= REVOKES_MOST) {
		why = err != OK ? refusal_of(err, why)
		                : REFUSAL_AWAY("too many revokes are under way");
		core_refuse(auth, call, &why);
		return;
	}
	revoke = revoke_new(revokes, &owner, &key);
	revoke->caller = *caller;
	join(revoke, call);
	TAILQ_INSERT_TAIL(&revokes->wanted, revoke, link);
	append_wanted(revokes);
}

/* ---- after a restart ---- */

/* A notice whose revoke has no receipt: goes on. */
static enum err resume(struct revokes *revokes, uint64_t number)
{
	struct auth *auth = revokes->auth;
	struct row *row = row_of(revokes, number);
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	const Events__AuthEvent *event;
	struct revoke *revoke;
	int64_t passed_ms;
	enum err err =
	        rows_receipt(auth->store, &row->account, &row->key, (Auth__Receipt **)&message);

	if (err != ERR_NOT_FOUND)
		return err;
	err = rows_revoked(auth->store, &row->account, &row->key, (Events__AuthEvent **)&message);
	if (err != OK)
		return err;
	event = (const Events__AuthEvent *)message;
	revoke = revoke_new(revokes, &row->account, &row->key);
	row->revoke = revoke;
	revoke->caller.is_operator = true; /* it was allowed */
	revoke->number = number;
	revoke->revoked_at = event->at_ms;
	passed_ms = clock_wall_ms() - event->at_ms;
	revoke->began_ms -= passed_ms > 0 ? passed_ms : 0;
	wait_for_edges(revoke);
	return OK;
}

enum err revokes_load(struct revokes *revokes)
{
	AUTO(scan_close)
	struct store_scan *scan = rows_scan_own(revokes->auth->store, ROWS_NOTICES);
	struct bytes key, value;
	struct edge *edge;
	enum err err;

	while (scan_next(scan, &key, &value)) {
		AUTO(wire_free)
		ProtobufCMessage *message = wire_unpack(&auth__notice__descriptor, value);
		const Auth__Notice *notice = (const Auth__Notice *)message;
		struct uuid account, id;

		if (!notice || !wire_id(notice->account, &account) || !wire_id(notice->key, &id))
			return ERR_MALFORMED;
		if (revokes->newest == 0)
			revokes->floor = revokes->newest = notice->number - 1;
		if (notice->number != revokes->newest + 1)
			return ERR_MALFORMED;
		(void)add_row(revokes, notice->number, &account, &id);
	}
	err = scan_err(scan);
	revokes->applied = revokes->newest;
	TAILQ_FOREACH(edge, &revokes->auth->leases.edges, link)
	edge->applied = edge->discharged = revokes->floor;
	for (uint64_t n = revokes->floor + 1; err == OK && n <= revokes->newest; n++)
		err = resume(revokes, n);
	for (uint64_t n = revokes->floor + 1; err == OK && n <= revokes->newest; n++)
		if (row_of(revokes, n)->revoke) {
			broadcast(revokes, n - 1);
			break;
		}
	return err;
}
