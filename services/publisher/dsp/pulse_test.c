#include "services/publisher/dsp/pulse.h"

#include <criterion/criterion.h>
#include <math.h>

/* A minute of light: blood comes faster than it goes, 1 % of the level; sign as given. */
static struct pulse shine(float sign, double level)
{
	struct pulse pulse = pulse_new();

	for (int s = 0; s < 60; s++) {
		float sample[FRONT_HZ];

		for (size_t j = 0; j < FRONT_HZ; j++) {
			double beat = (s + (double)j / FRONT_HZ) * 1.2, phase = beat - floor(beat);
			double wave = phase < 0.2 ? phase / 0.2 : exp(-(phase - 0.2) / 0.3);

			sample[j] = sign * (float)(wave * level / 100);
		}
		pulse_second(&pulse, sample, UINT32_MAX, level);
	}
	return pulse;
}

Test(pulse, knows_which_way_blood_is_up)
{
	struct pulse blood = shine(1, 1000), light = shine(-1, 1000);

	cr_assert_eq(pulse_sign(&blood), 1);
	cr_assert_eq(pulse_sign(&light), -1);
}

Test(pulse, keeps_the_beats_in_the_wave_and_the_constant_part_apart)
{
	struct pulse pulse = shine(-1, 50000);
	const float *wave = pulse_wave(&pulse, 8);
	float sum = 0, most = 0;

	for (size_t n = 0; n < 8 * FRONT_HZ; n++) {
		sum += wave[n];
		most = fmaxf(most, fabsf(wave[n]));
	}
	cr_assert_float_eq(sum / (8 * FRONT_HZ), 0, 10);
	cr_assert_float_eq(most, 300, 200);
	cr_assert_float_eq(pulse.dc[PULSE_WAVE_S - 1], 50000 - 210, 60);
}

Test(pulse, counts_the_samples_that_were_there)
{
	struct pulse pulse = shine(1, 1000);
	const float nothing[FRONT_HZ] = { 0 };

	pulse_second(&pulse, nothing, 0, 0);
	pulse_second(&pulse, nothing, 0xff, 0);

	cr_assert_eq(pulse_valid(pulse.valid, 2), 8);
	cr_assert_eq(pulse_valid(pulse.valid, 3), 8 + FRONT_HZ);
}

Test(pulse, is_not_there_in_a_line_that_was_rounded)
{
	struct pulse line = pulse_new(), pulse = shine(1, 1000);
	float sample[FRONT_HZ];

	for (int s = 0; s < PULSE_WAVE_S; s++) {
		for (int j = 0; j < FRONT_HZ; j++)
			sample[j] = rintf(0.37f * (float)(s * FRONT_HZ + j));
		pulse_second(&line, sample, UINT32_MAX, 1000);
	}
	cr_assert_not(pulse_is_there(&line, 8));
	cr_assert(pulse_is_there(&pulse, 8));
}
