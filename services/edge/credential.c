#include "services/edge/credential.h"

#include "common/apikey.h"
#include "services/edge/cookie.h"
#include "services/edge/query.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* What one place held. */
enum found { FOUND_NONE, FOUND_ONE, FOUND_BAD, FOUND_TWO };

struct candidate {
	char text[CREDENTIAL_MAX + 1];
};

static const char *skip_blanks(const char *p)
{
	return p + strspn(p, " \t");
}

static enum found take(struct candidate *ret, const char *text, size_t len)
{
	while (len > 0 && strchr(" \t", text[len - 1]))
		len--;
	if (len == 0 || len > CREDENTIAL_MAX)
		return FOUND_BAD;
	memcpy(ret->text, text, len);
	ret->text[len] = '\0';
	return FOUND_ONE;
}

static enum found from_authorization(const struct net_request *request, struct candidate *ret)
{
	const char *p = request->authorization;

	if (!p || *skip_blanks(p) == '\0')
		return FOUND_NONE;
	p = skip_blanks(p);
	if (strncasecmp(p, "bearer", 6) != 0 || (p[6] != ' ' && p[6] != '\t'))
		return FOUND_BAD;
	p = skip_blanks(p + 6);
	return take(ret, p, strlen(p));
}

static enum found from_query(const struct net_request *request, struct candidate *ret)
{
	char second[CREDENTIAL_MAX + 1];
	enum err err = query_get(request->query, "api_key", ret->text, sizeof ret->text);
	enum err again = query_get_nth(request->query, "api_key", 1, second, sizeof second);
	bool other = again == OK && err == OK && strcmp(ret->text, second) != 0;

	sodium_memzero(second, sizeof second);
	if (err == ERR_NOT_FOUND || (err == OK && !ret->text[0] && !other))
		return FOUND_NONE;
	if (err != OK || (again != OK && again != ERR_NOT_FOUND))
		return FOUND_BAD;
	return other ? FOUND_TWO : FOUND_ONE;
}

/* The element after `bearer` in the list, or NULL. */
static const char *after_bearer(const char *list)
{
	const char *p = list ? skip_blanks(list) : "";
	size_t len = strcspn(p, ",");
	size_t word = strcspn(p, ", \t");

	if (word != 6 || strncasecmp(p, "bearer", 6) != 0 || p[len] != ',')
		return NULL;
	return skip_blanks(p + len + 1);
}

static enum found from_subprotocols(const struct net_request *request, struct candidate *ret)
{
	const char *p = after_bearer(request->subprotocols);

	if (!p)
		return FOUND_NONE;
	return take(ret, p, strcspn(p, ","));
}

const char *credential_subprotocol(const struct net_request *request)
{
	/* A client takes nothing but the very word that it offered. */
	static const char *const spellings[] = { "bearer", "Bearer", "BEARER" };
	const char *list = request->subprotocols;

	if (!after_bearer(list))
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(spellings); i++)
		if (strncmp(skip_blanks(list), spellings[i], 6) == 0)
			return spellings[i];
	return spellings[0];
}

static enum credential_fault check_form(const char *text)
{
	size_t len = strlen(text);
	bool good = apikey_check(text, len) == APIKEY_GOOD || apikey_is_token_form(text, len);

	return good ? CREDENTIAL_GOOD : CREDENTIAL_MALFORMED;
}

enum credential_fault credential_find(const struct net_request *request,
                                      char ret[CREDENTIAL_MAX + 1], char why[124])
{
	static enum found (*const places[])(const struct net_request *, struct candidate *) = {
		from_authorization,
		from_query,
		from_subprotocols,
	};
	enum credential_fault fault = CREDENTIAL_MISSING;
	struct candidate first = { "" }, other;

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		enum found found = places[i](request, &other);

		if (found == FOUND_BAD) {
			fault = CREDENTIAL_MALFORMED;
			break;
		}
		if (found == FOUND_NONE)
			continue;
		if (found == FOUND_TWO || (first.text[0] && strcmp(first.text, other.text) != 0)) {
			fault = CREDENTIAL_TWO;
			break;
		}
		first = other;
		fault = CREDENTIAL_GOOD;
	}
	if (fault == CREDENTIAL_GOOD)
		fault = check_form(first.text);
	(void)snprintf(why, 124, "%s",
	               fault == CREDENTIAL_TWO ? "two different API keys in one request"
	                                       : CREDENTIAL_EXPECTED);
	if (fault == CREDENTIAL_GOOD)
		memcpy(ret, first.text, sizeof first.text);
	else if (fault == CREDENTIAL_MISSING)
		fault = cookie_find(request, ret, why);
	sodium_memzero(&first, sizeof first);
	sodium_memzero(&other, sizeof other);
	return fault;
}
