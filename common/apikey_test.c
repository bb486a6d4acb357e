#include "common/apikey.h"

#include "common/mem.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

#define VECTOR "raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE"

Test(apikey, accepts_the_test_vector_of_the_contract)
{
	cr_assert_eq(apikey_check(VECTOR, strlen(VECTOR)), APIKEY_GOOD);
}

Test(apikey, says_what_is_wrong_with_a_key)
{
	static const struct {
		const char *text;
		enum apikey_fault fault;
	} cases[] = {
		{"",		                              APIKEY_MISSING },
		{ "raeh",		                         APIKEY_PREFIX  },
		{ "sk_live_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE", APIKEY_PREFIX  },
		{ "RAEH_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE",    APIKEY_PREFIX  },
		{ "raeh_",		                        APIKEY_LENGTH  },
		{ "raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEU",     APIKEY_LENGTH  },
		{ "raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUEE",   APIKEY_LENGTH  },
		{ "raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ0123-mAEUE",    APIKEY_ALPHABET},
		{ "raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUF",    APIKEY_CHECKSUM},
		{ "raeh_BACDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE",    APIKEY_CHECKSUM},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		cr_expect_eq(apikey_check(cases[i].text, strlen(cases[i].text)), cases[i].fault,
		             "\"%s\"", cases[i].text);
}

Test(apikey, refuses_a_key_with_a_zero_byte_inside)
{
	char key[APIKEY_LEN];

	memcpy(key, VECTOR, sizeof key);
	key[20] = '\0';
	cr_assert_eq(apikey_check(key, sizeof key), APIKEY_ALPHABET);
}

Test(apikey, every_mistyped_character_is_noticed)
{
	for (size_t i = 5; i < APIKEY_LEN; i++) {
		char key[APIKEY_TEXT] = VECTOR;

		key[i] = key[i] == 'x' ? 'y' : 'x';
		cr_expect_neq(apikey_check(key, APIKEY_LEN), APIKEY_GOOD, "character %zu", i);
	}
}

Test(apikey, makes_keys_that_are_well_formed_and_differ)
{
	char first[APIKEY_TEXT], second[APIKEY_TEXT];

	cr_assert_geq(sodium_init(), 0);
	apikey_make(first);
	apikey_make(second);
	cr_assert_eq(apikey_check(first, strlen(first)), APIKEY_GOOD);
	cr_assert_eq(apikey_check(second, strlen(second)), APIKEY_GOOD);
	cr_assert_str_neq(first, second);
}

Test(apikey, knows_the_form_of_a_token)
{
	cr_assert(apikey_is_token_form("raeht_abc-_.Z9", 14));
	cr_assert_not(apikey_is_token_form("raeht_", 6));
	cr_assert_not(apikey_is_token_form("raeht_a=b", 9));
	cr_assert_not(apikey_is_token_form("raeh_abc", 8));
}

Test(apikey, makes_secrets_of_the_dashboard_that_are_no_keys)
{
	const char *bad[] = { "",
		              "raehs_",
		              "raehs_ABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
		              "raehs_ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456",
		              "raehs_ABCDEFGHIJKLMNOPQRSTUVWXYZ01234-",
		              "raehi_ABCDEFGHIJKLMNOPQRSTUVWXYZ012345" };
	char login[SECRET_TEXT], other[SECRET_TEXT];

	cr_assert_geq(sodium_init(), 0);
	apikey_make_secret(SECRET_LOGIN, login);
	apikey_make_secret(SECRET_LOGIN, other);
	cr_assert_str_neq(login, other);
	cr_assert(apikey_is_secret(SECRET_LOGIN, login, strlen(login)));
	cr_assert_not(apikey_is_secret(SECRET_INVITE, login, strlen(login)));
	cr_assert_neq(apikey_check(login, strlen(login)), APIKEY_GOOD);
	cr_assert_not(apikey_is_token_form(login, strlen(login)));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert_not(apikey_is_secret(SECRET_LOGIN, bad[i], strlen(bad[i])), "%s", bad[i]);
}

Test(apikey, a_secret_in_a_text_is_noticed_wherever_it_stands)
{
	static const char token[] =
	        "{\"t\":\"raeht_ChAB-_9.ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	        "0123456789-_ABCDEFGHIJKLMNOPQRSTUV\"}";
	static const char *const secret[] = {
		"raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE",
		"my raeh_ key is raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE!",
		"mistyped: raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUF",
		"without its checksum: raeh_abcDEFGHIJKLMNOPQRSTUVWXYZ0123",
		"raehs_abcDEFGHIJKLMNOPQRSTUVWXYZ012345",
		"http://host/invite/raehi_abcDEFGHIJKLMNOPQRSTUVWXYZ012345",
		token,
	};
	static const char *const plain[] = {
		"",
		"raeh",
		"raeh_",
		"raeht_",
		"raeh_my_watch_of_the_year_two_thousand_and_TWENTY",
		"raeh_0192f0c0a0b17c3d8e9f001122334455",
		"raehs_ABC",
		"raeht_abc.def",
		"raeht_abc.ABCDEFGHIJKLMNOPQRSTUVWXYZ",
	};

	for (size_t i = 0; i < ARRAY_LEN(secret); i++)
		cr_expect(text_has_secret(secret[i]), "%s", secret[i]);
	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		cr_expect_not(text_has_secret(plain[i]), "%s", plain[i]);
}
