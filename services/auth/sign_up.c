/*
 * New users: by signing up, by the operator, by an invitation (invite.c).
 */
#include "services/auth/user.h"

#include "common/clock.h"

#include <string.h>

/* ---- a request that its client has named ---- */

void sign_up_name(struct command *command, const Raeh__Once *once)
{
	if (once)
		(void)wire_id(once->name, &user_work_of(command)->once);
}

bool sign_up_was_made(struct command *command)
{
	struct user_work *work = user_work_of(command);
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	struct uuid account, user, once;
	const Events__UserRow *row;
	struct refusal why;
	char id[UUID_TEXT];

	if (rows_user_by_email(command->auth->store, work->email, &account, &user) != OK ||
	    rows_user(command->auth->store, &account, &user, (Events__UserRow **)&message) != OK)
		return false;
	row = (const Events__UserRow *)message;
	if (!row->has_once || !wire_id(row->once, &once) || !uuid_equal(&once, &work->once) ||
	    clock_wall_ms() - row->created_at >= ONCE_KEEP_MS)
		return false;
	uuid_text(&user, id);
	why = refusal(409,
	              "Idempotency-Key: has made %s already; the login is not told again: log in",
	              id);
	memcpy(why.made_id, id, sizeof id);
	command_refuse(command, &why);
	return true;
}

/* The e-mail's user is there already, or it cannot be said: refused. */
bool sign_up_email_is_free(struct command *command, const char *taken)
{
	struct refusal why = refusal(409, "%s", taken);
	struct uuid account, user;
	enum err err = rows_user_by_email(command->auth->store, user_work_of(command)->email,
	                                  &account, &user);

	if (err == ERR_NOT_FOUND)
		return true;
	if (err != OK)
		why = refusal_of(err, why);
	command_refuse(command, &why);
	return false;
}

/* Both come from a new account. */
struct account_events {
	Events__AuthEvent account;
	Events__AccountRow row;
	struct user_event user;
	Events__AuthEvent *all[2];
};

static void fill(struct account_events *events, struct user_work *work)
{
	int64_t now_ms = clock_wall_ms();

	work->account = uuid_new(now_ms);
	work->user = uuid_new(now_ms);
	events__auth_event__init(&events->account);
	events__account_row__init(&events->row);
	events->row.id = wire_bytes_of(&work->account);
	events->row.email = work->email;
	events->row.created_at = now_ms;
	events->account.event_case = EVENTS__AUTH_EVENT__EVENT_ACCOUNT_CREATED;
	events->account.account_created = &events->row;
	user_event_fill(&events->user, work, ROLE_OWNER, NULL);
	events->all[0] = &events->account;
	events->all[1] = &events->user.event;
}

/* ---- SignUp ---- */

static void sign_up_execute(struct command *command)
{
	struct refusal why = refusal(403, "sign-up is closed");
	struct account_events events;

	if (user_must_wait(command))
		return;
	if (sign_up_was_made(command))
		return;
	if (!sign_up_is_open(command->auth)) {
		command_refuse(command, &why);
		return;
	}
	if (!sign_up_email_is_free(command, "this e-mail address cannot be used"))
		return;
	fill(&events, user_work_of(command));
	events.account.has_by = true;
	events.account.by = events.user.event.by;
	login_append(command, events.all, ARRAY_LEN(events.all));
}

static const struct command_kind sign_up_kind = {
	.execute = sign_up_execute,
	.committed = user_answer_me,
	.done = user_done,
};

void on_sign_up(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request)
{
	struct command *command = user_command(auth, &sign_up_kind, call, request->op_id, 'u',
	                                       &request->sign_up->base);
	struct refusal why = refusal(403, "sign-up is closed");
	Auth__SignUp *wish;

	wipe_text(request->sign_up->password);
	if (!command)
		return;
	wish = (Auth__SignUp *)command->request;
	sign_up_name(command, request->once);
	if (user_email_take(wish->email, user_work_of(command)->email, &why) &&
	    sign_up_was_made(command))
		return;
	why = refusal(403, "sign-up is closed");
	if (!sign_up_is_open(auth) ||
	    !user_email_take(wish->email, user_work_of(command)->email, &why) ||
	    !user_password_allowed("password", wish->password, &why) ||
	    !user_may_try(auth, NULL, wish->address, &why)) {
		command_refuse(command, &why);
		return;
	}
	user_hash(command, wish->password);
}

void on_sign_up_state(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Auth__SignUpState state = AUTH__SIGN_UP_STATE__INIT;

	(void)request;
	state.open = sign_up_is_open(auth);
	reply.result_case = AUTH__AUTH_REPLY__RESULT_SIGN_UP_STATE;
	reply.sign_up_state = &state;
	core_answer(auth, call, &reply);
}

/* ---- CreateAccount ---- */

static void create_execute(struct command *command)
{
	struct user_work *work = user_work_of(command);
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Auth__Account account = AUTH__ACCOUNT__INIT;
	struct account_events events;
	char text[UUID_TEXT];

	if (user_must_wait(command) ||
	    !sign_up_email_is_free(command, "email: an account with this address exists"))
		return;
	fill(&events, work);
	events.user.event.has_by = false; /* the operator */
	uuid_text(&work->account, text);
	account.account_id = text;
	account.email = work->email;
	reply.result_case = AUTH__AUTH_REPLY__RESULT_ACCOUNT;
	reply.account = &account;
	(void)wire_pack(&command->reply, &reply.base);
	auth_command_append(command, events.all, ARRAY_LEN(events.all));
}

static const struct command_kind create_kind = {
	.execute = create_execute,
	.done = user_done,
};

void on_create_account(struct auth *auth, struct bus_call *call, const Auth__AdminRequest *request)
{
	struct command *command = user_command(auth, &create_kind, call, request->op_id, 'a',
	                                       &request->create_account->base);
	Auth__CreateAccount *wish;
	struct refusal why;

	wipe_text(request->create_account->password);
	if (!command)
		return;
	wish = (Auth__CreateAccount *)command->request;
	if (!user_email_take(wish->email, user_work_of(command)->email, &why) ||
	    (wish->password && !user_password_allowed("password", wish->password, &why))) {
		command_refuse(command, &why);
		return;
	}
	if (wish->password)
		user_hash(command, wish->password);
	else
		create_execute(command);
}
