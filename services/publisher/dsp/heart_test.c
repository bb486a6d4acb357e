#include "services/publisher/dsp/heart.h"

#include "services/publisher/dsp/front.h"

#include <criterion/criterion.h>
#include <math.h>

#define COUNT (HEART_WINDOW_S * FRONT_HZ)

static float light[COUNT], axes[HEART_AXES][COUNT];

static float wave(double per_min, double t)
{
	return sinf((float)(2 * M_PI * per_min / 60 * t));
}

/* Windows every 2 s until end_s of a heart at bpm whose light also carries `share` of a
 * swing at cadence, which the accelerometer shows. The last answer. */
static struct heart_rate watch(struct heart *heart, double from_s, double end_s, double bpm,
                               double cadence, float share)
{
	/* clang-format off */
	struct heart_window window = {
		.pulse = { light },
		.is_green = { true },
		.channels = 1,
		.count = COUNT,
		.axis = { axes[0], axes[1], axes[2] },
		.sway = share > 0 ? 0.3f : 0
	};
	/* clang-format on */
	struct heart_rate rate = { 0 };

	for (double end = from_s; end <= end_s; end += HEART_STEP_S) {
		for (size_t n = 0; n < COUNT; n++) {
			double t = end - HEART_WINDOW_S + (double)n / FRONT_HZ;

			axes[0][n] = share * wave(cadence, t);
			axes[1][n] = share * 0.3f * wave(2 * cadence, t + 0.1);
			light[n] = wave(bpm, t) + 0.4f * wave(2 * bpm, t + 0.05) +
			           2 * share * wave(cadence, t + 0.05);
		}
		rate = heart_update(heart, &window);
	}
	return rate;
}

Test(heart, finds_rates_from_40_to_200_at_rest)
{
	for (double bpm = 40; bpm <= 200; bpm += 20) {
		struct heart heart = heart_new();
		struct heart_rate rate = watch(&heart, 8, 40, bpm, 60, 0);

		cr_assert_float_eq(rate.bpm, bpm, 1.5, "%g: %g", bpm, rate.bpm);
	}
}

/* At 36 bpm the second harmonic is at a rate that is much more usual. */
Test(heart, takes_the_beats_of_a_slow_heart_for_what_they_are)
{
	struct heart heart = heart_new();
	/* clang-format off */
	struct heart_window window = {
		.pulse = { light },
		.channels = 1,
		.count = COUNT,
		.beats_bpm = 36,
		.beats_trust = 0.9f
	};
	/* clang-format on */
	struct heart_rate rate = { 0 };

	for (int i = 0; i < 15; i++) {
		for (size_t n = 0; n < COUNT; n++) {
			double t = i * HEART_STEP_S + (double)n / FRONT_HZ;

			light[n] = wave(36, t) + 0.8f * wave(72, t + 0.1);
		}
		rate = heart_update(&heart, &window);
	}
	cr_assert_float_eq(rate.bpm, 36, 1, "%g", rate.bpm);
	cr_assert_gt(rate.quality, 0.5);
}

/* Light that shows nothing: a heart at hard work is not thought to rest. */
Test(heart, expects_more_of_hard_work_than_of_rest)
{
	float expected[2];

	for (int hard = 0; hard < 2; hard++) {
		struct heart heart = heart_new();
		unsigned seed = 1;

		for (int i = 0; i < 20; i++) {
			struct heart_window window = { .pulse = { light },
				                       .channels = 1,
				                       .count = COUNT };

			for (size_t n = 0; n < COUNT; n++) {
				seed = seed * 1664525 + 1013904223;
				light[n] = (float)(seed >> 8) / (1 << 24) - 0.5f;
			}
			window.sway = hard ? 0.8f : 0;
			expected[hard] = heart_update(&heart, &window).bpm;
		}
	}
	cr_assert_gt(expected[1], expected[0] + 20, "%g %g", expected[0], expected[1]);
}

Test(heart, follows_the_pulse_and_not_a_stronger_swing)
{
	struct heart heart = heart_new();
	struct heart_rate rate;

	watch(&heart, 8, 30, 80, 110, 0);
	rate = watch(&heart, 32, 80, 95, 110, 2);

	cr_assert_float_eq(rate.bpm, 95, 2, "%g", rate.bpm);
}

Test(heart, doubts_a_rate_that_is_the_cadence)
{
	struct heart apart = heart_new(), together = heart_new();
	struct heart_rate sure = watch(&apart, 8, 40, 140, 100, 0.3f);
	struct heart_rate doubtful = watch(&together, 8, 40, 140, 140, 0.3f);

	cr_assert_gt(sure.quality, doubtful.quality);
	cr_assert_leq(doubtful.quality, 0.5);
}

Test(heart, says_nothing_of_a_flat_line)
{
	struct heart heart = heart_new();
	const struct heart_window window = { .pulse = { light }, .channels = 1, .count = COUNT };

	for (size_t n = 0; n < COUNT; n++)
		light[n] = 0;
	cr_assert_eq(heart_update(&heart, &window).quality, 0);
	cr_assert_eq(heart_update(&heart, &window).bpm, 0);
}
