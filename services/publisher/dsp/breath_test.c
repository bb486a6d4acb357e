#include "services/publisher/dsp/breath.h"

#include <criterion/criterion.h>
#include <math.h>

static float level[BREATH_WINDOW_S * BREATH_HZ];
static struct beats beats;

/* A minute and a half of a heart at 72 that breathes at per_min, seen at end_s. */
static void breathe(double per_min, double end_s)
{
	double t = end_s - 40;

	beats.count = 0;
	while (t < end_s) {
		double wave = sin(2 * M_PI * per_min / 60 * t);

		beats.beat[beats.count++] = (struct beat){ beat_ticks(t), (float)(10 + wave) };
		t += 60.0 / 72 + 0.03 * wave;
	}
	for (size_t n = 0; n < BREATH_WINDOW_S * BREATH_HZ; n++)
		level[n] = (float)sin(2 * M_PI * per_min / 60 *
		                      (end_s - BREATH_WINDOW_S + (double)n / BREATH_HZ));
}

Test(breath, finds_rates_from_8_to_32_a_minute)
{
	for (double per_min = 8; per_min <= 32; per_min += 4) {
		struct breath breath = breath_new();
		struct breath_rate rate = { 0 };

		for (double end_s = 40; end_s <= 80; end_s += BREATH_STEP_S) {
			breathe(per_min, end_s);
			rate = breath_update(&breath, &beats, level, BREATH_WINDOW_S, end_s, 72);
		}
		cr_assert_float_eq(rate.per_min, per_min, 0.5, "%g: %g", per_min, rate.per_min);
		cr_assert_gt(rate.quality, 0.8);
	}
}

Test(breath, does_not_see_breath_in_a_pulse_that_does_not_breathe)
{
	struct breath breath = breath_new();
	double t = 0;

	beats.count = 0;
	for (; t < 40; t += 60.0 / 72)
		beats.beat[beats.count++] = (struct beat){ beat_ticks(t), 10 };
	for (size_t n = 0; n < BREATH_WINDOW_S * BREATH_HZ; n++)
		level[n] = 5 + sinf((float)(2 * M_PI * 1.2 * (double)n / BREATH_HZ));
	cr_assert_lt(breath_update(&breath, &beats, level, BREATH_WINDOW_S, 40, 72).quality, 0.2);
}

Test(breath, says_nothing_without_beats)
{
	struct breath breath = breath_new();

	beats.count = 0;
	for (size_t n = 0; n < BREATH_WINDOW_S * BREATH_HZ; n++)
		level[n] = 0;
	cr_assert_eq(breath_update(&breath, &beats, level, BREATH_WINDOW_S, 40, 0).quality, 0);
}
