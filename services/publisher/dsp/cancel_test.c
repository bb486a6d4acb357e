#include "services/publisher/dsp/cancel.h"

#include <criterion/criterion.h>
#include <math.h>

#define COUNT 256

static float axes[CANCEL_AXES][COUNT];
static const float *const axis[CANCEL_AXES] = { axes[0], axes[1], axes[2] };

static float wave(double hz, size_t n, double phase)
{
	return sinf((float)(2 * M_PI * hz * (double)n / 32 + phase));
}

static float power(const float *x)
{
	float sum = 0;

	for (size_t n = 8; n + 8 < COUNT; n++)
		sum += x[n] * x[n];
	return sum;
}

static void swing(void)
{
	for (size_t n = 0; n < COUNT; n++) {
		axes[0][n] = wave(1.7, n, 0);
		axes[1][n] = 0.5f * wave(0.85, n, 1);
		axes[2][n] = 0.3f * wave(3.4, n, 2);
	}
}

Test(cancel, leaves_the_pulse_and_takes_the_swing)
{
	float pulse[COUNT], mixed[COUNT], left[COUNT], error[COUNT];
	struct cancel cancel;

	swing();
	for (size_t n = 0; n < COUNT; n++) {
		pulse[n] = wave(2.3, n, 0);
		mixed[n] = pulse[n] + 3 * wave(1.7, n, 0.4) + wave(0.85, n, 0.9);
	}
	cancel = cancel_new(axis, COUNT, 0.3f);
	cancel_wave(&cancel, mixed, left);
	for (size_t n = 0; n < COUNT; n++)
		error[n] = left[n] - pulse[n];

	cr_assert_lt(power(error), 0.25f * power(pulse));
}

Test(cancel, touches_nothing_when_the_arm_is_still)
{
	float y[COUNT], left[COUNT];
	struct cancel cancel;

	swing();
	for (size_t n = 0; n < COUNT; n++)
		y[n] = wave(1.7, n, 0);
	cancel = cancel_new(axis, COUNT, 0.001f);
	cancel_wave(&cancel, y, left);

	cr_assert_arr_eq(y, left, sizeof(y));
}

Test(cancel, stands_axes_that_do_not_move_or_are_all_the_same)
{
	float y[COUNT], left[COUNT];
	struct cancel cancel;

	swing();
	for (size_t n = 0; n < COUNT; n++) {
		axes[1][n] = 0;
		axes[2][n] = axes[0][n];
		y[n] = wave(1.1, n, 0);
	}
	cancel = cancel_new(axis, COUNT, 0.3f);
	cancel_wave(&cancel, y, left);
	for (size_t n = 0; n < COUNT; n++)
		cr_assert(isfinite(left[n]));
	cr_assert_gt(power(left), 0.5f * power(y));
}
