#include "services/cli/url.h"

#include <criterion/criterion.h>
#include <string.h>

static char why[256];

Test(url, takes_http_and_websocket_schemes_in_any_case)
{
	const struct {
		const char *text;
		bool tls;
		int port;
	} good[] = {
		{"http://h",        false, 80  },
                { "ws://h",         false, 80  },
		{ "https://h",      true,  443 },
                { "wss://h",        true,  443 },
		{ "HTTPS://h:8443", true,  8443},
                { "http://h:1/",    false, 1   },
	};
	struct url url;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		cr_assert(url_parse(good[i].text, &url, why), "%s: %s", good[i].text, why);
		cr_assert_str_eq(url.host, "h");
		cr_assert_eq(url.tls, good[i].tls, "%s", good[i].text);
		cr_assert_eq(url.port, good[i].port, "%s", good[i].text);
		cr_assert_str_eq(url.path, "");
	}
}

Test(url, keeps_a_path_without_its_last_slash)
{
	struct url url;

	cr_assert(url_parse("https://h.example/raeh/a//", &url, why));
	cr_assert_str_eq(url.host, "h.example");
	cr_assert_str_eq(url.path, "/raeh/a");
}

Test(url, takes_an_ipv6_address_in_brackets)
{
	struct url url;

	cr_assert(url_parse("http://[::1]:8080", &url, why), "%s", why);
	cr_assert_str_eq(url.host, "::1");
	cr_assert(url.literal_v6);
	cr_assert_eq(url.port, 8080);
	cr_assert(url_parse("http://[fe80::1]/x", &url, why));
	cr_assert_eq(url.port, 80);
}

Test(url, refuses_what_is_none)
{
	const char *const bad[] = { "",
		                    "h:8080",
		                    "ftp://h",
		                    "http://",
		                    "http://:80",
		                    "http://h:",
		                    "http://h:0",
		                    "http://h:65536",
		                    "http://h:80x",
		                    "http://[::1",
		                    "http://[]:80",
		                    "http://[::1]x",
		                    "http://a b",
		                    "http://h/\n" };
	struct url url;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert_not(url_parse(bad[i], &url, why), "%s was accepted", bad[i]);
}

Test(url, refuses_a_place_where_a_key_might_stand_without_repeating_it)
{
	const char *const bad[] = { "http://h/?api_key=secret", "http://secret@h",
		                    "http://h#secret" };
	struct url url;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		cr_assert_not(url_parse(bad[i], &url, why), "%s was accepted", bad[i]);
		cr_assert_null(strstr(why, "secret"), "%s", why);
	}
}

Test(url, encodes_all_that_is_not_plain)
{
	struct buf buf = { 0 };

	url_append_encoded(&buf, "aZ0-._~ &=+%/\xC3\xA9");
	buf_append(&buf, "", 1);
	cr_assert_str_eq((char *)buf.data, "aZ0-._~%20%26%3D%2B%25%2F%C3%A9");
	buf_free(&buf);
}
