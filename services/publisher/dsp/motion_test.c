#include "services/publisher/dsp/motion.h"

#include <criterion/criterion.h>
#include <math.h>

static float axes[MOTION_AXES][64];
static const float *const axis[MOTION_AXES] = { axes[0], axes[1], axes[2] };

/* Swings of 0.2 g along one axis and, a quarter turn later, another. */
static float sway_of(float g, float swing)
{
	for (size_t n = 0; n < 64; n++) {
		axes[0][n] = g * swing * sinf((float)(2 * M_PI * (double)n / 16));
		axes[2][n] = g * swing * cosf((float)(2 * M_PI * (double)n / 16));
	}
	return motion_sway(axis, 64, g);
}

Test(motion, is_the_rms_of_all_axes_in_any_unit)
{
	cr_assert_float_eq(sway_of(1, 0.2f), 0.2, 1e-3);
	cr_assert_float_eq(sway_of(9.81f, 0.2f), 0.2, 1e-3);
	cr_assert_float_eq(sway_of(1000, 0.2f), 0.2, 1e-3);
}

Test(motion, runs_from_0_at_rest_to_1)
{
	cr_assert_float_eq(motion_level(sway_of(1, 0)), 0, 1e-6);
	cr_assert_float_eq(motion_level(0.15f), 1 - exp(-1), 1e-5);
	cr_assert_gt(motion_level(1), 0.99);
}

Test(motion, of_nothing_is_nothing)
{
	cr_assert_eq(sway_of(0, 0), 0);
}
