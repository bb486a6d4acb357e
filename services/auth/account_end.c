/*
 * The end of an account.
 *
 *     AccountClosing ─► every key and login revoked ─► EraseAccount at the router, which has
 *     (journaled:        on every edge                  every publisher erase its part ─►
 *      nobody gets in)
 *     users and invitations deleted ─► records of the journal redacted ─► AccountErased ─► answer
 *
 * Each step may be done again, so that a restarted auth goes on from the first; what has not
 * answered is asked again until it does. Of the trail the shells stay: what was done when, and
 * by which id.
 */
#include "services/auth/users.h"

#include "common/clock.h"
#include "common/audit.h"
#include "router.pb-c.h"

#include <stdio.h>
#include <string.h>

#define ROUTER_MS 60000
#define RETRY_MS  1000

struct closing {
	TAILQ_ENTRY(closing) link;
	struct auth *auth;
	struct uuid account;
	struct caller by;
	struct command *command; /* who waits; NULL: nobody */
	Auth__AccountDeleted removed;
	uint64_t redacted; /* the newest record that is */
	struct timer retry;
};

static void again(struct closing *closing, loop_fn *fn)
{
	timer_set(closing->auth->loop, &closing->retry, RETRY_MS, fn, closing);
}

/* ---- the last event ---- */

static void free_closing(struct closing *closing)
{
	TAILQ_REMOVE(&closing->auth->users->closings, closing, link);
	timer_stop(closing->auth->loop, &closing->retry);
	mem_free(closing);
}

static void finish(struct closing *closing)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	struct command *command = closing->command;
	char id[UUID_TEXT];

	uuid_text(&closing->account, id);
	log_info("account-erased", "account=%s users=%llu keys=%llu sessions=%llu", id,
	         (unsigned long long)closing->removed.users,
	         (unsigned long long)closing->removed.keys,
	         (unsigned long long)closing->removed.sessions);
	if (command) {
		closing->removed.account_id = id;
		reply.result_case = AUTH__AUTH_REPLY__RESULT_ACCOUNT_DELETED;
		reply.account_deleted = &closing->removed;
		(void)wire_pack(&command->reply, &reply.base);
		auth_command_finish(command, BYTES(command->reply.data, command->reply.len), true);
	}
	free_closing(closing);
}

static void append_erased(void *self);

static void on_erased(void *self, enum err err)
{
	struct closing *closing = self;

	if (err == OK)
		finish(closing);
	else
		again(closing, append_erased);
}

static void append_erased(void *self)
{
	struct closing *closing = self;
	Events__AuthEvent event = EVENTS__AUTH_EVENT__INIT, *events[] = { &event };
	Events__AccountGone gone = EVENTS__ACCOUNT_GONE__INIT;
	struct uuid by;

	gone.account = wire_bytes_of(&closing->account);
	event.event_case = EVENTS__AUTH_EVENT__EVENT_ACCOUNT_ERASED;
	event.account_erased = &gone;
	event.has_by = caller_by(&closing->by, &by);
	event.by = wire_bytes_of(&by);
	core_append(closing->auth, events, 1, on_erased, closing);
}

/* ---- the journal's records, some a turn ---- */

static void redact(void *self)
{
	struct closing *closing = self;
	struct auth *auth = closing->auth;
	AUTO(batch_free) struct store_batch *batch = batch_new();
	uint64_t through = closing->redacted;
	enum err err = audit_redact(auth->store, auth->journal, &closing->account, &through, batch,
	                            NULL, NULL);

	if (err == ERR_NOT_FOUND) {
		append_erased(closing);
		return;
	}
	if (err == OK)
		err = store_write(auth->store, batch);
	if (err != OK) {
		again(closing, redact);
		return;
	}
	closing->redacted = through;
	timer_set(auth->loop, &closing->retry, 0, redact, closing);
}

/* ---- users and invitations ---- */

struct leaving {
	Events__AuthEvent *event[USERS_MOST + INVITES_MOST];
	ProtobufCMessage *row[USERS_MOST + INVITES_MOST];
	size_t n, users;
};

/* An event of the account's, with a row of its own: both are freed with it. */
static ProtobufCMessage *leaving_add(struct leaving *leaving, ProtobufCMessage *row)
{
	Events__AuthEvent *event = xcalloc(1, sizeof *event);

	events__auth_event__init(event);
	leaving->event[leaving->n] = event;
	leaving->row[leaving->n++] = row;
	return row;
}

/* Borrows of the row, which it takes. */
static void add_gone(struct leaving *leaving, ProtobufCMessage *row, ProtobufCBinaryData id,
                     ProtobufCBinaryData account, char *email)
{
	Events__UserGone *gone = xcalloc(1, sizeof *gone);

	events__user_gone__init(gone);
	gone->id = id;
	gone->account = account;
	gone->email = email;
	(void)leaving_add(leaving, row);
	leaving->event[leaving->n - 1]->event_case = EVENTS__AUTH_EVENT__EVENT_USER_DELETED;
	leaving->event[leaving->n - 1]->user_deleted = gone;
}

static void add_users(struct auth *auth, const struct uuid *account, struct leaving *ret)
{
	struct store_scan *scan = rows_scan_users(auth->store, account);
	struct bytes key, value;

	while (ret->n < USERS_MOST && scan_next(scan, &key, &value)) {
		ProtobufCMessage *message = wire_unpack(&events__user_row__descriptor, value);
		const Events__UserRow *row = (const Events__UserRow *)message;

		if (!row)
			continue;
		add_gone(ret, message, row->id, row->account, row->email);
		ret->users++;
	}
	scan_close(scan);
}

/* The e-mail of an account that the operator made, and nobody has logged in to. */
static void add_first_user(struct auth *auth, const struct uuid *account, struct leaving *ret)
{
	Events__AccountRow *row;
	struct uuid holder;

	if (ret->n > 0 || rows_account(auth->store, account, &row) != OK)
		return;
	if (rows_account_by_email(auth->store, row->email, &holder) == OK &&
	    uuid_equal(&holder, account))
		add_gone(ret, &row->base, row->id, row->id, row->email);
	else
		wire_free(&row->base);
}

static void free_leaving(struct leaving *leaving)
{
	for (size_t i = 0; i < leaving->n; i++) {
		mem_free(leaving->event[i]->user_deleted);
		mem_free(leaving->event[i]);
		wire_free(leaving->row[i]);
	}
	mem_free(leaving);
}

static void delete_users(void *self);

static void on_users_deleted(void *self, enum err err)
{
	struct closing *closing = self;

	if (err == OK)
		redact(closing);
	else
		again(closing, delete_users);
}

static void delete_users(void *self)
{
	struct closing *closing = self;
	struct leaving *leaving = xcalloc(1, sizeof *leaving);

	add_users(closing->auth, &closing->account, leaving);
	add_first_user(closing->auth, &closing->account, leaving);
	if (leaving->n == 0) {
		redact(closing);
	} else {
		closing->removed.users = leaving->users;
		core_append(closing->auth, leaving->event, leaving->n, on_users_deleted, closing);
	}
	free_leaving(leaving);
}

/* ---- at the router ---- */

static void ask_router(void *self);

static void on_router(void *self, enum err err, struct bytes bytes)
{
	struct closing *closing = self;
	AUTO(wire_free)
	ProtobufCMessage *message =
	        err == OK ? wire_unpack(&router__router_reply__descriptor, bytes) : NULL;
	const Router__RouterReply *reply = (const Router__RouterReply *)message;

	if (!reply || reply->error || reply->result_case != ROUTER__ROUTER_REPLY__RESULT_REMOVED) {
		log_warn("erase-not-answered", "service=router");
		again(closing, ask_router);
		return;
	}
	closing->removed.sessions += reply->removed->sessions;
	closing->removed.frames += reply->removed->frames;
	closing->removed.insights += reply->removed->insights;
	delete_users(closing);
}

static void ask_router(void *self)
{
	struct closing *closing = self;
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;
	Router__EraseAccount erase = ROUTER__ERASE_ACCOUNT__INIT;
	struct buf buf = { 0 };

	erase.account = wire_bytes_of(&closing->account);
	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_ERASE_ACCOUNT;
	request.erase_account = &erase;
	bus_request(closing->auth->bus, "router", wire_pack(&buf, &request.base), ROUTER_MS,
	            on_router, closing);
	buf_free(&buf);
}

/* ---- the beginning ---- */

static void begin(struct auth *auth, const struct uuid *account, const struct caller *by,
                  struct command *command)
{
	struct closing *closing = xcalloc(1, sizeof *closing);

	closing->auth = auth;
	closing->account = *account;
	closing->by = *by;
	closing->command = command;
	auth__account_deleted__init(&closing->removed);
	TAILQ_INSERT_TAIL(&auth->users->closings, closing, link);
	account_end_all(auth, account, by, &closing->removed.keys, ask_router, closing);
}

enum err closings_load(struct auth *auth)
{
	const struct caller operator= { .is_operator = true, .scopes = SCOPES_ALL };
	struct store_scan *scan = rows_scan_own(auth->store, ROWS_GOING);
	struct bytes key, value;
	struct uuid account;
	enum err err;

	while (scan_next(scan, &key, &value)) {
		if (key_row(key).len != sizeof account)
			continue;
		memcpy(&account, key_row(key).data, sizeof account);
		begin(auth, &account, &operator, NULL);
	}
	err = scan_err(scan);
	scan_close(scan);
	return err;
}

void closings_stop(struct auth *auth)
{
	while (!TAILQ_EMPTY(&auth->users->closings))
		free_closing(TAILQ_FIRST(&auth->users->closings));
}

/* ---- the commands ---- */

static void execute(struct command *command)
{
	struct user_work *work = user_work_of(command);
	Events__AuthEvent event = EVENTS__AUTH_EVENT__INIT, *events[] = { &event };
	Events__AccountGone gone = EVENTS__ACCOUNT_GONE__INIT;
	struct uuid by;

	if (user_must_wait(command) ||
	    (!command->caller.is_operator && !user_may_still(command, ROLE_OWNER)))
		return;
	gone.account = wire_bytes_of(&work->account);
	event.event_case = EVENTS__AUTH_EVENT__EVENT_ACCOUNT_CLOSING;
	event.account_closing = &gone;
	event.has_by = caller_by(&command->caller, &by);
	event.by = wire_bytes_of(&by);
	auth_command_append(command, events, 1);
}

static void committed(struct command *command)
{
	command->tries = 0;
	begin(command->auth, &user_work_of(command)->account, &command->caller, command);
}

void closings_forget(struct command *command)
{
	struct closing *closing;

	TAILQ_FOREACH(closing, &command->auth->users->closings, link)
	if (closing->command == command)
		closing->command = NULL;
}

static const struct command_kind delete_kind = {
	.execute = execute,
	.committed = committed,
	.done = user_done,
};

static void on_checked(void *self, const char *hash)
{
	struct command *command = self;
	struct refusal why = refusal(403, "password: it is wrong");

	if (!hash) {
		command_refuse(command, &why);
		return;
	}
	user_try_was_good(command->auth, user_work_of(command)->email, NULL);
	execute(command);
}

static void check_password(struct command *command)
{
	struct user_work *work = user_work_of(command);
	char *password = ((Auth__DeleteAccount *)command->request)->password;
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	struct refusal why = refusal(403, "only an owner of the account may do this");
	const Events__UserRow *row;
	enum err err = rows_user(command->auth->store, &work->account, &work->user,
	                         (Events__UserRow **)&message);

	row = (const Events__UserRow *)message;
	if (err != OK) {
		why = refusal_of(err, refusal_unauthorized());
	} else if (strcmp(row->role, ROLE_OWNER) == 0) {
		(void)snprintf(work->email, sizeof work->email, "%s", row->email);
		(void)snprintf(work->expected, sizeof work->expected, "%s",
		               row->password_hash ? row->password_hash : "");
		if ((strlen(password) <= PASSWORD_MOST ||
		     user_password_allowed("password", password, &why)) &&
		    user_may_try(command->auth, work->email, NULL, &why)) {
			user_check(command, password, on_checked);
			return;
		}
	}
	command_refuse(command, &why);
}

void on_delete_account(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request)
{
	struct command *command = NULL;
	struct caller caller;

	if (user_asks(auth, call, request->principal, &caller))
		command = user_command(auth, &delete_kind, call, request->op_id, 'x',
		                       &request->delete_account->base);
	wipe_text(request->delete_account->password);
	if (!command)
		return;
	command->caller = caller;
	user_work_of(command)->account = caller.account;
	user_work_of(command)->user = caller.user;
	check_password(command);
}

void delete_account_wanted(struct auth *auth, struct bus_call *call, const struct caller *caller,
                           const Auth__AdminRequest *request)
{
	struct command *command = user_command(auth, &delete_kind, call, request->op_id, 'y',
	                                       &request->delete_account->base);

	if (!command)
		return;
	command->caller = *caller;
	user_work_of(command)->account = caller->account;
	execute(command);
}
