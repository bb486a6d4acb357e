/*
 * Changes to users. Each that shuts somebody out is answered when it is durable and the logins
 * that were made before are dead on every edge:
 *
 *     event appended ──► committed ──► logins ended ──► answer
 *
 * The event says from when on logins count (password_changed_at), so a restart in between ends
 * them all the same (users_load).
 */
#include "services/auth/user.h"

#include "common/clock.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define DETAIL_NO_USER "no such user"

/* From then on, whatever the clock says: behind every login of the user that there is. */
static int64_t over_from(struct auth *auth, const struct uuid *account)
{
	struct store_scan *scan = rows_scan_logins(auth->store, account);
	int64_t over_ms = clock_wall_ms();
	struct bytes key, value;

	while (scan_next(scan, &key, &value)) {
		AUTO(wire_free)
		ProtobufCMessage *row = wire_unpack(&events__key_row__descriptor, value);

		if (row && ((Events__KeyRow *)row)->key->created_at >= over_ms)
			over_ms = ((Events__KeyRow *)row)->key->created_at + 1;
	}
	scan_close(scan);
	return over_ms;
}

/* The user as the view knows it; else the command is refused. */
static bool load_user(struct command *command, Events__UserRow **ret)
{
	struct user_work *work = user_work_of(command);
	struct refusal why = refusal(404, DETAIL_NO_USER);
	enum err err = rows_user(command->auth->store, &work->account, &work->user, ret);

	if (err == OK)
		return true;
	why = refusal_of(err, why);
	command_refuse(command, &why);
	return false;
}

static void end_logins(struct command *command, void (*fn)(void *ctx))
{
	struct user_work *work = user_work_of(command);

	command->tries = 0; /* nothing of it is uncommitted: others need not wait */
	logins_end(command->auth, &work->account, &work->user, work->over_before_ms,
	           &command->caller, fn, command);
}

static void on_ended_me(void *self)
{
	user_answer_me(self);
}

static void on_ended_done(void *self)
{
	user_answer_done(self);
}

/* ---- ChangePassword ---- */

static const struct command_kind change_kind;

static void change_execute(struct command *command)
{
	struct user_work *work = user_work_of(command);
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	struct refusal why = refusal(409, "the password was changed meanwhile");
	Events__AuthEvent *events[1];
	struct user_event event;
	Events__UserRow *old;

	if (user_must_wait(command) || !user_may_still(command, ROLE_MEMBER) ||
	    !load_user(command, (Events__UserRow **)&message))
		return;
	old = (Events__UserRow *)message;
	if (!old->password_hash || strcmp(old->password_hash, work->expected) != 0) {
		command_refuse(command, &why);
		return;
	}
	work->over_before_ms = over_from(command->auth, &work->account);
	user_event_fill(&event, work, old->role, old);
	event.event.event_case = EVENTS__AUTH_EVENT__EVENT_PASSWORD_CHANGED;
	events[0] = &event.event;
	login_append(command, events, 1);
}

static void change_committed(struct command *command)
{
	end_logins(command, on_ended_me);
}

static const struct command_kind change_kind = {
	.execute = change_execute,
	.committed = change_committed,
	.done = user_done,
};

static void on_current_checked(void *self, const char *hash)
{
	struct command *command = self;
	Auth__ChangePassword *wish = (Auth__ChangePassword *)command->request;
	struct refusal why = refusal(403, "current: the password is wrong");

	if (!hash) {
		command_refuse(command, &why);
		return;
	}
	user_try_was_good(command->auth, user_work_of(command)->email, NULL);
	user_hash(command, wish->new_);
}

static void check_current(struct command *command)
{
	struct user_work *work = user_work_of(command);
	Auth__ChangePassword *wish = (Auth__ChangePassword *)command->request;
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	const Events__UserRow *row;
	struct refusal why;

	if (!load_user(command, (Events__UserRow **)&message))
		return;
	row = (const Events__UserRow *)message;
	(void)snprintf(work->email, sizeof work->email, "%s", row->email);
	(void)snprintf(work->expected, sizeof work->expected, "%s",
	               row->password_hash ? row->password_hash : "");
	if ((strlen(wish->current) > PASSWORD_MOST &&
	     !user_password_allowed("current", wish->current, &why)) ||
	    !user_password_allowed("new", wish->new_, &why) ||
	    !user_may_try(command->auth, work->email, NULL, &why))
		command_refuse(command, &why);
	else
		user_check(command, wish->current, on_current_checked);
}

void on_change_password(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request)
{
	struct command *command = NULL;
	struct caller caller;

	if (user_asks(auth, call, request->principal, &caller))
		command = user_command(auth, &change_kind, call, request->op_id, 'p',
		                       &request->change_password->base);
	wipe_text(request->change_password->current);
	wipe_text(request->change_password->new_);
	if (!command)
		return;
	command->caller = caller;
	user_work_of(command)->account = caller.account;
	user_work_of(command)->user = caller.user;
	check_current(command);
}

/* ---- ResetPassword, by the operator ---- */

static void reset_execute(struct command *command)
{
	struct user_work *work = user_work_of(command);
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	Events__AuthEvent *events[1];
	struct user_event event;
	Events__UserRow *old;

	if (user_must_wait(command) || !load_user(command, (Events__UserRow **)&message))
		return;
	old = (Events__UserRow *)message;
	work->over_before_ms = over_from(command->auth, &work->account);
	user_event_fill(&event, work, old->role, old);
	event.event.event_case = EVENTS__AUTH_EVENT__EVENT_PASSWORD_CHANGED;
	event.event.has_by = false;
	events[0] = &event.event;
	auth_command_append(command, events, 1);
}

static void reset_committed(struct command *command)
{
	end_logins(command, on_ended_done);
}

static const struct command_kind reset_kind = {
	.execute = reset_execute,
	.committed = reset_committed,
	.done = user_done,
};

void on_reset_password(struct auth *auth, struct bus_call *call, const Auth__AdminRequest *request)
{
	struct command *command = user_command(auth, &reset_kind, call, request->op_id, 'r',
	                                       &request->reset_password->base);
	struct user_work *work;
	struct refusal why;
	char *password;

	wipe_text(request->reset_password->password);
	if (!command)
		return;
	work = user_work_of(command);
	command->caller.is_operator = true;
	password = ((Auth__ResetPassword *)command->request)->password;
	if (!request->account || !user_email_take(request->account, work->email, &why)) {
		why = refusal(400, "account: expected the e-mail address of a user");
	} else if (user_password_allowed("password", password, &why)) {
		enum err err =
		        rows_user_by_email(auth->store, work->email, &work->account, &work->user);

		if (err == OK) {
			user_hash(command, password);
			return;
		}
		why = refusal_of(err, refusal(404, DETAIL_NO_USER));
	}
	command_refuse(command, &why);
}

/* ---- ListUsers, DeleteUser ---- */

static void show(const Events__UserRow *row, Auth__User *user, char id[UUID_TEXT])
{
	struct uuid uuid;

	MUST(wire_id(row->id, &uuid));
	uuid_text(&uuid, id);
	auth__user__init(user);
	user->id = id;
	user->email = row->email;
	user->role = row->role;
	user->created_at = row->created_at;
}

struct user_list {
	Events__UserRow *row[USERS_MOST];
	Auth__User user[USERS_MOST], *item[USERS_MOST];
	char id[USERS_MOST][UUID_TEXT];
	size_t n;
};

static enum err read_users(struct auth *auth, const struct uuid *account, struct user_list *ret)
{
	struct store_scan *scan = rows_scan_users(auth->store, account);
	struct bytes key, value;
	enum err err;

	while (ret->n < USERS_MOST && scan_next(scan, &key, &value)) {
		size_t i = ret->n;

		ret->row[i] = (Events__UserRow *)wire_unpack(&events__user_row__descriptor, value);
		if (!ret->row[i])
			continue;
		show(ret->row[i], &ret->user[i], ret->id[i]);
		ret->item[ret->n++] = &ret->user[i];
	}
	err = scan_err(scan);
	scan_close(scan);
	return err;
}

static void free_users(struct user_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		wire_free(&list->row[i]->base);
	mem_free(list);
}

size_t users_count(struct auth *auth, const struct uuid *account)
{
	struct user_list *list = xcalloc(1, sizeof *list);
	size_t n = read_users(auth, account, list) == OK ? list->n : USERS_MOST;

	free_users(list);
	return n;
}

void on_list_users(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Auth__UserList users = AUTH__USER_LIST__INIT;
	struct user_list *list;
	struct caller caller;
	struct refusal why;
	enum err err;

	if (!user_asks(auth, call, request->principal, &caller))
		return;
	list = xcalloc(1, sizeof *list);
	err = read_users(auth, &caller.account, list);
	if (err == OK) {
		users.n_items = list->n;
		users.items = list->item;
		reply.result_case = AUTH__AUTH_REPLY__RESULT_USERS;
		reply.users = &users;
		core_answer(auth, call, &reply);
	} else {
		why = refusal_of(err, refusal(404, DETAIL_NO_USER));
		core_refuse(auth, call, &why);
	}
	free_users(list);
}

/* Another owner who can log in. */
static bool leaves_an_owner(struct auth *auth, const struct user_work *work)
{
	struct user_list *list = xcalloc(1, sizeof *list);
	bool leaves = false;
	struct uuid id;

	if (read_users(auth, &work->account, list) == OK)
		for (size_t i = 0; i < list->n; i++)
			leaves = leaves ||
			         (wire_id(list->row[i]->id, &id) && !uuid_equal(&id, &work->user) &&
			          list->row[i]->password_hash &&
			          strcmp(list->row[i]->role, ROLE_OWNER) == 0);
	free_users(list);
	return leaves;
}

/* Its last step: nobody is logged in as this user any more, nor can be. */
static void append_deleted(struct command *command)
{
	struct user_work *work = user_work_of(command);
	Events__AuthEvent event = EVENTS__AUTH_EVENT__INIT, *events[] = { &event };
	Events__UserGone gone = EVENTS__USER_GONE__INIT;
	struct uuid by;

	gone.id = wire_bytes_of(&work->user);
	gone.account = wire_bytes_of(&work->account);
	gone.email = work->email;
	event.event_case = EVENTS__AUTH_EVENT__EVENT_USER_DELETED;
	event.user_deleted = &gone;
	event.has_by = caller_by(&command->caller, &by);
	event.by = wire_bytes_of(&by);
	auth_command_append(command, events, 1);
}

static void on_ended_delete(void *self)
{
	struct command *command = self;

	user_work_of(command)->last_step = true;
	append_deleted(command);
}

static void delete_execute(struct command *command)
{
	struct user_work *work = user_work_of(command);
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	struct refusal why = refusal(409, "the last owner of the account who can log in stays");
	struct user_event event;
	Events__UserRow *old;

	if (work->last_step) {
		append_deleted(command); /* the journal was contended */
		return;
	}
	if (user_must_wait(command) || !user_may_still(command, ROLE_OWNER) ||
	    !load_user(command, (Events__UserRow **)&message))
		return;
	if (!leaves_an_owner(command->auth, work)) {
		command_refuse(command, &why);
		return;
	}
	old = (Events__UserRow *)message;
	(void)snprintf(work->email, sizeof work->email, "%s", old->email);
	work->over_before_ms = over_from(command->auth, &work->account);
	user_event_fill(&event, work, old->role, old);
	event.event.event_case = EVENTS__AUTH_EVENT__EVENT_USER_SHUT;
	event.by = command->caller.user;
	invites_end_with(command, &event.event);
}

static void delete_committed(struct command *command)
{
	struct user_work *work = user_work_of(command);

	if (work->last_step) /* the operator may have given a password meanwhile */
		work->over_before_ms = INT64_MAX;
	end_logins(command, work->last_step ? on_ended_done : on_ended_delete);
}

static const struct command_kind delete_kind = {
	.execute = delete_execute,
	.committed = delete_committed,
	.done = user_done,
};

void on_delete_user(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request)
{
	struct refusal why = refusal(404, DETAIL_NO_USER);
	struct command *command;
	struct caller caller;

	if (!user_asks(auth, call, request->principal, &caller))
		return;
	command = user_command(auth, &delete_kind, call, request->op_id, 'd',
	                       &request->delete_user->base);
	if (!command)
		return;
	command->caller = caller;
	user_work_of(command)->account = caller.account;
	if (uuid_parse(request->delete_user->id, &user_work_of(command)->user))
		delete_execute(command);
	else
		command_refuse(command, &why);
}
