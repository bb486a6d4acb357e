#include "services/publisher/dsp/grid.h"

#include "common/mem.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

static uint64_t room[100000];

static struct grid start(double rate_hz, double wanted_hz, unsigned bits, int64_t t0_ms)
{
	struct grid grid = grid_new(rate_hz, wanted_hz, bits, 1);

	cr_assert_leq(grid_room(&grid), sizeof(room));
	grid_start(&grid, room, t0_ms, t0_ms);
	return grid;
}

static struct grid_placed put(struct grid *grid, int64_t k, int32_t value)
{
	struct grid_placed placed = { 0 };

	cr_assert(grid_put(grid, room, k, &value, &placed));
	return placed;
}

Test(grid, keeps_a_cell_rate_between_the_wanted_one_and_its_double)
{
	const double rates[] = { 50, 64, 99, 100, 125, 256, 1000, 3200, 5000, 10000 };

	for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
		struct grid grid = grid_new(rates[i], 50, 16, 1);

		cr_assert_geq(grid.cell_hz, 49.9, "%g Hz", rates[i]);
		cr_assert_lt(grid.cell_hz, 100, "%g Hz", rates[i]);
		cr_assert_leq(grid.bin, GRID_MAX_BIN);
	}
}

Test(grid, gives_the_mean_of_a_cell)
{
	struct grid grid = start(100, 50, 16, 0);
	double value = 0;

	put(&grid, 0, 10);
	put(&grid, 1, 21);

	cr_assert(grid_take(&grid, room, &value));
	cr_assert_eq(value, 15.5);
}

Test(grid, gives_the_mean_of_what_is_there_when_a_cell_is_not_full)
{
	struct grid grid = start(100, 25, 16, 0);
	double value = 0;

	put(&grid, 1, 7);
	put(&grid, 3, 9);

	cr_assert(grid_take(&grid, room, &value));
	cr_assert_eq(value, 8);
	cr_assert_not(grid_take(&grid, room, &value));
}

Test(grid, holds_the_largest_samples_without_overflow)
{
	struct grid grid = start(3200, 50, 32, 0);
	double value = 0;

	for (int64_t k = 0; k < 64; k++)
		put(&grid, k, k % 2 ? INT32_MAX : INT32_MAX - 1);

	cr_assert(grid_take(&grid, room, &value));
	cr_assert_float_eq(value, INT32_MAX, 64);
}

Test(grid, tells_stored_from_overlapped_from_late)
{
	struct grid grid = start(100, 50, 16, 0);
	double value;

	cr_assert_eq(put(&grid, 5, 1).stored, 1);
	cr_assert_eq(put(&grid, 5, 2).overlapped, 1);
	for (int i = 0; i < 2; i++)
		(void)grid_take(&grid, room, &value);
	cr_assert_eq(put(&grid, 3, 1).late, 1);
	(void)grid_take(&grid, room, &value);
	cr_assert_eq(value, 1, "the first writer wins");
}

Test(grid, takes_a_sample_that_says_nothing_for_a_gap_that_time_has_passed)
{
	struct grid grid = start(50, 50, 16, 0);
	struct grid_placed placed = { 0 };
	double value;

	cr_assert(grid_put(&grid, room, 0, NULL, &placed));
	cr_assert_eq(placed.stored, 1);
	cr_assert_eq(grid_end_ms(&grid), 20);
	cr_assert_not(grid_take(&grid, room, &value));
}

Test(grid, refuses_what_lies_ahead_until_cells_are_taken)
{
	struct grid grid = start(50, 50, 16, 0);
	struct grid_placed placed = { 0 };
	int32_t one = 1;
	double value;

	cr_assert_not(grid_put(&grid, room, grid.capacity, &one, &placed));
	(void)grid_take(&grid, room, &value);
	cr_assert(grid_put(&grid, room, grid.capacity, &one, &placed));
}

Test(grid, snaps_a_stamp_to_the_nearest_sample)
{
	struct grid grid = start(64, 50, 16, 1000);

	for (int64_t k = -100; k < 1000; k++) {
		int64_t t_ms = 1000 + (int64_t)((double)k * 1000 / 64);

		cr_assert_eq(grid_index(&grid, t_ms) - grid_index(&grid, 1000), k);
	}
}

Test(grid, begins_its_cells_at_the_same_times_whichever_frame_comes_first)
{
	for (int64_t late = 0; late < 80; late += 10) {
		struct grid grid = start(100, 25, 16, 1760000000000 + late);
		double begin = grid.t0_ms - 1760000000000.0;

		cr_assert_eq(fmod(begin, 40), 0, "first frame %d ms later: %g", (int)late, begin);
	}
}
