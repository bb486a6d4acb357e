#include "services/cli/policy.h"

#include <criterion/criterion.h>

Test(restart, is_immediate_for_a_process_that_dies_now_and_then)
{
	struct restart_policy policy = { 0 };

	for (int64_t now = 0; now < 1000000; now += 3000)
		cr_assert_eq(restart_delay_ms(&policy, now - 3000, now), 0, "at %d", (int)now);
}

Test(restart, backs_off_only_after_five_deaths_in_ten_seconds)
{
	struct restart_policy policy = { 0 };
	int64_t now = 50000;

	for (int death = 1; death <= 5; death++, now += 100)
		cr_assert_eq(restart_delay_ms(&policy, now - 100, now), 0, "death %d", death);
	cr_assert_eq(restart_delay_ms(&policy, now - 100, now), 1000);
}

Test(restart, waits_a_second_more_each_time_up_to_ten)
{
	struct restart_policy policy = { 0 };
	int64_t now = 0, delay_ms = 0;

	for (int death = 1; death <= 5; death++)
		(void)restart_delay_ms(&policy, now, now);
	for (int64_t step = 1; step <= 15; step++) {
		delay_ms = restart_delay_ms(&policy, now, now + 50);
		cr_assert_eq(delay_ms, step < 10 ? step * 1000 : 10000);
		now += delay_ms + 50;
	}
}

Test(restart, is_immediate_again_after_ten_seconds_of_life)
{
	struct restart_policy policy = { 0 };

	for (int death = 1; death <= 9; death++)
		(void)restart_delay_ms(&policy, 0, 0);
	cr_assert_eq(restart_delay_ms(&policy, 1000, 11000), 0);
}

Test(reconnect, is_immediate_when_the_server_is_going_away)
{
	cr_assert_eq(reconnect_delay_ms(1, 1001, 12345), 0);
	cr_assert_gt(reconnect_delay_ms(2, 1001, 12345), 0);
}

Test(reconnect, doubles_up_to_a_bound_and_is_spread)
{
	int64_t least = reconnect_delay_ms(1, 1013, 0), most = reconnect_delay_ms(1, 1013, 125);

	cr_assert_eq(least, 375);
	cr_assert_eq(most, 500);
	cr_assert_eq(reconnect_delay_ms(2, 1013, 250), 1000);
	for (unsigned attempt = 6; attempt < 4000000000u; attempt *= 3)
		for (uint32_t random = 0; random < 4000000000u; random += 99999999u)
			cr_assert_leq(reconnect_delay_ms(attempt, 1006, random), RECONNECT_MOST_MS);
}

Test(reconnect, is_for_codes_that_ask_for_it_and_for_lost_connections)
{
	const int again[] = { 1001, 1006, 1013, 4029 };
	const int never[] = { 1000, 1003, 1007, 1009, 4001, 4004, 4009 };

	for (size_t i = 0; i < sizeof again / sizeof again[0]; i++)
		cr_assert(reconnect_allowed(again[i]), "%d", again[i]);
	for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
		cr_assert_not(reconnect_allowed(never[i]), "%d", never[i]);
}
