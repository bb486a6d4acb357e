#include "services/router/router.h"

#include "common/clock.h"
#include "common/layout.h"
#include "common/log.h"
#include "services/router/audit.h"
#include "services/router/core.h"
#include "services/router/devices.h"
#include "services/router/ended.h"
#include "services/router/model_cache.h"
#include "services/router/models.h"
#include "services/router/reconcile.h"
#include "services/router/sessions.h"
#include "services/router/view.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- journal ---- */

static void on_event(void *ctx, uint64_t seq, struct bytes event, struct store_batch *batch)
{
	struct router *router = ctx;
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&events__router_event__descriptor, event);

	MUST(message != NULL); /* we wrote it; the disk has checksums of its own */
	model_cache_note(router->models, (Events__RouterEvent *)message);
	view_apply(router->deps.store, (Events__RouterEvent *)message, batch);
	audit_apply(&audit_of_router, message, seq, batch);
}

/* ---- who asks ---- */

/* False: answered. */
static bool admit(struct router *router, struct bus_call *call, const Raeh__Principal *principal,
                  uint32_t scope, struct asker *ret)
{
	if (principal_check(principal, router->secret, &ret->account) != OK ||
	    (principal->has_expires_ms && principal->expires_ms <= clock_wall_ms())) {
		answer_error(router, call, 401, 4001, "the API key is missing or not valid");
		return false;
	}
	if (!(principal->scopes & scope)) {
		answer_error(router, call, 403, 4001, "the API key lacks the scope \"%s\"",
		             scope_name(scope));
		return false;
	}
	/* Who is named in the journal; principal_check() has asked for a key. */
	if (!principal->has_user || !wire_id(principal->user, &ret->key))
		MUST(wire_id(principal->key, &ret->key));
	ret->scopes = principal->scopes;
	ret->device_id = principal->device_id;
	return true;
}

/* ---- commands ---- */

static void on_metrics(struct router *router, const struct asker *asker, struct bus_call *call,
                       Router__RouterRequest *request)
{
	Router__RouterReply reply = ROUTER__ROUTER_REPLY__INIT;
	Raeh__Text text = RAEH__TEXT__INIT;
	struct buf buf = { 0 };

	(void)asker;
	router->metrics.commands_in_flight = commands_count(router->commands);
	router->metrics.closings_in_flight = reconcile_closings(router->reconcile);
	metrics_text("router", "router", router_metric, ARRAY_LEN(router_metric), &router->metrics,
	             &buf);
	buf_append(&buf, "", 1);
	text.text = (char *)buf.data;
	reply.result_case = ROUTER__ROUTER_REPLY__RESULT_METRICS;
	reply.metrics = &text;
	answer(call, &reply);
	buf_free(&buf);
	wire_free(&request->base);
}

/* Every command that the router understands; scope 0: no principal is asked for. */
static const struct {
	router_fn *fn;
	uint32_t scope;
} table[] = {
	[ROUTER__ROUTER_REQUEST__COMMAND_OPEN_SESSION] = {on_open_session,    SCOPE_INGEST},
	[ROUTER__ROUTER_REQUEST__COMMAND_CLOSE_SESSION] = { on_close_session,  0           },
	[ROUTER__ROUTER_REQUEST__COMMAND_CREATE_MODEL] = { on_create_model,   SCOPE_WRITE },
	[ROUTER__ROUTER_REQUEST__COMMAND_GET_MODEL] = { on_get_model,      SCOPE_READ  },
	[ROUTER__ROUTER_REQUEST__COMMAND_LIST_MODELS] = { on_list_models,    SCOPE_READ  },
	[ROUTER__ROUTER_REQUEST__COMMAND_DELETE_MODEL] = { on_delete_model,   SCOPE_WRITE },
	[ROUTER__ROUTER_REQUEST__COMMAND_UPDATE_MODEL] = { on_update_model,   SCOPE_WRITE },
	[ROUTER__ROUTER_REQUEST__COMMAND_LIST_CHANNELS] = { on_list_channels,  SCOPE_READ  },
	[ROUTER__ROUTER_REQUEST__COMMAND_ADD_CHANNEL] = { on_add_channel,    SCOPE_WRITE },
	[ROUTER__ROUTER_REQUEST__COMMAND_UPDATE_CHANNEL] = { on_update_channel, SCOPE_WRITE },
	[ROUTER__ROUTER_REQUEST__COMMAND_DELETE_CHANNEL] = { on_delete_channel, SCOPE_WRITE },
	[ROUTER__ROUTER_REQUEST__COMMAND_LIST_SESSIONS] = { on_list_sessions,  SCOPE_READ  },
	[ROUTER__ROUTER_REQUEST__COMMAND_LIST_DEVICES] = { on_list_devices,   SCOPE_READ  },
	[ROUTER__ROUTER_REQUEST__COMMAND_GET_DEVICE] = { on_get_device,     SCOPE_READ  },
	[ROUTER__ROUTER_REQUEST__COMMAND_DELETE_DEVICE] = { on_delete_device,  SCOPE_WRITE },
	[ROUTER__ROUTER_REQUEST__COMMAND_ERASE_ACCOUNT] = { on_erase_account,  0           },
	[ROUTER__ROUTER_REQUEST__COMMAND_METRICS] = { on_metrics,        0           },
	[ROUTER__ROUTER_REQUEST__COMMAND_LIST_AUDIT] = { on_list_audit,     SCOPE_KEYS  },
};

/* ---- commands that their client has named ---- */

static void append_kept(void *self, const Raeh__Kept *kept, once_appended_fn *fn, void *ctx)
{
	struct router *router = self;
	Events__RouterEvent event = EVENTS__ROUTER_EVENT__INIT;
	struct buf buf = { 0 };
	struct bytes packed;

	event.at_ms = clock_wall_ms();
	event.account = kept->account;
	event.event_case = EVENTS__ROUTER_EVENT__EVENT_KEPT;
	event.kept = (Raeh__Kept *)kept;
	packed = wire_pack(&buf, &event.base);
	journal_append(router->journal, &packed, 1, fn, ctx);
	buf_free(&buf);
}

/* The same name and body make the same op_id, also after a restart: see models_op_number(). */
static void put_op_id(Router__RouterRequest *request, const struct asker *asker)
{
	const Raeh__Once *once = request->once;
	uint8_t op_id[sizeof(struct uuid)];
	crypto_generichash_state state;

	(void)crypto_generichash_init(&state, NULL, 0, sizeof op_id);
	(void)crypto_generichash_update(&state, asker->key.byte, sizeof asker->key.byte);
	(void)crypto_generichash_update(&state, once->body.data, once->body.len);
	(void)crypto_generichash_update(&state, once->name.data, once->name.len);
	(void)crypto_generichash_final(&state, op_id, sizeof op_id);
	mem_free(request->op_id.data);
	request->op_id = (ProtobufCBinaryData){ sizeof op_id, xmemdup(op_id, sizeof op_id) };
	request->has_op_id = 1;
}

/* again: once has looked at it. */
static void handle(struct router *router, struct bus_call *call, struct bytes bytes, bool again)
{
	Router__RouterRequest *request =
	        (Router__RouterRequest *)wire_unpack(&router__router_request__descriptor, bytes);
	struct asker asker = { 0 };
	size_t n = request ? request->command_case : 0;

	if (!request || n >= ARRAY_LEN(table) || !table[n].fn) {
		answer_error(router, call, 400, 0, "expected a command of the router");
	} else if (!table[n].scope ||
	           admit(router, call, request->principal, table[n].scope, &asker)) {
		if (!request->once || !table[n].scope || again) {
			if (request->once)
				put_op_id(request, &asker);
			table[n].fn(router, &asker, call, request);
			return;
		}
		once_call(router->once, call, bytes,
		          &(struct once_asker){ asker.account, asker.key }, request->once,
		          BYTES(request->op_id.data, request->op_id.len));
	}
	if (request)
		wire_free(&request->base);
}

static void run_once(void *self, struct bus_call *call, struct bytes bytes)
{
	handle(self, call, bytes, true);
}

static void on_call(void *ctx, struct bus_call *call, struct bytes bytes)
{
	struct router *router = ctx;

	router->metrics.requests_total++;
	handle(router, call, bytes, false);
}

/* ---- life ---- */

/* Subscribers find the channel before there is anything to tell. */
static enum err make_channel(struct bus *bus)
{
	const Events__RouterBroadcast nothing = EVENTS__ROUTER_BROADCAST__INIT;
	struct buf buf = { 0 };
	enum err err = bus_publish(bus, "router.events", wire_pack(&buf, &nothing.base));

	buf_free(&buf);
	return err;
}

/* What a process before this one wrote and had not synced is durable now: it may be shown. */
static void on_first_sync(void *ctx)
{
	struct router *router = ctx;
	enum err err = bus_serve(router->deps.bus, "router", 1, on_call, router);

	if (err == OK)
		return;
	log_error("serve-failed", "err=%s why=\"%s\"", err_name(err), bus_why(router->deps.bus));
	_exit(EXIT_FAILURE);
}

/* Its edge may not have heard which slots of its model have ended. */
static void add_ended(struct router *router, const struct view_held *held,
                      const Events__SessionRow *session)
{
	const Events__ModelRow *row;
	struct uuid model;

	MUST(uuid_parse(session->session->device_model_id, &model)); /* we wrote it */
	if (model_cache_get(router->models, &held->account, &model, &row) == OK)
		ended_add_missing(router->ended, &held->account, row);
}

static bool count_open(void *ctx, const struct view_held *held)
{
	struct router *router = ctx;
	Events__SessionRow *row;

	if (view_session(router->deps.store, &held->account, &held->session, &row) == OK) {
		router->metrics.sessions_open += !row->has_close_code;
		add_ended(router, held, row);
		wire_free(&row->base);
	}
	return true;
}

enum err router_new(const struct router_deps *deps, struct router **ret)
{
	AUTO(router_free) struct router *router = xcalloc(1, sizeof *router);
	enum err err;

	MUST(deps->publishers >= 1 && deps->publishers <= ROUTER_MAX_PUBLISHERS);
	router->deps = *deps;
	memcpy(router->secret, deps->secret, sizeof router->secret);
	router->deps.secret = router->secret;
	router->commands = commands_new();
	router->ended = ended_new();
	router->answers = answers_new();
	router->models = model_cache_new(deps->store);
	router->journal = journal_open(deps->store, deps->loop, on_event, router);
	router->once = once_new(&(struct once_deps){
	        .loop = deps->loop,
	        .store = deps->store,
	        .reply = &router__router_reply__descriptor,
	        .repeatable = true,
	        .append = append_kept,
	        .run = run_once,
	        .service = router,
	});
	err = layout_upgrade(deps->store, VIEW_LAYOUT, view_fill);
	if (err == OK)
		err = view_all_held(deps->store, count_open, router);
	if (err == OK)
		err = audit_fill(&audit_of_router, deps->store, router->journal);
	if (err == OK)
		err = make_channel(deps->bus);
	if (err != OK)
		return err;
	router->reconcile = reconcile_new(router);
	router->erasings = erasings_new(router);
	if (!router->erasings)
		return ERR_IO;
	store_sync(deps->store, on_first_sync, router);
	*ret = TAKE(router);
	return OK;
}

void router_free(struct router *router)
{
	if (!router)
		return;
	store_forget(router->deps.store, router);
	once_stop(router->once);
	journal_close(router->journal);
	model_cache_free(router->models);
	erasings_free(router->erasings);
	commands_free(router->commands);
	reconcile_free(router->reconcile);
	answers_free(router->answers);
	ended_free(router->ended);
	once_free(router->once);
	sodium_memzero(router->secret, sizeof router->secret);
	mem_free(router);
}

void router_set_faults(struct router *router, int64_t delay_ms, unsigned conflict_every)
{
	journal_set_faults(router->journal, delay_ms, conflict_every);
}
