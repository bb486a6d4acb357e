#include "services/auth/edges.h"

#include "common/clock.h"
#include "common/token.h"
#include "services/auth/deliver.h"
#include "services/auth/spread.h"

#include <string.h>

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
	reply.newest = auth->notices.newest;
	answer_lease(call, &reply);
}

/* The lease runs from here on. */
static void grant(struct auth *auth, struct edge *edge, struct bus_call *call)
{
	Auth__LeaseReply reply = AUTH__LEASE_REPLY__INIT;
	uint8_t token_key[TOKEN_KEY_BYTES];

	reply.has_lease_ms = true;
	reply.lease_ms = (uint32_t)lease_extend(edge, clock_boot_ms(), auth->deps.lease_ms);
	reply.newest = auth->notices.newest;
	auth->metrics.leases_extended_total++;
	token_key_of(auth->deps.token_seed, token_key);
	reply.has_token_key = true;
	reply.token_key = wire_bytes(BYTES(token_key, sizeof token_key));
	answer_lease(call, &reply);
}

static void refuse_command(struct command *command, const struct refusal *why)
{
	refuse_lease(command->auth, TAKE(command->call), why);
	auth_command_finish(command, BYTES(NULL, 0), false);
}

/* ---- Register ---- */

static const Auth__LeaseRequest *request_of(const struct command *command,
                                            struct uuid *ret_incarnation)
{
	const Auth__LeaseRequest *request = (const Auth__LeaseRequest *)command->request;

	MUST(wire_id(request->incarnation, ret_incarnation));
	return request;
}

/* Only what makes an incarnation known ends those before it, and only those that are older: so
 * that a late copy of a dead edge's registration cannot end the lease of its living successor. */
static void register_append(struct command *command, const Auth__LeaseRequest *request,
                            const struct uuid *incarnation)
{
	struct auth *auth = command->auth;
	struct edge_list list = edge_list_new(auth);
	struct edge *edge;

	if (request->register_edge->holds_slot_lock)
		TAILQ_FOREACH(edge, &auth->leases.edges, link)
	if (!edge->ended && edge->slot == request->slot &&
	    uuid_ms(&edge->incarnation) < uuid_ms(incarnation))
		edge_list_gone(&list, edge);
	edge_list_registered(&list, request->slot, incarnation, auth->deps.lease_ms);
	auth_command_append(command, list.event, list.n);
	edge_list_free(&list);
}

static void register_execute(struct command *command)
{
	struct auth *auth = command->auth;
	struct uuid incarnation;
	const Auth__LeaseRequest *request = request_of(command, &incarnation);
	struct edge *edge = leases_find(&auth->leases, request->slot, &incarnation);
	struct refusal why = REFUSAL_AWAY("too many edges are registered");

	if (edge && edge->committed) {
		grant(auth, edge, TAKE(command->call));
		auth_command_finish(command, BYTES(NULL, 0), false);
	} else if (edge) {
		command_park(command); /* the first copy of this request is being committed */
	} else if (auth->leases.n >= EDGES_MOST) {
		command_refuse(command, &why);
	} else {
		register_append(command, request, &incarnation);
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
	auth_command_finish(command, BYTES(NULL, 0), false);
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
	uint64_t applied = request->renew->applied, newest = auth->notices.newest;
	Auth__LeaseReply reply = AUTH__LEASE_REPLY__INIT;
	struct refusal why;

	/* Below the floor there is a gap that cannot be filled; above the newest it knows what
	 * this auth does not. Either way it begins anew. */
	if (!edge || !edge->committed || applied < auth->notices.floor || applied > newest) {
		why = refusal(409, "not registered: register again");
		refuse_lease(auth, call, &why);
		return;
	}
	lease_check(auth);
	edge_applied(auth, edge, applied);
	if (edge->in_air == 0) /* else the answer under way brings the counts */
		edge_discharged(auth, edge, 0, NULL, 0);
	if (applied == newest) {
		grant(auth, edge, call);
		return;
	}
	auth->metrics.leases_behind_total++;
	reply.newest = newest;
	reply.n_notices = notices_after(&auth->notices, applied, &reply.notices);
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
		edge_list_gone(&list, edge);
		auth_command_append(command, list.event, list.n);
	} else {
		command->kind->committed(command);
	}
	edge_list_free(&list);
}

static void deregister_committed(struct command *command)
{
	Auth__LeaseReply reply = AUTH__LEASE_REPLY__INIT;

	reply.newest = command->auth->notices.newest;
	answer_lease(TAKE(command->call), &reply);
	auth_command_finish(command, BYTES(NULL, 0), false);
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
	struct command *command = auth_command_new(auth, kind, NULL, call, wire_copy(request));

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
