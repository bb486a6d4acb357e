#include "services/auth/settle.h"

#include "common/clock.h"

/* Stays in its list, if it is in one. */
void revoke_free(struct revoke *revoke)
{
	struct revokes *revokes = revoke->revokes;

	for (size_t i = 0; i < revoke->n_call; i++)
		bus_drop(revoke->call[i]);
	timer_stop(revokes->auth->loop, &revoke->retry);
	map_remove(&revokes->by_key, &revoke->by_key);
	revokes->auth->metrics.revokes_waiting--;
	if (revoke->origin)
		wire_free(&revoke->origin->base);
	mem_free(revoke);
}

/* ---- the receipt ---- */

static void answer_all(struct revoke *revoke, struct bytes reply)
{
	for (size_t i = 0; i < revoke->n_call; i++)
		bus_reply(revoke->call[i], reply);
	revoke->n_call = 0;
}

void revoke_refuse_all(struct revoke *revoke, const struct refusal *why)
{
	struct buf buf = { 0 };

	refusal_pack(why, &buf);
	for (size_t i = 0; i < revoke->n_call; i++)
		core_answer_bytes(revoke->revokes->auth, revoke->call[i], BYTES(buf.data, buf.len));
	revoke->n_call = 0;
	buf_free(&buf);
}

struct bytes revoke_receipt_reply(Auth__Receipt *receipt, struct buf *buf)
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

		revoke_refuse_all(revoke, &why);
		timer_set(auth->loop, &revoke->retry, SETTLE_RETRY_MS, settle, revoke);
		return;
	}
	if (rows_receipt(auth->store, &revoke->account, &revoke->key, &receipt) == OK) {
		auth->metrics.revoke_ms_total += receipt->elapsed_ms;
		answer_all(revoke, revoke_receipt_reply(receipt, &buf));
		wire_free(&receipt->base);
		buf_free(&buf);
	}
	notices_row(&auth->notices, revoke->spread.number)->spread = NULL;
	revoke_free(revoke); /* who still waits asks again and gets the stored receipt */
}

/* The living keys that it had minted; it mints no more. */
static size_t children_of(const struct revoke *revoke, char *ret[CHILDREN_LISTED])
{
	struct store *store = revoke->revokes->auth->store;
	AUTO(scan_close)
	struct store_scan *scan = rows_scan_children(store, &revoke->account, &revoke->key);
	struct uuid id;
	size_t n = 0;

	while (n < CHILDREN_LISTED && rows_next_id(scan, &id)) {
		AUTO(wire_free) ProtobufCMessage *row = NULL;

		if (rows_key(store, &revoke->account, &id, (Events__KeyRow **)&row) != OK)
			continue;
		ret[n] = xcalloc(1, UUID_TEXT);
		uuid_text(&id, ret[n++]);
	}
	return n;
}

static void settle(void *self)
{
	char *children[CHILDREN_LISTED], id[UUID_TEXT];
	struct revoke *revoke = self;
	int64_t elapsed_ms = clock_boot_ms() - revoke->began_ms;
	Auth__SocketsClosed sockets = AUTH__SOCKETS_CLOSED__INIT;
	Auth__Receipt receipt = AUTH__RECEIPT__INIT;
	Events__RevokeSettled settled = EVENTS__REVOKE_SETTLED__INIT;
	Events__AuthEvent event = EVENTS__AUTH_EVENT__INIT, *events[] = { &event };

	revoke->stage = SETTLING;
	sockets.ingest = revoke->spread.ingest;
	sockets.subscribe = revoke->spread.subscribe;
	receipt.revoked_at = revoke->revoked_at;
	receipt.sockets_closed = &sockets;
	receipt.edges_acked = revoke->spread.acked;
	receipt.edges_total = revoke->spread.total;
	receipt.elapsed_ms = (uint32_t)(elapsed_ms < 0            ? 0
	                                : elapsed_ms > UINT32_MAX ? UINT32_MAX
	                                                          : elapsed_ms);
	uuid_text(&revoke->key, id);
	receipt.id = id;
	receipt.children = children;
	receipt.n_children = children_of(revoke, children);
	settled.account = wire_bytes_of(&revoke->account);
	settled.key = wire_bytes_of(&revoke->key);
	settled.receipt = &receipt;
	event.event_case = EVENTS__AUTH_EVENT__EVENT_REVOKE_SETTLED;
	event.revoke_settled = &settled;
	core_append(revoke->revokes->auth, events, 1, on_settled, revoke);
	for (size_t i = 0; i < receipt.n_children; i++)
		mem_free(children[i]);
}

/* It has become true everywhere. */
void revoke_is_everywhere(struct spread *spread)
{
	struct revoke *revoke = (struct revoke *)((char *)spread - offsetof(struct revoke, spread));

	if (revoke->stage == COMMITTED)
		settle(revoke);
}
