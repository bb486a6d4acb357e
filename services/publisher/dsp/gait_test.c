#include "services/publisher/dsp/gait.h"

#include <criterion/criterion.h>
#include <math.h>

#define COUNT 256

static float axes[GAIT_AXES][COUNT];
static const float *const axis[GAIT_AXES] = { axes[0], axes[1], axes[2] };

/* Steps at 110 a minute on one axis, the arm's swing at half of it on another. */
static void walk(void)
{
	for (size_t n = 0; n < COUNT; n++) {
		axes[0][n] = sinf((float)(2 * M_PI * 110 / 60 * (double)n / 32));
		axes[1][n] = sinf((float)(2 * M_PI * 55 / 60 * (double)n / 32));
	}
}

Test(gait, sees_a_rate_on_the_cadence_and_on_its_half)
{
	walk();
	cr_assert_gt(gait_share(axis, COUNT, 110), 0.8);
	cr_assert_gt(gait_share(axis, COUNT, 55), 0.8);
}

Test(gait, lets_a_rate_between_them_be)
{
	walk();
	cr_assert_lt(gait_share(axis, COUNT, 85), 0.1);
	cr_assert_lt(gait_share(axis, COUNT, 150), 0.1);
}

Test(gait, of_an_arm_that_does_not_move_is_nothing)
{
	for (size_t n = 0; n < COUNT; n++)
		axes[0][n] = axes[1][n] = 0;
	cr_assert_eq(gait_share(axis, COUNT, 80), 0);
}
