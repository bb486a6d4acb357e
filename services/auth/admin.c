/*
 * The operator's commands: whoever may open the socket auth.admin is the operator.
 */
#include "services/auth/commands.h"

#include "common/clock.h"
#include "services/auth/key.h"
#include "services/auth/password.h"
#include "services/auth/revoke.h"

#include <ctype.h>
#include <sodium.h>
#include <string.h>

#define EMAIL_BYTES 254 /* RFC 5321 */

typedef void handler_fn(struct auth *auth, struct bus_call *call,
                        const Auth__AdminRequest *request);

/* ---- CreateAccount ---- */

static void lower_case(char *text)
{
	for (; *text; text++)
		*text = (char)tolower((unsigned char)*text);
}

static bool email_valid(const char *email)
{
	const char *at = strchr(email, '@');

	return at && at != email && at[1] && !strchr(at + 1, '@') && strlen(email) <= EMAIL_BYTES &&
	       !strchr(email, ' ') && !text_has_control(email) && !text_has_key(email);
}

static bool create_valid(const Auth__CreateAccount *create, struct refusal *ret_why)
{
	size_t len = create->password ? strlen(create->password) : PASSWORD_LEAST;

	if (!email_valid(create->email)) {
		*ret_why = refusal(400, "email: expected name@host, at most %d bytes", EMAIL_BYTES);
		return false;
	}
	if (len < PASSWORD_LEAST || len > PASSWORD_MOST) {
		*ret_why = refusal(400, "password: expected %d to %d bytes, got %zu",
		                   PASSWORD_LEAST, PASSWORD_MOST, len);
		return false;
	}
	return true;
}

static const char *email_of(const struct command *command)
{
	return ((const Auth__CreateAccount *)command->request)->email;
}

static void create_execute(struct command *command);

/* Another command that has appended the same address: who of the two is first, its commit
 * says. */
static bool email_is_under_way(const struct command *command)
{
	const struct command *other;

	TAILQ_FOREACH(other, &command->auth->commands, link)
	if (other != command && other->kind == command->kind && other->tries > 0 &&
	    strcmp(email_of(other), email_of(command)) == 0)
		return true;
	return false;
}

static void append_account(struct command *command)
{
	Events__AuthEvent event = EVENTS__AUTH_EVENT__INIT, *events[] = { &event };
	Events__AccountRow row = EVENTS__ACCOUNT_ROW__INIT;
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Auth__Account account = AUTH__ACCOUNT__INIT;
	struct uuid id = uuid_new(clock_wall_ms());
	char text[UUID_TEXT];

	uuid_text(&id, text);
	row.id = wire_bytes_of(&id);
	row.email = (char *)email_of(command);
	row.password_hash = command->detail;
	row.created_at = clock_wall_ms();
	account.account_id = text;
	account.email = row.email;
	event.event_case = EVENTS__AUTH_EVENT__EVENT_ACCOUNT_CREATED;
	event.account_created = &row;
	reply.result_case = AUTH__AUTH_REPLY__RESULT_ACCOUNT;
	reply.account = &account;
	(void)wire_pack(&command->reply, &reply.base);
	auth_command_append(command, events, 1);
}

static void create_execute(struct command *command)
{
	struct auth *auth = command->auth;
	struct refusal why = refusal(409, "email: an account with this address exists");
	struct uuid taken;
	enum err err;

	if (email_is_under_way(command)) {
		command_park(command);
		return;
	}
	err = rows_account_by_email(auth->store, email_of(command), &taken);
	if (err == ERR_NOT_FOUND) {
		append_account(command);
		return;
	}
	if (err != OK)
		why = refusal_of(err, why);
	command_refuse(command, &why);
}

static void create_done(struct command *command)
{
	hasher_forget(command->auth->deps.hasher, command);
}

static const struct command_kind create_kind = {
	.execute = create_execute,
	.done = create_done,
};

static void on_hashed(void *self, const char *hash)
{
	struct command *command = self;
	struct refusal why = REFUSAL_AWAY("no memory to hash the password");

	if (!hash) {
		command_refuse(command, &why);
		return;
	}
	command->detail = xstrdup(hash);
	create_execute(command);
}

static void on_create_account(struct auth *auth, struct bus_call *call,
                              const Auth__AdminRequest *request)
{
	static const struct uuid operator;
	Auth__CreateAccount *create = request->create_account;
	struct refusal why;
	struct command *command;
	struct op *op;
	enum err err;

	if (!create_valid(create, &why)) {
		core_refuse(auth, call, &why);
		return;
	}
	lower_case(create->email);
	op = op_wanted(auth, call, request->op_id, &operator, 'a');
	if (!op)
		return;
	command = auth_command_new(auth, &create_kind, op, NULL, wire_copy(&create->base));
	if (!command)
		return;
	create = (Auth__CreateAccount *)command->request;
	if (!create->password) {
		create_execute(command);
		return;
	}
	err = hasher_submit(auth->deps.hasher, create->password, on_hashed, command);
	sodium_memzero(create->password, strlen(create->password));
	if (err != OK) {
		why = (struct refusal){ .status = 429,
			                .retry_after_s = 1,
			                .detail = "too many passwords are being hashed" };
		command_refuse(command, &why);
	}
}

/* ---- keys ---- */

/* The account that the request names, or false and the call is answered. */
static bool account_named(struct auth *auth, struct bus_call *call,
                          const Auth__AdminRequest *request, struct caller *ret)
{
	struct refusal why = refusal(404, "no such account");
	struct caller operator= { .is_operator = true, .scopes = SCOPES_ALL };
	AUTO(wire_free) ProtobufCMessage *row = NULL;
	enum err err = ERR_NOT_FOUND;

	if (!request->account) {
		why = refusal(400, "account: required, an id or an e-mail address");
	} else if (uuid_parse(request->account, &operator.account)) {
		err = rows_account(auth->store, &operator.account, (Events__AccountRow **)&row);
	} else if (strlen(request->account) <= EMAIL_BYTES) {
		lower_case(request->account);
		err = rows_account_by_email(auth->store, request->account, &operator.account);
	}
	if (err == OK) {
		*ret = operator;
		return true;
	}
	why = refusal_of(err, why);
	core_refuse(auth, call, &why);
	return false;
}

static void on_mint_key(struct auth *auth, struct bus_call *call, const Auth__AdminRequest *request)
{
	struct caller operator;

	if (account_named(auth, call, request, &operator))
		mint_wanted(auth, call, &operator, request->op_id, request->mint_key);
}

static void on_list_keys(struct auth *auth, struct bus_call *call,
                         const Auth__AdminRequest *request)
{
	struct caller operator;

	if (account_named(auth, call, request, &operator))
		list_wanted(auth, call, &operator.account, request->list_keys);
}

static void on_revoke_key(struct auth *auth, struct bus_call *call,
                          const Auth__AdminRequest *request)
{
	const struct caller operator= { .is_operator = true, .scopes = SCOPES_ALL };

	revoke_wanted(auth, call, &operator, NULL, request->revoke_key->id);
}

static void on_metrics(struct auth *auth, struct bus_call *call, const Auth__AdminRequest *request)
{
	(void)request;
	answer_metrics(auth, call);
}

/* Every command of the name auth.admin, by its number in proto/auth.proto. */
static handler_fn *const handlers[] = {
	[AUTH__ADMIN_REQUEST__COMMAND_CREATE_ACCOUNT] = on_create_account,
	[AUTH__ADMIN_REQUEST__COMMAND_MINT_KEY] = on_mint_key,
	[AUTH__ADMIN_REQUEST__COMMAND_LIST_KEYS] = on_list_keys,
	[AUTH__ADMIN_REQUEST__COMMAND_REVOKE_KEY] = on_revoke_key,
	[AUTH__ADMIN_REQUEST__COMMAND_METRICS] = on_metrics,
};

static void wipe_password(ProtobufCMessage *message)
{
	Auth__AdminRequest *request = (Auth__AdminRequest *)message;

	if (request && request->command_case == AUTH__ADMIN_REQUEST__COMMAND_CREATE_ACCOUNT &&
	    request->create_account->password)
		sodium_memzero(request->create_account->password,
		               strlen(request->create_account->password));
}

void on_admin_call(void *self, struct bus_call *call, struct bytes bytes)
{
	struct auth *auth = self;
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&auth__admin_request__descriptor, bytes);
	const Auth__AdminRequest *request = (const Auth__AdminRequest *)message;
	struct refusal why = refusal(400, "expected an AdminRequest with a command");

	if (request && request->command_case < ARRAY_LEN(handlers) &&
	    handlers[request->command_case]) {
		handlers[request->command_case](auth, call, request);
		wipe_password(message);
		return;
	}
	auth->metrics.malformed_total++;
	core_refuse(auth, call, &why);
}
