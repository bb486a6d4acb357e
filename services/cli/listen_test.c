#include "services/cli/listen.h"
#include "services/cli/up_settings.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

static char why[256];

static struct listen_address parsed(const char *text)
{
	struct listen_address address;

	cr_assert(listen_parse(text, &address, why), "%s: %s", text, why);
	return address;
}

Test(listen, takes_both_forms_of_address)
{
	struct listen_address address = parsed("127.0.0.1:8080");
	AUTO_MEM char *v4 = listen_url(&address, false, false), *v6 = NULL;

	cr_assert_str_eq(v4, "http://127.0.0.1:8080");
	address = parsed("[::1]:443");
	v6 = listen_url(&address, true, false);
	cr_assert_str_eq(v6, "https://[::1]:443");
	address = parsed("localhost:1");
	cr_assert_eq(listen_port(&address), 1);
}

Test(listen, refuses_what_is_no_address_with_a_port)
{
	const char *const bad[] = { "",           "8080",         ":8080",      "127.0.0.1",
		                    "127.0.0.1:", "127.0.0.1:-1", "::1:8080x",  "[::1]",
		                    "[::1:80",    "1.2.3:80",     "host.de:80", "127.0.0.1:65536",
		                    "1.2.3.4: 80" };
	struct listen_address address;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert_not(listen_parse(bad[i], &address, why), "%s was accepted", bad[i]);
}

Test(listen, knows_loopback)
{
	const char *const near[] = { "127.0.0.1:80", "127.9.9.9:80", "[::1]:80", "localhost:80" };
	const char *const far[] = { "0.0.0.0:80", "[::]:80", "192.168.1.1:80",
		                    "[::ffff:127.0.0.1]:80" };

	for (size_t i = 0; i < ARRAY_LEN(near); i++) {
		struct listen_address address = parsed(near[i]);

		cr_assert(listen_is_loopback(&address), "%s", near[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(far); i++) {
		struct listen_address address = parsed(far[i]);

		cr_assert_not(listen_is_loopback(&address), "%s", far[i]);
	}
}

Test(listen, names_a_reachable_address_for_the_one_that_means_all)
{
	struct listen_address v4 = parsed("0.0.0.0:80"), v6 = parsed("[::]:80");
	AUTO_MEM char *one = listen_url(&v4, false, true), *other = listen_url(&v6, false, true);

	cr_assert_str_eq(one, "http://127.0.0.1:80");
	cr_assert_str_eq(other, "http://[::1]:80");
}

Test(listen, opens_several_sockets_on_one_address_and_says_which_port)
{
	struct listen_address address = parsed("127.0.0.1:0");
	int fd[3];

	cr_assert_eq(listen_open(&address, fd, 3, why), OK, "%s", why);
	cr_assert_gt(listen_port(&address), 0);
	for (size_t i = 0; i < 3; i++) {
		struct listen_address its = { .len = sizeof its.at };

		cr_assert_eq(getsockname(fd[i], (struct sockaddr *)&its.at, &its.len), 0);
		cr_assert_eq(listen_port(&its), listen_port(&address));
		(void)close(fd[i]);
	}
}

Test(listen, refuses_an_address_where_a_stack_of_the_same_user_listens)
{
	struct listen_address address = parsed("127.0.0.1:0"), same;
	int fd, second;

	cr_assert_eq(listen_open(&address, &fd, 1, why), OK);
	same = address;
	cr_assert_eq(listen_open(&same, &second, 1, why), ERR_CONFLICT);
	cr_assert_not_null(strstr(why, "is taken"));
	(void)close(fd);
}

static const char *refusal(const char *listen, const char *cert, const char *key, bool proxy)
{
	struct up_settings settings = { .tls_cert = cert, .tls_key = key, .behind_proxy = proxy };

	settings.address = parsed(listen);
	return up_settings_refusal(&settings);
}

Test(up, keeps_a_stack_without_tls_on_loopback)
{
	cr_assert_null(refusal("127.0.0.1:80", NULL, NULL, false));
	cr_assert_null(refusal("[::1]:80", NULL, NULL, false));
	cr_assert_not_null(refusal("0.0.0.0:80", NULL, NULL, false));
	cr_assert_not_null(refusal("192.168.1.1:80", NULL, NULL, false));
	cr_assert_null(refusal("0.0.0.0:80", NULL, NULL, true));
	cr_assert_null(refusal("0.0.0.0:80", "c.pem", "k.pem", false));
}

Test(up, wants_a_certificate_and_its_key_together)
{
	cr_assert_not_null(refusal("127.0.0.1:80", "c.pem", NULL, false));
	cr_assert_not_null(refusal("127.0.0.1:80", NULL, "k.pem", true));
}
