/* Opening a session, with takeover. See sessions.h. */
#include "services/router/sessions.h"

#include "common/apikey.h"
#include "common/clock.h"
#include "common/keys.h"
#include "common/log.h"
#include "services/router/model_cache.h"
#include "services/router/models.h"
#include "services/router/reconcile.h"
#include "services/router/view.h"

#include <string.h>

#define UNSETTLED_MOST 64
#define CLOCK_SKEW_MS  10000 /* between the clocks of two edges */

/* 4004: what the query of the socket names is not there. */
static void refuse_query(struct router *router, struct bus_call *call, const char *sentence)
{
	answer_error(router, call, 404, 4004, "%s", sentence);
}

static const char no_model[] = "device_model_id: no such device model";

/* C0, DEL and C1 (U+0080 - U+009F) of valid UTF-8. */
static bool is_printable(const char *text)
{
	const uint8_t *p = (const uint8_t *)text;

	for (; *p; p++)
		if (*p < 0x20 || *p == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0))
			return false;
	return true;
}

static Raeh__Slot slot_of(const Events__ModelRow *row, size_t i)
{
	const Router__ModalityChannel *channel = row->model->modality_channels[i];
	Raeh__Slot slot = RAEH__SLOT__INIT;

	slot.slot_id = row->slot_of_channel[i];
	slot.modality_channel_id = channel->id;
	slot.modality = channel->modality;
	slot.sample_rate_hz = channel->sample_rate_hz;
	slot.bit_depth = channel->bit_depth;
	slot.num_channels = channel->num_channels;
	return slot;
}

static void answer_opened(struct bus_call *call, const Events__SessionRow *session,
                          const Events__ModelRow *row)
{
	Router__RouterReply reply = ROUTER__ROUTER_REPLY__INIT;
	Router__SessionOpened opened = ROUTER__SESSION_OPENED__INIT;
	size_t n = row->model->n_modality_channels;
	Raeh__Slot *slots = xcalloc(n, sizeof *slots);
	Raeh__Slot **places = xcalloc(n, sizeof *places);

	for (size_t i = 0; i < n; i++) {
		slots[i] = slot_of(row, i);
		places[i] = &slots[i];
	}
	opened.partition = session->partition;
	opened.n_slots = n;
	opened.slots = places;
	opened.n_supersedes = session->n_supersedes;
	opened.supersedes = session->supersedes;
	opened.started_at = session->session->started_at;
	opened.has_epoch = session->has_epoch;
	opened.epoch = session->epoch;
	opened.n_spo2_calibration = row->model->n_spo2_calibration;
	opened.spo2_calibration = row->model->spo2_calibration;
	reply.result_case = ROUTER__ROUTER_REPLY__RESULT_SESSION_OPENED;
	reply.session_opened = &opened;
	answer(call, &reply);
	mem_free(places);
	mem_free(slots);
}

/* The first answer again, whether this is the first one or a repeat. */
void sessions_answer_opened(struct router *router, struct command *command,
                            const Events__SessionRow *session)
{
	const Events__ModelRow *row;
	enum err err = model_cache_get(router->models, &command->account, &command->model, &row);

	if (err == OK)
		answer_opened(command->call, session, row);
	else
		answer_failure(router, command->call, err);
}

static void answer_repeat(struct router *router, struct command *command,
                          const Events__SessionRow *session)
{
	const Router__OpenSession *open = command->request->open_session;
	char model[UUID_TEXT];

	uuid_text(&command->model, model);
	if (strcmp(session->session->device_model_id, model) != 0 ||
	    strcmp(session->session->device_id, open->device_id) != 0)
		answer_error(router, command->call, 409, 1013,
		             "this session id belongs to another device");
	else if (session->has_close_code && session->close_code == VIEW_SUPERSEDED)
		answer_error(router, command->call, 409, VIEW_SUPERSEDED, VIEW_SUPERSEDED_REASON);
	else if (session->has_close_code)
		answer_error(router, command->call, 409, 1013,
		             "this session is closed already: connect again");
	else
		sessions_answer_opened(router, command, session);
}

/* Sessions of a device that its publisher may still call open, the newest first. */
struct unsettled {
	struct uuid id[UNSETTLED_MOST];
	ProtobufCBinaryData field[UNSETTLED_MOST];
	size_t n;
};

static void append_session(struct command *command, struct unsettled *superseded)
{
	static char open_status[] = "open";
	const Router__OpenSession *open = command->request->open_session;
	Events__RouterEvent event = command_event(command);
	Events__SessionRow row = EVENTS__SESSION_ROW__INIT;
	Router__Session session = ROUTER__SESSION__INIT;
	char id[UUID_TEXT], model[UUID_TEXT];

	uuid_text(&command->id, id);
	uuid_text(&command->model, model);
	session.id = id;
	session.device_id = open->device_id;
	session.device_model_id = model;
	session.status = open_status;
	session.started_at = event.at_ms;
	row.account = wire_bytes_of(&command->account);
	row.id = wire_bytes_of(&command->id);
	row.session = &session;
	row.partition = partition_of(&command->account, &command->model, open->device_id);
	row.edge_slot = open->edge_slot;
	row.edge_incarnation = open->edge_incarnation;
	for (size_t i = 0; i < superseded->n; i++)
		superseded->field[i] = wire_bytes_of(&superseded->id[i]);
	row.n_supersedes = superseded->n;
	row.supersedes = superseded->field;
	event.event_case = EVENTS__ROUTER_EVENT__EVENT_SESSION_OPENED;
	event.session_opened = &row;
	command_append(command, &event);
}

/* False: answered. */
static bool check_model(struct router *router, struct command *command)
{
	const Router__OpenSession *open = command->request->open_session;
	const Events__ModelRow *row;
	enum err err = model_cache_get(router->models, &command->account, &command->model, &row);
	unsigned partition = partition_of(&command->account, &command->model, open->device_id);

	if (err != OK) {
		if (err == ERR_NOT_FOUND)
			refuse_query(router, command->call, no_model);
		else
			answer_failure(router, command->call, err);
		return false;
	}
	if (row->model->n_modality_channels == 0) {
		refuse_query(router, command->call,
		             "device_model_id: this device model has no modality channels");
	} else if (uuid_number(&command->id) % PARTITIONS != partition) {
		answer_error(router, command->call, 400, 1013,
		             "session: expected an id of partition %u, got %u", partition,
		             (unsigned)(uuid_number(&command->id) % PARTITIONS));
	} else if (view_erasing(router->deps.store, &command->account, open->device_id) !=
	           ERR_NOT_FOUND) {
		answer_error(router, command->call, 503, 1013,
		             "this device is being deleted: connect again later");
	} else if (models_deleting(router, &command->account, &command->model)) {
		answer_failure(router, command->call, ERR_UNAVAILABLE);
	} else {
		return true;
	}
	return false;
}

/* A request that was long under way must not take the device from a newer connection. Ids carry
 * the clock of the edge that made them: exact within one edge, roughly right between two. */
static bool is_late(const struct command *command, const Events__SessionRow *newest,
                    const struct uuid *newest_id)
{
	const ProtobufCBinaryData *edge = &command->request->open_session->edge_incarnation;
	bool same_edge = memcmp(newest->edge_incarnation.data, edge->data, edge->len) == 0;

	return uuid_ms(&command->id) + (same_edge ? 0 : CLOCK_SKEW_MS) < uuid_ms(newest_id);
}

static bool is_settled(struct router *router, const struct command *command, const struct uuid *id)
{
	Events__SessionRow *row;
	bool settled;

	if (view_session(router->deps.store, &command->account, id, &row) != OK)
		return false; /* to end one twice is harmless */
	settled = row->settled;
	wire_free(&row->base);
	return settled;
}

/* The newest, and those that it had to end when it opened: by induction that is every session
 * of the device that is not settled (UNSETTLED_MOST of them; the reconciliation has the rest). */
static void gather(struct router *router, const struct command *command,
                   const Events__SessionRow *newest, struct unsettled *ret)
{
	struct uuid id;

	ret->n = 0;
	if (!newest->settled)
		MUST(wire_id(newest->id, &ret->id[ret->n++])); /* we wrote it */
	for (size_t i = 0; i < newest->n_supersedes && ret->n < UNSETTLED_MOST; i++) {
		MUST(wire_id(newest->supersedes[i], &id));
		if (!is_settled(router, command, &id))
			ret->id[ret->n++] = id;
	}
}

/* ERR_CONFLICT: one that is newer is open. */
static enum err find_superseded(struct router *router, struct command *command,
                                struct unsettled *ret)
{
	struct store *store = router->deps.store;
	Events__SessionRow *row;
	struct uuid newest;
	enum err err = view_newest_session(store, &command->account, &command->model,
	                                   command->request->open_session->device_id, &newest);

	ret->n = 0;
	command->was_open = false;
	if (err == OK)
		err = view_session(store, &command->account, &newest, &row);
	if (err != OK)
		return err == ERR_NOT_FOUND ? OK : err;
	command->was_open = !row->has_close_code;
	gather(router, command, row, ret);
	if (command->was_open && is_late(command, row, &newest))
		err = ERR_CONFLICT;
	wire_free(&row->base);
	return err;
}

static void open_new(struct router *router, struct command *command)
{
	struct unsettled superseded;
	enum err err;

	if (!check_model(router, command)) {
		command_finish(command);
		return;
	}
	err = find_superseded(router, command, &superseded);
	if (err == OK) {
		append_session(command, &superseded);
		return;
	}
	if (err == ERR_CONFLICT)
		answer_error(router, command->call, 409, 1013,
		             "a newer connection of this device is open already");
	else
		answer_failure(router, command->call, err);
	command_finish(command);
}

static void run_open(struct router *router, struct command *command)
{
	Events__SessionRow *row;
	enum err err = view_session(router->deps.store, &command->account, &command->id, &row);

	if (err == ERR_NOT_FOUND) {
		open_new(router, command);
		return;
	}
	if (err == OK) {
		answer_repeat(router, command, row);
		wire_free(&row->base);
	} else {
		answer_failure(router, command->call, err);
	}
	command_finish(command);
}

void sessions_tell_superseded(struct router *router, const struct uuid *session,
                              uint64_t below_epoch)
{
	Events__RouterBroadcast broadcast = EVENTS__ROUTER_BROADCAST__INIT;
	struct buf buf = { 0 };

	router->metrics.takeovers_total++;
	broadcast.has_superseded_session = 1;
	broadcast.superseded_session = wire_bytes_of(session);
	broadcast.has_below_epoch = below_epoch > 0;
	broadcast.below_epoch = below_epoch;
	if (bus_publish(router->deps.bus, "router.events", wire_pack(&buf, &broadcast.base)) != OK)
		log_warn("broadcast-failed", "why=\"%s\"", bus_why(router->deps.bus));
	buf_free(&buf);
}

static void tell_superseded(struct router *router, const struct command *command,
                            ProtobufCBinaryData superseded)
{
	struct uuid id;

	MUST(wire_id(superseded, &id)); /* we wrote it */
	router->metrics.sessions_open--;
	router->metrics.sessions_closed_total++;
	sessions_tell_superseded(router, &id, 0);
	reconcile_superseded(router->reconcile, &command->account, &id);
}

static void done_open(struct router *router, struct command *command, enum err err)
{
	const Events__SessionRow *row = command->event->session_opened;

	if (err != OK) {
		answer_failure(router, command->call, err);
		return;
	}
	router->metrics.sessions_opened_total++;
	router->metrics.sessions_open++;
	sessions_answer_opened(router, command, row);
	if (command->was_open) /* the newest; the others have heard it before */
		tell_superseded(router, command, row->supersedes[0]);
}

static const struct command_ops open_ops = { run_open, done_open };

struct opening {
	const struct uuid *account, *model;
};

static bool is_opening(const struct command *command, const void *ctx)
{
	const struct opening *opening = ctx;

	return (command->ops == &open_ops || command->ops == &sessions_resume_ops) &&
	       uuid_equal(&command->account, opening->account) &&
	       uuid_equal(&command->model, opening->model);
}

bool sessions_opening(struct router *router, const struct uuid *account, const struct uuid *model)
{
	const struct opening opening = { account, model };

	return commands_any(router->commands, is_opening, &opening);
}

/* False: answered. What can be said before the command waits for its turn. */
static bool check_open(struct router *router, const struct asker *asker, struct bus_call *call,
                       const Router__OpenSession *open, struct command *ret)
{
	size_t len = strlen(open->device_id);
	struct uuid incarnation;

	if (asker->device_id && strcmp(asker->device_id, open->device_id) != 0)
		answer_error(router, call, 403, 4001, "the API key is bound to another device");
	else if (!wire_id(open->session, &ret->id) ||
	         !wire_id(open->edge_incarnation, &incarnation))
		answer_error(router, call, 400, 1013,
		             "session, edge_incarnation: expected 16 bytes, got %zu, %zu",
		             open->session.len, open->edge_incarnation.len);
	else if (!open->device_model_id[0])
		refuse_query(router, call, "device_model_id: missing");
	else if (!uuid_parse(open->device_model_id, &ret->model))
		refuse_query(router, call, "device_model_id: expected a UUID");
	else if (len == 0)
		refuse_query(router, call, "device_id: missing");
	else if (len > DEVICE_ID_MAX)
		answer_error(router, call, 404, 4004,
		             "device_id: expected 1 to %d bytes of UTF-8, got %zu", DEVICE_ID_MAX,
		             len);
	else if (!is_printable(open->device_id))
		refuse_query(router, call, "device_id: expected no control characters");
	else if (text_has_secret(open->device_id))
		refuse_query(router, call, "device_id: an API key or token is no name of a device");
	else
		return true;
	return false;
}

void on_open_session(struct router *router, const struct asker *asker, struct bus_call *call,
                     Router__RouterRequest *request)
{
	const Router__OpenSession *open = request->open_session;
	struct command *command, checked = { 0 };

	if (!check_open(router, asker, call, open, &checked)) {
		wire_free(&request->base);
		return;
	}
	command = command_new(open->has_resume ? &sessions_resume_ops : &open_ops, call, request);
	command->account = asker->account;
	command->by = asker->key;
	command->id = checked.id;
	command->model = checked.model;
	command_start(router, command,
	              sessions_gate(&asker->account, &checked.model, open->device_id));
}
