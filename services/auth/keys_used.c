/*
 * What the edges report of keys: when each was used, what was done with it, and what is wanted
 * of its limits.
 */
#include "services/auth/commands.h"
#include "services/auth/hours.h"

#include "common/clock.h"

#define KEYS_USED_MOST 20000 /* one request: every socket of a full edge with a key of its own */
#define USES_MOST      1024
#define DEMANDS_MOST   1024

static void note_use(struct auth *auth, ProtobufCBinaryData field, int64_t used_ms,
                     const Raeh__Origin *from)
{
	int64_t now_ms = clock_wall_ms();
	struct uuid key, account;

	if (!wire_id(field, &key) || used_ms <= 0 || rows_owner(auth->store, &key, &account) != OK)
		return; /* a key that was never made */
	if (used_ms > now_ms)
		used_ms = now_ms;
	if (!usage_note(auth->usage, &account, &key, used_ms, from) &&
	    usage_flush(auth->usage) == OK)
		(void)usage_note(auth->usage, &account, &key, used_ms,
		                 from); /* now there is room */
}

static bool is_sound(const Auth__KeysUsed *used, struct refusal *ret_why)
{
	struct uuid incarnation;
	bool is_named =
	        used->has_slot && used->has_incarnation && wire_id(used->incarnation, &incarnation);

	if (used->n_key != used->n_used_ms || used->n_key > KEYS_USED_MOST ||
	    (used->n_origins != 0 && used->n_origins != used->n_key))
		*ret_why = refusal(400, "keys_used: expected one time for each of at most %d keys",
		                   KEYS_USED_MOST);
	else if (used->n_uses > USES_MOST || used->n_demands > DEMANDS_MOST)
		*ret_why = refusal(400, "keys_used: expected at most %d uses and %d demands",
		                   USES_MOST, DEMANDS_MOST);
	else if ((used->n_uses > 0 || used->n_demands > 0) && !is_named)
		*ret_why = refusal(400, "keys_used: expected the slot and incarnation of an edge");
	else if (used->n_uses > 0 && used->number == 0)
		*ret_why = refusal(400, "keys_used: expected the number of the report");
	else
		return true;
	return false;
}

static void answer_shares(struct auth *auth, struct bus_call *call, const Auth__KeysUsed *used)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Auth__KeyShares shares = AUTH__KEY_SHARES__INIT;
	Auth__KeyShare *share = xcalloc(used->n_demands, sizeof *share);
	int64_t now_ms = clock_boot_ms();

	shares.shares = xcalloc(used->n_demands, sizeof(Auth__KeyShare *));
	for (size_t i = 0; i < used->n_demands; i++) {
		const Auth__KeyDemand *wanted = used->demands[i];
		struct share_demand demand = { .kind = wanted->kind,
			                       .slot = used->slot,
			                       .wanted = wanted->wanted,
			                       .most = wanted->most };

		if (!wire_id(wanted->key, &demand.key))
			continue;
		auth__key_share__init(&share[i]);
		share[i].key = wanted->key;
		share[i].kind = wanted->kind;
		share[i].may = share_ask(auth->shares, &demand, now_ms);
		shares.shares[shares.n_shares++] = &share[i];
	}
	reply.result_case = AUTH__AUTH_REPLY__RESULT_KEY_SHARES;
	reply.key_shares = &shares;
	core_answer(auth, call, &reply);
	mem_free(shares.shares);
	mem_free(share);
}

void keys_used_wanted(struct auth *auth, struct bus_call *call, const Auth__KeysUsed *used)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Raeh__Empty done = RAEH__EMPTY__INIT;
	struct refusal why;

	if (!is_sound(used, &why)) {
		core_refuse(auth, call, &why);
		return;
	}
	for (size_t i = 0; i < used->n_key; i++)
		note_use(auth, used->key[i], used->used_ms[i],
		         used->n_origins > 0 ? used->origins[i] : NULL);
	if (used->n_uses > 0 && hours_add(auth->store, used) != OK) {
		why = REFUSAL_AWAY("what was used cannot be written down");
		core_refuse(auth, call, &why);
		return;
	}
	for (size_t i = 0; i < used->n_uses; i++)
		note_use(auth, used->uses[i]->key, used->uses[i]->at_ms, NULL);
	if (used->n_demands > 0) {
		answer_shares(auth, call, used);
		return;
	}
	reply.result_case = AUTH__AUTH_REPLY__RESULT_DONE;
	reply.done = &done;
	core_answer(auth, call, &reply);
}
