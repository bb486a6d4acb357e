#include "services/auth/deliver.h"

#include "common/clock.h"
#include "services/auth/edges.h"
#include "services/auth/spread.h"

#include <stdio.h>

struct delivery {
	TAILQ_ENTRY(delivery) link;
	struct auth *auth;
	uint32_t slot;
	struct uuid incarnation;
	uint64_t first; /* number of the first notice in the request */
};

static bool lacks_some(const struct auth *auth, const struct edge *edge)
{
	return edge->live && !edge->ended && edge->discharged < auth->notices.newest;
}

static void on_delivered(void *self, enum err err, struct bytes bytes);

static void send_to(struct auth *auth, struct edge *edge)
{
	struct delivery *delivery = xcalloc(1, sizeof *delivery);
	Auth__Notices notices = AUTH__NOTICES__INIT;
	Edge__EdgeRequest request = EDGE__EDGE_REQUEST__INIT;
	char name[BUS_NAME_MAX];
	struct buf buf = { 0 };

	*delivery = (struct delivery){ .auth = auth,
		                       .slot = edge->slot,
		                       .incarnation = edge->incarnation };
	notices.n_notices = notices_after(&auth->notices, edge->discharged, &notices.notices);
	MUST(notices.n_notices > 0);
	delivery->first = notices.notices[0]->number;
	request.incarnation = wire_bytes_of(&edge->incarnation);
	request.command_case = EDGE__EDGE_REQUEST__COMMAND_APPLY_NOTICES;
	request.apply_notices = &notices;
	(void)snprintf(name, sizeof name, "edge-%u", edge->slot);
	TAILQ_INSERT_TAIL(&auth->deliveries, delivery, link);
	edge->in_air++;
	bus_request(auth->bus, name, wire_pack(&buf, &request.base), DELIVER_DEADLINE_MS,
	            on_delivered, delivery);
	buf_free(&buf);
	mem_free(notices.notices);
}

/* True when it says something about notices. */
static bool take_answer(struct auth *auth, struct edge *edge, uint64_t first, struct bytes bytes)
{
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&edge__edge_reply__descriptor, bytes);
	const Edge__EdgeReply *reply = (const Edge__EdgeReply *)message;

	if (!reply || reply->error || !reply->has_applied)
		return false;
	edge_applied(auth, edge, reply->applied);
	edge_discharged(auth, edge, first, reply->closed, reply->n_closed);
	return true;
}

static void on_delivered(void *self, enum err err, struct bytes bytes)
{
	struct delivery *delivery = self;
	struct auth *auth = delivery->auth;
	uint64_t first = delivery->first, before;
	struct edge *edge = leases_find(&auth->leases, delivery->slot, &delivery->incarnation);

	TAILQ_REMOVE(&auth->deliveries, delivery, link);
	mem_free(delivery);
	if (!edge)
		return;
	edge->in_air--;
	before = edge->discharged;
	if (err != OK || !take_answer(auth, edge, first, bytes))
		edge_discharged(auth, edge, 0, NULL, 0); /* by Renew, without counts */
	if (edge->discharged > before && lacks_some(auth, edge))
		send_to(auth, edge);
}

static void on_tick(void *self)
{
	deliver_notices(self);
}

void deliver_notices(struct auth *auth)
{
	int64_t now_ms = clock_boot_ms(), delay_ms = DELIVER_TICK_MS;
	bool some_lack = false;
	struct edge *edge;

	lease_check(auth);
	TAILQ_FOREACH(edge, &auth->leases.edges, link)
	{
		if (!lacks_some(auth, edge))
			continue;
		some_lack = true;
		if (edge->until_ms - now_ms < delay_ms)
			delay_ms = edge->until_ms - now_ms;
		if (edge->in_air < DELIVER_IN_AIR)
			send_to(auth, edge);
	}
	if (some_lack)
		timer_set(auth->loop, &auth->deliver_tick, delay_ms, on_tick, auth);
}

void deliver_broadcast(struct auth *auth, uint64_t after)
{
	Auth__Notices message = AUTH__NOTICES__INIT;
	struct buf buf = { 0 };

	message.n_notices = notices_after(&auth->notices, after, &message.notices);
	if (message.n_notices > 0 &&
	    bus_publish(auth->bus, "auth.notices", wire_pack(&buf, &message.base)) != OK)
		log_warn("broadcast-failed", "why=\"%s\"", bus_why(auth->bus));
	buf_free(&buf);
	mem_free(message.notices);
}

void deliver_done(struct auth *auth)
{
	struct delivery *delivery;

	while ((delivery = TAILQ_FIRST(&auth->deliveries))) {
		TAILQ_REMOVE(&auth->deliveries, delivery, link);
		mem_free(delivery);
	}
	timer_stop(auth->loop, &auth->deliver_tick);
}
