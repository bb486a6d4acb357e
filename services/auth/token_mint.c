#include "services/auth/token_mint.h"

#include "common/clock.h"
#include "common/token.h"
#include "common/wire.h"
#include "services/auth/key.h"

#include <sodium.h>
#include <string.h>

#define SCOPES_OF_SESSION (SCOPE_SUBSCRIBE | SCOPE_READ)
#define SCOPES_OF_DEVICE  (SCOPE_INGEST | SCOPES_OF_SESSION)

bool token_rights(const Raeh__Principal *token, const Raeh__Principal *key, Raeh__Principal *ret)
{
	*ret = *token;
	ret->scopes &= key->scopes;
	if (key->device_id && !token->device_id)
		ret->device_id = key->device_id;
	else if (key->device_id && strcmp(key->device_id, token->device_id) != 0)
		return false;
	if (key->has_expires_ms && key->expires_ms < token->expires_ms)
		ret->expires_ms = key->expires_ms;
	ret->has_frames_per_s = key->has_frames_per_s;
	ret->frames_per_s = key->frames_per_s;
	ret->limits = key->limits;
	return ret->scopes != 0 && ret->expires_ms > clock_wall_ms();
}

/* What may be given at all to such a token. */
static uint32_t most_scopes(const Auth__MintToken *mint, const Raeh__Principal *key)
{
	uint32_t most = SCOPES_DEFAULT;

	if (mint->device_id || key->device_id)
		most &= SCOPES_OF_DEVICE;
	if (mint->session_id)
		most &= SCOPES_OF_SESSION;
	return most;
}

static bool scopes_of(const Auth__MintToken *mint, const Raeh__Principal *key, uint32_t *ret,
                      struct refusal *ret_why)
{
	uint32_t most = most_scopes(mint, key);

	*ret = mint->n_scopes == 0 ? key->scopes & most : 0;
	for (size_t i = 0; i < mint->n_scopes; i++) {
		uint32_t bit = scope_bit(mint->scopes[i]);

		if (bit == 0 || !(bit & most)) {
			*ret_why = refusal(400,
			                   "scopes[%zu]: expected one that such a token can "
			                   "have: ingest, subscribe, read, write; of a device "
			                   "not write; of a session subscribe, read",
			                   i);
			return false;
		}
		if (!(bit & key->scopes)) {
			*ret_why = refusal(403, "scopes: %s is not a right of the key that asks",
			                   scope_name(bit));
			return false;
		}
		*ret |= bit;
	}
	if (*ret == 0)
		*ret_why = refusal(403, "scopes: the key that asks has none that a token can have");
	return *ret != 0;
}

/* The wish, as a token that is bound by nothing else yet. */
static bool wish_of(const Auth__MintToken *mint, const Raeh__Principal *key, struct uuid *session,
                    Raeh__Principal *ret, struct refusal *ret_why)
{
	uint32_t ttl_s = mint->has_ttl_s ? mint->ttl_s : TOKEN_TTL_S;
	size_t device_len = mint->device_id ? strlen(mint->device_id) : 1;

	*ret = (Raeh__Principal)RAEH__PRINCIPAL__INIT;
	ret->account = key->account;
	ret->key = key->key;
	ret->has_is_token = ret->is_token = ret->has_expires_ms = true;
	ret->expires_ms = clock_wall_ms() + (int64_t)ttl_s * 1000;
	ret->device_id = mint->device_id;
	ret->has_session = mint->session_id != NULL;
	ret->session = wire_bytes_of(session);
	if (ttl_s < TOKEN_TTL_LEAST_S || ttl_s > TOKEN_TTL_MOST_S)
		*ret_why = refusal(400, "ttl_s: expected %d to %d seconds, got %u",
		                   TOKEN_TTL_LEAST_S, TOKEN_TTL_MOST_S, ttl_s);
	else if (device_len < 1 || device_len > 128 ||
	         (mint->device_id &&
	          (text_has_control(mint->device_id) || text_has_secret(mint->device_id))))
		*ret_why = refusal(400, "device_id: expected 1 to 128 bytes without control "
		                        "characters");
	else if (mint->session_id && !uuid_parse(mint->session_id, session))
		*ret_why = refusal(400, "session_id: expected the UUID of a session");
	else
		return scopes_of(mint, key, &ret->scopes, ret_why);
	return false;
}

static void answer_token(struct auth *auth, struct bus_call *call, Raeh__Principal *rights)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Auth__Token token = AUTH__TOKEN__INIT;
	char text[TOKEN_TEXT];
	struct buf buf = { 0 };
	uint8_t mac[32];

	rights->notice = auth->notices.newest;
	principal_sign(rights, auth->deps.bus_secret, mac);
	token_make(rights, auth->deps.token_seed, text);
	token.token = text;
	token.expires_at = rights->expires_ms;
	reply.result_case = AUTH__AUTH_REPLY__RESULT_TOKEN;
	reply.token = &token;
	auth->metrics.tokens_minted_total++;
	core_answer_bytes(auth, call, wire_pack(&buf, &reply.base));
	buf_wipe(&buf);
	sodium_memzero(text, sizeof text);
}

void token_wanted(struct auth *auth, struct bus_call *call, const Raeh__Principal *principal,
                  const Auth__MintToken *mint)
{
	AUTO(wire_free) ProtobufCMessage *row = NULL;
	Raeh__Principal key, wish, rights;
	struct refusal why;
	struct caller caller;
	struct uuid session;
	enum err err = core_caller(auth, principal, &caller);

	if (err == OK && !caller.is_token && !caller.is_user)
		err = rows_key(auth->store, &caller.account, &caller.key, (Events__KeyRow **)&row);
	if (err != OK) {
		why = refusal_of(err == ERR_NOT_FOUND ? ERR_DENIED : err, refusal_unauthorized());
		core_refuse(auth, call, &why);
		return;
	}
	if (!row) {
		why = refusal(403, "tokens are made with an API key, not with a token or a login");
		core_refuse(auth, call, &why);
		return;
	}
	key = key_rights((const Events__KeyRow *)row, &caller.key);
	if (!wish_of(mint, &key, &session, &wish, &why)) {
		core_refuse(auth, call, &why);
	} else if (!token_rights(&wish, &key, &rights)) {
		why = refusal(403, "device_id: the key that asks is bound to another device");
		core_refuse(auth, call, &why);
	} else {
		answer_token(auth, call, &rights);
	}
}
