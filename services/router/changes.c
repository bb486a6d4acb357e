/* The commands that change a device model or its channels. See models.h. */
#include "services/router/ended.h"
#include "services/router/models.h"

#include "common/clock.h"
#include "common/log.h"
#include "services/router/model.h"
#include "services/router/view.h"

#include <sodium.h>
#include <string.h>

#define QUOTED_MAX 200 /* bytes of a name in a sentence */

/* One change on its way through run(). */
struct change {
	Events__ModelRow *row;
	uint32_t ended[1];
	size_t n_ended;
	char why[MODEL_WHY];
};

static uint64_t first_id_of(const struct command *command)
{
	uint64_t number;

	if (!models_op_number(command, &number))
		randombytes_buf(&number, sizeof number);
	return number & ((UINT64_C(1) << 61) - 1); /* with room for the others behind it */
}

/* 0, or the status of the refusal, with why. */
static unsigned make(const struct command *command, struct change *change)
{
	const Router__RouterRequest *request = command->request;
	unsigned status;

	switch (request->command_case) {
	case ROUTER__ROUTER_REQUEST__COMMAND_UPDATE_MODEL:
		return model_update(change->row, request->update_model, clock_wall_ms(),
		                    command->first_id, change->why);
	case ROUTER__ROUTER_REQUEST__COMMAND_ADD_CHANNEL:
		return model_add_channel(change->row, request->add_channel, clock_wall_ms(),
		                         command->first_id, change->why);
	case ROUTER__ROUTER_REQUEST__COMMAND_UPDATE_CHANNEL:
		return model_update_channel(change->row, request->update_channel, change->why);
	default:
		MUST(request->command_case == ROUTER__ROUTER_REQUEST__COMMAND_DELETE_CHANNEL);
		status = model_delete_channel(change->row, request->delete_channel->ch_id,
		                              &change->ended[0], change->why);
		change->n_ended = status == 0;
		return status;
	}
}

/* False: answered. Another model has the name. */
static bool name_is_free(struct router *router, struct command *command)
{
	const Router__UpdateModel *wanted = command->request->update_model;
	struct uuid holder;
	enum err err;

	if (command->request->command_case != ROUTER__ROUTER_REQUEST__COMMAND_UPDATE_MODEL ||
	    !wanted->name)
		return true;
	err = view_model_named(router->deps.store, &command->account, wanted->name, &holder);
	if (err == ERR_NOT_FOUND || (err == OK && uuid_equal(&holder, &command->id)))
		return true;
	if (err == OK)
		answer_error(router, command->call, 409, 0,
		             "name: a device model \"%.*s\" exists already",
		             text_cut(wanted->name, QUOTED_MAX), wanted->name);
	else
		answer_failure(router, command->call, err);
	return false;
}

static void append_change(struct command *command, struct change *change)
{
	Events__RouterEvent event = command_event(command);
	Events__ModelChanged changed = EVENTS__MODEL_CHANGED__INIT;

	change->row->model->updated_at = event.at_ms;
	changed.row = change->row;
	changed.n_ended_slots = change->n_ended;
	changed.ended_slots = change->ended;
	event.event_case = EVENTS__ROUTER_EVENT__EVENT_MODEL_CHANGED;
	event.model_changed = &changed;
	command_append(command, &event);
}

/* False: answered. */
static bool change_row(struct router *router, struct command *command, struct change *change)
{
	unsigned status = make(command, change);

	if (status == 0)
		return name_is_free(router, command);
	answer_error(router, command->call, status, 0, "%.*s",
	             text_cut(change->why, sizeof change->why), change->why);
	return false;
}

static void run_change(struct router *router, struct command *command)
{
	struct change change = { 0 };
	enum err err;

	if (answered_before(router, command)) {
		command_finish(command);
		return;
	}
	command->first_id = first_id_of(command);
	err = view_model(router->deps.store, &command->account, &command->id, &change.row);
	if (err != OK)
		models_refuse(router, command->call, err);
	else if (change_row(router, command, &change))
		append_change(command, &change);
	else
		err = ERR_DENIED;
	if (change.row)
		wire_free(&change.row->base);
	if (err != OK)
		command_finish(command);
}

/* May be lost: the next round of the reconciliation tells each edge again. */
static void tell_slots_ended(struct router *router, const struct command *command,
                             const Events__ModelChanged *changed)
{
	Events__RouterBroadcast broadcast = EVENTS__ROUTER_BROADCAST__INIT;
	Events__SlotsEnded ended = EVENTS__SLOTS_ENDED__INIT;
	struct buf buf = { 0 };

	ended_add(router->ended, &command->account, &command->id, changed->ended_slots,
	          changed->n_ended_slots);
	ended.account = wire_bytes_of(&command->account);
	ended.model = wire_bytes_of(&command->id);
	ended.n_slots = changed->n_ended_slots;
	ended.slots = changed->ended_slots;
	broadcast.slots_ended = &ended;
	if (bus_publish(router->deps.bus, "router.events", wire_pack(&buf, &broadcast.base)) != OK)
		log_warn("broadcast-failed", "why=\"%s\"", bus_why(router->deps.bus));
	buf_free(&buf);
}

static void done_change(struct router *router, struct command *command, enum err err)
{
	const Router__RouterRequest *request = command->request;
	const Events__ModelChanged *changed = command->event->model_changed;
	Router__RouterReply reply = ROUTER__ROUTER_REPLY__INIT;
	Raeh__Empty done = RAEH__EMPTY__INIT;

	if (err != OK) {
		answer_failure(router, command->call, err);
		return;
	}
	if (changed->n_ended_slots > 0)
		tell_slots_ended(router, command, changed);
	if (request->command_case == ROUTER__ROUTER_REQUEST__COMMAND_UPDATE_MODEL) {
		reply.result_case = ROUTER__ROUTER_REPLY__RESULT_MODEL;
		reply.model = changed->row->model;
	} else if (request->command_case == ROUTER__ROUTER_REQUEST__COMMAND_ADD_CHANNEL) {
		reply.result_case = ROUTER__ROUTER_REPLY__RESULT_CHANNEL;
		reply.channel = model_channel_numbered(changed->row, command->first_id);
	} else if (request->command_case == ROUTER__ROUTER_REQUEST__COMMAND_UPDATE_CHANNEL) {
		reply.result_case = ROUTER__ROUTER_REPLY__RESULT_CHANNEL;
		reply.channel = model_channel(changed->row, request->update_channel->ch_id);
	} else {
		reply.result_case = ROUTER__ROUTER_REPLY__RESULT_DONE;
		reply.done = &done;
	}
	answer_once(router, command, &reply);
}

static const struct command_ops change_ops = { run_change, done_change };

static void start(struct router *router, const struct asker *asker, struct bus_call *call,
                  Router__RouterRequest *request, const char *model)
{
	struct command *command;
	struct uuid id;

	if (models_may_write(router, asker, call)) {
		if (uuid_parse(model, &id)) {
			command = models_command(&change_ops, asker, call, request);
			command->id = id;
			command_start(router, command, models_gate(&asker->account));
			return;
		}
		models_refuse(router, call, ERR_NOT_FOUND);
	}
	wire_free(&request->base);
}

void on_update_model(struct router *router, const struct asker *asker, struct bus_call *call,
                     Router__RouterRequest *request)
{
	start(router, asker, call, request, request->update_model->id);
}

void on_add_channel(struct router *router, const struct asker *asker, struct bus_call *call,
                    Router__RouterRequest *request)
{
	start(router, asker, call, request, request->add_channel->id);
}

void on_update_channel(struct router *router, const struct asker *asker, struct bus_call *call,
                       Router__RouterRequest *request)
{
	start(router, asker, call, request, request->update_channel->id);
}

void on_delete_channel(struct router *router, const struct asker *asker, struct bus_call *call,
                       Router__RouterRequest *request)
{
	start(router, asker, call, request, request->delete_channel->id);
}
