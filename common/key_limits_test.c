#include "common/key_limits.h"

#include <criterion/criterion.h>

Test(key_limits, none_set_is_no_message)
{
	const struct key_limits none = key_limits_of(NULL);
	Raeh__KeyLimits message = RAEH__KEY_LIMITS__INIT;
	uint32_t value = 7;

	cr_assert_null(key_limits_message(&none, &message));
	cr_assert_not(key_limit_given(NULL, KEY_LIMIT_BYTES, &value));
	cr_assert_not(key_limit_given(&message.base, KEY_LIMIT_BYTES, &value));
	cr_assert_eq(value, 7);
	cr_assert(key_limits_equal(NULL, &message));
}

Test(key_limits, each_goes_into_its_own_field_and_comes_out_of_it)
{
	for (unsigned i = 0; i < KEY_LIMIT_KINDS; i++) {
		struct key_limits limits = { { 0 } }, seen;
		Raeh__KeyLimits message;
		uint32_t value = 0;

		limits.of[i] = 10 + i;
		cr_assert_eq(key_limits_message(&limits, &message), &message);
		cr_assert(key_limit_given(&message.base, (enum key_limit)i, &value));
		cr_assert_eq(value, 10 + i);
		seen = key_limits_of(&message);
		for (unsigned k = 0; k < KEY_LIMIT_KINDS; k++)
			cr_assert_eq(seen.of[k], limits.of[k], "%s",
			             key_limit_name((enum key_limit)k));
		cr_assert_not(key_limits_equal(NULL, &message));
	}
}

Test(key_limits, a_zero_that_was_given_is_seen)
{
	Raeh__KeyLimits message = RAEH__KEY_LIMITS__INIT;
	uint32_t value = 7;

	message.has_open_sockets = true;
	cr_assert(key_limit_given(&message.base, KEY_LIMIT_SOCKETS, &value));
	cr_assert_eq(value, 0);
}
