#include "services/publisher/dsp/front.h"

#include "common/mem.h"

#include <criterion/criterion.h>
#include <math.h>

static uint64_t room[100000];

/* Sine of 1 Hz and amplitude 1000 on 5000 at rate_hz; without [from_s, to_s). */
static void fill(struct grid *grid, double rate_hz, double seconds, double from_s, double to_s)
{
	for (int64_t k = 0; k < (int64_t)(seconds * rate_hz); k++) {
		double t = (double)k / rate_hz;
		int32_t value = (int32_t)lrint(5000 + 1000 * sin(2 * M_PI * t));
		struct grid_placed placed = { 0 };

		if (t < from_s || t >= to_s)
			cr_assert(grid_put(grid, room, k, &value, &placed));
	}
}

Test(front, gives_the_same_signal_at_any_rate)
{
	const double rates[] = { 25, 30, 50, 64, 100, 125, 256, 1000 };

	for (size_t r = 0; r < ARRAY_LEN(rates); r++) {
		struct grid grid = grid_new(rates[r], 50, 16, 1);
		struct front front = front_new(&grid);
		struct front_second second = { .valid = 0 };
		double most = 0;

		grid_start(&grid, room, 0, 0);
		fill(&grid, rates[r], 8, 99, 99);
		for (int s = 1; s <= 8; s++)
			front_second(&front, &grid, room, s * 1000.0, &second);
		for (size_t j = 0; j < FRONT_HZ; j++)
			most = fmax(most, fabs((double)second.sample[0][j] +
			                       front.channel[0].reference - 5000));
		cr_assert_float_eq(most, 1000, 20, "%g Hz: %g", rates[r], most);
		cr_assert_eq(second.valid, UINT32_MAX, "%g Hz", rates[r]);
	}
}

Test(front, marks_what_rests_on_a_bridge)
{
	struct grid grid = grid_new(50, 50, 16, 1);
	struct front front = front_new(&grid);
	struct front_second second;
	int valid = 0;

	grid_start(&grid, room, 0, 0);
	fill(&grid, 50, 4, 2, 2.5);
	for (int s = 1; s <= 4; s++) {
		front_second(&front, &grid, room, s * 1000.0, &second);
		valid += __builtin_popcount(second.valid);
	}
	cr_assert_leq(valid, 4 * FRONT_HZ - FRONT_HZ / 2);
	cr_assert_geq(valid, 4 * FRONT_HZ - FRONT_HZ / 2 - 7);
}

/* Every fifth sample of 200 Hz is missing, and no cell of four is empty. */
Test(front, marks_as_much_as_is_missing_when_every_cell_has_something)
{
	struct grid grid = grid_new(200, 50, 16, 1);
	struct front front = front_new(&grid);
	struct front_second second;
	int valid = 0;

	grid_start(&grid, room, 0, 0);
	for (int64_t k = 0; k < 200 * 11; k++) {
		int32_t value = 1000;
		struct grid_placed placed = { 0 };

		if (k % 5 != 0)
			cr_assert(grid_put(&grid, room, k, &value, &placed));
	}
	for (int s = 1; s <= 11; s++) {
		front_second(&front, &grid, room, s * 1000.0, &second);
		valid += s > 1 ? __builtin_popcount(second.valid) : 0;
		cr_assert_float_eq(front.channel[0].last, 0, 1);
	}
	cr_assert_float_eq(valid, 0.8 * 10 * FRONT_HZ, 6, "%d", valid);
}

Test(front, goes_on_at_the_same_level_behind_a_long_gap)
{
	struct grid grid = grid_new(50, 50, 16, 1);
	struct front front = front_new(&grid);
	struct front_second second;
	struct grid_placed placed = { 0 };

	grid_start(&grid, room, 0, 0);
	for (int64_t k = 0; k < 50 * 8; k++) {
		int32_t value = k < 100 ? 1000 : 30000;

		if (k < 100 || k >= 300)
			cr_assert(grid_put(&grid, room, k, &value, &placed));
	}
	for (int s = 1; s <= 8; s++) {
		front_second(&front, &grid, room, s * 1000.0, &second);
		for (size_t j = 0; j < FRONT_HZ; j++)
			cr_assert_float_eq(second.sample[0][j], 0, 1);
	}
	cr_assert_float_eq(front.channel[0].reference, 30000, 1);
}

Test(front, leaves_no_mark_on_a_line_where_seconds_meet)
{
	const double rates[] = { 8, 10, 12.5, 16, 20, 100 };

	for (size_t r = 0; r < ARRAY_LEN(rates); r++) {
		struct grid grid = grid_new(rates[r], 50, 16, 1);
		struct front front = front_new(&grid);
		struct front_second second;
		float before = 0;

		grid_start(&grid, room, 0, 0);
		for (int64_t k = 0; k < (int64_t)(10 * rates[r]); k++) {
			int32_t value = (int32_t)(k * 1000);
			struct grid_placed placed = { 0 };

			cr_assert(grid_put(&grid, room, k, &value, &placed));
		}
		for (int s = 1; s <= 9; s++) {
			front_second(&front, &grid, room, s * 1000.0, &second);
			for (size_t j = 0; j < FRONT_HZ; j++) {
				float step = second.sample[0][j] - before;

				before = second.sample[0][j];
				if (s > 6)
					cr_assert_float_eq(step, 1000 * rates[r] / FRONT_HZ, 1,
					                   "%g Hz: %g", rates[r], step);
			}
		}
	}
}
