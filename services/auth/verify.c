#include "services/auth/verify.h"

#include "common/apikey.h"
#include "common/token.h"
#include "services/auth/key.h"
#include "services/auth/revoke.h"
#include "services/auth/token_mint.h"
#include "services/auth/user_rows.h"

#include <string.h>

/* Whether the key lives is read even for a digest that nobody has: of a key that never was. */
static enum err find_key(struct auth *auth, const char *credential, struct uuid *ret_account,
                         struct uuid *ret_id, Events__KeyRow **ret)
{
	uint8_t digest[DIGEST_BYTES];
	struct uuid account = { 0 }, id = { 0 };
	enum err err, row_err;

	key_digest(credential, auth->deps.digest_secret, digest);
	err = rows_by_digest(auth->store, digest, &account, &id);
	row_err = rows_credential(auth->store, &account, &id, ret);
	if (err != OK) {
		MUST(row_err != OK);
		return err;
	}
	*ret_account = account;
	*ret_id = id;
	return row_err == OK && key_is_off((*ret)->key) ? ERR_NOT_FOUND : row_err;
}

/* The notice number is the newest committed one, though the row may already know of one more:
 * an edge that hears of that one asks again, which is the safe side. So this answer waits for no
 * sync, unless rights may be lost again with a change that is not yet durable. */
static void answer_verdict(struct auth *auth, struct bus_call *call, Raeh__Principal *principal,
                           Raeh__Principal *parent)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Auth__Verdict verdict = AUTH__VERDICT__INIT;
	struct buf buf = { 0 };
	uint8_t mac[32], parent_mac[32];

	principal->notice = auth->notices.newest;
	principal_sign(principal, auth->deps.bus_secret, mac);
	verdict.principal = principal;
	if (parent) {
		parent->notice = auth->notices.newest;
		principal_sign(parent, auth->deps.bus_secret, parent_mac);
		verdict.parent = parent;
	}
	reply.result_case = AUTH__AUTH_REPLY__RESULT_VERDICT;
	reply.verdict = &verdict;
	(void)wire_pack(&buf, &reply.base);
	if (revokes_have_lent(auth->revokes))
		core_answer_bytes(auth, call, BYTES(buf.data, buf.len));
	else
		bus_reply(call, BYTES(buf.data, buf.len));
	buf_free(&buf);
}

static void refuse(struct auth *auth, struct bus_call *call, const struct refusal *why)
{
	auth->metrics.verify_refused_total++;
	core_refuse(auth, call, why);
}

/* Good while its key lives, for what both of them may; an edge knows of its time by itself. */
static void verify_token(struct auth *auth, struct bus_call *call, const char *credential)
{
	uint8_t key[TOKEN_KEY_BYTES];
	AUTO(wire_free) ProtobufCMessage *token = NULL;
	AUTO(wire_free) ProtobufCMessage *row = NULL;
	struct refusal why = refusal_unauthorized();
	Raeh__Principal parent, rights;
	struct uuid account, id;
	enum err err = ERR_NOT_FOUND;

	token_key_of(auth->deps.token_seed, key);
	token = (ProtobufCMessage *)token_open(credential, key);
	if (token && wire_id(((Raeh__Principal *)token)->account, &account) &&
	    wire_id(((Raeh__Principal *)token)->key, &id))
		err = rows_key(auth->store, &account, &id, (Events__KeyRow **)&row);
	if (err == OK && key_is_off(((const Events__KeyRow *)row)->key))
		err = ERR_NOT_FOUND;
	if (err == OK) {
		parent = key_rights((const Events__KeyRow *)row, &id);
		if (token_rights((Raeh__Principal *)token, &parent, &rights)) {
			answer_verdict(auth, call, &rights, &parent);
			return;
		}
		err = ERR_NOT_FOUND;
	}
	why = refusal_of(err, why);
	refuse(auth, call, &why);
}

void verify_wanted(struct auth *auth, struct bus_call *call, const char *credential)
{
	enum apikey_fault fault = apikey_check(credential, strlen(credential));
	AUTO(wire_free) ProtobufCMessage *row = NULL;
	struct refusal why = refusal_unauthorized();
	Raeh__Principal rights;
	struct uuid account, id;
	enum err err;

	auth->metrics.verify_total++;
	if (apikey_is_token_form(credential, strlen(credential))) {
		verify_token(auth, call, credential);
		return;
	}
	if (fault != APIKEY_GOOD &&
	    !apikey_is_secret(SECRET_LOGIN, credential, strlen(credential))) {
		why = refusal(401, "%s", apikey_fault_text(fault));
		why.close_code = CLOSE_UNAUTHORIZED;
		refuse(auth, call, &why);
		return;
	}
	err = find_key(auth, credential, &account, &id, (Events__KeyRow **)&row);
	if (err == OK) {
		rights = key_rights((const Events__KeyRow *)row, &id);
		answer_verdict(auth, call, &rights, NULL);
		return;
	}
	why = refusal_of(err, why);
	refuse(auth, call, &why);
}
