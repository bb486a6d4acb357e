/* OpenSession with `resume`: a session goes on with another connection. See sessions.h. */
#include "services/router/sessions.h"

#include "common/clock.h"
#include "services/router/command.h"
#include "services/router/view.h"

#include <string.h>

#define RESUME_MS 60000 /* after its end */

/* The channels of a session are those that it began with: its publisher knows no others, and
 * could not place what comes on them. */
static bool model_has_changed(struct router *router, const struct command *command,
                              const Events__SessionRow *row)
{
	Events__ModelRow *model;
	bool changed;

	if (view_model(router->deps.store, &command->account, &command->model, &model) != OK)
		return true;
	changed = model->model->updated_at > row->session->started_at;
	wire_free(&model->base);
	return changed;
}

/* Why it cannot; NULL when it can. */
static const char *fault_of(struct router *router, const struct command *command,
                            const Events__SessionRow *row)
{
	const Router__OpenSession *open = command->request->open_session;
	char model[UUID_TEXT];
	struct uuid newest;

	uuid_text(&command->model, model);
	if (strcmp(row->session->device_model_id, model) != 0 ||
	    strcmp(row->session->device_id, open->device_id) != 0)
		return "resume: no such session of this device";
	if (view_newest_session(router->deps.store, &command->account, &command->model,
	                        open->device_id, &newest) != OK ||
	    !uuid_equal(&newest, &command->id))
		return "resume: a newer session of this device was opened";
	if (row->has_close_code && clock_wall_ms() - row->session->ended_at > RESUME_MS)
		return "resume: the session ended more than 60 s ago";
	if (model_has_changed(router, command, row))
		return "resume: the device model was changed since the session began";
	return NULL;
}

static void append_resumed(struct command *command, Events__SessionRow *row)
{
	const Router__OpenSession *open = command->request->open_session;
	Events__RouterEvent event = command_event(command);
	static char open_status[] = "open";
	Router__Session session = *row->session;
	Events__SessionRow resumed = *row;

	command->was_open = !row->has_close_code;
	session.status = open_status;
	session.has_ended_at = 0;
	resumed.session = &session;
	resumed.edge_slot = open->edge_slot;
	resumed.edge_incarnation = open->edge_incarnation;
	resumed.has_close_code = 0;
	resumed.close_reason = NULL;
	resumed.has_settled = resumed.settled = 0;
	resumed.has_epoch = resumed.has_resume = resumed.has_resumed_at = 1;
	resumed.epoch = row->epoch + 1;
	resumed.resume = open->resume;
	resumed.resumed_at = event.at_ms;
	event.event_case = EVENTS__ROUTER_EVENT__EVENT_SESSION_RESUMED;
	event.session_resumed = &resumed;
	command_append(command, &event);
}

static bool is_repeat(const struct command *command, const Events__SessionRow *row)
{
	const ProtobufCBinaryData *resume = &command->request->open_session->resume;

	return row->has_resume && !row->has_close_code && row->resume.len == resume->len &&
	       memcmp(row->resume.data, resume->data, resume->len) == 0;
}

static void run_resume(struct router *router, struct command *command)
{
	Events__SessionRow *row;
	const char *fault;
	enum err err = view_session(router->deps.store, &command->account, &command->id, &row);

	if (err != OK) {
		if (err == ERR_NOT_FOUND)
			answer_error(router, command->call, 404, 4004, "%s",
			             "resume: no such session of this device");
		else
			answer_failure(router, command->call, err);
		command_finish(command);
		return;
	}
	if (view_erasing(router->deps.store, &command->account,
	                 command->request->open_session->device_id) != ERR_NOT_FOUND) {
		answer_error(router, command->call, 503, 1013, "%s",
		             "this device is being deleted: connect again later");
		wire_free(&row->base);
		command_finish(command);
		return;
	}
	fault = fault_of(router, command, row);
	if (!fault && !is_repeat(command, row)) {
		append_resumed(command, row);
		wire_free(&row->base);
		return;
	}
	if (fault)
		answer_error(router, command->call, 404, 4004, "%s", fault);
	else
		sessions_answer_opened(router, command, row);
	wire_free(&row->base);
	command_finish(command);
}

static void done_resume(struct router *router, struct command *command, enum err err)
{
	const Events__SessionRow *row = command->event->session_resumed;

	if (err != OK) {
		answer_failure(router, command->call, err);
		return;
	}
	router->metrics.sessions_resumed_total++;
	if (!command->was_open)
		router->metrics.sessions_open++;
	sessions_answer_opened(router, command, row);
	sessions_tell_superseded(router, &command->id, row->epoch);
}

const struct command_ops sessions_resume_ops = { run_resume, done_resume };
