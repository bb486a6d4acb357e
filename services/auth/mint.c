#include "services/auth/commands.h"

#include "common/apikey.h"
#include "common/clock.h"
#include "services/auth/key.h"
#include "services/auth/new_key.h"
#include "services/auth/revoke.h"

#include <sodium.h>
#include <string.h>

#define OP_ID_BYTES 16

struct op *op_wanted(struct auth *auth, struct bus_call *call, ProtobufCBinaryData op_id,
                     const struct uuid *caller, int kind)
{
	struct refusal why =
	        refusal(400, "op_id: expected %d bytes, got %zu", OP_ID_BYTES, op_id.len);

	if (op_id.len != OP_ID_BYTES) {
		core_refuse(auth, call, &why);
		return NULL;
	}
	return ops_begin(auth->ops, BYTES(op_id.data, op_id.len), caller, kind, call);
}

void new_key_make(struct new_key *ret, const struct key_wish *wish, const struct caller *caller,
                  const uint8_t *digest_secret)
{
	int64_t now_ms = clock_wall_ms();
	struct uuid id = uuid_new(now_ms), by;

	apikey_make(ret->text);
	key_digest(ret->text, digest_secret, ret->digest);
	memcpy(ret->hint, ret->text + strlen("raeh_"), APIKEY_HINT);
	uuid_text(&id, ret->id);
	auth__key__init(&ret->key);
	ret->key.id = ret->id;
	ret->key.label = (char *)wish->label;
	ret->key.hint = ret->hint;
	ret->key.n_scopes = key_scope_names(wish->scopes, ret->scopes);
	ret->key.scopes = ret->scopes;
	ret->key.device_id = (char *)wish->device_id;
	ret->key.external_id = (char *)wish->external_id;
	ret->key.metadata = (char *)wish->metadata;
	ret->key.has_rate_limit = wish->has_rate_limit;
	ret->key.rate_limit = wish->rate_limit;
	ret->key.has_expires_at = wish->has_expires_at;
	ret->key.expires_at = wish->expires_at;
	ret->key.limits = key_limits_message(&wish->limits, &ret->limits);
	ret->key.created_at = now_ms;
	if (caller_by(caller, &by)) {
		uuid_text(&by, ret->minted_by);
		ret->key.minted_by = ret->minted_by;
	}
	events__key_row__init(&ret->row);
	ret->row.account = wire_bytes_of(&caller->account);
	ret->row.digest = wire_bytes(BYTES(ret->digest, DIGEST_BYTES));
	ret->row.key = &ret->key;
	ret->row.scopes = wish->scopes;
}

static void append_minted(struct command *command, struct new_key *made)
{
	Events__AuthEvent event = EVENTS__AUTH_EVENT__INIT, *events[] = { &event };
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	struct uuid by;

	event.event_case = EVENTS__AUTH_EVENT__EVENT_KEY_MINTED;
	event.key_minted = &made->row;
	event.has_by = caller_by(&command->caller, &by);
	event.by = wire_bytes_of(&by);
	reply.result_case = AUTH__AUTH_REPLY__RESULT_KEY;
	reply.key = &made->key;
	made->key.key = made->text; /* in the answer, and not in the event */
	buf_wipe(&command->reply);
	(void)wire_pack(&command->reply, &reply.base);
	made->key.key = NULL;
	auth_command_append(command, events, 1);
}

static void mint_execute(struct command *command)
{
	struct auth *auth = command->auth;
	const Auth__MintKey *mint = (const Auth__MintKey *)command->request;
	struct new_key made = { 0 };
	struct key_wish wish;
	struct refusal why;
	enum err err;

	if (revoke_is_under_way(auth->revokes, &command->caller.key)) {
		command_park(command);
		return;
	}
	err = core_caller_again(auth, &command->caller);
	if (err != OK) {
		why = refusal_of(err, refusal_unauthorized());
		command_refuse(command, &why);
	} else if (!key_wish_of(mint, &wish, &why) ||
	           !key_wish_allowed(&wish, &command->caller, &why)) {
		command_refuse(command, &why);
	} else {
		new_key_make(&made, &wish, &command->caller, auth->deps.digest_secret);
		append_minted(command, &made);
		sodium_memzero(&made, sizeof made);
	}
}

static void mint_committed(struct command *command)
{
	command->auth->metrics.keys_minted_total++;
	auth_command_finish(command, BYTES(command->reply.data, command->reply.len), true);
}

static const struct command_kind mint_kind = {
	.execute = mint_execute,
	.committed = mint_committed,
};

void mint_wanted(struct auth *auth, struct bus_call *call, const struct caller *caller,
                 ProtobufCBinaryData op_id, const Auth__MintKey *mint)
{
	struct op *op = op_wanted(auth, call, op_id, &caller->key, 'm');
	struct command *command;

	if (!op)
		return;
	command = auth_command_new(auth, &mint_kind, op, NULL, wire_copy(&mint->base));
	if (!command)
		return;
	command->caller = *caller;
	mint_execute(command);
}
