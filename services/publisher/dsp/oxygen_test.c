#include "services/publisher/dsp/oxygen.h"

#include "services/publisher/dsp/front.h"

#include <criterion/criterion.h>
#include <math.h>

#define COUNT (OXYGEN_WINDOW_S * FRONT_HZ)

static float red_ac[COUNT], infrared_ac[COUNT];
static uint32_t whole[OXYGEN_WINDOW_S];
static const double calibration[3] = { 110, -25, 0 };
static const struct oxygen_light red = { red_ac, whole, 100 },
                                 infrared = { infrared_ac, whole, 200 };

/* A pulse of 1 % in infrared and ratio % in red, with noise of that share in both. */
static void shine(float ratio, float noise)
{
	uint32_t random = 1;

	for (size_t s = 0; s < OXYGEN_WINDOW_S; s++)
		whole[s] = UINT32_MAX;
	for (size_t n = 0; n < COUNT; n++) {
		float pulse = sinf((float)(2 * M_PI * 1.2 * (double)n / FRONT_HZ));

		random = random * 1664525 + 1013904223;
		infrared_ac[n] = 2 * (pulse + noise * ((float)(random >> 8) / 8388608 - 1));
		random = random * 1664525 + 1013904223;
		red_ac[n] = 1 * (ratio * pulse + noise * ((float)(random >> 8) / 8388608 - 1));
	}
}

Test(oxygen, is_the_line_of_the_ratio_of_ratios)
{
	for (float ratio = 0.4f; ratio < 1.6f; ratio += 0.2f) {
		struct oxygen oxygen;

		shine(ratio, 0);
		oxygen = oxygen_estimate(&red, &infrared, calibration);
		cr_assert_float_eq(oxygen.percent, fmin(100, 110 - 25 * (double)ratio), 0.05);
		cr_assert_float_eq(oxygen.quality, 1, 1e-3);
	}
}

Test(oxygen, trusts_two_noises_less_than_one_pulse)
{
	shine(0.6f, 3);
	cr_assert_lt(oxygen_estimate(&red, &infrared, calibration).quality, 0.2);
}

Test(oxygen, says_nothing_without_light_or_without_samples)
{
	struct oxygen_light dark = red;

	shine(0.6f, 0);
	dark.dc = 0;
	cr_assert_eq(oxygen_estimate(&dark, &infrared, calibration).quality, 0);
	for (size_t s = 0; s < OXYGEN_WINDOW_S; s++)
		whole[s] = 0;
	cr_assert_eq(oxygen_estimate(&red, &infrared, calibration).quality, 0);
}

Test(oxygen, does_not_take_a_finger_that_is_put_down_for_a_pulse)
{
	shine(0.6f, 0);
	for (size_t n = 0; n < COUNT; n++)
		red_ac[n] = infrared_ac[n] = 3 * expf(-(float)n / (2 * FRONT_HZ));
	cr_assert_lt(oxygen_estimate(&red, &infrared, calibration).quality, 0.1);
}
