#include "services/edge/control.h"

#include "common/log.h"
#include "common/wire.h"
#include "edge.pb-c.h"
#include "events.pb-c.h"
#include "services/edge/closing.h"
#include "services/edge/ingest.h"
#include "services/edge/rest.h"

#include <stdio.h>

#define DEVICES_TOLD 256 /* of one key */

struct question {
	struct edge *edge;
	const Edge__EdgeRequest *request;
	Edge__EdgeReply *reply;
	/* what the reply points at until it is packed */
	Auth__SocketsClosed sockets;
	const char **devices;
	Auth__SocketsClosed *closed_items;
	Auth__SocketsClosed **closed;
	struct uuid *ids;
	ProtobufCBinaryData *sessions;
	struct buf metrics;
	Raeh__Error error;
};

void control_notice(struct edge *edge, const Auth__Notice *notice)
{
	size_t place = notice->number % NOTICES_REMEMBERED;

	edge->closed_by[place].number = notice->number;
	edge->closed_by[place].counts = grants_apply(edge->grants, notice);
}

static Auth__SocketsClosed as_message(struct grant_counts counts)
{
	Auth__SocketsClosed message = AUTH__SOCKETS_CLOSED__INIT;

	message.ingest = counts.ingest;
	message.subscribe = counts.subscribe;
	return message;
}

static void on_apply_notices(struct question *question)
{
	struct edge *edge = question->edge;
	const Auth__Notices *notices = question->request->apply_notices;
	size_t n = notices->n_notices;

	lease_take_notices(edge->lease, notices->notices, n);
	question->closed_items = xcalloc(n, sizeof(Auth__SocketsClosed));
	question->closed = xcalloc(n, sizeof(Auth__SocketsClosed *));
	for (size_t i = 0; i < n; i++) {
		uint64_t number = notices->notices[i]->number;
		size_t place = number % NOTICES_REMEMBERED;
		struct grant_counts none = { 0 };

		question->closed_items[i] = as_message(edge->closed_by[place].number == number
		                                               ? edge->closed_by[place].counts
		                                               : none);
		question->closed[i] = &question->closed_items[i];
	}
	question->reply->n_closed = n;
	question->reply->closed = question->closed;
	question->reply->has_applied = 1;
	question->reply->applied = lease_applied(edge->lease);
}

static void on_sockets_of(struct question *question)
{
	struct uuid key;

	if (!wire_id(question->request->sockets_of->key, &key))
		return;
	question->sockets = as_message(grants_count(question->edge->grants, &key));
	question->reply->sockets = &question->sockets;
	question->devices = xcalloc(DEVICES_TOLD, sizeof(char *));
	question->reply->devices = (char **)question->devices;
	question->reply->n_devices =
	        ingest_devices(question->edge, &key, question->devices, DEVICES_TOLD);
}

static void end_slots(struct edge *edge, const Events__SlotsEnded *ended)
{
	struct uuid account, model;

	if (wire_id(ended->account, &account) && wire_id(ended->model, &model))
		ingest_slots_ended(edge, &account, &model, ended->slots, ended->n_slots);
}

static void on_open_sessions(struct question *question)
{
	struct edge *edge = question->edge;
	size_t most = uplinks_count(edge->uplinks) + closing_count(edge), n;

	for (size_t i = 0; i < question->request->n_slots_ended; i++)
		end_slots(edge, question->request->slots_ended[i]);
	/* All of them: what is left out, the router takes for lost, and closes. */
	question->ids = xcalloc(most, sizeof(struct uuid));
	n = uplinks_sessions(edge->uplinks, question->ids, most);
	n += closing_sessions(edge, question->ids + n, most - n);
	question->sessions = xcalloc(n, sizeof(ProtobufCBinaryData));
	for (size_t i = 0; i < n; i++)
		question->sessions[i] = wire_bytes_of(&question->ids[i]);
	question->reply->n_sessions = n;
	question->reply->sessions = question->sessions;
}

static void on_session_superseded(struct question *question)
{
	const Edge__SessionSuperseded *told = question->request->session_superseded;
	struct uuid session;

	if (wire_id(told->session, &session))
		ingest_end(question->edge, &session,
		           told->has_close_code ? (int)told->close_code : 4009,
		           told->close_reason ? told->close_reason : INGEST_SUPERSEDED);
}

static void on_metrics(struct question *question)
{
	control_metrics(question->edge, &question->metrics);
	buf_append(&question->metrics, "", 1);
	question->reply->metrics = (char *)question->metrics.data;
}

static void (*const handlers[])(struct question *) = {
	[EDGE__EDGE_REQUEST__COMMAND_APPLY_NOTICES] = on_apply_notices,
	[EDGE__EDGE_REQUEST__COMMAND_SOCKETS_OF] = on_sockets_of,
	[EDGE__EDGE_REQUEST__COMMAND_OPEN_SESSIONS] = on_open_sessions,
	[EDGE__EDGE_REQUEST__COMMAND_SESSION_SUPERSEDED] = on_session_superseded,
	[EDGE__EDGE_REQUEST__COMMAND_METRICS] = on_metrics,
};

static void refuse(struct question *question, unsigned status, const char *detail)
{
	raeh__error__init(&question->error);
	question->error.status = status;
	question->error.detail = (char *)detail;
	question->reply->error = &question->error;
}

/* Empty: meant for whoever holds the slot. */
static bool is_for_us(const struct edge *edge, ProtobufCBinaryData incarnation)
{
	struct uuid id;

	return incarnation.len == 0 ||
	       (wire_id(incarnation, &id) && uuid_equal(&id, &edge->incarnation));
}

static void on_call(void *ctx, struct bus_call *call, struct bytes data)
{
	struct edge *edge = ctx;
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&edge__edge_request__descriptor, data);
	const Edge__EdgeRequest *request = (const Edge__EdgeRequest *)message;
	Edge__EdgeReply reply = EDGE__EDGE_REPLY__INIT;
	struct question question = { .edge = edge, .request = request, .reply = &reply };
	struct buf buf = { 0 };
	size_t kind = request ? request->command_case : 0;

	if (!request || kind >= ARRAY_LEN(handlers) || !handlers[kind])
		refuse(&question, 400, "no such command");
	else if (!is_for_us(edge, request->incarnation))
		refuse(&question, 409, "another incarnation holds this slot");
	else
		handlers[kind](&question);
	bus_reply(call, wire_pack(&buf, &reply.base));
	buf_free(&buf);
	buf_free(&question.metrics);
	mem_free(question.devices);
	mem_free(question.closed_items);
	mem_free(question.closed);
	mem_free(question.sessions);
	mem_free(question.ids);
}

static void on_notices(void *ctx, struct bytes event)
{
	struct edge *edge = ctx;
	AUTO(wire_free) ProtobufCMessage *message = wire_unpack(&auth__notices__descriptor, event);
	const Auth__Notices *notices = (const Auth__Notices *)message;

	if (notices)
		lease_take_notices(edge->lease, notices->notices, notices->n_notices);
}

static void on_router_event(void *ctx, struct bytes event)
{
	struct edge *edge = ctx;
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&events__router_broadcast__descriptor, event);
	const Events__RouterBroadcast *broadcast = (const Events__RouterBroadcast *)message;
	struct uuid session;

	if (broadcast && broadcast->has_superseded_session &&
	    wire_id(broadcast->superseded_session, &session))
		ingest_superseded(edge, &session,
		                  broadcast->has_below_epoch ? broadcast->below_epoch : UINT64_MAX);
	if (broadcast && broadcast->slots_ended)
		end_slots(edge, broadcast->slots_ended);
}

static void refresh_gauges(struct edge *edge)
{
	struct edge_metrics *m = &edge->metrics;
	const struct uplink_counts *up = uplinks_counts(edge->uplinks);
	const struct feed_counts *feed = feed_counts(edge->feed);
	const struct limit_counts limits = limits_counts(edge->limits);

	m->limited_total = limits.refused;
	m->reads_lost_total = reads_lost(edge->reads);
	m->limited_addresses_total = limits.addresses_refused;
	m->limit_keys = limits.keys;
	m->limit_addresses = limits.addresses;
	m->use_reports_lost_total = limits.reports_lost;
	m->uplink_held_bytes = up->held_bytes;
	m->uplink_streams = uplinks_count(edge->uplinks);
	m->uplink_batches_total = up->batches;
	m->uplink_resent_total = up->resent;
	m->insights_total = feed->insights;
	m->feed_holes_total = feed->holes;
	m->feed_away_total = feed->away;
	m->closings_waiting = closing_count(edge);
	m->bus_unanswered = bus_unanswered();
	m->requests_under_way = rest_count(edge);
	m->lease_held = lease_held(edge->lease);
	m->notices_applied = lease_applied(edge->lease);
	if (edge->net) {
		const struct net_counts *net = net_counts(edge->net);

		m->net_websockets = net->open_websockets;
		m->net_turned_away_total = net->refused_full;
		m->net_queued_bytes = net->queued_bytes;
		m->net_gathered_bytes = net->gathered_bytes;
		m->net_protocol_errors_total = net->protocol_errors;
		m->net_peers_gone_total = net->peers_gone;
		m->net_bytes_in_total = net->bytes_in;
		m->net_bytes_out_total = net->bytes_out;
	}
}

void control_metrics(struct edge *edge, struct buf *ret)
{
	refresh_gauges(edge);
	metrics_text("edge", edge->process, edge_metric, ARRAY_LEN(edge_metric), &edge->metrics,
	             ret);
}

enum err control_start(struct edge *edge)
{
	char name[BUS_NAME_MAX];
	enum err err;

	(void)snprintf(name, sizeof name, "edge-%u", edge->settings.slot);
	err = bus_serve(edge->bus, name, 0, on_call, edge);
	if (err == OK)
		err = bus_subscribe(edge->bus, "auth.notices", 0, on_notices, edge);
	if (err == OK)
		err = bus_subscribe(edge->bus, "router.events", 1, on_router_event, edge);
	if (err != OK)
		log_error("bus", "err=%s why=\"%s\"", err_name(err), bus_why(edge->bus));
	return err;
}
