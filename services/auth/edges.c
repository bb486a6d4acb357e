#include "services/auth/edges.h"

#include "common/clock.h"
#include "services/auth/deliver.h"
#include "services/auth/revoke.h"

#include <string.h>

/* ---- the view ---- */

static void on_over(void *self, struct edge *edge)
{
	struct auth *auth = self;
	char incarnation[UUID_TEXT];

	uuid_text(&edge->incarnation, incarnation);
	log_warn("lease-over", "slot=%u incarnation=%s", edge->slot, incarnation);
	edge_over(auth->revokes, edge);
}

void lease_check(struct auth *auth)
{
	leases_expire(&auth->leases, clock_boot_ms(), on_over, auth);
}

/* Outside apply(), because a revoke that waited for it may be settled now. */
static void reap(void *self)
{
	struct auth *auth = self;
	struct edge *edge = TAILQ_FIRST(&auth->leases.edges);

	while (edge) {
		struct edge *next = TAILQ_NEXT(edge, link);

		if (edge->ended) {
			edge_over(auth->revokes, edge);
			leases_remove(&auth->leases, edge);
		}
		edge = next;
	}
}

static bool incarnation_of(const Events__EdgeRow *row, struct uuid *ret)
{
	return wire_id(row->incarnation, ret);
}

void edge_registered_applied(struct auth *auth, const Events__EdgeRow *row)
{
	struct uuid incarnation;

	MUST(incarnation_of(row, &incarnation));
	if (leases_find(&auth->leases, row->slot, &incarnation))
		return; /* its registration arrived twice */
	edge_joined(auth->revokes, leases_add(&auth->leases, row->slot, &incarnation, row->lease_ms,
	                                      clock_boot_ms() + row->lease_ms));
}

void edge_gone_applied(struct auth *auth, const Events__EdgeRow *row, int64_t at_ms)
{
	struct uuid incarnation;
	struct edge *edge;

	MUST(incarnation_of(row, &incarnation));
	leases_bury(&auth->leases, row->slot, &incarnation, at_ms);
	edge = leases_find(&auth->leases, row->slot, &incarnation);
	if (!edge)
		return;
	edge->ended = true;
	timer_set(auth->loop, &auth->reap, 0, reap, auth);
}

/* ---- answers ---- */

static void answer_lease(struct bus_call *call, const Auth__LeaseReply *reply)
{
	struct buf buf = { 0 };

	bus_reply(call, wire_pack(&buf, &reply->base));
	buf_free(&buf);
}

static void refuse_lease(struct auth *auth, struct bus_call *call, const struct refusal *why)
{
	Auth__LeaseReply reply = AUTH__LEASE_REPLY__INIT;
	Raeh__Error error = RAEH__ERROR__INIT;

	error.status = why->status;
	error.detail = (char *)why->detail;
	error.has_retry_after_s = why->retry_after_s != 0;
	error.retry_after_s = why->retry_after_s;
	reply.error = &error;
	reply.newest = notices_newest(auth->revokes);
	answer_lease(call, &reply);
}

/* The lease runs from here on. */
static void grant(struct auth *auth, struct edge *edge, struct bus_call *call)
{
	Auth__LeaseReply reply = AUTH__LEASE_REPLY__INIT;

	reply.has_lease_ms = true;
	reply.lease_ms = (uint32_t)lease_extend(edge, clock_boot_ms(), auth->deps.lease_ms);
	reply.newest = notices_newest(auth->revokes);
	auth->metrics.leases_extended_total++;
	answer_lease(call, &reply);
}

static void refuse_command(struct command *command, const struct refusal *why)
{
	refuse_lease(command->auth, TAKE(command->call), why);
	command_finish(command, BYTES(NULL, 0), false);
}

/* ---- events of edges ---- */

struct edge_event {
	Events__AuthEvent event;
	Events__EdgeRow row;
};

static Events__AuthEvent *fill_event(struct edge_event *one, Events__AuthEvent__EventCase kind,
                                     uint32_t slot, const struct uuid *incarnation,
                                     int64_t lease_ms)
{
	events__auth_event__init(&one->event);
	events__edge_row__init(&one->row);
	one->row.slot = slot;
	one->row.incarnation = wire_bytes_of(incarnation);
	one->row.lease_ms = (uint32_t)lease_ms;
	one->event.event_case = kind;
	one->event.edge_registered = &one->row; /* the members of the union are one pointer */
	return &one->event;
}

struct edge_list {
	size_t n;
	struct edge_event *one;
	Events__AuthEvent **event;
};

static struct edge_list edge_list_new(const struct auth *auth)
{
	size_t most = auth->leases.n + 1;

	return (struct edge_list){ 0, xcalloc(most, sizeof(struct edge_event)),
		                   xcalloc(most, sizeof(Events__AuthEvent *)) };
}

static void edge_list_free(struct edge_list *list)
{
	mem_free(list->one);
	mem_free(list->event);
}

static void add_gone(struct edge_list *list, const struct edge *edge)
{
	list->event[list->n] = fill_event(&list->one[list->n], EVENTS__AUTH_EVENT__EVENT_EDGE_GONE,
	                                  edge->slot, &edge->incarnation, edge->longest_ms);
	list->n++;
}

/* ---- Register ---- */

static const Auth__LeaseRequest *request_of(const struct command *command,
                                            struct uuid *ret_incarnation)
{
	const Auth__LeaseRequest *request = (const Auth__LeaseRequest *)command->request;

	MUST(wire_id(request->incarnation, ret_incarnation));
	return request;
}

static void register_append(struct command *command, const Auth__LeaseRequest *request,
                            const struct uuid *incarnation, bool is_known)
{
	struct auth *auth = command->auth;
	struct edge_list list = edge_list_new(auth);
	struct edge *edge;

	if (request->register_edge->holds_slot_lock)
		TAILQ_FOREACH(edge, &auth->leases.edges, link)
	if (!edge->ended && edge->slot == request->slot &&
	    !uuid_equal(&edge->incarnation, incarnation))
		add_gone(&list, edge);
	if (!is_known) {
		list.event[list.n] =
		        fill_event(&list.one[list.n], EVENTS__AUTH_EVENT__EVENT_EDGE_REGISTERED,
		                   request->slot, incarnation, auth->deps.lease_ms);
		list.n++;
	}
	if (list.n > 0) {
		command_append(command, list.event, list.n);
	} else {
		grant(auth, leases_find(&auth->leases, request->slot, incarnation),
		      TAKE(command->call));
		command_finish(command, BYTES(NULL, 0), false);
	}
	edge_list_free(&list);
}

static void register_execute(struct command *command)
{
	struct auth *auth = command->auth;
	struct uuid incarnation;
	const Auth__LeaseRequest *request = request_of(command, &incarnation);
	struct edge *edge = leases_find(&auth->leases, request->slot, &incarnation);
	struct refusal why;

	if (leases_is_buried(&auth->leases, &incarnation)) {
		why = refusal(409, "this incarnation of the edge was ended: go on under a new one");
		command_refuse(command, &why);
	} else if (edge && !edge->committed) {
		command_park(command); /* the first copy of this request is being committed */
	} else if (!edge && auth->leases.n >= EDGES_MOST) {
		why = REFUSAL_AWAY("too many edges are registered");
		command_refuse(command, &why);
	} else {
		register_append(command, request, &incarnation, edge != NULL);
	}
}

static void register_committed(struct command *command)
{
	struct auth *auth = command->auth;
	struct uuid incarnation;
	const Auth__LeaseRequest *request = request_of(command, &incarnation);
	struct edge *edge = leases_find(&auth->leases, request->slot, &incarnation);
	struct refusal why = refusal(409, "this incarnation of the edge was ended meanwhile");
	char text[UUID_TEXT];

	if (!edge) {
		command_refuse(command, &why);
		return;
	}
	uuid_text(&incarnation, text);
	log_info("edge-registered", "slot=%u incarnation=%s lock=%d", request->slot, text,
	         request->register_edge->holds_slot_lock);
	edge->committed = true;
	grant(auth, edge, TAKE(command->call));
	command_finish(command, BYTES(NULL, 0), false);
}

static const struct command_kind register_kind = {
	.execute = register_execute,
	.committed = register_committed,
	.refuse = refuse_command,
};

/* ---- Renew ---- */

static void on_renew(struct auth *auth, struct bus_call *call, const Auth__LeaseRequest *request,
                     const struct uuid *incarnation)
{
	struct edge *edge = leases_find(&auth->leases, request->slot, incarnation);
	uint64_t applied = request->renew->applied, newest = notices_newest(auth->revokes);
	Auth__LeaseReply reply = AUTH__LEASE_REPLY__INIT;
	struct refusal why;

	/* Below the floor there is a gap that cannot be filled; above the newest it knows what
	 * this auth does not. Either way it begins anew. */
	if (!edge || !edge->committed || applied < notices_floor(auth->revokes) ||
	    applied > newest) {
		why = refusal(409, "not registered: register again");
		refuse_lease(auth, call, &why);
		return;
	}
	lease_check(auth);
	edge_applied(auth->revokes, edge, applied);
	if (edge->in_air == 0) /* else the answer under way brings the counts */
		edge_discharged(auth->revokes, edge, 0, NULL, 0);
	if (applied == newest) {
		grant(auth, edge, call);
		return;
	}
	auth->metrics.leases_behind_total++;
	reply.newest = newest;
	reply.n_notices = notices_after(auth->revokes, applied, &reply.notices);
	answer_lease(call, &reply);
	mem_free(reply.notices);
}

/* ---- Deregister ---- */

static void deregister_execute(struct command *command)
{
	struct auth *auth = command->auth;
	struct uuid incarnation;
	const Auth__LeaseRequest *request = request_of(command, &incarnation);
	struct edge *edge = leases_find(&auth->leases, request->slot, &incarnation);
	struct edge_list list = edge_list_new(auth);

	if (edge) {
		add_gone(&list, edge);
		command_append(command, list.event, list.n);
	} else {
		command->kind->committed(command);
	}
	edge_list_free(&list);
}

static void deregister_committed(struct command *command)
{
	Auth__LeaseReply reply = AUTH__LEASE_REPLY__INIT;

	reply.newest = notices_newest(command->auth->revokes);
	answer_lease(TAKE(command->call), &reply);
	command_finish(command, BYTES(NULL, 0), false);
}

static const struct command_kind deregister_kind = {
	.execute = deregister_execute,
	.committed = deregister_committed,
	.refuse = refuse_command,
};

/* ---- the name auth.lease ---- */

static void begin(struct auth *auth, const struct command_kind *kind, struct bus_call *call,
                  ProtobufCMessage *request)
{
	struct command *command = command_new(auth, kind, NULL, call, wire_copy(request));

	if (command)
		kind->execute(command);
}

void on_lease_call(void *self, struct bus_call *call, struct bytes bytes)
{
	struct auth *auth = self;
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&auth__lease_request__descriptor, bytes);
	const Auth__LeaseRequest *request = (const Auth__LeaseRequest *)message;
	struct refusal why = refusal(400, "expected a LeaseRequest with a command");
	struct uuid incarnation;

	if (request && wire_id(request->incarnation, &incarnation)) {
		switch (request->command_case) {
		case AUTH__LEASE_REQUEST__COMMAND_REGISTER_EDGE:
			begin(auth, &register_kind, call, message);
			return;
		case AUTH__LEASE_REQUEST__COMMAND_RENEW:
			on_renew(auth, call, request, &incarnation);
			return;
		case AUTH__LEASE_REQUEST__COMMAND_DEREGISTER:
			begin(auth, &deregister_kind, call, message);
			return;
		default:
			break;
		}
	}
	auth->metrics.malformed_total++;
	refuse_lease(auth, call, &why);
}

/* ---- start and housekeeping ---- */

static enum err load_edges(struct auth *auth)
{
	AUTO(scan_close) struct store_scan *scan = rows_scan_own(auth->store, ROWS_EDGES);
	struct bytes key, value;

	while (scan_next(scan, &key, &value)) {
		AUTO(wire_free)
		ProtobufCMessage *message = wire_unpack(&events__edge_row__descriptor, value);
		const Events__EdgeRow *row = (const Events__EdgeRow *)message;
		struct uuid incarnation;

		if (!row || !incarnation_of(row, &incarnation))
			return ERR_MALFORMED;
		leases_add(&auth->leases, row->slot, &incarnation, row->lease_ms,
		           clock_boot_ms() + row->lease_ms)
		        ->committed = true;
	}
	return scan_err(scan);
}

static enum err load_graves(struct auth *auth)
{
	AUTO(scan_close) struct store_scan *scan = rows_scan_own(auth->store, ROWS_GONE);
	struct bytes key, value;

	while (scan_next(scan, &key, &value)) {
		struct uuid incarnation;
		uint32_t slot;

		if (value.len != 8 || !rows_edge_of_key(key, &slot, &incarnation))
			return ERR_MALFORMED;
		leases_bury(&auth->leases, slot, &incarnation, (int64_t)key_read_u64(value.data));
	}
	return scan_err(scan);
}

enum err edges_load(struct auth *auth)
{
	enum err err = load_edges(auth);

	return err == OK ? load_graves(auth) : err;
}

static void on_swept(void *self, enum err err)
{
	(void)self;
	if (err != OK) /* the next sweep tries again */
		log_warn("sweep-failed", "err=%s", err_name(err));
}

static void end_the_away(struct auth *auth)
{
	struct edge_list list = edge_list_new(auth);
	struct edge *edge;

	TAILQ_FOREACH(edge, &auth->leases.edges, link)
	if (!edge->live && !edge->ended && clock_boot_ms() - edge->until_ms > EDGE_AWAY_MS)
		add_gone(&list, edge);
	if (list.n > 0)
		core_append(auth, list.event, list.n, on_swept, auth);
	edge_list_free(&list);
}

void edges_sweep(struct auth *auth)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();
	struct uuid incarnation;
	uint32_t slot;

	end_the_away(auth);
	while (leases_exhume(&auth->leases, clock_wall_ms() - GRAVE_MS, &slot, &incarnation))
		rows_delete_gone(batch, slot, &incarnation);
	if (batch_bytes(batch) > 0 && store_write(auth->store, batch) != OK)
		log_warn("sweep-failed", "why=\"%s\"", store_why(auth->store));
}
