#include "services/router/sessions.h"

#include "common/clock.h"
#include "services/router/view.h"

#include <string.h>

struct gate_key sessions_gate(const struct uuid *account, const struct uuid *model,
                              const char *device_id)
{
	return gate_key_of('D', account, model, device_id);
}

/* ---- close ---- */

static void finish_close(struct command *command)
{
	if (command->call)
		answer_done(command->call);
	command_finish(command);
}

static void run_close(struct router *router, struct command *command)
{
	Events__RouterEvent event = command_event(command);
	Events__SessionClosed closed = EVENTS__SESSION_CLOSED__INIT;
	Events__SessionRow *row = NULL;
	enum err err = view_session(router->deps.store, &command->account, &command->id, &row);
	bool is_settled = err == OK && (row->settled || row->epoch > command->epoch);

	command->was_open = err == OK && !row->has_close_code;
	if (row)
		wire_free(&row->base);
	if (is_settled || err == ERR_NOT_FOUND) {
		finish_close(command);
	} else if (err == OK) {
		closed.id = wire_bytes_of(&command->id);
		closed.close_code = command->close_code;
		closed.close_reason = command->close_reason;
		closed.has_ended_at = 1;
		closed.ended_at = command->ended_at;
		event.event_case = EVENTS__ROUTER_EVENT__EVENT_SESSION_CLOSED;
		event.session_closed = &closed;
		command_append(command, &event);
	} else {
		if (command->call)
			answer_failure(router, command->call, err);
		command_finish(command);
	}
}

static void done_close(struct router *router, struct command *command, enum err err)
{
	if (err == OK && command->was_open) {
		router->metrics.sessions_closed_total++;
		router->metrics.sessions_open--;
	}
	if (command->call && err == OK)
		answer_done(command->call);
	else if (command->call)
		answer_failure(router, command->call, err);
}

static const struct command_ops close_ops = { run_close, done_close };

/* What needs no command, or cannot have one. */
static void answer_unclosed(struct router *router, struct bus_call *call,
                            Router__RouterRequest *request, enum err err)
{
	if (call && err == ERR_NOT_FOUND)
		answer_done(call);
	else if (call)
		answer_failure(router, call, err);
	if (request)
		wire_free(&request->base);
}

void sessions_close(struct router *router, const struct uuid *account, const struct uuid *session,
                    const struct session_end *end, struct bus_call *call,
                    Router__RouterRequest *request)
{
	struct command *command;
	Events__SessionRow *row;
	struct gate_key gate;
	struct uuid model;
	enum err err = view_session(router->deps.store, account, session, &row);

	if (err != OK) {
		answer_unclosed(router, call, request, err);
		return;
	}
	MUST(uuid_parse(row->session->device_model_id, &model)); /* we wrote it */
	gate = sessions_gate(account, &model, row->session->device_id);
	wire_free(&row->base);
	command = command_new(&close_ops, call, request);
	command->account = *account;
	command->id = *session;
	command->close_code = end->code;
	command->ended_at = end->ended_at;
	command->epoch = end->epoch;
	memcpy(command->close_reason, end->reason, (size_t)text_cut(end->reason, CLOSE_REASON_MAX));
	command_start(router, command, gate);
}

void on_close_session(struct router *router, const struct asker *asker, struct bus_call *call,
                      Router__RouterRequest *request)
{
	const Router__CloseSession *close = request->close_session;
	struct uuid account, session;

	(void)asker;
	if (wire_id(close->account, &account) && wire_id(close->session, &session)) {
		const struct session_end end = { close->close_code, close->close_reason,
			                         close->has_ended_at ? close->ended_at
			                                             : clock_wall_ms(),
			                         close->epoch };

		sessions_close(router, &account, &session, &end, call, request);
		return;
	}
	answer_error(router, call, 400, 0, "account, session: expected 16 bytes, got %zu, %zu",
	             close->account.len, close->session.len);
	wire_free(&request->base);
}

/* ---- list ---- */

struct listing {
	Router__Session *sessions[LIST_LIMIT_MAX];
	size_t n, limit;
	bool is_cut; /* there is one more */
};

static bool list_one(void *ctx, const Events__SessionRow *row)
{
	struct listing *listing = ctx;

	if (listing->n == listing->limit) {
		listing->is_cut = true;
		return false;
	}
	listing->sessions[listing->n++] = (Router__Session *)wire_copy(&row->session->base);
	return true;
}

/* False: answered. */
static bool check_list(struct router *router, struct bus_call *call,
                       const Router__ListSessions *list, struct uuid *ret_before)
{
	if (list->has_limit && (list->limit < 1 || list->limit > LIST_LIMIT_MAX))
		answer_error(router, call, 400, 0, "limit: expected 1 to %d, got %u",
		             LIST_LIMIT_MAX, list->limit);
	else if (list->status && strcmp(list->status, "open") != 0 &&
	         strcmp(list->status, "closed") != 0)
		answer_error(router, call, 400, 0, "status: expected open or closed, got \"%.*s\"",
		             text_cut(list->status, 48), list->status);
	else if (list->cursor && !uuid_parse(list->cursor, ret_before))
		answer_error(router, call, 400, 0, ANSWER_BAD_CURSOR);
	else
		return true;
	return false;
}

/* next: where the walk gave up, or nil. */
static void answer_sessions(struct bus_call *call, struct listing *listing, const struct uuid *next)
{
	Router__RouterReply reply = ROUTER__ROUTER_REPLY__INIT;
	Router__SessionList sessions = ROUTER__SESSION_LIST__INIT;
	char text[UUID_TEXT];

	if (!uuid_is_nil(next)) {
		uuid_text(next, text);
		reply.next = text;
	} else if (listing->is_cut) {
		reply.next = listing->sessions[listing->n - 1]->id;
	}
	sessions.n_items = listing->n;
	sessions.items = listing->sessions;
	reply.result_case = ROUTER__ROUTER_REPLY__RESULT_SESSIONS;
	reply.sessions = &sessions;
	answer(call, &reply);
}

/* False: a key of one device asks about another: the list is empty. */
static bool choose_device(const struct asker *asker, const char *wanted, const char **ret)
{
	*ret = wanted ? wanted : asker->device_id;
	return !wanted || !asker->device_id || strcmp(wanted, asker->device_id) == 0;
}

void on_list_sessions(struct router *router, const struct asker *asker, struct bus_call *call,
                      Router__RouterRequest *request)
{
	const Router__ListSessions *list = request->list_sessions;
	struct listing listing = { .limit = list->has_limit ? list->limit : LIST_LIMIT };
	struct view_sessions which = { .account = &asker->account };
	struct uuid before, next = { 0 };
	enum err err = OK;

	if (check_list(router, call, list, &before)) {
		if (list->status)
			which.status = list->status[0] == 'o' ? VIEW_OPEN : VIEW_CLOSED;
		which.before = list->cursor ? &before : NULL;
		which.from_ms = list->has_from_at ? list->from_at : INT64_MIN;
		which.to_ms = list->has_to_at ? list->to_at : INT64_MAX;
		if (choose_device(asker, list->device_id, &which.device_id))
			err = view_each_session(router->deps.store, &which, list_one, &listing,
			                        &next);
		if (err == OK)
			answer_sessions(call, &listing, &next);
		else
			answer_failure(router, call, err);
	}
	for (size_t i = 0; i < listing.n; i++)
		wire_free(&listing.sessions[i]->base);
	wire_free(&request->base);
}
