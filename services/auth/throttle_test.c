#include "services/auth/throttle.h"

#include "common/clock.h"

#include <criterion/criterion.h>
#include <stdio.h>

static int64_t now_us;
static struct throttle *throttle;

static int64_t source(void *ctx)
{
	(void)ctx;
	return now_us;
}

static void given(void)
{
	now_us = 1000000;
	clock_set_source(source, NULL, 0);
	throttle = throttle_new(3, 10000, 100);
}

static void done(void)
{
	throttle_free(throttle);
	clock_set_source(NULL, NULL, 0);
}

TestSuite(throttle, .init = given, .fini = done);

Test(throttle, lets_a_burst_pass_and_then_says_how_long_to_wait)
{
	for (int i = 0; i < 3; i++)
		cr_assert_eq(throttle_take(throttle, "a"), 0);
	cr_assert_eq(throttle_take(throttle, "a"), 11);
	cr_assert_eq(throttle_take(throttle, "b"), 0, "another name has a bucket of its own");
}

Test(throttle, gives_one_more_try_each_while_and_never_more_than_the_burst)
{
	for (int i = 0; i < 3; i++)
		(void)throttle_take(throttle, "a");
	now_us += 10000000;
	cr_assert_eq(throttle_take(throttle, "a"), 0);
	cr_assert_neq(throttle_take(throttle, "a"), 0);
	now_us += 3600000000;
	for (int i = 0; i < 3; i++)
		cr_assert_eq(throttle_take(throttle, "a"), 0);
	cr_assert_neq(throttle_take(throttle, "a"), 0);
}

Test(throttle, does_not_count_a_try_that_is_given_back)
{
	for (int i = 0; i < 20; i++) {
		cr_assert_eq(throttle_take(throttle, "a"), 0);
		throttle_give_back(throttle, "a");
	}
	throttle_give_back(throttle, "never seen");
	for (int i = 0; i < 3; i++)
		cr_assert_eq(throttle_take(throttle, "a"), 0);
	cr_assert_neq(throttle_take(throttle, "a"), 0);
}

Test(throttle, forgets_the_name_that_was_not_tried_for_longest)
{
	char name[16];

	for (int i = 0; i < 4; i++)
		(void)throttle_take(throttle, "old");
	for (int i = 0; i < 99; i++) {
		(void)snprintf(name, sizeof name, "%d", i);
		(void)throttle_take(throttle, name);
	}
	cr_assert_neq(throttle_take(throttle, "old"), 0, "it was just tried");
	for (int i = 99; i < 199; i++) {
		(void)snprintf(name, sizeof name, "%d", i);
		(void)throttle_take(throttle, name);
	}
	cr_assert_eq(throttle_take(throttle, "old"), 0);
}
