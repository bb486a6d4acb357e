#include "services/publisher/dsp/gait.h"

#include "services/publisher/dsp/front.h"
#include "services/publisher/dsp/spectrum.h"

#include <math.h>

#define BIN_HZ ((float)FRONT_HZ / SPECTRUM_N)
#define BINS   260 /* 8.1 Hz: twice 220 bpm and more */
#define LOW    16  /* 0.5 Hz */
#define HIGH   128 /* 4 Hz */
#define NEAR   2   /* bins: 4 bpm */

static float most_in(const float *power, size_t first, size_t last)
{
	float most = 0;

	for (size_t k = first; k <= last && k < BINS; k++)
		most = fmaxf(most, power[k]);
	return most;
}

static float most_near(const float *power, float bpm)
{
	size_t k = (size_t)lrintf(bpm / 60 / BIN_HZ);

	return most_in(power, k > NEAR ? k - NEAR : 0, k + NEAR);
}

float gait_share(const float *const *axis, size_t count, float bpm)
{
	float power[BINS], sum[BINS] = { 0 }, most;

	for (size_t a = 0; a < GAIT_AXES; a++) {
		spectrum_power(axis[a], count, power, BINS);
		for (size_t k = 0; k < BINS; k++)
			sum[k] += power[k];
	}
	most = most_in(sum, LOW, HIGH);
	return most > 0 ? fminf(1, fmaxf(most_near(sum, bpm), most_near(sum, 2 * bpm)) / most) : 0;
}
