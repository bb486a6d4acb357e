/*
 * The operator's commands: whoever may open the socket auth.admin is the operator.
 */
#include "services/auth/change.h"
#include "services/auth/commands.h"
#include "services/auth/group.h"
#include "services/auth/impact.h"

#include "services/auth/revoke.h"
#include "services/auth/user.h"

typedef void handler_fn(struct auth *auth, struct bus_call *call,
                        const Auth__AdminRequest *request);

/* ---- keys ---- */

/* The account that the request names, or false and the call is answered. */
static bool account_named(struct auth *auth, struct bus_call *call,
                          const Auth__AdminRequest *request, struct caller *ret)
{
	struct refusal why = refusal(404, "no such account"), no_email;
	char email[EMAIL_BYTES + 1];
	struct caller operator= { .is_operator = true, .scopes = SCOPES_ALL };
	AUTO(wire_free) ProtobufCMessage *row = NULL;
	enum err err = ERR_NOT_FOUND;

	if (!request->account) {
		why = refusal(400, "account: required, an id or an e-mail address");
	} else if (uuid_parse(request->account, &operator.account)) {
		err = rows_account(auth->store, &operator.account, (Events__AccountRow **)&row);
	} else if (user_email_take(request->account, email, &no_email)) {
		err = rows_account_by_email(auth->store, email, &operator.account);
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

static void on_delete_account_named(struct auth *auth, struct bus_call *call,
                                    const Auth__AdminRequest *request)
{
	struct caller operator;

	if (account_named(auth, call, request, &operator))
		delete_account_wanted(auth, call, &operator, request);
}

static void on_revoke_key(struct auth *auth, struct bus_call *call,
                          const Auth__AdminRequest *request)
{
	const struct caller operator= { .is_operator = true, .scopes = SCOPES_ALL };

	revoke_key_wanted(auth, call, &operator, NULL, request->revoke_key);
}

/* The key's id says whose it is; false: the call is answered. */
static bool owner_of(struct auth *auth, struct bus_call *call, const char *id, struct caller *ret)
{
	struct caller operator= { .is_operator = true, .scopes = SCOPES_ALL };
	struct refusal why = refusal(404, DETAIL_NO_SUCH_KEY);
	struct uuid key;
	enum err err = uuid_parse(id, &key) ? rows_owner(auth->store, &key, &operator.account)
	                                    : ERR_NOT_FOUND;

	if (err == OK) {
		*ret = operator;
		return true;
	}
	why = refusal_of(err, why);
	core_refuse(auth, call, &why);
	return false;
}

static void on_patch_key(struct auth *auth, struct bus_call *call,
                         const Auth__AdminRequest *request)
{
	struct caller operator;

	if (owner_of(auth, call, request->patch_key->id, &operator))
		patch_wanted(auth, call, &operator, request->op_id, request->patch_key);
}

static void on_rotate_key(struct auth *auth, struct bus_call *call,
                          const Auth__AdminRequest *request)
{
	struct caller operator;

	if (owner_of(auth, call, request->rotate_key->id, &operator))
		rotate_wanted(auth, call, &operator, request->op_id, request->rotate_key);
}

static void on_key_impact(struct auth *auth, struct bus_call *call,
                          const Auth__AdminRequest *request)
{
	impact_wanted(auth, call, NULL, request->key_impact->id);
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
	[AUTH__ADMIN_REQUEST__COMMAND_RESET_PASSWORD] = on_reset_password,
	[AUTH__ADMIN_REQUEST__COMMAND_DELETE_ACCOUNT] = on_delete_account_named,
	[AUTH__ADMIN_REQUEST__COMMAND_PATCH_KEY] = on_patch_key,
	[AUTH__ADMIN_REQUEST__COMMAND_ROTATE_KEY] = on_rotate_key,
	[AUTH__ADMIN_REQUEST__COMMAND_KEY_IMPACT] = on_key_impact,
};

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
		return;
	}
	auth->metrics.malformed_total++;
	core_refuse(auth, call, &why);
}
