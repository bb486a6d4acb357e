#include "services/publisher/dsp/spectrum.h"

#include "common/mem.h"

#include <kissfft/kiss_fftr.h>
#include <math.h>
#include <string.h>

static kiss_fftr_cfg plan(void)
{
	static kiss_fftr_cfg made;

	if (made == NULL)
		made = kiss_fftr_alloc(SPECTRUM_N, 0, NULL, NULL);
	MUST(made != NULL);
	return made;
}

void spectrum_detrend(float *x, size_t count)
{
	double middle = ((double)count - 1) / 2, sum = 0, slope = 0, spread = 0;

	for (size_t n = 0; n < count; n++) {
		double u = (double)n - middle;

		sum += (double)x[n];
		slope += u * (double)x[n];
		spread += u * u;
	}
	slope = spread > 0 ? slope / spread : 0;
	for (size_t n = 0; n < count; n++)
		x[n] -= (float)(sum / (double)count + slope * ((double)n - middle));
}

void spectrum_power(const float *x, size_t count, float *ret, size_t bins)
{
	float padded[SPECTRUM_N] = { 0 };
	kiss_fft_cpx out[SPECTRUM_BINS];
	double step = 2 * M_PI / (double)count;
	double c = cos(step), s = sin(step), re = 1, im = 0; /* e^(i step n) by rotation */

	MUST(count > 0 && count <= SPECTRUM_N && bins <= SPECTRUM_BINS);
	memcpy(padded, x, count * sizeof(*x));
	spectrum_detrend(padded, count);
	for (size_t n = 0; n < count; n++) {
		double next = re * c - im * s;

		padded[n] *= (float)(0.5 - 0.5 * re);
		im = re * s + im * c;
		re = next;
	}
	kiss_fftr(plan(), padded, out);
	for (size_t k = 0; k < bins; k++)
		ret[k] = out[k].r * out[k].r + out[k].i * out[k].i;
}

float spectrum_at(const float *power, size_t bins, float bin)
{
	size_t k = bin > 0 ? (size_t)bin : 0;
	float u = bin - (float)k, a;

	if (bin < 0 || k + 1 >= bins)
		return 0;
	a = sqrtf(power[k]) * (1 - u) + sqrtf(power[k + 1]) * u;
	return a * a;
}
