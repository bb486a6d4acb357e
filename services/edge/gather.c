#include "services/edge/gather.h"

#include "auth.pb-c.h"
#include "common/wire.h"
#include "edge.pb-c.h"
#include "publisher.pb-c.h"
#include "router.pb-c.h"
#include "services/edge/control.h"
#include "services/edge/problem.h"

#include <stdio.h>
#include <string.h>

struct gathering {
	struct list link;
	struct edge *edge;
	struct conn *conn; /* NULL: gone */
	struct buf text;
	unsigned pending, silent;
};

static void conclude(struct gathering *gathering)
{
	char last[128];
	int len = snprintf(last, sizeof last,
	                   "# HELP raeh_processes_silent processes that did not answer\n"
	                   "# TYPE raeh_processes_silent gauge\nraeh_processes_silent %u\n",
	                   gathering->silent);

	buf_append(&gathering->text, last, (size_t)len);
	if (gathering->conn)
		net_respond(gathering->conn, 200,
		            HTTP_HEADERS "Content-Type: text/plain; version=0.0.4\r\n",
		            BYTES(gathering->text.data, gathering->text.len));
	list_remove(&gathering->link);
	buf_free(&gathering->text);
	mem_free(gathering);
}

/* One process has said something, or nothing. */
static void take(struct gathering *gathering, const char *text)
{
	if (text)
		buf_append(&gathering->text, text, strlen(text));
	else
		gathering->silent++;
	if (--gathering->pending == 0)
		conclude(gathering);
}

static void on_auth(void *ctx, enum err err, struct bytes data)
{
	AUTO(wire_free)
	ProtobufCMessage *message =
	        err == OK ? wire_unpack(&auth__auth_reply__descriptor, data) : NULL;
	const Auth__AuthReply *reply = (const Auth__AuthReply *)message;
	bool told = reply && reply->result_case == AUTH__AUTH_REPLY__RESULT_METRICS;

	take(ctx, told ? reply->metrics->text : NULL);
}

static void on_router(void *ctx, enum err err, struct bytes data)
{
	AUTO(wire_free)
	ProtobufCMessage *message =
	        err == OK ? wire_unpack(&router__router_reply__descriptor, data) : NULL;
	const Router__RouterReply *reply = (const Router__RouterReply *)message;
	bool told = reply && reply->result_case == ROUTER__ROUTER_REPLY__RESULT_METRICS;

	take(ctx, told ? reply->metrics->text : NULL);
}

static void on_publisher(void *ctx, enum err err, struct bytes data)
{
	AUTO(wire_free)
	ProtobufCMessage *message =
	        err == OK ? wire_unpack(&publisher__publisher_reply__descriptor, data) : NULL;
	const Publisher__PublisherReply *reply = (const Publisher__PublisherReply *)message;
	bool told = reply && reply->result_case == PUBLISHER__PUBLISHER_REPLY__RESULT_METRICS;

	take(ctx, told ? reply->metrics->text : NULL);
}

static void on_edge(void *ctx, enum err err, struct bytes data)
{
	AUTO(wire_free)
	ProtobufCMessage *message =
	        err == OK ? wire_unpack(&edge__edge_reply__descriptor, data) : NULL;
	const Edge__EdgeReply *reply = (const Edge__EdgeReply *)message;

	take(ctx, reply ? reply->metrics : NULL);
}

static void ask(struct gathering *gathering, const char *name, const ProtobufCMessage *request,
                bus_reply_fn *fn)
{
	struct buf buf = { 0 };

	gathering->pending++;
	bus_request(gathering->edge->bus, name, wire_pack(&buf, request), GATHER_MS, fn, gathering);
	buf_free(&buf);
}

static void ask_many(struct gathering *gathering)
{
	struct edge *edge = gathering->edge;
	Raeh__Empty empty = RAEH__EMPTY__INIT;
	Publisher__PublisherRequest publisher = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Edge__EdgeRequest other = EDGE__EDGE_REQUEST__INIT;
	char name[BUS_NAME_MAX];

	publisher.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_METRICS;
	publisher.metrics = &empty;
	for (unsigned i = 0; i < edge->settings.publishers; i++) {
		(void)snprintf(name, sizeof name, "publisher-%u", i);
		ask(gathering, name, &publisher.base, on_publisher);
	}
	other.command_case = EDGE__EDGE_REQUEST__COMMAND_METRICS;
	other.metrics = &empty;
	for (unsigned i = 0; i < edge->settings.edges; i++) {
		if (i == edge->settings.slot)
			continue;
		(void)snprintf(name, sizeof name, "edge-%u", i);
		ask(gathering, name, &other.base, on_edge);
	}
}

void gather_metrics(struct edge *edge, struct conn *conn)
{
	struct gathering *gathering = xcalloc(1, sizeof *gathering);
	Raeh__Empty empty = RAEH__EMPTY__INIT;
	Auth__AuthRequest auth = AUTH__AUTH_REQUEST__INIT;
	Router__RouterRequest router = ROUTER__ROUTER_REQUEST__INIT;

	gathering->edge = edge;
	gathering->conn = conn;
	list_append(&edge->gatherings, &gathering->link);
	control_metrics(edge, &gathering->text);
	auth.command_case = AUTH__AUTH_REQUEST__COMMAND_METRICS;
	auth.metrics = &empty;
	ask(gathering, "auth", &auth.base, on_auth);
	router.command_case = ROUTER__ROUTER_REQUEST__COMMAND_METRICS;
	router.metrics = &empty;
	ask(gathering, "router", &router.base, on_router);
	ask_many(gathering);
}

void gather_gone(struct edge *edge, struct conn *conn)
{
	LIST_EACH(link, &edge->gatherings)
	{
		struct gathering *gathering = LIST_OWNER(link, struct gathering, link);

		if (gathering->conn == conn)
			gathering->conn = NULL;
	}
}

void gather_free_all(struct edge *edge)
{
	struct list *link;

	while ((link = list_first(&edge->gatherings)) != NULL) {
		struct gathering *gathering = LIST_OWNER(link, struct gathering, link);

		list_remove(link);
		buf_free(&gathering->text);
		mem_free(gathering);
	}
}
