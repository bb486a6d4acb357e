#include "services/publisher/dsp/spectrum.h"

#include <criterion/criterion.h>
#include <math.h>

#define COUNT 256

Test(spectrum, has_its_peak_at_the_frequency_of_a_sine)
{
	float x[COUNT], power[SPECTRUM_BINS];
	size_t best = 0;

	for (size_t n = 0; n < COUNT; n++)
		x[n] = 7 + sinf((float)(2 * M_PI * 40.0 * (double)n / SPECTRUM_N));
	spectrum_power(x, COUNT, power, SPECTRUM_BINS);
	for (size_t k = 1; k < SPECTRUM_BINS; k++)
		if (power[k] > power[best])
			best = k;

	cr_assert_eq(best, 40);
}

Test(spectrum, has_the_power_of_the_window_at_the_peak)
{
	float x[COUNT], power[SPECTRUM_BINS];

	for (size_t n = 0; n < COUNT; n++)
		x[n] = 3 * cosf((float)(2 * M_PI * 64.0 * (double)n / SPECTRUM_N));
	spectrum_power(x, COUNT, power, SPECTRUM_BINS);

	cr_assert_float_eq(power[64], powf(3 * COUNT / 4.0f, 2), 100);
}

Test(spectrum, takes_a_straight_line_out)
{
	float x[COUNT];

	for (size_t n = 0; n < COUNT; n++)
		x[n] = 1000 - 3 * (float)n;
	spectrum_detrend(x, COUNT);
	for (size_t n = 0; n < COUNT; n++)
		cr_assert_float_eq(x[n], 0, 0.01);
}

Test(spectrum, reads_between_bins_and_nothing_outside)
{
	const float power[] = { 0, 1, 9, 4 };

	cr_assert_float_eq(spectrum_at(power, 4, 1.5f), 4, 1e-5);
	cr_assert_float_eq(spectrum_at(power, 4, 2), 9, 1e-5);
	cr_assert_eq(spectrum_at(power, 4, 3), 0);
	cr_assert_eq(spectrum_at(power, 4, -1), 0);
}
