/* Which frames a window of time needs. */
#include "services/edge/export_runs.h"

#include <criterion/criterion.h>

static void add(struct export_runs *runs, uint32_t slot, uint64_t first, uint64_t last,
                int64_t from_ms, int64_t to_ms)
{
	Publisher__FrameRun run = PUBLISHER__FRAME_RUN__INIT;

	run.slot_id = slot;
	run.first = first;
	run.last = last;
	run.from_ms = from_ms;
	run.to_ms = to_ms;
	cr_assert(export_runs_add(runs, &run));
}

Test(export_runs, frames_of_several_slots_that_lie_between_each_other_are_read_once)
{
	struct export_runs runs = { 0 };

	add(&runs, 0, 1, 99, 0, 50000);
	add(&runs, 1, 2, 100, 0, 50000);
	add(&runs, 0, 200, 210, 20000, 25000);
	export_runs_sort(&runs);
	export_runs_window(&runs, 0, 10000);
	cr_assert_eq(runs.n_todo, 1);
	cr_assert_eq(runs.todo[0].first, 1);
	cr_assert_eq(runs.todo[0].last, 100);
	export_runs_window(&runs, 20000, 30000);
	cr_assert_eq(runs.n_todo, 2, "the late frames are elsewhere");
	cr_assert_eq(runs.todo[1].first, 200);
	export_runs_free(&runs);
}

Test(export_runs, what_is_done_with_is_not_read_again_and_what_reaches_further_is)
{
	struct export_runs runs = { 0 };

	add(&runs, 0, 1, 50, 0, 50000);
	export_runs_sort(&runs);
	export_runs_window(&runs, 0, 10000);
	for (uint64_t n = 1; n <= 12; n++)
		export_runs_read(&runs, 0, n, n < 11);
	cr_assert(export_runs_window_done(&runs, 10000));
	export_runs_window(&runs, 10000, 20000);
	cr_assert_eq(runs.todo[0].first, 11);
	export_runs_free(&runs);
}

/* Retention goes on while a file is read. */
Test(export_runs, says_when_frames_have_gone_meanwhile)
{
	struct export_runs runs = { 0 };

	add(&runs, 0, 1, 5, 0, 5000);
	add(&runs, 1, 6, 9, 2000, 12000);
	export_runs_sort(&runs);
	export_runs_window(&runs, 0, 10000);
	for (uint64_t n = 1; n <= 5; n++)
		export_runs_read(&runs, 0, n, true);
	for (uint64_t n = 6; n <= 8; n++)
		export_runs_read(&runs, 1, n, n < 8);
	cr_assert(export_runs_window_done(&runs, 10000), "it reaches further");
	export_runs_window(&runs, 10000, 20000);
	cr_assert_eq(runs.todo[0].first, 8);
	export_runs_read(&runs, 1, 8, true);
	cr_assert_not(export_runs_window_done(&runs, 20000), "the last one was not there");
	export_runs_free(&runs);
}

Test(export_runs, says_when_the_next_samples_begin)
{
	struct export_runs runs = { 0 };
	int64_t at_ms;

	add(&runs, 0, 9, 9, 30000, 31000);
	add(&runs, 0, 1, 5, 0, 5000);
	export_runs_sort(&runs);
	cr_assert(export_runs_next(&runs, INT64_MIN, &at_ms));
	cr_assert_eq(at_ms, 0);
	cr_assert(export_runs_next(&runs, 3000, &at_ms));
	cr_assert_eq(at_ms, 3000);
	cr_assert(export_runs_next(&runs, 5000, &at_ms));
	cr_assert_eq(at_ms, 30000);
	cr_assert(!export_runs_next(&runs, 31000, &at_ms));
	export_runs_free(&runs);
}
