#include "services/auth/lease.h"

#include <criterion/criterion.h>

static struct leases leases;
static unsigned over;
static const struct uuid a = { { 1 } }, b = { { 2 } };

static void start(void)
{
	leases_start(&leases);
}

static void done(void)
{
	leases_done(&leases);
}

static void on_over(void *ctx, struct edge *edge)
{
	(void)ctx;
	(void)edge;
	over++;
}

TestSuite(lease, .init = start, .fini = done);

Test(lease, is_over_when_its_time_is_and_not_before)
{
	struct edge *edge = leases_add(&leases, 0, &a, 30000, 1000);

	leases_expire(&leases, 999, on_over, NULL);
	cr_assert(edge->live && over == 0);
	cr_assert_eq(leases_next_over_ms(&leases), 1000);
	leases_expire(&leases, 1000, on_over, NULL);
	cr_assert(!edge->live && over == 1);
	leases_expire(&leases, 5000, on_over, NULL);
	cr_assert_eq(over, 1, "it is told once");
	cr_assert_eq(leases_next_over_ms(&leases), INT64_MAX);
}

Test(lease, is_never_longer_than_what_was_journaled)
{
	struct edge *edge = leases_add(&leases, 0, &a, 30000, 1000);

	cr_assert_eq(lease_extend(edge, 500, 60000), 30000);
	cr_assert_eq(edge->until_ms, 30500);
	cr_assert_eq(lease_extend(edge, 600, 10000), 10000);
	cr_assert_eq(edge->until_ms, 30500, "a shorter one does not take back the longer");
}

Test(lease, of_the_same_slot_are_told_apart_by_incarnation)
{
	struct edge *edge = leases_add(&leases, 7, &a, 1, 1);

	cr_assert_eq(leases_find(&leases, 7, &a), edge);
	cr_assert_null(leases_find(&leases, 7, &b));
	cr_assert_null(leases_find(&leases, 8, &a));
	edge->ended = true;
	cr_assert_null(leases_find(&leases, 7, &a));
}
