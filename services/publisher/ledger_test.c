#include "services/publisher/ledger.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define T0 INT64_C(1700000000000)

static struct ledger ledger;

static void init(void)
{
	ledger = (struct ledger){ 0 };
}

static void done(void)
{
	ledger_done(&ledger);
}

TestSuite(ledger, .init = init, .fini = done);

/* The nth frame of 200 ms at 100 Hz. */
static void frame(unsigned slot, int n)
{
	ledger_note(&ledger, slot, 100, T0 + 200 * n, 20, false);
}

static void late(int n)
{
	ledger_note(&ledger, 0, 100, T0 + 200 * n, 20, true);
}

static void assert_gap(size_t i, enum gap_cause cause, int from, int to)
{
	cr_assert_lt(i, ledger.n);
	cr_assert_eq(ledger.gap[i].cause, cause);
	cr_assert_eq(ledger.gap[i].from_ms, T0 + 200 * from, "from %lld",
	             (long long)(ledger.gap[i].from_ms - T0));
	cr_assert_eq(ledger.gap[i].to_ms, T0 + 200 * to, "to %lld",
	             (long long)(ledger.gap[i].to_ms - T0));
	cr_assert_eq(ledger.gap[i].missing_ms, 200 * (to - from));
}

Test(ledger, is_empty_of_a_session_without_gaps_whatever_its_jitter_and_crystal)
{
	int64_t t0 = T0;

	for (int n = 0; n < 1000; n++)
		ledger_note(&ledger, 0, 64, T0 + (int64_t)(n * 13 / 64.0 * 1000) + rand() % 3, 13,
		            false);
	for (int n = 0; n < 1000; n++, t0 += 202) /* 99 Hz for 100 */
		ledger_note(&ledger, 1, 100, t0, 20, false);
	for (int n = 0; n < 1000; n++, t0 += 198) /* 101 Hz */
		ledger_note(&ledger, 2, 100, t0, 20, false);
	cr_assert_eq(ledger.n, 0);
	cr_assert_not(ledger.changed);
}

Test(ledger, holds_what_was_never_sent_by_slot)
{
	for (int n = 0; n < 20; n++) {
		if (n < 5 || n >= 8)
			frame(0, n);
		if (n != 15)
			frame(1, n);
	}
	cr_assert_eq(ledger.n, 2);
	assert_gap(0, GAP_NEVER_SENT, 5, 8);
	assert_gap(1, GAP_NEVER_SENT, 15, 16);
	cr_assert_eq(ledger.gap[1].slot, 1);
	cr_assert(ledger.changed);
}

Test(ledger, forgets_a_gap_that_is_filled_from_its_ends_and_from_its_middle)
{
	frame(0, 0);
	frame(0, 10);
	frame(0, 5);
	cr_assert_eq(ledger.n, 2);
	assert_gap(0, GAP_NEVER_SENT, 1, 5);
	assert_gap(1, GAP_NEVER_SENT, 6, 10);
	for (int n = 1; n < 10; n++)
		frame(0, n);
	cr_assert_eq(ledger.n, 0);
}

/* A device that sends what is new first, then what it had stored meanwhile. */
Test(ledger, forgets_a_gap_that_a_backlog_fills_in_a_row)
{
	for (int n = 0; n < 50; n++)
		frame(0, n);
	for (int n = 150; n < 155; n++)
		frame(0, n);
	for (int n = 100; n < 150; n++) /* in two pieces, the newer one first */
		frame(0, n);
	cr_assert_eq(ledger.n, 1);
	assert_gap(0, GAP_NEVER_SENT, 50, 100);
	for (int n = 50; n < 100; n++)
		frame(0, n);
	cr_assert_eq(ledger.n, 0);
	for (int n = 155; n < 160; n++)
		frame(0, n);
	cr_assert_eq(ledger.n, 0);
	frame(0, 165);
	assert_gap(0, GAP_NEVER_SENT, 160, 165);
}

/* Ahead by mistake, then set right. */
Test(ledger, goes_on_where_a_clock_came_back_to)
{
	for (int n = 0; n < 50; n++)
		frame(0, n);
	for (int n = 18050; n < 18060; n++)
		frame(0, n);
	for (int n = 60; n < 100; n++)
		frame(0, n);
	cr_assert_eq(ledger.n, 2);
	assert_gap(0, GAP_NEVER_SENT, 50, 60);
	assert_gap(1, GAP_NEVER_SENT, 100, 18050);
}

Test(ledger, says_late_of_what_came_behind_its_windows)
{
	frame(0, 0);
	frame(0, 10);
	late(3);
	late(4);
	cr_assert_eq(ledger.n, 3);
	assert_gap(0, GAP_NEVER_SENT, 1, 3);
	assert_gap(1, GAP_NEVER_SENT, 5, 10);
	assert_gap(2, GAP_LATE, 3, 5);
	cr_assert_eq(ledger.gap[2].frames, 2);
	late(3);
	cr_assert_eq(ledger.gap[2].frames, 3, "an overlapping one is another frame");
}

Test(ledger, begins_anew_when_the_clock_was_set_back)
{
	for (int n = 0; n < 10; n++)
		frame(0, n);
	for (int n = -1000; n < -990; n++)
		frame(0, n);
	frame(0, -988);
	cr_assert_eq(ledger.n, 1);
	assert_gap(0, GAP_NEVER_SENT, -990, -988);
}

Test(ledger, stays_bounded_and_loses_no_missing_time)
{
	int64_t missing = 0, noted = 0;
	uint32_t intervals = 0;

	for (int n = 0, at = 0; n < 5000; n++) {
		int skip = rand() % 4;

		ledger_note(&ledger, 0, 100, T0 + 200 * (int64_t)(at += skip), 20, false);
		missing += n > 0 ? 200 * skip : 0;
		at++;
	}
	cr_assert_leq(ledger.n, LEDGER_GAPS);
	for (size_t i = 0; i < ledger.n; i++) {
		noted += ledger.gap[i].missing_ms;
		intervals += ledger.gap[i].intervals;
		cr_assert_geq(ledger.gap[i].to_ms - ledger.gap[i].from_ms,
		              ledger.gap[i].missing_ms);
	}
	cr_assert_eq(noted, missing);
	cr_assert_gt(intervals, 3000);
}

Test(ledger, keeps_its_sense_whatever_is_sent)
{
	for (int n = 0; n < 200000; n++) {
		int64_t t0 = rand() % 50 == 0 ? (int64_t)rand() << 21 : T0 + rand() % 100000;

		if (rand() % 100 == 0)
			t0 = rand() % 2 ? INT64_MAX : INT64_MIN;
		ledger_note(&ledger, (unsigned)rand() % ANALYSIS_MAX_SLOTS,
		            rand() % 2 ? 0.1 : 10000, t0, (uint32_t)rand() % 65536,
		            rand() % 3 == 0);
		cr_assert_leq(ledger.n, LEDGER_GAPS);
	}
	for (size_t i = 0; i < ledger.n; i++)
		cr_assert_gt(ledger.gap[i].to_ms, ledger.gap[i].from_ms - 1);
}
