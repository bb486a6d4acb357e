#include "services/auth/user.h"

#include "common/address.h"
#include "common/clock.h"
#include "common/wire.h"
#include "services/auth/key.h"
#include "services/auth/users.h"

#include <ctype.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* ---- rules ---- */

void wipe_text(char *text)
{
	if (text)
		sodium_memzero(text, strlen(text));
}

bool user_email_take(const char *email, char ret[EMAIL_BYTES + 1], struct refusal *ret_why)
{
	const char *at = strchr(email, '@');

	*ret_why = refusal(400, "email: expected name@host, at most %d bytes", EMAIL_BYTES);
	if (!at || at == email || !at[1] || strchr(at + 1, '@') || strlen(email) > EMAIL_BYTES ||
	    strchr(email, ' ') || text_has_control(email) || text_has_secret(email))
		return false;
	for (; *email; email++)
		*ret++ = (char)tolower((unsigned char)*email);
	*ret = '\0';
	return true;
}

bool user_password_allowed(const char *field, const char *password, struct refusal *ret_why)
{
	size_t len = strlen(password);

	*ret_why = refusal(400, "%s: expected %d to %d bytes, got %zu", field, PASSWORD_LEAST,
	                   PASSWORD_MOST, len);
	return len >= PASSWORD_LEAST && len <= PASSWORD_MOST;
}

/* How the throttle knows the address; false: it is spared. */
static bool address_name(const char *address, char ret[2 * ADDRESS_OWNER + 1])
{
	uint8_t owner[ADDRESS_OWNER];
	bool counts = address && address_owner(address, owner);

	if (counts)
		(void)sodium_bin2hex(ret, 2 * ADDRESS_OWNER + 1, owner, sizeof owner);
	return counts;
}

bool user_may_try(struct auth *auth, const char *email, const char *address,
                  struct refusal *ret_why)
{
	char name[2 * ADDRESS_OWNER + 1];
	uint32_t wait_s = 0;

	if (address_name(address, name))
		wait_s = throttle_take(auth->users->by_address, name);
	if (wait_s == 0 && email)
		wait_s = throttle_take(auth->users->by_email, email);
	auth->metrics.tries_throttled_total += wait_s != 0;
	*ret_why = (struct refusal){ .status = 429,
		                     .retry_after_s = wait_s,
		                     .detail = "too many tries: wait, then try again" };
	return wait_s == 0;
}

void user_try_was_good(struct auth *auth, const char *email, const char *address)
{
	char name[2 * ADDRESS_OWNER + 1];

	if (email)
		throttle_give_back(auth->users->by_email, email);
	if (address_name(address, name))
		throttle_give_back(auth->users->by_address, name);
}

bool sign_up_is_open(struct auth *auth)
{
	struct store_scan *scan;
	struct bytes key, value;
	bool any;

	if (auth->deps.sign_up != SIGN_UP_FIRST)
		return auth->deps.sign_up == SIGN_UP_OPEN;
	scan = rows_scan_own(auth->store, ROWS_EMAILS);
	any = scan_next(scan, &key, &value);
	scan_close(scan);
	return !any;
}

/* ---- who asks ---- */

bool user_asks(struct auth *auth, struct bus_call *call, const Raeh__Principal *principal,
               struct caller *ret)
{
	enum err err = core_caller(auth, principal, ret);
	struct refusal why = refusal(403, "a dashboard login is needed: an API key is not enough");

	if (err == OK && ret->is_user)
		return true;
	if (err != OK)
		why = refusal_of(err, refusal_unauthorized());
	core_refuse(auth, call, &why);
	return false;
}

bool user_is_owner(struct auth *auth, const struct caller *caller)
{
	AUTO(wire_free) ProtobufCMessage *row = NULL;

	return rows_user(auth->store, &caller->account, &caller->user, (Events__UserRow **)&row) ==
	               OK &&
	       strcmp(((Events__UserRow *)row)->role, ROLE_OWNER) == 0;
}

bool user_may_still(struct command *command, const char *role)
{
	struct auth *auth = command->auth;
	struct refusal why = refusal(403, "only an owner of the account may do this");
	enum err err = core_caller_again(auth, &command->caller);

	if (err == OK && (strcmp(role, ROLE_MEMBER) == 0 || user_is_owner(auth, &command->caller)))
		return true;
	if (err != OK)
		why = refusal_of(err, refusal_unauthorized());
	command_refuse(command, &why);
	return false;
}

/* ---- commands ---- */

struct user_work *user_work_of(struct command *command)
{
	return command->detail;
}

struct command *user_command(struct auth *auth, const struct command_kind *kind,
                             struct bus_call *call, ProtobufCBinaryData op_id, int letter,
                             const ProtobufCMessage *request)
{
	static const struct uuid nobody;
	struct op *op = op_wanted(auth, call, op_id, &nobody, letter);
	struct command *command;

	MUST(kind->done == user_done);
	if (!op)
		return NULL;
	command = auth_command_new(auth, kind, op, NULL, wire_copy(request));
	if (command)
		command->detail = xcalloc(1, sizeof(struct user_work));
	return command;
}

void user_done(struct command *command)
{
	struct user_work *work = user_work_of(command);

	hasher_forget(command->auth->deps.hasher, command);
	logins_forget(command->auth, command);
	closings_forget(command);
	wire_wipe(command->request);
	if (work)
		sodium_memzero(work, sizeof *work);
}

static bool same_place(const struct user_work *a, const struct user_work *b)
{
	static const struct uuid nil;

	return (a->email[0] && strcmp(a->email, b->email) == 0) ||
	       (!uuid_equal(&a->account, &nil) && uuid_equal(&a->account, &b->account));
}

bool user_must_wait(struct command *command)
{
	struct refusal why = refusal(409, "the account is being deleted");
	struct command *other;

	TAILQ_FOREACH(other, &command->auth->commands, link)
	if (other != command && other->kind->done == user_done && other->tries > 0 &&
	    same_place(user_work_of(command), user_work_of(other))) {
		command_park(command);
		return true;
	}
	if (rows_account_is_going(command->auth->store, &user_work_of(command)->account)) {
		command_refuse(command, &why);
		return true;
	}
	return false;
}

/* ---- passwords ---- */

static void refuse_busy(struct command *command)
{
	struct refusal why = { .status = 429,
		               .retry_after_s = 1,
		               .detail = "too many passwords are being hashed" };

	command_refuse(command, &why);
}

static void on_hashed(void *self, const char *hash)
{
	struct command *command = self;
	struct refusal why = REFUSAL_AWAY("no memory to hash the password");

	if (!hash) {
		command_refuse(command, &why);
		return;
	}
	(void)snprintf(user_work_of(command)->hash, PASSWORD_HASH, "%s", hash);
	command->kind->execute(command);
}

void user_hash(struct command *command, char *password)
{
	enum err err = hasher_submit(command->auth->deps.hasher, password, on_hashed, command);

	wipe_text(password);
	if (err != OK)
		refuse_busy(command);
}

void user_check(struct command *command, char *password, hasher_fn *fn)
{
	const char *expected = user_work_of(command)->expected;
	enum err err = hasher_verify(command->auth->deps.hasher, password,
	                             expected[0] ? expected : NULL, fn, command);

	wipe_text(password);
	if (err != OK)
		refuse_busy(command);
}

/* ---- events ---- */

void user_event_fill(struct user_event *event, struct user_work *work, const char *role,
                     const Events__UserRow *old)
{
	static const struct uuid nobody;

	events__auth_event__init(&event->event);
	events__user_row__init(&event->row);
	event->row.id = wire_bytes_of(&work->user);
	event->row.account = wire_bytes_of(&work->account);
	event->row.email = work->email;
	event->row.role = (char *)role;
	event->row.password_hash = work->hash[0] ? work->hash : NULL;
	event->row.created_at = old ? old->created_at : clock_wall_ms();
	event->row.has_password_changed_at = work->over_before_ms != 0;
	event->row.password_changed_at = work->over_before_ms;
	event->row.has_once = !old && !uuid_equal(&work->once, &nobody);
	event->row.once = wire_bytes_of(&work->once);
	if (old && old->has_once) {
		event->row.has_once = true;
		event->row.once = old->once;
	}
	event->event.event_case = EVENTS__AUTH_EVENT__EVENT_USER_MADE;
	event->event.user_made = &event->row;
	event->by = work->user;
	event->event.has_by = true;
	event->event.by = wire_bytes_of(&event->by);
}

/* ---- answers ---- */

static bool me_rows(struct auth *auth, const struct uuid *account, const struct uuid *user,
                    Events__UserRow **ret_user, Events__AccountRow **ret_account,
                    struct refusal *ret_why)
{
	enum err err = rows_user(auth->store, account, user, ret_user);

	if (err == OK)
		err = rows_account(auth->store, account, ret_account);
	if (err != OK)
		*ret_why = refusal_of(err, refusal_unauthorized());
	return err == OK;
}

bool me_reply(struct auth *auth, const struct uuid *account, const struct uuid *user,
              const char *credential, struct buf *ret, struct refusal *ret_why)
{
	AUTO(wire_free) ProtobufCMessage *user_row = NULL, *account_row = NULL;
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Auth__MeAccount of = AUTH__ME_ACCOUNT__INIT;
	Auth__User who = AUTH__USER__INIT;
	Auth__Me me = AUTH__ME__INIT;
	char ids[2][UUID_TEXT];
	Events__UserRow *row;

	if (!me_rows(auth, account, user, (Events__UserRow **)&user_row,
	             (Events__AccountRow **)&account_row, ret_why))
		return false;
	row = (Events__UserRow *)user_row;
	uuid_text(user, ids[0]);
	uuid_text(account, ids[1]);
	who.id = ids[0];
	who.email = row->email;
	who.role = row->role;
	who.created_at = row->created_at;
	of.id = ids[1];
	of.created_at = ((Events__AccountRow *)account_row)->created_at;
	me.user = &who;
	me.account = &of;
	me.signup = sign_up_is_open(auth) ? "open" : "closed";
	me.version = RAEH_VERSION;
	me.has_credential = credential[0] != '\0';
	me.credential = wire_bytes(BYTES(credential, strlen(credential)));
	reply.result_case = AUTH__AUTH_REPLY__RESULT_ME;
	reply.me = &me;
	(void)wire_pack(ret, &reply.base);
	return true;
}

void user_answer_me(struct command *command)
{
	struct user_work *work = user_work_of(command);
	struct refusal why;

	buf_wipe(&command->reply);
	if (me_reply(command->auth, &work->account, &work->user, work->credential, &command->reply,
	             &why))
		auth_command_finish(command, BYTES(command->reply.data, command->reply.len), true);
	else
		command_refuse(command, &why);
}

void user_answer_done(struct command *command)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Raeh__Empty done = RAEH__EMPTY__INIT;

	reply.result_case = AUTH__AUTH_REPLY__RESULT_DONE;
	reply.done = &done;
	(void)wire_pack(&command->reply, &reply.base);
	auth_command_finish(command, BYTES(command->reply.data, command->reply.len), true);
}
