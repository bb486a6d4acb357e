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

/* One more in the same place: ret keeps the first. */
static enum found take_another(struct candidate *ret, enum found before, enum found found,
                               const struct candidate *other)
{
	if (before == FOUND_NONE || found != FOUND_ONE) {
		*ret = *other;
		return found;
	}
	return strcmp(ret->text, other->text) == 0 ? before : FOUND_TWO;
}

static enum found take_bearer(struct candidate *ret, const char *text, size_t len)
{
	const char *end = text + len;

	if (len < 7 || strncasecmp(text, "bearer", 6) != 0 || !strchr(" \t", text[6]))
		return FOUND_BAD;
	text = skip_blanks(text + 6);
	return take(ret, text, (size_t)(end - text));
}

/* The header, or several that net has joined with commas. */
static enum found from_authorization(const struct net_request *request, struct candidate *ret)
{
	const char *p = request->authorization ? skip_blanks(request->authorization) : "";
	enum found found = FOUND_NONE;
	struct candidate one = { "" };

	while (*p && found <= FOUND_ONE) {
		size_t len = strcspn(p, ",");

		found = take_another(ret, found, take_bearer(&one, p, len), &one);
		p = skip_blanks(p + len + (p[len] == ','));
	}
	sodium_memzero(&one, sizeof one);
	return found;
}

static enum found from_query(const struct net_request *request, struct candidate *ret)
{
	enum found found = FOUND_NONE;
	struct candidate one = { "" };
	enum err err;

	for (size_t n = 0; found <= FOUND_ONE; n++) {
		err = query_get_nth(request->query, "api_key", n, one.text, sizeof one.text);
		if (err == ERR_NOT_FOUND)
			break;
		if (err != OK || one.text[0])
			found = take_another(ret, found, err == OK ? FOUND_ONE : FOUND_BAD, &one);
	}
	sodium_memzero(&one, sizeof one);
	return found;
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
