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

Test(lease, of_the_buried_is_remembered_for_a_time_and_in_bounds)
{
	struct uuid incarnation = { { 0 } }, found;
	uint32_t slot;

	leases_bury(&leases, 3, &a, 100);
	leases_bury(&leases, 3, &a, 200);
	cr_assert(leases_is_buried(&leases, &a) && !leases_is_buried(&leases, &b));
	cr_assert(!leases_exhume(&leases, 100, &slot, &found));
	cr_assert(leases_exhume(&leases, 101, &slot, &found));
	cr_assert(slot == 3 && uuid_equal(&found, &a) && !leases_is_buried(&leases, &a));
	for (uint32_t i = 0; i < BURIED_MOST + 10; i++) {
		incarnation.byte[12] = (uint8_t)(i >> 16);
		incarnation.byte[13] = (uint8_t)(i >> 8);
		incarnation.byte[14] = (uint8_t)i;
		incarnation.byte[15] = 1;
		leases_bury(&leases, 0, &incarnation, i);
	}
	cr_assert_eq(leases.buried.count, BURIED_MOST);
	cr_assert(leases_is_buried(&leases, &incarnation));
}
