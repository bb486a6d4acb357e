#include "services/auth/user.h"

#include "common/clock.h"
#include "services/auth/key.h"
#include "services/auth/revoke.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define DETAIL_NO_LOGIN "the e-mail address or the password is wrong"

/* ---- a new login ---- */

static void forget_login(struct login_events *events, Events__KeyRow *row)
{
	size_t i = events->n_expired++;
	Events__LoginForgotten *gone = &events->forgotten[i];

	events->expired[i] = row;
	MUST(uuid_parse(row->key->id, &events->expired_id[i]));
	events__login_forgotten__init(gone);
	gone->account = row->account;
	gone->id = wire_bytes_of(&events->expired_id[i]);
	gone->digest = row->digest;
	events__auth_event__init(&events->event[events->n]);
	events->event[events->n].event_case = EVENTS__AUTH_EVENT__EVENT_LOGIN_FORGOTTEN;
	events->event[events->n++].login_forgotten = gone;
}

/* The user's logins, newest first: those whose time is over are forgotten; of too many, the
 * oldest are over from now on. */
static void look_at_others(struct command *command, struct login_events *events)
{
	struct user_work *work = user_work_of(command);
	struct store_scan *scan = rows_scan_logins(command->auth->store, &work->account);
	struct bytes key, value;
	struct uuid user;
	unsigned living = 1;

	while (scan_next(scan, &key, &value)) {
		Events__KeyRow *row =
		        (Events__KeyRow *)wire_unpack(&events__key_row__descriptor, value);
		bool own = row && wire_id(row->user, &user) && uuid_equal(&user, &work->user);

		if (own && key_is_off(row->key) && events->n_expired < LOGINS_MOST) {
			forget_login(events, row);
			continue;
		}
		if (own && !key_is_off(row->key) && ++living > LOGINS_MOST &&
		    row->key->created_at >= work->over_before_ms)
			work->over_before_ms = row->key->created_at + 1;
		if (row)
			wire_free(&row->base);
	}
	scan_close(scan);
}

void login_events_make(struct command *command, struct login_events *ret)
{
	struct user_work *work = user_work_of(command);
	int64_t now_ms = clock_wall_ms();
	struct uuid id = uuid_new(now_ms);

	memset(ret, 0, sizeof *ret);
	apikey_make_secret(SECRET_LOGIN, work->credential);
	key_digest(work->credential, command->auth->deps.digest_secret, ret->digest);
	uuid_text(&id, ret->id);
	auth__key__init(&ret->key);
	ret->key.id = ret->id;
	ret->key.label = "dashboard";
	ret->key.hint = "";
	ret->key.has_expires_at = true;
	ret->key.expires_at = now_ms + LOGIN_MS;
	events__key_row__init(&ret->row);
	ret->row.account = wire_bytes_of(&work->account);
	ret->row.digest = wire_bytes(BYTES(ret->digest, DIGEST_BYTES));
	ret->row.key = &ret->key;
	ret->row.scopes = SCOPES_ALL;
	ret->row.has_user = true;
	ret->row.user = wire_bytes_of(&work->user);
	events__auth_event__init(&ret->event[0]);
	ret->event[0].event_case = EVENTS__AUTH_EVENT__EVENT_LOGGED_IN;
	ret->event[0].logged_in = &ret->row;
	ret->event[0].has_by = true;
	ret->event[0].by = wire_bytes_of(&work->user);
	ret->n = 1;
	look_at_others(command, ret);
	ret->key.created_at = now_ms > work->over_before_ms ? now_ms : work->over_before_ms;
}

void login_events_free(struct login_events *events)
{
	for (size_t i = 0; i < events->n_expired; i++)
		wire_free(&events->expired[i]->base);
	sodium_memzero(events, sizeof *events);
}

void login_append(struct command *command, Events__AuthEvent *const *others, size_t n)
{
	struct login_events *events = xcalloc(1, sizeof *events);
	Events__AuthEvent **all;

	login_events_make(command, events);
	all = xcalloc(n + events->n, sizeof(Events__AuthEvent *));
	for (size_t i = 0; i < n; i++)
		all[i] = others[i];
	for (size_t i = 0; i < events->n; i++)
		all[n + i] = &events->event[i];
	auth_command_append(command, all, n + events->n);
	mem_free(all);
	login_events_free(events);
	mem_free(events);
}

/* ---- LogIn ---- */

static const Auth__LogIn *wish_of(const struct command *command)
{
	return (const Auth__LogIn *)command->request;
}

static void refuse_login(struct command *command)
{
	struct refusal why = { .status = 401, .detail = DETAIL_NO_LOGIN };

	command->auth->metrics.logins_refused_total++;
	command_refuse(command, &why);
}

static void execute(struct command *command)
{
	struct user_work *work = user_work_of(command);
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	const Events__UserRow *row;
	struct refusal why;
	enum err err;

	if (user_must_wait(command))
		return;
	err = rows_user(command->auth->store, &work->account, &work->user,
	                (Events__UserRow **)&message);
	row = (const Events__UserRow *)message;
	if (err == ERR_NOT_FOUND ||
	    (err == OK &&
	     (!row->password_hash || strcmp(row->password_hash, work->expected) != 0))) {
		refuse_login(command); /* changed while it was checked */
	} else if (err != OK) {
		why = refusal_of(err, refusal_unauthorized());
		command_refuse(command, &why);
	} else {
		work->over_before_ms = 0;
		login_append(command, NULL, 0);
	}
}

static void committed(struct command *command)
{
	struct user_work *work = user_work_of(command);
	const struct caller by = { .is_user = true, .user = work->user };

	command->auth->metrics.logins_total++;
	command->tries = 0;
	if (work->over_before_ms != 0)
		logins_end(command->auth, &work->account, &work->user, work->over_before_ms, &by,
		           NULL, NULL);
	user_answer_me(command);
}

static const struct command_kind log_in_kind = {
	.execute = execute,
	.committed = committed,
	.done = user_done,
};

static void on_checked(void *self, const char *hash)
{
	struct command *command = self;
	const struct user_work *work = user_work_of(command);

	if (!hash || !work->expected[0]) {
		refuse_login(command);
		return;
	}
	user_try_was_good(command->auth, work->email, wish_of(command)->address);
	execute(command);
}

/* Whose password it is held against; of nobody when the e-mail is nobody's. */
static enum err find_expected(struct auth *auth, struct user_work *work)
{
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	enum err err = rows_user_by_email(auth->store, work->email, &work->account, &work->user);
	const Events__UserRow *row;

	if (err == OK)
		err = rows_user(auth->store, &work->account, &work->user,
		                (Events__UserRow **)&message);
	row = (const Events__UserRow *)message;
	if (err == OK && row->password_hash)
		(void)snprintf(work->expected, sizeof work->expected, "%s", row->password_hash);
	return err == ERR_NOT_FOUND ? OK : err;
}

void on_log_in(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request)
{
	struct command *command =
	        user_command(auth, &log_in_kind, call, request->op_id, 'l', &request->log_in->base);
	struct user_work *work;
	struct refusal why;
	Auth__LogIn *wish;
	enum err err;

	wipe_text(request->log_in->password);
	if (!command)
		return;
	wish = (Auth__LogIn *)command->request;
	work = user_work_of(command);
	if (!user_email_take(wish->email, work->email, &why) ||
	    (strlen(wish->password) > PASSWORD_MOST &&
	     !user_password_allowed("password", wish->password, &why)) ||
	    !user_may_try(auth, work->email, wish->address, &why)) {
		command_refuse(command, &why);
		return;
	}
	err = find_expected(auth, work);
	if (err == OK) {
		user_check(command, wish->password, on_checked);
		return;
	}
	why = refusal_of(err, refusal_unauthorized());
	command_refuse(command, &why);
}

/* ---- LogOut, GetMe ---- */

void on_log_out(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request)
{
	struct caller caller;

	if (user_asks(auth, call, request->principal, &caller))
		revoke_login(auth, call, &caller, &caller.account, &caller.key);
}

void on_get_me(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request)
{
	struct caller caller;
	struct buf buf = { 0 };
	struct refusal why;

	if (!user_asks(auth, call, request->principal, &caller))
		return;
	if (me_reply(auth, &caller.account, &caller.user, "", &buf, &why))
		core_answer_bytes(auth, call, BYTES(buf.data, buf.len));
	else
		core_refuse(auth, call, &why);
	buf_free(&buf);
}
