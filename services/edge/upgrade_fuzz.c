/* What an upgrade carries, from lines: query, Authorization, subprotocols, Cookie, Origin. A
 * credential that is found is well formed and stands in one of them; no fault text holds a part of
 * one. */
#include "common/apikey.h"
#include "services/edge/cookie.h"
#include "services/edge/credential.h"
#include "services/edge/query.h"

#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static char *line(const uint8_t **data, size_t *len)
{
	const uint8_t *end = *len ? memchr(*data, '\n', *len) : NULL;
	size_t n = end ? (size_t)(end - *data) : *len;
	char *text = xcalloc(1, n + 1);

	if (n > 0)
		memcpy(text, *data, n);
	*data += n + (end != NULL);
	*len -= n + (end != NULL);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	AUTO_MEM char *query = line(&data, &len);
	AUTO_MEM char *authorization = line(&data, &len);
	AUTO_MEM char *subprotocols = line(&data, &len);
	AUTO_MEM char *cookie = line(&data, &len);
	AUTO_MEM char *origin = line(&data, &len);
	const struct net_request request = {
		.endpoint = NET_SUBSCRIBE,
		.host = "raeh.example",
		.cookie = cookie[0] ? cookie : NULL,
		.origin = origin[0] ? origin : NULL,
		.query = query,
		.authorization = authorization[0] ? authorization : NULL,
		.subprotocols = subprotocols[0] ? subprotocols : NULL,
	};
	char credential[CREDENTIAL_MAX + 1], why[124] = "", value[129];
	enum credential_fault fault = credential_find(&request, credential, why);
	const char *answer = credential_subprotocol(&request);

	if (fault == CREDENTIAL_GOOD)
		MUST(apikey_check(credential, strlen(credential)) == APIKEY_GOOD ||
		     apikey_is_token_form(credential, strlen(credential)) ||
		     (cookie_is_login(credential) && cookie_is_own_origin(&request) && origin[0]));
	else
		MUST(why[0] != '\0' && strnlen(why, sizeof why) < sizeof why);
	MUST(!answer || strcasecmp(answer, "bearer") == 0);
	if (query_get(query, "device_id", value, sizeof value) == OK)
		MUST(strlen(value) < sizeof value);
	return 0;
}
