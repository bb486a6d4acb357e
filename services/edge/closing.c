#include "services/edge/closing.h"

#include "common/wire.h"
#include "router.pb-c.h"

#include <stdio.h>

#define REQUEST_MS 4000
#define RETRY_MS   500

struct closing {
	struct list link; /* in edge->closings; those in the air come first */
	struct edge *edge;
	struct uuid account, session;
	uint64_t epoch;
	int code;
	int64_t ended_at;
	char reason[NET_CLOSE_REASON + 1];
	bool in_air;
};

static void tell_more(void *ctx);

static void drop(struct closing *closing)
{
	list_remove(&closing->link);
	closing->edge->n_closings--;
	mem_free(closing);
}

/* The router is away or full: everybody waits a little, so that it is not stormed. */
static void tell_later(struct closing *closing)
{
	list_append(&closing->edge->closings, &closing->link);
	timer_set(closing->edge->loop, &closing->edge->closings_retry, RETRY_MS, tell_more,
	          closing->edge);
}

static void on_reply(void *ctx, enum err err, struct bytes data)
{
	struct closing *closing = ctx;
	struct edge *edge = closing->edge;
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	const Router__RouterReply *reply;

	if (err == OK)
		message = wire_unpack(&router__router_reply__descriptor, data);
	reply = (const Router__RouterReply *)message;
	closing->in_air = false;
	edge->closings_in_air--;
	if (reply && !reply->error)
		drop(closing);
	else
		tell_later(closing);
	if (edge->closings_retry.place == 0)
		tell_more(edge);
}

static void tell(struct closing *closing)
{
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;
	Router__CloseSession close = ROUTER__CLOSE_SESSION__INIT;
	struct buf buf = { 0 };

	closing->in_air = true;
	closing->edge->closings_in_air++;
	close.account = wire_bytes_of(&closing->account);
	close.session = wire_bytes_of(&closing->session);
	close.close_code = (uint32_t)closing->code;
	close.close_reason = closing->reason;
	close.has_ended_at = 1;
	close.ended_at = closing->ended_at;
	close.has_epoch = 1;
	close.epoch = closing->epoch;
	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_CLOSE_SESSION;
	request.close_session = &close;
	bus_request(closing->edge->bus, "router", wire_pack(&buf, &request.base), REQUEST_MS,
	            on_reply, closing);
	buf_free(&buf);
}

static void tell_more(void *ctx)
{
	struct edge *edge = ctx;

	LIST_EACH(link, &edge->closings)
	{
		struct closing *closing = LIST_OWNER(link, struct closing, link);

		if (edge->closings_in_air >= CLOSINGS_IN_AIR)
			return;
		if (!closing->in_air)
			tell(closing);
	}
}

void closing_start(struct edge *edge, const struct uuid *account, const struct uuid *session,
                   uint64_t epoch, const Publisher__Closing *how)
{
	struct closing *closing;

	if (edge->n_closings >= CLOSINGS_MOST) {
		edge->metrics.closings_dropped_total++;
		return;
	}
	closing = xcalloc(1, sizeof *closing);
	closing->edge = edge;
	closing->account = *account;
	closing->session = *session;
	closing->epoch = epoch;
	closing->code = (int)how->close_code;
	closing->ended_at = how->ended_at;
	(void)snprintf(closing->reason, sizeof closing->reason, "%s", how->close_reason);
	list_append(&edge->closings, &closing->link);
	edge->n_closings++;
	if (edge->closings_in_air < CLOSINGS_IN_AIR && edge->closings_retry.place == 0)
		tell(closing);
}

size_t closing_count(const struct edge *edge)
{
	return edge->n_closings;
}

size_t closing_sessions(struct edge *edge, struct uuid *ret, size_t most)
{
	size_t n = 0;

	LIST_EACH(link, &edge->closings)
	if (n < most)
		ret[n++] = LIST_OWNER(link, struct closing, link)->session;
	return n;
}

void closing_free_all(struct edge *edge)
{
	struct list *link;

	timer_stop(edge->loop, &edge->closings_retry);
	while ((link = list_first(&edge->closings)) != NULL)
		drop(LIST_OWNER(link, struct closing, link));
}
