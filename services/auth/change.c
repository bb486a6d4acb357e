#include "services/auth/change_internal.h"

#include "common/clock.h"
#include "services/auth/commands.h"
#include "services/auth/deliver.h"
#include "services/auth/edges.h"
#include "services/auth/revoke.h"

#include <string.h>

/* ---- what it makes of a key ---- */

void change_fill(struct changed *ret, const Events__KeyRow *was, const struct key_wish *wish)
{
	Auth__Key *key = &ret->key;

	ret->row = *was;
	ret->row.key = key;
	ret->row.scopes = wish->scopes;
	*key = *was->key;
	key->n_scopes = key_scope_names(wish->scopes, ret->scopes);
	key->scopes = ret->scopes;
	key->label = (char *)wish->label;
	key->device_id = (char *)wish->device_id;
	key->external_id = (char *)wish->external_id;
	key->metadata = (char *)wish->metadata;
	key->has_rate_limit = wish->has_rate_limit;
	key->rate_limit = wish->rate_limit;
	key->has_expires_at = wish->has_expires_at;
	key->expires_at = wish->expires_at;
	key->limits = key_limits_message(&wish->limits, &ret->limits);
	events__key_changed__init(&ret->event);
	ret->event.row = &ret->row;
}

void change_fill_notice(struct changed *ret, const struct uuid *id, uint64_t number)
{
	auth__notice__init(&ret->notice);
	ret->notice.number = number;
	ret->notice.account = ret->row.account;
	ret->notice.key = wire_bytes_of(id);
	ret->notice.reason = (char *)(ret->key.disabled ? REASON_DISABLED : REASON_CHANGED);
	if (!ret->key.disabled) {
		ret->rights = key_rights(&ret->row, id);
		ret->rights.notice = number;
		ret->notice.rights = &ret->rights;
	}
	ret->event.notice = &ret->notice;
}

void change_append(struct change *change, struct changed *made, Events__AuthEvent *also)
{
	struct command *command = change->command;
	Events__AuthEvent event = EVENTS__AUTH_EVENT__INIT;
	Events__AuthEvent *events[] = { also ? also : &event, &event };
	struct uuid by;

	event.event_case = EVENTS__AUTH_EVENT__EVENT_KEY_CHANGED;
	event.key_changed = &made->event;
	event.has_by = caller_by(&command->caller, &by);
	event.by = wire_bytes_of(&by);
	if (change->notice)
		wire_free(&TAKE(change->notice)->base);
	if (made->event.notice)
		change->notice = (Auth__Notice *)wire_copy(&made->notice.base);
	auth_command_append(command, events, also ? 2 : 1);
}

Events__KeyRow *change_target(struct change *change, const char *text, struct uuid *ret_id)
{
	struct command *command = change->command;
	struct auth *auth = command->auth;
	struct refusal why = refusal(404, DETAIL_NO_SUCH_KEY);
	Events__KeyRow *row = NULL;
	struct key_wish was;
	enum err err = core_caller_again(auth, &command->caller);

	if (err == OK)
		err = uuid_parse(text, ret_id)
		              ? rows_key(auth->store, &command->caller.account, ret_id, &row)
		              : ERR_NOT_FOUND;
	if (err != OK) {
		why = refusal_of(err, why);
		command_refuse(command, &why);
		return NULL;
	}
	was = key_wish_from(row);
	if (key_wish_allowed(&was, &command->caller, &why))
		return row;
	wire_free(&row->base);
	command_refuse(command, &why);
	return NULL;
}

/* ---- the command ---- */

static struct change *change_of(struct command *command)
{
	return command->detail;
}

static void change_execute(struct command *command)
{
	struct change *change = change_of(command);

	if (!change->holds_number)
		change->holds_number = revokes_lend(command->auth->revokes, &change->spread.number);
	if (change->holds_number)
		change->kind->make(change);
	else
		command_park(command);
}

void change_finish(struct change *change)
{
	struct command *command = change->command;

	auth_command_finish(command, BYTES(command->reply.data, command->reply.len), true);
}

static void on_everywhere(struct spread *spread)
{
	struct change *change = (struct change *)spread;

	notices_row(&spread->auth->notices, spread->number)->spread = NULL;
	change->kind->in_force(change);
}

static void return_number(struct change *change)
{
	if (!change->holds_number)
		return;
	change->holds_number = false;
	revokes_returned(change->spread.auth->revokes);
}

static void change_committed(struct command *command)
{
	struct auth *auth = command->auth;
	struct change *change = change_of(command);
	uint64_t number = change->spread.number;
	struct uuid key;
	char id[UUID_TEXT];

	auth->metrics.keys_changed_total++;
	if (!change->notice) {
		return_number(change);
		change->kind->in_force(change);
		return;
	}
	lease_check(auth);
	MUST(wire_id(change->notice->key, &key));
	uuid_text(&key, id);
	log_info("key-changed", "key=%s notice=%llu reason=%s", id, (unsigned long long)number,
	         change->notice->reason);
	MUST(notices_add_message(&auth->notices, change->notice, auth->deps.bus_secret) == OK);
	return_number(change);
	deliver_broadcast(auth, number - 1);
	deliver_notices(auth);
	spread_start(&change->spread);
}

static void change_done(struct command *command)
{
	struct change *change = change_of(command);

	command->auth->metrics.changes_waiting--;
	return_number(change);
	if (change->notice)
		wire_free(&change->notice->base);
	if (change->kind->gone)
		change->kind->gone(change);
}

static const struct command_kind command_kind = {
	.execute = change_execute,
	.committed = change_committed,
	.done = change_done,
};

void change_start(struct auth *auth, struct bus_call *call, const struct caller *caller,
                  ProtobufCBinaryData op_id, const struct change_kind *kind,
                  const ProtobufCMessage *request)
{
	struct refusal why = REFUSAL_AWAY("too many changes are under way");
	struct command *command;
	struct change *change;
	struct op *op;

	if (auth->metrics.changes_waiting >= CHANGES_MOST) {
		core_refuse(auth, call, &why);
		return;
	}
	op = op_wanted(auth, call, op_id, &caller->key, kind->op);
	if (!op)
		return;
	command = auth_command_new(auth, &command_kind, op, NULL, wire_copy(request));
	if (!command)
		return;
	auth->metrics.changes_waiting++;
	change = xcalloc(1, sizeof *change);
	change->kind = kind;
	change->command = command;
	change->spread.auth = auth;
	change->spread.everywhere = on_everywhere;
	command->detail = change;
	command->caller = *caller;
	change_execute(command);
}

/* ---- PATCH ---- */

static bool touches_rights(const Auth__PatchKey *patch)
{
	static const char *const names[] = { "device_id", "rate_limit", "expires_at", "limits" };

	for (size_t i = 0; i < patch->n_cleared; i++)
		for (size_t k = 0; k < ARRAY_LEN(names); k++)
			if (strcmp(patch->cleared[i], names[k]) == 0)
				return true;
	return patch->n_scopes > 0 || patch->device_id || patch->has_rate_limit || patch->limits ||
	       patch->has_expires_at || patch->has_disabled;
}

static void reply_with(struct change *change, struct changed *made)
{
	struct command *command = change->command;
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Auth__Key key = made->key;

	show_last_use(command->auth, &command->caller.account, &key);
	reply.result_case = AUTH__AUTH_REPLY__RESULT_KEY;
	reply.key = &key;
	command->reply.len = 0;
	(void)wire_pack(&command->reply, &reply.base);
	mem_free(key.last_used_address);
	mem_free(key.last_used_agent);
}

static void patch_key(struct change *change)
{
	const Auth__PatchKey *patch = (const Auth__PatchKey *)change->command->request;
	struct changed made;
	struct key_wish wish;
	struct refusal why;
	struct uuid id;
	Events__KeyRow *row = change_target(change, patch->id, &id);

	if (!row)
		return;
	if (!key_wish_patched(row, patch, &wish, &why) ||
	    !key_wish_allowed(&wish, &change->command->caller, &why)) {
		wire_free(&row->base);
		command_refuse(change->command, &why);
		return;
	}
	change_fill(&made, row, &wish);
	if (patch->has_disabled)
		made.key.disabled = patch->disabled;
	if (touches_rights(patch))
		change_fill_notice(&made, &id, change->spread.number);
	reply_with(change, &made);
	change_append(change, &made, NULL);
	wire_free(&row->base);
}

static const struct change_kind patch_kind = {
	.op = 'p',
	.make = patch_key,
	.in_force = change_finish,
};

void patch_wanted(struct auth *auth, struct bus_call *call, const struct caller *caller,
                  ProtobufCBinaryData op_id, const Auth__PatchKey *patch)
{
	change_start(auth, call, caller, op_id, &patch_kind, &patch->base);
}
