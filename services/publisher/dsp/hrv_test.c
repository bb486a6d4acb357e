#include "services/publisher/dsp/hrv.h"

#include <criterion/criterion.h>

static struct beats beats;

/* Intervals that alternate between 900 and 1000 ms: mean change 100, sd 50. */
static void alternate(size_t count)
{
	double t = 0;

	beats.count = 0;
	for (size_t i = 0; i < count; i++) {
		beats.beat[beats.count++].ticks = beat_ticks(t);
		t += i % 2 ? 1.0 : 0.9;
	}
}

Test(hrv, has_the_values_of_an_alternating_rhythm)
{
	struct hrv hrv;

	alternate(61);
	hrv = hrv_estimate(&beats, 0);

	cr_assert_float_eq(hrv.rmssd_ms, 100, 0.1);
	cr_assert_float_eq(hrv.sdnn_ms, 50, 0.1);
	cr_assert_float_eq(hrv.quality, 1, 1e-6);
}

Test(hrv, leaves_a_missed_beat_out_and_trusts_itself_less)
{
	struct hrv hrv;

	alternate(61);
	for (uint32_t i = 30; i + 1 < beats.count; i++)
		beats.beat[i] = beats.beat[i + 1];
	beats.count--;
	hrv = hrv_estimate(&beats, 0);

	cr_assert_float_eq(hrv.rmssd_ms, 100, 0.1);
	cr_assert_lt(hrv.quality, 1);
}

Test(hrv, does_not_trust_itself_in_fibrillation)
{
	uint32_t random = 1;
	double t = 0;

	beats.count = 0;
	for (int i = 0; i < 80; i++) {
		beats.beat[beats.count++].ticks = beat_ticks(t);
		random = random * 1664525 + 1013904223;
		t += 0.5 + 0.4 * (double)(random >> 8) / 16777216;
	}
	cr_assert_lt(hrv_estimate(&beats, 0).quality, 0.3);
}

Test(hrv, says_nothing_of_a_few_beats)
{
	alternate(15);
	cr_assert_eq(hrv_estimate(&beats, 0).quality, 0);
}
