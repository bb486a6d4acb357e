#include "services/edge/credential.h"

#include <criterion/criterion.h>
#include <string.h>

#define KEY   "raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE"
#define OTHER "raeht_abc.def"

static enum credential_fault find(const char *authorization, const char *query,
                                  const char *subprotocols, char ret[CREDENTIAL_MAX + 1])
{
	const struct net_request request = {
		.authorization = authorization,
		.query = query,
		.subprotocols = subprotocols,
	};
	char why[124] = "";
	enum credential_fault fault = credential_find(&request, ret, why);

	cr_expect(fault == CREDENTIAL_GOOD || (why[0] && !strstr(why, "ABCDEF")), "%s", why);
	cr_expect((fault != CREDENTIAL_MISSING && fault != CREDENTIAL_MALFORMED) ||
	                  strcmp(why, CREDENTIAL_EXPECTED) == 0,
	          "one answer for all of them: %s", why);
	return fault;
}

Test(credential, is_found_in_each_of_the_three_places)
{
	char key[CREDENTIAL_MAX + 1];

	cr_assert_eq(find("Bearer " KEY, "", NULL, key), CREDENTIAL_GOOD);
	cr_assert_str_eq(key, KEY);
	cr_assert_eq(find("bEaReR  " KEY " ", "", NULL, key), CREDENTIAL_GOOD);
	cr_assert_eq(find(NULL, "x=1&api_key=" KEY, NULL, key), CREDENTIAL_GOOD);
	cr_assert_str_eq(key, KEY);
	cr_assert_eq(find(NULL, "", "bearer, " KEY, key), CREDENTIAL_GOOD);
	cr_assert_str_eq(key, KEY);
	cr_assert_eq(find(NULL, "", "bearer,\t" OTHER " , chat", key), CREDENTIAL_GOOD);
	cr_assert_str_eq(key, OTHER);
}

Test(credential, the_same_one_twice_is_one_and_two_different_ones_are_refused)
{
	char key[CREDENTIAL_MAX + 1];

	cr_assert_eq(find("Bearer " KEY, "api_key=" KEY, "bearer, " KEY, key), CREDENTIAL_GOOD);
	cr_assert_eq(find("Bearer " KEY, "api_key=" OTHER, NULL, key), CREDENTIAL_TWO);
	cr_assert_eq(find(NULL, "api_key=" KEY, "bearer, " OTHER, key), CREDENTIAL_TWO);
	cr_assert_eq(find(NULL, "api_key=" KEY "&api_key=" OTHER, NULL, key), CREDENTIAL_TWO);
	cr_assert_eq(find(NULL, "api_key=" KEY "&api_key=&a&api_key=" KEY, NULL, key),
	             CREDENTIAL_GOOD);
	cr_assert_eq(find(NULL, "api_key=" KEY "&api_key=" KEY "&api%5Fkey=" OTHER, NULL, key),
	             CREDENTIAL_TWO, "the third counts too");
	cr_assert_eq(find("Bearer " KEY ", bearer " KEY, "", NULL, key), CREDENTIAL_GOOD,
	             "a header that came twice");
	cr_assert_str_eq(key, KEY);
	cr_assert_eq(find("Bearer " KEY ", Bearer " OTHER, "", NULL, key), CREDENTIAL_TWO);
	cr_assert_eq(find("Bearer " KEY ", Basic " KEY, "", NULL, key), CREDENTIAL_MALFORMED);
}

Test(credential, is_missing_when_nobody_gave_one)
{
	char key[CREDENTIAL_MAX + 1];

	cr_assert_eq(find(NULL, "", NULL, key), CREDENTIAL_MISSING);
	cr_assert_eq(find(NULL, "api=1", "chat, graphql", key), CREDENTIAL_MISSING);
	cr_assert_eq(find(NULL, "", "bearer", key), CREDENTIAL_MISSING);
	cr_assert_eq(find(" ", "api_key=", NULL, key), CREDENTIAL_MISSING);
	cr_assert_eq(find("Bearer " KEY, "api_key=", NULL, key), CREDENTIAL_GOOD);
}

Test(credential, is_malformed_when_it_is_no_key)
{
	static const char *const bad[] = { "Basic " KEY, "Bearer", "Bearer x", "Bearer " KEY "1",
		                           "Bearer " KEY "," KEY };
	char key[CREDENTIAL_MAX + 1];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect_eq(find(bad[i], "", NULL, key), CREDENTIAL_MALFORMED, "%s", bad[i]);
	cr_assert_eq(find(NULL, "api_key=%zz", NULL, key), CREDENTIAL_MALFORMED);
	cr_assert_eq(find(NULL, "", "bearer, ", key), CREDENTIAL_MALFORMED);
}

Test(credential, only_bearer_with_something_behind_it_is_answered_as_subprotocol)
{
	static const struct {
		const char *list, *answer;
	} cases[] = {
		{"bearer, " KEY,  "bearer"},
		{ "BEARER," KEY,  "BEARER"},
		{ " Bearer," KEY, "Bearer"},
		{ "beAREr," KEY,  "bearer"},
		{ "bearer",       NULL    },
		{ "chat, bearer", NULL    },
		{ "",             NULL    },
		{ NULL,           NULL    }
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct net_request request = { .subprotocols = cases[i].list };
		const char *answer = credential_subprotocol(&request);

		cr_expect(answer == cases[i].answer || (answer && cases[i].answer &&
		                                        strcmp(answer, cases[i].answer) == 0),
		          "%s", cases[i].list ? cases[i].list : "(none)");
	}
}
