#include "services/auth/share.h"

#include "common/mem.h"

#include <criterion/criterion.h>

static struct shares *shares;

static void setup(void)
{
	shares = shares_new();
}

static void teardown(void)
{
	shares_free(shares);
}

TestSuite(share, .init = setup, .fini = teardown);

static uint64_t ask(uint32_t slot, uint64_t wanted, int64_t now_ms)
{
	const struct share_demand demand = {
		.key = { { 1 } }, .kind = 0, .slot = slot, .wanted = wanted, .most = 1000
	};

	return share_ask(shares, &demand, now_ms);
}

Test(share, one_edge_alone_has_the_whole)
{
	cr_assert_eq(ask(3, 10, 1), 1000);
	cr_assert_eq(ask(3, 5000, 2), 1000);
}

Test(share, who_wants_little_has_it_and_the_rest_is_divided)
{
	(void)ask(0, 100, 1);
	(void)ask(1, 2000, 1);
	(void)ask(2, 700, 1);
	cr_assert_eq(ask(0, 100, 2), 100);
	cr_assert_eq(ask(1, 2000, 2), 450);
	cr_assert_eq(ask(2, 700, 2), 450);
}

Test(share, what_nobody_wants_is_divided_among_all)
{
	(void)ask(0, 100, 1);
	cr_assert_eq(ask(1, 500, 1), 700);
	cr_assert_eq(ask(0, 100, 1), 300);
}

Test(share, all_together_never_have_more_than_the_limit)
{
	uint64_t wanted[7] = { 3, 999, 0, 141, 142, 143, 200000 }, sum = 0;

	for (uint32_t slot = 0; slot < ARRAY_LEN(wanted); slot++)
		(void)ask(slot, wanted[slot], 1);
	for (uint32_t slot = 0; slot < ARRAY_LEN(wanted); slot++)
		sum += ask(slot, wanted[slot], 1);
	cr_assert(sum <= 1000 && sum >= 1000 - ARRAY_LEN(wanted), "%d", (int)sum);
}

Test(share, an_edge_that_is_quiet_or_gone_counts_no_more)
{
	(void)ask(0, 900, 1);
	cr_assert_eq(ask(1, 900, 1), 500);
	cr_assert_eq(ask(1, 900, 1 + SHARE_FRESH_MS), 1000);
	shares_tidy(shares, 2 + 2 * SHARE_FRESH_MS);
	cr_assert_eq(ask(0, 1, 2 + 2 * SHARE_FRESH_MS), 1000);
}

Test(share, kinds_and_keys_are_apart)
{
	struct share_demand demand = { .key = { { 1 } }, .slot = 1, .wanted = 900, .most = 1000 };

	(void)ask(0, 900, 1);
	demand.kind = 1;
	cr_assert_eq(share_ask(shares, &demand, 1), 1000);
	demand.kind = 0;
	demand.key.byte[0] = 2;
	cr_assert_eq(share_ask(shares, &demand, 1), 1000);
}
