#include "services/edge/cookie.h"
#include "services/edge/fake_net.h"

#include <criterion/criterion.h>

#define LOGIN "raehs_ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"

static enum credential_fault find(const struct net_request *request, char *ret)
{
	char why[124];

	return cookie_find(request, ret, why);
}

Test(cookie, is_found_wherever_it_stands_among_others)
{
	const char *good[] = { "raeh_session=" LOGIN, "a=b; raeh_session=" LOGIN "; c=d",
		               "a=raeh_session=x;raeh_session=" LOGIN };
	const char *none[] = { "",
		               "a=b",
		               "raeh_sessions=" LOGIN,
		               "xraeh_session=" LOGIN,
		               "raeh_session=",
		               "raeh_session" };
	const char *bad[] = { "raeh_session=raehs_short", "raeh_session=" FAKE_KEY,
		              "raeh_session=\"" LOGIN "\"", "raeh_session=" LOGIN "x" };
	char text[CREDENTIAL_MAX + 1];

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		cr_assert_eq(find(&(struct net_request){ .cookie = good[i] }, text),
		             CREDENTIAL_GOOD, "%s", good[i]);
		cr_assert_str_eq(text, LOGIN);
	}
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		cr_assert_eq(find(&(struct net_request){ .cookie = none[i] }, text),
		             CREDENTIAL_MISSING, "%s", none[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert_eq(find(&(struct net_request){ .cookie = bad[i] }, text),
		             CREDENTIAL_MALFORMED, "%s", bad[i]);
	cr_assert_eq(find(&(struct net_request){ 0 }, text), CREDENTIAL_MISSING);
}

Test(cookie, counts_for_our_own_pages_alone)
{
	const struct {
		const char *origin;
		enum net_endpoint endpoint;
		bool counts;
	} cases[] = {
		{NULL,		                         NET_HTTP,      true },
		{ NULL,		                        NET_SUBSCRIBE, false},
		{ "https://raeh.example:8443",                 NET_HTTP,      true },
		{ "https://RAEH.example:8443",                 NET_SUBSCRIBE, true },
		{ "https://raeh.example",                      NET_SUBSCRIBE, false},
		{ "https://evil.example",                      NET_HTTP,      false},
		{ "https://raeh.example:8443.evil.example",    NET_SUBSCRIBE, false},
		{ "https://evil.example/://raeh.example:8443", NET_HTTP,      false},
		{ "null",		                      NET_HTTP,      false},
		{ "",		                          NET_INGEST,    false},
	};
	char text[CREDENTIAL_MAX + 1];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct net_request request = { .endpoint = cases[i].endpoint,
			                             .origin = cases[i].origin,
			                             .host = "raeh.example:8443",
			                             .cookie = "raeh_session=" LOGIN };

		cr_assert_eq(find(&request, text),
		             cases[i].counts ? CREDENTIAL_GOOD : CREDENTIAL_MISSING, "%s",
		             cases[i].origin);
	}
}

Test(cookie, is_not_looked_at_beside_a_key)
{
	const struct net_request request = { .authorization = "Bearer " FAKE_KEY,
		                             .query = "",
		                             .cookie = "raeh_session=" LOGIN };
	char text[CREDENTIAL_MAX + 1], why[124];

	cr_assert_eq(credential_find(&request, text, why), CREDENTIAL_GOOD);
	cr_assert_str_eq(text, FAKE_KEY);
}

Test(cookie, is_the_only_place_for_a_login)
{
	const struct net_request request = { .authorization = "Bearer " LOGIN, .query = "" };
	char text[CREDENTIAL_MAX + 1], why[124];

	cr_assert_eq(credential_find(&request, text, why), CREDENTIAL_MALFORMED);
}

Test(cookie, has_a_token_of_its_own_that_is_asked_for_whole)
{
	char csrf[COOKIE_CSRF_TEXT], other[COOKIE_CSRF_TEXT], cut[COOKIE_CSRF_TEXT];

	cookie_csrf(LOGIN, csrf);
	cookie_csrf("raehs_BBCDEFGHIJKLMNOPQRSTUVWXYZ012345", other);
	cr_assert_eq(strlen(csrf), COOKIE_CSRF_TEXT - 1);
	cr_assert_str_neq(csrf, other);
	(void)snprintf(cut, sizeof cut, "%.*s", COOKIE_CSRF_TEXT - 2, csrf);
	cr_assert(cookie_csrf_good(&(struct net_request){ .csrf_token = csrf }, csrf));
	cr_assert_not(cookie_csrf_good(&(struct net_request){ .csrf_token = other }, csrf));
	cr_assert_not(cookie_csrf_good(&(struct net_request){ .csrf_token = cut }, csrf));
	cr_assert_not(cookie_csrf_good(&(struct net_request){ .csrf_token = "" }, csrf));
	cr_assert_not(cookie_csrf_good(&(struct net_request){ 0 }, csrf));
}
