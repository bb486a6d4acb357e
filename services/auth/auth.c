#include "services/auth/auth.h"

#include "common/clock.h"
#include "common/layout.h"
#include "services/auth/change.h"
#include "services/auth/audit.h"
#include "services/auth/commands.h"
#include "services/auth/deliver.h"
#include "services/auth/edges.h"
#include "services/auth/hours.h"
#include "services/auth/group.h"
#include "services/auth/impact.h"
#include "services/auth/revoke.h"
#include "services/auth/token_mint.h"
#include "services/auth/user.h"
#include "services/auth/verify.h"

#include <sodium.h>
#include <string.h>

#define HOUSEKEEPING_MS 10000

typedef void handler_fn(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request);

/* ---- asked without a principal, by our own processes ---- */

static void on_verify(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request)
{
	verify_wanted(auth, call, request->verify->credential);
	sodium_memzero(request->verify->credential, strlen(request->verify->credential));
}

static void on_keys_used(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request)
{
	keys_used_wanted(auth, call, request->keys_used);
}

static void on_live_edges(struct auth *auth, struct bus_call *call,
                          const Auth__AuthRequest *request)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Auth__LiveEdges live = AUTH__LIVE_EDGES__INIT;
	Auth__LiveEdge *rows = xcalloc(auth->leases.n, sizeof *rows);
	struct edge *edge;

	(void)request;
	lease_check(auth);
	live.edges = xcalloc(auth->leases.n, sizeof(Auth__LiveEdge *));
	TAILQ_FOREACH(edge, &auth->leases.edges, link)
	{
		Auth__LiveEdge *row = &rows[live.n_edges];

		if (!edge->live || edge->ended)
			continue;
		auth__live_edge__init(row);
		row->slot = edge->slot;
		row->incarnation = wire_bytes_of(&edge->incarnation);
		live.edges[live.n_edges++] = row;
	}
	reply.result_case = AUTH__AUTH_REPLY__RESULT_LIVE_EDGES;
	reply.live_edges = &live;
	core_answer(auth, call, &reply);
	mem_free(live.edges);
	mem_free(rows);
}

void answer_metrics(struct auth *auth, struct bus_call *call)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Raeh__Text text = RAEH__TEXT__INIT;
	struct buf buf = { 0 };

	lease_check(auth);
	auth->metrics.edges_live = leases_live(&auth->leases);
	metrics_text("auth", auth->deps.process, auth_metric, ARRAY_LEN(auth_metric),
	             &auth->metrics, &buf);
	buf_append(&buf, "", 1);
	text.text = (char *)buf.data;
	reply.result_case = AUTH__AUTH_REPLY__RESULT_METRICS;
	reply.metrics = &text;
	core_answer(auth, call, &reply);
	buf_free(&buf);
}

static void on_metrics(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request)
{
	(void)request;
	answer_metrics(auth, call);
}

/* ---- asked by a key that lives and has the scope keys ---- */

static bool may_manage_keys(struct auth *auth, struct bus_call *call,
                            const Auth__AuthRequest *request, struct caller *ret)
{
	enum err err = core_caller(auth, request->principal, ret);
	struct refusal why;

	if (err == OK && (ret->scopes & SCOPE_KEYS))
		return true;
	why = err == OK ? refusal(403, "the API key lacks the scope keys")
	                : refusal_of(err, refusal_unauthorized());
	core_refuse(auth, call, &why);
	return false;
}

static void on_mint_key(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request)
{
	struct caller caller;

	if (may_manage_keys(auth, call, request, &caller))
		mint_wanted(auth, call, &caller, request->op_id, request->mint_key);
}

/* Any key may; what it may give, token_wanted() knows. */
static void on_mint_token(struct auth *auth, struct bus_call *call,
                          const Auth__AuthRequest *request)
{
	token_wanted(auth, call, request->principal, request->mint_token);
}

static void on_list_keys(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request)
{
	struct caller caller;

	if (may_manage_keys(auth, call, request, &caller))
		list_wanted(auth, call, &caller.account, request->list_keys);
}

static void on_get_key(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request)
{
	struct caller caller;

	if (may_manage_keys(auth, call, request, &caller))
		get_wanted(auth, call, &caller.account, request->get_key->id);
}

static void on_audit_reads(struct auth *auth, struct bus_call *call,
                           const Auth__AuthRequest *request)
{
	reads_wanted(auth, call, request->audit_reads);
}

static void on_list_audit(struct auth *auth, struct bus_call *call,
                          const Auth__AuthRequest *request)
{
	struct caller caller;

	if (may_manage_keys(auth, call, request, &caller))
		audit_wanted(auth, call, &caller.account, request->list_audit);
}

static void on_list_usage(struct auth *auth, struct bus_call *call,
                          const Auth__AuthRequest *request)
{
	struct caller caller;

	if (may_manage_keys(auth, call, request, &caller))
		hours_wanted(auth, call, &caller.account, request->list_usage);
}

static void on_patch_key(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request)
{
	struct caller caller;

	if (may_manage_keys(auth, call, request, &caller))
		patch_wanted(auth, call, &caller, request->op_id, request->patch_key);
}

static void on_rotate_key(struct auth *auth, struct bus_call *call,
                          const Auth__AuthRequest *request)
{
	struct caller caller;

	if (may_manage_keys(auth, call, request, &caller))
		rotate_wanted(auth, call, &caller, request->op_id, request->rotate_key);
}

static void on_revoke_key(struct auth *auth, struct bus_call *call,
                          const Auth__AuthRequest *request)
{
	struct caller caller;

	if (may_manage_keys(auth, call, request, &caller))
		revoke_key_wanted(auth, call, &caller, &caller.account, request->revoke_key);
}

static void on_revoke_keys(struct auth *auth, struct bus_call *call,
                           const Auth__AuthRequest *request)
{
	struct caller caller;

	if (may_manage_keys(auth, call, request, &caller))
		revoke_keys_wanted(auth, call, &caller, request->revoke_keys);
}

static void on_key_impact(struct auth *auth, struct bus_call *call,
                          const Auth__AuthRequest *request)
{
	struct caller caller;

	if (may_manage_keys(auth, call, request, &caller))
		impact_wanted(auth, call, &caller.account, request->key_impact->id);
}

/* Every command of the name auth, by its number in proto/auth.proto. */
static handler_fn *const handlers[] = {
	[AUTH__AUTH_REQUEST__COMMAND_VERIFY] = on_verify,
	[AUTH__AUTH_REQUEST__COMMAND_MINT_KEY] = on_mint_key,
	[AUTH__AUTH_REQUEST__COMMAND_LIST_KEYS] = on_list_keys,
	[AUTH__AUTH_REQUEST__COMMAND_REVOKE_KEY] = on_revoke_key,
	[AUTH__AUTH_REQUEST__COMMAND_GET_KEY] = on_get_key,
	[AUTH__AUTH_REQUEST__COMMAND_KEYS_USED] = on_keys_used,
	[AUTH__AUTH_REQUEST__COMMAND_LIVE_EDGES] = on_live_edges,
	[AUTH__AUTH_REQUEST__COMMAND_METRICS] = on_metrics,
	[AUTH__AUTH_REQUEST__COMMAND_SIGN_UP] = on_sign_up,
	[AUTH__AUTH_REQUEST__COMMAND_LOG_IN] = on_log_in,
	[AUTH__AUTH_REQUEST__COMMAND_LOG_OUT] = on_log_out,
	[AUTH__AUTH_REQUEST__COMMAND_GET_ME] = on_get_me,
	[AUTH__AUTH_REQUEST__COMMAND_SIGN_UP_STATE] = on_sign_up_state,
	[AUTH__AUTH_REQUEST__COMMAND_CHANGE_PASSWORD] = on_change_password,
	[AUTH__AUTH_REQUEST__COMMAND_LIST_USERS] = on_list_users,
	[AUTH__AUTH_REQUEST__COMMAND_DELETE_USER] = on_delete_user,
	[AUTH__AUTH_REQUEST__COMMAND_CREATE_INVITE] = on_create_invite,
	[AUTH__AUTH_REQUEST__COMMAND_LIST_INVITES] = on_list_invites,
	[AUTH__AUTH_REQUEST__COMMAND_DELETE_INVITE] = on_delete_invite,
	[AUTH__AUTH_REQUEST__COMMAND_ACCEPT_INVITE] = on_accept_invite,
	[AUTH__AUTH_REQUEST__COMMAND_DELETE_ACCOUNT] = on_delete_account,
	[AUTH__AUTH_REQUEST__COMMAND_PATCH_KEY] = on_patch_key,
	[AUTH__AUTH_REQUEST__COMMAND_ROTATE_KEY] = on_rotate_key,
	[AUTH__AUTH_REQUEST__COMMAND_MINT_TOKEN] = on_mint_token,
	[AUTH__AUTH_REQUEST__COMMAND_REVOKE_KEYS] = on_revoke_keys,
	[AUTH__AUTH_REQUEST__COMMAND_KEY_IMPACT] = on_key_impact,
	[AUTH__AUTH_REQUEST__COMMAND_LIST_AUDIT] = on_list_audit,
	[AUTH__AUTH_REQUEST__COMMAND_AUDIT_READS] = on_audit_reads,
	[AUTH__AUTH_REQUEST__COMMAND_LIST_USAGE] = on_list_usage,
};

/* ---- commands that their client has named ---- */

static void append_kept(void *self, const Raeh__Kept *kept, once_appended_fn *fn, void *ctx)
{
	Events__AuthEvent event = EVENTS__AUTH_EVENT__INIT, *events[] = { &event };

	event.event_case = EVENTS__AUTH_EVENT__EVENT_KEPT;
	event.kept = (Raeh__Kept *)kept;
	core_append(self, events, 1, fn, ctx);
}

static void call_once(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request,
                      struct bytes bytes)
{
	struct caller caller;
	enum err err = core_caller(auth, request->principal, &caller);
	struct refusal why;

	if (err != OK) {
		why = refusal_of(err, refusal_unauthorized());
		core_refuse(auth, call, &why);
		return;
	}
	once_call(auth->once, call, bytes, &(struct once_asker){ caller.account, caller.key },
	          request->once, BYTES(request->op_id.data, request->op_id.len));
}

/* again: once has looked at it. */
static void handle(struct auth *auth, struct bus_call *call, struct bytes bytes, bool again)
{
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&auth__auth_request__descriptor, bytes);
	const Auth__AuthRequest *request = (const Auth__AuthRequest *)message;
	struct refusal why = refusal(400, "expected an AuthRequest with a command");

	if (!request || request->command_case >= ARRAY_LEN(handlers) ||
	    !handlers[request->command_case]) {
		auth->metrics.malformed_total++;
		core_refuse(auth, call, &why);
	} else if (request->once && request->principal && !again) { /* else: sign_up_name() */
		call_once(auth, call, request, bytes);
	} else {
		auth->origin = request->origin;
		handlers[request->command_case](auth, call, request);
		auth->origin = NULL;
	}
}

static void run_once(void *self, struct bus_call *call, struct bytes bytes)
{
	handle(self, call, bytes, true);
}

void on_auth_call(void *self, struct bus_call *call, struct bytes bytes)
{
	handle(self, call, bytes, false);
}

/* ---- the view ---- */

static void apply(void *self, uint64_t seq, struct bytes bytes, struct store_batch *view)
{
	struct auth *auth = self;
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&events__auth_event__descriptor, bytes);
	const Events__AuthEvent *event = (const Events__AuthEvent *)message;

	MUST(event != NULL);
	rows_apply(event, bytes, view);
	audit_apply(&audit_of_auth, message, seq, view);
	if (!auth->loaded)
		return;
	if (event->event_case == EVENTS__AUTH_EVENT__EVENT_KEY_REVOKED)
		revokes_applied(auth->revokes, event->key_revoked->notice);
	else if (event->event_case == EVENTS__AUTH_EVENT__EVENT_KEY_CHANGED &&
	         event->key_changed->notice)
		revokes_applied(auth->revokes, event->key_changed->notice->number);
	else if (event->event_case == EVENTS__AUTH_EVENT__EVENT_EDGE_REGISTERED)
		edge_registered_applied(auth, event->edge_registered);
	else if (event->event_case == EVENTS__AUTH_EVENT__EVENT_EDGE_GONE)
		edge_gone_applied(auth, event->edge_gone);
}

/* ---- life ---- */

/* What every live edge has heard, and no revoke waits for. */
static void trim_notices(struct auth *auth)
{
	uint64_t through = auth->notices.newest;
	struct edge *edge;

	TAILQ_FOREACH(edge, &auth->leases.edges, link)
	if (edge->live && edge->discharged < through)
		through = edge->discharged;
	notices_trim(&auth->notices, auth->store, through);
}

static void on_housekeeping(void *self)
{
	struct auth *auth = self;

	lease_check(auth);
	if (usage_flush(auth->usage) != OK)
		log_warn("usage-not-flushed", "why=\"%s\"", store_why(auth->store));
	ops_expire(auth->ops);
	shares_tidy(auth->shares, clock_boot_ms());
	hours_tidy(auth->store);
	trim_notices(auth);
	edges_sweep(auth);
	timer_set(auth->loop, &auth->housekeeping, HOUSEKEEPING_MS, on_housekeeping, auth);
}

static enum err load(struct auth *auth)
{
	enum err err = layout_upgrade(auth->store, ROWS_LAYOUT, rows_fill);

	if (err == OK)
		err = edges_load(auth);
	auth->loaded = true;
	if (err == OK)
		err = notices_load(&auth->notices, auth->store, auth->deps.bus_secret);
	if (err == OK)
		err = revokes_load(auth->revokes);
	if (err == OK)
		err = users_load(auth);
	return err == OK ? audit_fill(&audit_of_auth, auth->store, auth->journal) : err;
}

static enum err serve(struct auth *auth)
{
	/* Says nothing, but makes the channel: edges subscribe to it before the first revoke. */
	Auth__Notices none = AUTH__NOTICES__INIT;
	struct buf buf = { 0 };
	enum err err = bus_publish(auth->bus, "auth.notices", wire_pack(&buf, &none.base));

	buf_free(&buf);
	if (err == OK)
		err = bus_serve(auth->bus, "auth.lease", 0, on_lease_call, auth);

	if (err == OK)
		err = bus_serve(auth->bus, "auth", 1, on_auth_call, auth);
	if (err == OK)
		err = bus_serve(auth->bus, "auth.admin", 1, on_admin_call, auth);
	return err;
}

enum err auth_new(const struct auth_deps *deps, struct auth **ret)
{
	AUTO(auth_free) struct auth *auth = xcalloc(1, sizeof *auth);
	enum err err;

	MUST(deps->lease_ms >= LEASE_MS_LEAST && deps->lease_ms <= LEASE_MS_MOST);
	auth->deps = *deps;
	auth->loop = deps->loop;
	auth->bus = deps->bus;
	auth->store = deps->store;
	core_start(auth);
	leases_start(&auth->leases);
	auth->revokes = revokes_new(auth);
	auth->ops = ops_new();
	auth->usage = usage_new(auth->store);
	auth->once = once_new(&(struct once_deps){
	        .loop = auth->loop,
	        .store = auth->store,
	        .reply = &auth__auth_reply__descriptor,
	        .append = append_kept,
	        .run = run_once,
	        .service = auth,
	});
	auth->shares = shares_new();
	auth->users = users_new();
	auth->journal = journal_open(auth->store, auth->loop, apply, auth);
	err = load(auth);
	if (err != OK) {
		log_error("view-unreadable", "err=%s why=\"%s\"", err_name(err),
		          store_why(auth->store));
		return ERR_UNAVAILABLE;
	}
	err = serve(auth);
	if (err != OK) {
		log_error("not-served", "err=%s why=\"%s\"", err_name(err), bus_why(auth->bus));
		return ERR_UNAVAILABLE;
	}
	deliver_notices(auth);
	timer_set(auth->loop, &auth->housekeeping, HOUSEKEEPING_MS, on_housekeeping, auth);
	*ret = TAKE(auth);
	return OK;
}

void auth_free(struct auth *auth)
{
	if (!auth)
		return;
	timer_stop(auth->loop, &auth->housekeeping);
	timer_stop(auth->loop, &auth->reap);
	once_stop(auth->once);
	deliver_done(auth);
	journal_close(TAKE(auth->journal));
	if (auth->loaded && usage_flush(auth->usage) != OK)
		log_warn("usage-not-flushed", "why=\"%s\"", store_why(auth->store));
	lists_done(auth);
	hours_done(auth);
	core_done(auth);
	logins_stop(auth);
	closings_stop(auth);
	revokes_free(auth->revokes);
	groups_done(auth);
	impacts_done(auth);
	ops_free(auth->ops);
	once_free(auth->once);
	usage_free(auth->usage);
	shares_free(auth->shares);
	users_free(auth->users);
	leases_done(&auth->leases);
	notices_done(&auth->notices);
	sodium_memzero(&auth->deps, sizeof auth->deps);
	mem_free(auth);
}

struct journal *auth_journal(struct auth *auth)
{
	return auth->journal;
}
