#include "services/auth/change_internal.h"

#include "common/clock.h"
#include "services/auth/new_key.h"
#include "services/auth/revoke.h"

#include <sodium.h>

#define OVERLAP_MOST_S (10u * 365 * 86400)

/* ---- the end of the old key, when there is no overlap ---- */

struct ending {
	struct bus_call call;  /* first: what the revoke answers */
	struct change *change; /* NULL: the command has gone */
};

static void on_revoked(struct bus_call *call, struct bytes bytes)
{
	struct ending *ending = (struct ending *)call;
	struct change *change = ending->change;
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&auth__auth_reply__descriptor, bytes);
	const Raeh__Error *error = ((const Auth__AuthReply *)message)->error;
	struct refusal why;

	mem_free(ending);
	if (!change)
		return;
	change->ending = NULL;
	if (!error || error->status == 404) { /* or somebody was faster */
		change_finish(change);
		return;
	}
	why = refusal(error->status, "%s", error->detail);
	why.retry_after_s = error->retry_after_s;
	command_refuse(change->command, &why);
}

static void on_dropped(struct bus_call *call)
{
	struct ending *ending = (struct ending *)call;
	struct change *change = ending->change;
	struct refusal why = REFUSAL_AWAY("the old key's revoke is asked for by too many");

	mem_free(ending);
	if (!change)
		return;
	change->ending = NULL;
	command_refuse(change->command, &why);
}

static void revoke_old(struct change *change)
{
	static const struct bus_ops ops = { .reply = on_revoked, .drop = on_dropped };
	const Auth__RotateKey *rotate = (const Auth__RotateKey *)change->command->request;
	struct ending *ending = xcalloc(1, sizeof *ending);
	struct caller caller = change->command->caller;

	ending->call.ops = &ops;
	ending->change = change;
	change->ending = ending;
	caller.vouched = true;
	revoke_wanted(change->spread.auth, &ending->call, &caller, &caller.account, rotate->id);
}

static void forget_ending(struct change *change)
{
	if (change->ending)
		change->ending->change = NULL;
}

/* ---- the rotation ---- */

static void make_successor(struct new_key *ret, const Events__KeyRow *row,
                           const struct key_wish *wish, const struct auth *auth,
                           const struct caller *caller)
{
	new_key_make(ret, wish, caller, auth->deps.digest_secret);
	ret->key.disabled = row->key->disabled;
	ret->key.minted_by = row->key->minted_by; /* whoever rotates it: a cascade finds both */
}

static void reply_with(struct command *command, struct new_key *made)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;

	reply.result_case = AUTH__AUTH_REPLY__RESULT_KEY;
	reply.key = &made->key;
	made->key.key = made->text; /* in the answer, and not in the event */
	buf_wipe(&command->reply);
	(void)wire_pack(&command->reply, &reply.base);
	made->key.key = NULL;
}

/* Rotated again, a key lives no longer for it: whoever has got hold of it could do that. */
static int64_t end_of_overlap(const Auth__Key *old, uint32_t overlap_s)
{
	int64_t end = clock_wall_ms() + (int64_t)overlap_s * 1000;

	return old->has_rotates_out_at && old->rotates_out_at < end ? old->rotates_out_at : end;
}

static void append(struct change *change, Events__KeyRow *row, const struct uuid *id)
{
	struct command *command = change->command;
	const Auth__RotateKey *rotate = (const Auth__RotateKey *)command->request;
	struct key_wish wish = key_wish_from(row);
	Events__AuthEvent event = EVENTS__AUTH_EVENT__INIT;
	struct new_key made = { 0 };
	struct changed old;
	struct uuid by;

	make_successor(&made, row, &wish, command->auth, &command->caller);
	reply_with(command, &made);
	event.event_case = EVENTS__AUTH_EVENT__EVENT_KEY_MINTED;
	event.key_minted = &made.row;
	event.has_by = caller_by(&command->caller, &by);
	event.by = wire_bytes_of(&by);
	change_fill(&old, row, &wish);
	old.key.rotated_to = made.id;
	if (rotate->has_overlap_s) {
		old.key.has_rotates_out_at = true;
		old.key.rotates_out_at = end_of_overlap(row->key, rotate->overlap_s);
	}
	if (rotate->has_overlap_s && rotate->overlap_s > 0)
		change_fill_notice(&old, id, change->spread.number);
	change_append(change, &old, &event);
	sodium_memzero(&made, sizeof made);
}

static void rotate_key(struct change *change)
{
	struct command *command = change->command;
	const Auth__RotateKey *rotate = (const Auth__RotateKey *)command->request;
	struct refusal why = refusal(400, "overlap_s: expected 0 to %u seconds, got %u",
	                             OVERLAP_MOST_S, rotate->overlap_s);
	struct uuid id;
	Events__KeyRow *row;

	if (rotate->overlap_s > OVERLAP_MOST_S) {
		command_refuse(command, &why);
		return;
	}
	row = change_target(change, rotate->id, &id);
	if (!row)
		return;
	if (row->key->has_expires_at && row->key->expires_at <= clock_wall_ms()) {
		why = refusal(409, "the time of this key is over, and its successor's would be");
		command_refuse(command, &why);
	} else {
		append(change, row, &id);
	}
	wire_free(&row->base);
}

static void rotated(struct change *change)
{
	const Auth__RotateKey *rotate = (const Auth__RotateKey *)change->command->request;

	change->spread.auth->metrics.keys_minted_total++;
	if (rotate->has_overlap_s && rotate->overlap_s == 0)
		revoke_old(change);
	else
		change_finish(change);
}

static const struct change_kind rotate_kind = {
	.op = 'r',
	.make = rotate_key,
	.in_force = rotated,
	.gone = forget_ending,
};

void rotate_wanted(struct auth *auth, struct bus_call *call, const struct caller *caller,
                   ProtobufCBinaryData op_id, const Auth__RotateKey *rotate)
{
	change_start(auth, call, caller, op_id, &rotate_kind, &rotate->base);
}
