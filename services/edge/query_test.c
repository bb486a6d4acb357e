#include "services/edge/query.h"

#include <criterion/criterion.h>

static enum err get(const char *query, const char *name, char ret[16])
{
	return query_get(query, name, ret, 16);
}

Test(query, decodes_the_first_value_of_a_name)
{
	char text[16];

	cr_assert_eq(get("a=1&b=x%2Fy+z&b=2", "b", text), OK);
	cr_assert_str_eq(text, "x/y z");
	cr_assert_eq(query_get_nth("a=1&b=x&b=2", "b", 1, text, sizeof text), OK);
	cr_assert_str_eq(text, "2");
	cr_assert_eq(get("%61=1", "a", text), OK, "the name may be encoded too");
}

Test(query, a_name_without_a_value_is_empty)
{
	char text[16] = "x";

	cr_assert_eq(get("a&b=", "a", text), OK);
	cr_assert_str_eq(text, "");
	cr_assert_eq(get("a&b=", "b", text), OK);
	cr_assert_str_eq(text, "");
}

Test(query, says_when_there_is_none)
{
	char text[16];

	cr_assert_eq(get("", "a", text), ERR_NOT_FOUND);
	cr_assert_eq(get("ab=1&=2&&", "a", text), ERR_NOT_FOUND);
}

Test(query, refuses_broken_escapes_and_zero_bytes)
{
	static const char *const bad[] = { "a=%", "a=%4", "a=%zz", "a=%00", "a=x%0", "a=%f" };
	char text[16];

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		cr_expect_eq(get(bad[i], "a", text), ERR_MALFORMED, "%s", bad[i]);
}

Test(query, refuses_a_value_longer_than_its_room)
{
	char text[16];

	cr_assert_eq(get("a=0123456789abcde", "a", text), OK);
	cr_assert_eq(get("a=0123456789abcdef", "a", text), ERR_LIMIT);
}
