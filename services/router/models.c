#include "services/router/models.h"

#include "common/clock.h"
#include "services/router/model.h"
#include "services/router/sessions.h"
#include "services/router/view.h"

#include <sodium.h>
#include <string.h>

#define QUOTED_MAX     200                /* bytes of a name in a sentence */
#define LIST_MAX_BYTES (3u * 1024 * 1024) /* of models in one answer, below BUS_MAX_BYTES */

static void refuse_unknown(struct router *router, struct bus_call *call)
{
	answer_error(router, call, 404, 0, "no such device model");
}

void models_refuse(struct router *router, struct bus_call *call, enum err err)
{
	if (err == ERR_NOT_FOUND)
		refuse_unknown(router, call);
	else
		answer_failure(router, call, err);
}

static Router__RouterReply model_reply(Router__DeviceModel *model)
{
	Router__RouterReply reply = ROUTER__ROUTER_REPLY__INIT;

	reply.result_case = ROUTER__ROUTER_REPLY__RESULT_MODEL;
	reply.model = model;
	return reply;
}

struct gate_key models_gate(const struct uuid *account)
{
	static const struct uuid nil;

	return gate_key_of('M', account, &nil, "");
}

/* ---- create ---- */

/* The id remembers the op_id, so that a repeat is known as one after a restart too. */
bool models_op_number(const struct command *command, uint64_t *ret)
{
	uint8_t text[sizeof(struct uuid) * 2];
	uint8_t hash[16];
	struct uuid op;

	if (!command->request->has_op_id || !wire_id(command->request->op_id, &op))
		return false;
	memcpy(text, &command->account, sizeof op);
	memcpy(text + sizeof op, &op, sizeof op);
	(void)crypto_generichash(hash, sizeof hash, text, sizeof text, NULL, 0);
	memcpy(ret, hash, sizeof *ret);
	*ret &= (UINT64_C(1) << 62) - 1;
	return true;
}

/* The name is taken: by this command's first copy, or by another. */
static void answer_taken(struct router *router, struct command *command, const struct uuid *id)
{
	const char *name = command->request->create_model->name;
	Events__ModelRow *row;
	uint64_t number;
	enum err err;

	if (!models_op_number(command, &number) || uuid_number(id) != number) {
		answer_error(router, command->call, 409, 0,
		             "name: a device model \"%.*s\" exists already",
		             text_cut(name, QUOTED_MAX), name);
		return;
	}
	err = view_model(router->deps.store, &command->account, id, &row);
	if (err != OK) {
		models_refuse(router, command->call, err);
		return;
	}
	const Router__RouterReply reply = model_reply(row->model);

	answer_once(router, command, &reply);
	wire_free(&row->base);
}

static void append_model(struct command *command)
{
	Events__RouterEvent event = command_event(command);
	Events__ModelRow *row;
	uint64_t number;

	command->id = models_op_number(command, &number) ? uuid_numbered(event.at_ms, number)
	                                                 : uuid_new(event.at_ms);
	row = model_new(command->request->create_model, &command->id, event.at_ms);
	event.event_case = EVENTS__ROUTER_EVENT__EVENT_MODEL_CREATED;
	event.model_created = row;
	command_append(command, &event);
	wire_free(&row->base);
}

static void run_create(struct router *router, struct command *command)
{
	const char *name = command->request->create_model->name;
	struct uuid id;
	size_t count;
	enum err err;

	if (answered_before(router, command)) {
		command_finish(command);
		return;
	}
	err = view_model_named(router->deps.store, &command->account, name, &id);
	if (err == OK) {
		answer_taken(router, command, &id);
		command_finish(command);
		return;
	}
	if (err == ERR_NOT_FOUND)
		err = view_count_models(router->deps.store, &command->account, &count);
	if (err == OK && count < MODELS_MAX) {
		append_model(command);
		return;
	}
	if (err == OK)
		answer_error(router, command->call, 409, 0,
		             "an account holds at most %d device models", MODELS_MAX);
	else
		answer_failure(router, command->call, err);
	command_finish(command);
}

static void done_create(struct router *router, struct command *command, enum err err)
{
	if (err != OK) {
		answer_failure(router, command->call, err);
		return;
	}
	const Router__RouterReply reply = model_reply(command->event->model_created->model);

	answer_once(router, command, &reply);
}

static const struct command_ops create_ops = { run_create, done_create };

bool models_may_write(struct router *router, const struct asker *asker, struct bus_call *call)
{
	if (asker->device_id)
		answer_error(router, call, 403, 0, "the API key is bound to one device");
	return !asker->device_id;
}

struct command *models_command(const struct command_ops *ops, const struct asker *asker,
                               struct bus_call *call, Router__RouterRequest *request)
{
	struct command *command = command_new(ops, call, request);

	command->account = asker->account;
	command->by = asker->key;
	return command;
}

void on_create_model(struct router *router, const struct asker *asker, struct bus_call *call,
                     Router__RouterRequest *request)
{
	char why[MODEL_WHY];

	if (models_may_write(router, asker, call)) {
		if (model_check(request->create_model, why)) {
			command_start(router, models_command(&create_ops, asker, call, request),
			              models_gate(&asker->account));
			return;
		}
		answer_error(router, call, 400, 0, "%.*s", text_cut(why, sizeof why), why);
	}
	wire_free(&request->base);
}

/* ---- delete ---- */

static void run_delete(struct router *router, struct command *command)
{
	Events__RouterEvent event = command_event(command);
	Events__ModelDeleted deleted = EVENTS__MODEL_DELETED__INIT;
	Events__ModelRow *row = NULL;
	enum err err, used;

	if (answered_before(router, command)) {
		command_finish(command);
		return;
	}
	err = view_model(router->deps.store, &command->account, &command->id, &row);
	if (err != OK) {
		models_refuse(router, command->call, err);
		command_finish(command);
		return;
	}
	wire_free(&row->base);
	used = view_device(router->deps.store, &command->account, &command->id, NULL);
	if (used == OK || sessions_opening(router, &command->account, &command->id)) {
		answer_error(router, command->call, 409, 0, "a device refers to this device model");
		command_finish(command);
	} else if (used != ERR_NOT_FOUND) {
		answer_failure(router, command->call, used);
		command_finish(command);
	} else {
		deleted.id = wire_bytes_of(&command->id);
		event.event_case = EVENTS__ROUTER_EVENT__EVENT_MODEL_DELETED;
		event.model_deleted = &deleted;
		command_append(command, &event);
	}
}

static void done_delete(struct router *router, struct command *command, enum err err)
{
	Router__RouterReply reply = ROUTER__ROUTER_REPLY__INIT;
	Raeh__Empty done = RAEH__EMPTY__INIT;

	if (err != OK) {
		answer_failure(router, command->call, err);
		return;
	}
	reply.result_case = ROUTER__ROUTER_REPLY__RESULT_DONE;
	reply.done = &done;
	answer_once(router, command, &reply);
}

static const struct command_ops delete_ops = { run_delete, done_delete };

static bool is_deleting(const struct command *command, const void *ctx)
{
	const struct command *wanted = ctx;

	return command->ops == &delete_ops && uuid_equal(&command->account, &wanted->account) &&
	       uuid_equal(&command->id, &wanted->id);
}

bool models_deleting(struct router *router, const struct uuid *account, const struct uuid *model)
{
	const struct command wanted = { .account = *account, .id = *model };

	return commands_busy(router->commands, models_gate(account)) &&
	       commands_any(router->commands, is_deleting, &wanted);
}

void on_delete_model(struct router *router, const struct asker *asker, struct bus_call *call,
                     Router__RouterRequest *request)
{
	struct command *command;
	struct uuid id;

	if (models_may_write(router, asker, call)) {
		if (uuid_parse(request->delete_model->id, &id)) {
			command = models_command(&delete_ops, asker, call, request);
			command->id = id;
			command_start(router, command, models_gate(&asker->account));
			return;
		}
		refuse_unknown(router, call);
	}
	wire_free(&request->base);
}

/* ---- read ---- */

/* A key of one device sees the models that this device has connected with. */
static enum err visible(struct router *router, const struct asker *asker, const struct uuid *id)
{
	if (!asker->device_id)
		return OK;
	return view_device(router->deps.store, &asker->account, id, asker->device_id);
}

/* False: answered. */
static bool find_visible(struct router *router, const struct asker *asker, struct bus_call *call,
                         const char *model, Events__ModelRow **ret)
{
	struct uuid id;
	enum err err = uuid_parse(model, &id) ? OK : ERR_NOT_FOUND;

	if (err == OK)
		err = visible(router, asker, &id);
	if (err == OK)
		err = view_model(router->deps.store, &asker->account, &id, ret);
	if (err != OK)
		models_refuse(router, call, err);
	return err == OK;
}

void on_get_model(struct router *router, const struct asker *asker, struct bus_call *call,
                  Router__RouterRequest *request)
{
	Events__ModelRow *row;

	if (find_visible(router, asker, call, request->get_model->id, &row)) {
		const Router__RouterReply reply = model_reply(row->model);

		answer(call, &reply);
		wire_free(&row->base);
	}
	wire_free(&request->base);
}

void on_list_channels(struct router *router, const struct asker *asker, struct bus_call *call,
                      Router__RouterRequest *request)
{
	Router__RouterReply reply = ROUTER__ROUTER_REPLY__INIT;
	Router__ChannelList list = ROUTER__CHANNEL_LIST__INIT;
	Events__ModelRow *row;

	if (find_visible(router, asker, call, request->list_channels->id, &row)) {
		list.n_items = row->model->n_modality_channels;
		list.items = row->model->modality_channels;
		reply.result_case = ROUTER__ROUTER_REPLY__RESULT_CHANNELS;
		reply.channels = &list;
		answer(call, &reply);
		wire_free(&row->base);
	}
	wire_free(&request->base);
}

struct listing {
	struct router *router;
	const struct asker *asker;
	Router__DeviceModel *models[MODELS_MAX];
	size_t n, limit, bytes;
	bool is_cut; /* there is one more */
	enum err err;
};

static bool list_one(void *ctx, const Events__ModelRow *row)
{
	struct listing *listing = ctx;
	struct uuid id;

	MUST(uuid_parse(row->model->id, &id)); /* we wrote it */
	listing->err = visible(listing->router, listing->asker, &id);
	if (listing->err == ERR_NOT_FOUND) {
		listing->err = OK;
		return true;
	}
	listing->bytes += protobuf_c_message_get_packed_size(&row->model->base);
	listing->is_cut = listing->n == listing->limit || listing->bytes > LIST_MAX_BYTES;
	if (listing->err != OK || listing->is_cut)
		return false;
	listing->models[listing->n++] = (Router__DeviceModel *)wire_copy(&row->model->base);
	return true;
}

static void answer_models(struct bus_call *call, struct listing *listing)
{
	Router__RouterReply reply = ROUTER__ROUTER_REPLY__INIT;
	Router__ModelList list = ROUTER__MODEL_LIST__INIT;

	if (listing->is_cut)
		reply.next = listing->models[listing->n - 1]->id;
	list.n_items = listing->n;
	list.items = listing->models;
	reply.result_case = ROUTER__ROUTER_REPLY__RESULT_MODELS;
	reply.models = &list;
	answer(call, &reply);
}

void on_list_models(struct router *router, const struct asker *asker, struct bus_call *call,
                    Router__RouterRequest *request)
{
	const Router__ListModels *list = request->list_models;
	struct listing listing = { .router = router, .asker = asker, .limit = MODELS_MAX };
	struct uuid before;
	enum err err;

	if ((list->has_limit && list->limit == 0) ||
	    (list->cursor && !uuid_parse(list->cursor, &before))) {
		answer_error(router, call, 400, 0, "%s",
		             list->has_limit && list->limit == 0
		                     ? "limit: expected 1 or more, got 0"
		                     : ANSWER_BAD_CURSOR);
		wire_free(&request->base);
		return;
	}
	if (list->has_limit && list->limit < MODELS_MAX)
		listing.limit = list->limit;
	err = view_each_model(router->deps.store, &asker->account, list->cursor ? &before : NULL,
	                      list_one, &listing);
	if (err == OK)
		err = listing.err;
	if (err == OK)
		answer_models(call, &listing);
	else
		answer_failure(router, call, err);
	for (size_t i = 0; i < listing.n; i++)
		wire_free(&listing.models[i]->base);
	wire_free(&request->base);
}
