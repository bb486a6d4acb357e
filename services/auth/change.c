#include "services/auth/change.h"

#include "common/clock.h"
#include "services/auth/commands.h"
#include "services/auth/deliver.h"
#include "services/auth/edges.h"
#include "services/auth/key.h"
#include "services/auth/revoke.h"
#include "services/auth/spread.h"

#include <string.h>

/* The detail of a command. */
struct change {
	struct spread spread;
	struct command *command;
	bool holds_number;    /* lent by revokes */
	Auth__Notice *notice; /* as appended */
};

static struct change *change_of(struct command *command)
{
	return command->detail;
}

/* ---- what it makes of a key ---- */

/* A key's row as it will be; borrows from the old one and from the patch. */
struct changed {
	Auth__Key key;
	Events__KeyRow row;
	char *scopes[KEY_SCOPES_SHOWN];
	Raeh__Principal rights;
	Auth__Notice notice;
	Events__KeyChanged event;
};

static bool touches_rights(const Auth__PatchKey *patch)
{
	static const char *const names[] = { "device_id", "rate_limit", "expires_at" };

	for (size_t i = 0; i < patch->n_cleared; i++)
		for (size_t k = 0; k < ARRAY_LEN(names); k++)
			if (strcmp(patch->cleared[i], names[k]) == 0)
				return true;
	return patch->n_scopes > 0 || patch->device_id || patch->has_rate_limit ||
	       patch->has_expires_at || patch->has_disabled;
}

static void fill_row(struct changed *ret, const Events__KeyRow *was, const struct key_wish *wish,
                     const Auth__PatchKey *patch)
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
	if (patch->has_disabled)
		key->disabled = patch->disabled;
	events__key_changed__init(&ret->event);
	ret->event.row = &ret->row;
}

static void fill_notice(struct changed *ret, const struct uuid *id, uint64_t number)
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

/* ---- the command ---- */

static void append_changed(struct command *command, struct changed *made)
{
	struct change *change = change_of(command);
	Events__AuthEvent event = EVENTS__AUTH_EVENT__INIT, *events[] = { &event };
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;

	event.event_case = EVENTS__AUTH_EVENT__EVENT_KEY_CHANGED;
	event.key_changed = &made->event;
	event.has_by = !command->caller.is_operator;
	event.by = wire_bytes_of(&command->caller.key);
	show_last_use(command->auth, &command->caller.account, &made->key);
	reply.result_case = AUTH__AUTH_REPLY__RESULT_KEY;
	reply.key = &made->key;
	command->reply.len = 0;
	(void)wire_pack(&command->reply, &reply.base);
	made->key.has_last_used_at = false; /* not journaled */
	if (change->notice)
		wire_free(&TAKE(change->notice)->base);
	if (made->event.notice)
		change->notice = (Auth__Notice *)wire_copy(&made->notice.base);
	auth_command_append(command, events, 1);
}

/* The number is held. */
static void change_key(struct command *command)
{
	struct auth *auth = command->auth;
	struct change *change = change_of(command);
	const Auth__PatchKey *patch = (const Auth__PatchKey *)command->request;
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	const Events__KeyRow *row;
	struct changed made;
	struct key_wish was, wish;
	struct refusal why = refusal(404, DETAIL_NO_SUCH_KEY);
	struct uuid id;
	enum err err = core_caller_again(auth, &command->caller);

	if (err == OK)
		err = uuid_parse(patch->id, &id) ? rows_key(auth->store, &command->caller.account,
		                                            &id, (Events__KeyRow **)&message)
		                                 : ERR_NOT_FOUND;
	if (err != OK) {
		why = refusal_of(err, why);
		command_refuse(command, &why);
		return;
	}
	row = (const Events__KeyRow *)message;
	was = key_wish_from(row);
	if (!key_wish_allowed(&was, &command->caller, &why) ||
	    !key_wish_patched(row, patch, &wish, &why) ||
	    !key_wish_allowed(&wish, &command->caller, &why)) {
		command_refuse(command, &why);
		return;
	}
	fill_row(&made, row, &wish, patch);
	if (touches_rights(patch))
		fill_notice(&made, &id, change->spread.number);
	append_changed(command, &made);
}

static void change_execute(struct command *command)
{
	struct change *change = change_of(command);

	if (!change->holds_number)
		change->holds_number = revokes_lend(command->auth->revokes, &change->spread.number);
	if (change->holds_number)
		change_key(command);
	else
		command_park(command);
}

static void finish(struct change *change)
{
	struct command *command = change->command;

	auth_command_finish(command, BYTES(command->reply.data, command->reply.len), true);
}

static void on_everywhere(struct spread *spread)
{
	struct change *change = (struct change *)spread;

	notices_row(&spread->auth->notices, spread->number)->spread = NULL;
	finish(change);
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

	auth->metrics.keys_changed_total++;
	if (!change->notice) {
		return_number(change);
		finish(change);
		return;
	}
	lease_check(auth);
	log_info("key-changed", "key=%s notice=%llu reason=%s",
	         ((const Auth__PatchKey *)command->request)->id, (unsigned long long)number,
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
}

static const struct command_kind change_kind = {
	.execute = change_execute,
	.committed = change_committed,
	.done = change_done,
};

void patch_wanted(struct auth *auth, struct bus_call *call, const struct caller *caller,
                  ProtobufCBinaryData op_id, const Auth__PatchKey *patch)
{
	struct refusal why = REFUSAL_AWAY("too many changes are under way");
	struct command *command;
	struct change *change;
	struct op *op;

	if (auth->metrics.changes_waiting >= CHANGES_MOST) {
		core_refuse(auth, call, &why);
		return;
	}
	op = op_wanted(auth, call, op_id, &caller->key, 'p');
	if (!op)
		return;
	command = auth_command_new(auth, &change_kind, op, NULL, wire_copy(&patch->base));
	if (!command)
		return;
	auth->metrics.changes_waiting++;
	change = xcalloc(1, sizeof *change);
	change->command = command;
	change->spread.auth = auth;
	change->spread.everywhere = on_everywhere;
	command->detail = change;
	command->caller = *caller;
	change_execute(command);
}
