#include "common/principal.h"

#include "common/wire.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t secret[SECRET_BYTES] = { 1, 2, 3 };
static const struct uuid account = { { 0xaa } }, key = { { 0xbb } };

static Raeh__Principal signed_principal(uint8_t mac[32])
{
	Raeh__Principal principal = RAEH__PRINCIPAL__INIT;

	principal.account = wire_bytes_of(&account);
	principal.key = wire_bytes_of(&key);
	principal.scopes = SCOPE_READ;
	principal.notice = 7;
	principal_sign(&principal, secret, mac);
	return principal;
}

Test(principal, is_believed_when_auth_signed_it)
{
	uint8_t mac[32];
	Raeh__Principal principal = signed_principal(mac);
	struct uuid who;

	cr_assert_eq(principal_check(&principal, secret, &who), OK);
	cr_assert(uuid_equal(&who, &account));
}

Test(principal, is_refused_when_anything_in_it_was_changed)
{
	const struct uuid other = { { 0xcc } };
	uint8_t mac[32];
	struct uuid who;

	for (int change = 0; change < 5; change++) {
		Raeh__Principal principal = signed_principal(mac);

		if (change == 0)
			principal.account = wire_bytes_of(&other);
		if (change == 1)
			principal.scopes |= SCOPE_WRITE;
		if (change == 2)
			principal.device_id = (char *)"mine";
		if (change == 3)
			mac[31] ^= 1;
		if (change == 4)
			principal.mac.len = 31;
		cr_expect_eq(principal_check(&principal, secret, &who), ERR_DENIED, "change %d",
		             change);
	}
	cr_assert_eq(principal_check(NULL, secret, &who), ERR_DENIED);
}

Test(principal, is_refused_under_another_secret)
{
	const uint8_t other[SECRET_BYTES] = { 9 };
	uint8_t mac[32];
	Raeh__Principal principal = signed_principal(mac);
	struct uuid who;

	cr_assert_eq(principal_check(&principal, other, &who), ERR_DENIED);
}

Test(principal, scopes_have_names_both_ways)
{
	for (uint32_t bit = 1; bit <= SCOPE_KEYS; bit <<= 1)
		cr_expect_eq(scope_bit(scope_name(bit)), bit);
	cr_assert_null(scope_name(3));
	cr_assert_eq(scope_bit("admin"), 0);
}

Test(principal, a_secret_is_made_once_and_only_its_owner_may_read_it)
{
	char directory[] = "/tmp/raeh-secret-XXXXXX", path[64], why[256];
	uint8_t first[SECRET_BYTES], again[SECRET_BYTES];
	struct stat st;

	cr_assert_not_null(mkdtemp(directory));
	(void)snprintf(path, sizeof path, "%s/key", directory);
	cr_assert_eq(secret_load(path, first, why), OK, "%s", why);
	cr_assert_eq(secret_load(path, again, why), OK);
	cr_assert_arr_eq(first, again, SECRET_BYTES);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
	cr_assert_eq(truncate(path, 31), 0);
	cr_assert_eq(secret_load(path, again, why), ERR_MALFORMED);
	cr_assert(strstr(why, "expected 32 bytes, got 31"), "%s", why);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(secret_load("/nowhere/at/all", again, why), ERR_IO);
	cr_assert_eq(rmdir(directory), 0);
}
