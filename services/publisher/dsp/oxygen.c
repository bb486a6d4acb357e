#include "services/publisher/dsp/oxygen.h"

#include "services/publisher/dsp/front.h"
#include "services/publisher/dsp/ramp.h"
#include "services/publisher/dsp/spectrum.h"

#include <math.h>

#define SAMPLES          (OXYGEN_WINDOW_S * FRONT_HZ)
#define LEAST_SAMPLES    (2 * FRONT_HZ) /* two beats at 60 bpm */
#define CORRELATION_BAD  0.6f           /* of red and infrared: below, not one pulse */
#define CORRELATION_GOOD 0.9f
#define CROSSINGS_BAD    0.6f    /* a second */
#define CROSSINGS_GOOD   1.0f    /* a second: a pulse of 30 bpm */
#define PERFUSION_BAD    0.0003f /* sd of AC / DC: 0.1 % peak to peak */
#define PERFUSION_GOOD   0.0007f /* 0.2 % peak to peak */

/* The samples that both have, each without its regression line. */
static size_t pair(const struct oxygen_light *red, const struct oxygen_light *infrared, float *r,
                   float *i)
{
	size_t count = 0;

	for (size_t n = 0; n < SAMPLES; n++) {
		uint32_t both = red->valid[n / FRONT_HZ] & infrared->valid[n / FRONT_HZ];

		if (!(both >> (n % FRONT_HZ) & 1))
			continue;
		r[count] = red->ac[n];
		i[count++] = infrared->ac[n];
	}
	if (count > 0) {
		spectrum_detrend(r, count);
		spectrum_detrend(i, count);
	}
	return count;
}

static float crossings_per_s(const float *x, size_t count)
{
	size_t crossings = 0;

	for (size_t n = 1; n < count; n++)
		crossings += (x[n] > 0) != (x[n - 1] > 0);
	return (float)(crossings * FRONT_HZ) / (float)count;
}

struct oxygen oxygen_estimate(const struct oxygen_light *red, const struct oxygen_light *infrared,
                              const double *calibration)
{
	float r[SAMPLES], i[SAMPLES];
	double rr = 0, ri = 0, ii = 0, ratio, percent;
	size_t count = pair(red, infrared, r, i);
	float perfusion, correlation;

	for (size_t n = 0; n < count; n++) {
		rr += (double)r[n] * (double)r[n];
		ri += (double)r[n] * (double)i[n];
		ii += (double)i[n] * (double)i[n];
	}
	if (count < LEAST_SAMPLES || !(rr > 0) || !(ii > 0) || !(red->dc > 0) ||
	    !(infrared->dc > 0))
		return (struct oxygen){ 0 };
	ratio = ri / ii * (double)infrared->dc / (double)red->dc;
	percent = calibration[0] + calibration[1] * ratio + calibration[2] * ratio * ratio;
	correlation = (float)(ri / sqrt(rr * ii));
	perfusion = (float)sqrt(ii / (double)count) / infrared->dc;
	return (struct oxygen){
		.percent = (float)fmin(100, fmax(0, percent)),
		.quality = ramp(correlation, CORRELATION_BAD, CORRELATION_GOOD) *
		           ramp(perfusion, PERFUSION_BAD, PERFUSION_GOOD) *
		           ramp(crossings_per_s(i, count), CROSSINGS_BAD, CROSSINGS_GOOD),
	};
}
