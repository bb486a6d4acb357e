#include "services/edge/closing.h"

#include "common/wire.h"
#include "router.pb-c.h"

#include <stdio.h>

#define REQUEST_MS 4000
#define RETRY_MS   500

struct closing {
	struct list link;
	struct edge *edge;
	struct timer retry;
	struct uuid account, session;
	int code;
	char reason[NET_CLOSE_REASON + 1];
};

static void tell(void *ctx);

static void on_reply(void *ctx, enum err err, struct bytes data)
{
	struct closing *closing = ctx;
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	const Router__RouterReply *reply;

	if (err == OK)
		message = wire_unpack(&router__router_reply__descriptor, data);
	reply = (const Router__RouterReply *)message;
	if (!reply || reply->error) {
		timer_set(closing->edge->loop, &closing->retry, RETRY_MS, tell, closing);
		return;
	}
	list_remove(&closing->link);
	mem_free(closing);
}

static void tell(void *ctx)
{
	struct closing *closing = ctx;
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;
	Router__CloseSession close = ROUTER__CLOSE_SESSION__INIT;
	struct buf buf = { 0 };

	close.account = wire_bytes_of(&closing->account);
	close.session = wire_bytes_of(&closing->session);
	close.close_code = (uint32_t)closing->code;
	close.close_reason = closing->reason;
	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_CLOSE_SESSION;
	request.close_session = &close;
	bus_request(closing->edge->bus, "router", wire_pack(&buf, &request.base), REQUEST_MS,
	            on_reply, closing);
	buf_free(&buf);
}

void closing_start(struct edge *edge, const struct uuid *account, const struct uuid *session,
                   int code, const char *reason)
{
	struct closing *closing = xcalloc(1, sizeof *closing);

	closing->edge = edge;
	closing->account = *account;
	closing->session = *session;
	closing->code = code;
	(void)snprintf(closing->reason, sizeof closing->reason, "%s", reason);
	list_append(&edge->closings, &closing->link);
	tell(closing);
}

size_t closing_count(const struct edge *edge)
{
	size_t n = 0;

	LIST_EACH(link, &edge->closings)
	n++;
	return n;
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

	while ((link = list_first(&edge->closings)) != NULL) {
		struct closing *closing = LIST_OWNER(link, struct closing, link);

		timer_stop(edge->loop, &closing->retry);
		list_remove(link);
		mem_free(closing);
	}
}
