#include "services/publisher/timing.h"

#include "common/mem.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#define T0 INT64_C(1700000000000)

/* Seconds of frames of 20 samples declared at 100 Hz, `hz` in truth, on a clock that is `behind`
 * ms and runs off by ppm; the way takes 20 to 120 ms. */
static struct timing run(double seconds, double hz, int64_t behind, double ppm)
{
	struct timing timing = { 0 };

	for (int n = 0; n * 20 / hz < seconds; n++) {
		double at = n * 20 / hz * 1000; /* true ms */
		int64_t t0 = T0 + llround(at * (1 + ppm / 1e6)) - behind;

		timing_note(&timing, 100, t0, 20,
		            T0 + llround(at + 20 / hz * 1000) + 20 + rand() % 100);
	}
	return timing;
}

Test(timing, measures_what_rate_a_crystal_has_in_truth)
{
	double hz;

	for (double truth = 98; truth <= 102; truth++) {
		struct timing timing = run(120, truth, 0, 0);

		cr_assert(timing_rate(&timing, &hz));
		cr_assert_float_eq(hz, truth, 0.02, "%g for %g", hz, truth);
	}
}

/* t0 is a whole millisecond, a frame seldom is. */
Test(timing, measures_the_rate_of_frames_that_are_no_whole_milliseconds)
{
	static const struct {
		double hz;
		unsigned samples;
	} streams[] = {
		{64,      1 },
                { 30,     1 },
                { 256,    1 },
                { 52,     5 },
                { 1000.5, 10},
		{ 10000,  15},
                { 10000,  7 },
                { 10000,  1 },
                { 0.1,    1 },
                { 0.1,    3 }
	};
	double hz;

	for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
		struct timing timing = { 0 };
		double length = streams[i].samples * 1000 / streams[i].hz;

		for (int n = 0; n < 5000; n++)
			timing_note(&timing, streams[i].hz, T0 + llround(n * length),
			            streams[i].samples, 0);
		cr_assert(timing_rate(&timing, &hz));
		cr_assert_float_eq(hz, streams[i].hz, streams[i].hz / 500, "%g for %g", hz,
		                   streams[i].hz);
	}
}

Test(timing, measures_offset_and_drift_of_the_devices_clock)
{
	struct timing timing = run(3600, 100, 5000, 0);
	int64_t offset;
	double ppm;

	cr_assert(timing_offset(&timing, &offset));
	cr_assert(offset >= 5000 && offset <= 5060, "%lld", (long long)offset);
	cr_assert(timing_drift(&timing, &ppm));
	cr_assert_lt(fabs(ppm), 3);
	timing = run(3600, 100, 0, 80);
	cr_assert(timing_drift(&timing, &ppm));
	cr_assert_float_eq(ppm, 80, 4, "%g", ppm);
	timing = run(3600, 100, 0, -80);
	cr_assert(timing_drift(&timing, &ppm));
	cr_assert_float_eq(ppm, -80, 4, "%g", ppm);
}

Test(timing, says_nothing_that_it_does_not_know)
{
	struct timing timing = { 0 };
	int64_t offset;
	double value;

	cr_assert_not(timing_rate(&timing, &value));
	cr_assert_not(timing_offset(&timing, &offset));
	cr_assert_not(timing_drift(&timing, &value));
	timing_note(&timing, 100, T0, 20, 0);
	timing_note(&timing, 100, T0 + 200, 20, 0);
	cr_assert(timing_rate(&timing, &value));
	cr_assert_not(timing_offset(&timing, &offset), "no arrival is known");
}

Test(timing, counts_steps_back_but_no_single_late_frame)
{
	struct timing timing = { 0 };

	for (int n = 0; n < 50; n++)
		timing_note(&timing, 100, T0 + 200 * n, 20, T0 + 200 * n);
	timing_note(&timing, 100, T0 + 200, 20, T0 + 10000);
	cr_assert_eq(timing.steps_back, 0);
	timing_note(&timing, 100, T0 + 10000, 20, T0 + 10200);
	for (int n = 0; n < 10; n++)
		timing_note(&timing, 100, T0 - 60000 + 200 * n, 20, T0 + 10400 + 200 * n);
	cr_assert_eq(timing.steps_back, 1);
	cr_assert_gt(timing.largest_step_ms, 60000);
}

Test(timing, keeps_its_sense_whatever_is_sent)
{
	struct timing timing = { 0 };
	double value;

	for (int n = 0; n < 100000; n++) {
		int64_t t0 = rand() % 10 == 0 ? (int64_t)rand() << 21 : T0 + rand() % 100000;

		if (rand() % 100 == 0)
			t0 = rand() % 2 ? INT64_MAX : INT64_MIN;
		timing_note(&timing, rand() % 2 ? 0.1 : 10000, t0, (uint32_t)rand() % 65536,
		            T0 + rand() % 1000000);
	}
	cr_assert(!timing_drift(&timing, &value) || isfinite(value));
	cr_assert(!timing_rate(&timing, &value) || isfinite(value));
}
