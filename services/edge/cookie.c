#include "services/edge/cookie.h"

#include "auth.pb-c.h"
#include "common/apikey.h"
#include "common/json.h"
#include "common/wire.h"
#include "services/edge/rest_internal.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NAME     "raeh_session"
#define AGE_S    (30 * 24 * 3600) /* as long as auth lets a login live */
#define CSRF_RAW 32

/* ---- reading ---- */

/* The value of the cookie, and its length; NULL: there is none. */
static const char *value_of(const char *cookies, size_t *ret_len)
{
	size_t name = strlen(NAME);

	for (const char *p = cookies; p; p = strchr(p, ';')) {
		p += strspn(p, "; \t");
		if (strncmp(p, NAME "=", name + 1) != 0)
			continue;
		*ret_len = strcspn(p + name + 1, "; \t");
		return p + name + 1;
	}
	return NULL;
}

bool cookie_is_own_origin(const struct net_request *request)
{
	const char *host = request->origin ? strstr(request->origin, "://") : NULL;

	if (!request->origin)
		return true;
	return host && request->host && strcasecmp(host + 3, request->host) == 0;
}

enum credential_fault cookie_find(const struct net_request *request, char ret[CREDENTIAL_MAX + 1],
                                  char why[124])
{
	size_t len = 0;
	const char *value = value_of(request->cookie, &len);
	bool ours =
	        cookie_is_own_origin(request) && (request->endpoint == NET_HTTP || request->origin);

	if (!value || len == 0 || !ours) {
		(void)snprintf(why, 124, "%s", CREDENTIAL_EXPECTED);
		return CREDENTIAL_MISSING;
	}
	if (!apikey_is_secret(SECRET_LOGIN, value, len)) {
		(void)snprintf(why, 124, "the login cookie is malformed: log in again");
		return CREDENTIAL_MALFORMED;
	}
	memcpy(ret, value, len);
	ret[len] = '\0';
	return CREDENTIAL_GOOD;
}

bool cookie_is_login(const char *credential)
{
	return apikey_is_secret(SECRET_LOGIN, credential, strlen(credential));
}

void cookie_csrf(const char *credential, char ret[COOKIE_CSRF_TEXT])
{
	static const char what[] = "X-CSRF-Token";
	uint8_t raw[CSRF_RAW];

	(void)crypto_generichash(raw, sizeof raw, (const uint8_t *)what, sizeof what,
	                         (const uint8_t *)credential, strlen(credential));
	(void)sodium_bin2base64(ret, COOKIE_CSRF_TEXT, raw, sizeof raw,
	                        sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

bool cookie_csrf_good(const struct net_request *request, const char csrf[COOKIE_CSRF_TEXT])
{
	return request->csrf_token && strlen(request->csrf_token) == COOKIE_CSRF_TEXT - 1 &&
	       sodium_memcmp(request->csrf_token, csrf, COOKIE_CSRF_TEXT - 1) == 0;
}

/* ---- answering ---- */

/* Age 0 clears it. */
static void set_cookie(const struct rest *rest, const char *credential, int age_s, char ret[256])
{
	(void)snprintf(ret, 256,
	               "Set-Cookie: " NAME "=%s; Path=/; Max-Age=%d; HttpOnly; "
	               "SameSite=Lax%s\r\n",
	               credential, age_s, rest->secure ? "; Secure" : "");
}

static void answer_me(struct rest *rest, Auth__Me *me)
{
	char credential[CREDENTIAL_MAX + 1] = "", headers[256] = "", csrf[COOKIE_CSRF_TEXT];

	memcpy(csrf, rest->csrf, sizeof csrf);
	if (me->has_credential && me->credential.len < sizeof credential) {
		memcpy(credential, me->credential.data, me->credential.len);
		cookie_csrf(credential, csrf);
		set_cookie(rest, credential, AGE_S, headers);
		sodium_memzero(me->credential.data, me->credential.len);
		sodium_memzero(credential, sizeof credential);
	}
	me->csrf = csrf;
	rest_answer_message(rest, &me->base, headers);
	me->csrf = NULL;
	sodium_memzero(headers, sizeof headers);
}

static void on_reply(struct rest *rest, const char *name, enum err err, struct bytes data)
{
	AUTO(wire_free)
	ProtobufCMessage *message =
	        err == OK ? wire_unpack(&auth__auth_reply__descriptor, data) : NULL;
	Auth__AuthReply *reply = (Auth__AuthReply *)message;
	char headers[256];

	(void)name;
	if (!reply) {
		rest_refuse(rest, 503, "auth does not answer", "");
	} else if (reply->error) {
		rest_refuse_as_told(rest, reply->error);
	} else if (reply->result_case == AUTH__AUTH_REPLY__RESULT_ME) {
		answer_me(rest, reply->me);
	} else if (reply->result_case == AUTH__AUTH_REPLY__RESULT_ACCOUNT_DELETED) {
		set_cookie(rest, "", 0, headers);
		rest_answer_message(rest, &reply->account_deleted->base, headers);
	} else if (reply->result_case == AUTH__AUTH_REPLY__RESULT_RECEIPT) {
		set_cookie(rest, "", 0, headers);
		rest_answer(rest, rest->route->status, "", headers);
	} else {
		rest_refuse(rest, 500, "a service gave an answer of another kind", "");
	}
}

void cookie_here(struct rest *rest)
{
	struct buf buf = { 0 };

	rest_ask(rest, "auth", rest_pack(rest, &buf), rest->route->deadline_ms, on_reply);
	sodium_memzero(buf.data, buf.len);
	buf_free(&buf);
	wire_wipe(rest_command(rest)); /* its passwords are on their way */
}
