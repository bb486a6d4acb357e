#include "services/auth/verify.h"

#include "common/apikey.h"
#include "services/auth/key.h"
#include "services/auth/revoke.h"
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
static void answer_verdict(struct auth *auth, struct bus_call *call, const struct uuid *id,
                           const Events__KeyRow *row)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Auth__Verdict verdict = AUTH__VERDICT__INIT;
	Raeh__Principal principal = key_rights(row, id);
	struct buf buf = { 0 };
	uint8_t mac[32];

	principal.notice = auth->notices.newest;
	principal_sign(&principal, auth->deps.bus_secret, mac);
	verdict.principal = &principal;
	reply.result_case = AUTH__AUTH_REPLY__RESULT_VERDICT;
	reply.verdict = &verdict;
	(void)wire_pack(&buf, &reply.base);
	if (revokes_have_lent(auth->revokes))
		core_answer_bytes(auth, call, BYTES(buf.data, buf.len));
	else
		bus_reply(call, BYTES(buf.data, buf.len));
	buf_free(&buf);
}

void verify_wanted(struct auth *auth, struct bus_call *call, const char *credential)
{
	enum apikey_fault fault = apikey_check(credential, strlen(credential));
	AUTO(wire_free) ProtobufCMessage *row = NULL;
	struct refusal why = refusal_unauthorized();
	struct uuid account, id;
	enum err err;

	auth->metrics.verify_total++;
	if (fault != APIKEY_GOOD &&
	    !apikey_is_secret(SECRET_LOGIN, credential, strlen(credential))) {
		auth->metrics.verify_refused_total++;
		why = refusal(401, "%s", apikey_fault_text(fault));
		why.close_code = CLOSE_UNAUTHORIZED;
		core_refuse(auth, call, &why);
		return;
	}
	err = find_key(auth, credential, &account, &id, (Events__KeyRow **)&row);
	if (err == OK) {
		answer_verdict(auth, call, &id, (const Events__KeyRow *)row);
		return;
	}
	auth->metrics.verify_refused_total++;
	why = refusal_of(err, why);
	core_refuse(auth, call, &why);
}
