#include "services/publisher/dsp/biquad.h"

#include <criterion/criterion.h>
#include <math.h>

#define RATE 100.0

/* Amplitude of a sine of f_hz behind the filter, once it has settled. */
static double gain(struct biquad biquad, double f_hz)
{
	double most = 0;

	for (int n = 0; n < 4000; n++) {
		float y = biquad_push(&biquad, sinf((float)(2 * M_PI * f_hz * n / RATE)));

		if (n >= 2000)
			most = fmax(most, fabs((double)y));
	}
	return most;
}

Test(biquad, halves_the_power_at_its_corner)
{
	cr_assert_float_eq(gain(biquad_lowpass(8, RATE), 8), M_SQRT1_2, 0.01);
	cr_assert_float_eq(gain(biquad_highpass(0.4, RATE), 0.4), M_SQRT1_2, 0.01);
}

Test(biquad, passes_one_side_and_stops_the_other)
{
	cr_assert_float_eq(gain(biquad_lowpass(8, RATE), 1), 1, 0.01);
	cr_assert_lt(gain(biquad_lowpass(8, RATE), 40), 0.02);
	cr_assert_float_eq(gain(biquad_highpass(0.4, RATE), 4), 1, 0.01);
	cr_assert_lt(gain(biquad_highpass(0.4, RATE), 0.05), 0.02);
}

Test(biquad, has_no_transient_where_it_was_settled)
{
	struct biquad low = biquad_lowpass(8, RATE), high = biquad_highpass(0.4, RATE);

	biquad_settle(&low, 3);
	biquad_settle(&high, 3);
	for (int n = 0; n < 100; n++) {
		cr_assert_float_eq(biquad_push(&low, 3), 3, 1e-4);
		cr_assert_float_eq(biquad_push(&high, 3), 0, 1e-4);
	}
}
