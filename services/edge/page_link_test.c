#include "services/edge/page_link.h"

#include "common/mem.h"
#include "router.pb-c.h"

#include <criterion/criterion.h>
#include <string.h>

static void assert_link(const char *query, const char *expected)
{
	char *link = page_link("/v1/sessions", query, &router__list_sessions__descriptor, "cursor",
	                       "abc");

	cr_assert_str_eq(link, expected);
	mem_free(link);
}

Test(page_link, what_was_asked_is_asked_again_behind_the_cursor)
{
	assert_link("", "Link: </v1/sessions?cursor=abc>; rel=\"next\"\r\n");
	assert_link("limit=2&status=open&cursor=old&from=1",
	            "Link: </v1/sessions?limit=2&status=open&from=1&cursor=abc>; rel=\"next\"\r\n");
}

Test(page_link, no_key_gets_into_it)
{
	static const char key[] = "raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE";
	static const char *const query[] = {
		"api_key=raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE",
		"api%5Fkey=raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE&limit=2",
		"device_id=raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE",
		"device_id=%72aeh%5FABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE",
	};

	for (size_t i = 0; i < sizeof query / sizeof query[0]; i++) {
		char *link = page_link("/v1/sessions", query[i], &router__list_sessions__descriptor,
		                       "cursor", "abc");

		cr_assert_null(strstr(link, key + 5), "%s", link);
		mem_free(link);
	}
}

Test(page_link, nothing_of_a_client_ends_the_link_or_the_line)
{
	assert_link("device_id=a>\"b;c&unknown=>&limit",
	            "Link: </v1/sessions?device_id=a%3E%22b%3Bc&limit&cursor=abc>; "
	            "rel=\"next\"\r\n");
	assert_link("device_id=50%25+a%2Bb%26limit%3D1&from=",
	            "Link: </v1/sessions?device_id=50%25%20a%2Bb%26limit%3D1&from=&cursor=abc>; "
	            "rel=\"next\"\r\n");
}
