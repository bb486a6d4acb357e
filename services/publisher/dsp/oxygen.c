#include "services/publisher/dsp/oxygen.h"

#include <math.h>

#define CORRELATION_BAD  0.6f /* of red and infrared AC: below, they do not show one pulse */
#define CORRELATION_GOOD 0.9f

static float ramp(float x, float bad, float good)
{
	return fminf(1, fmaxf(0, (x - bad) / (good - bad)));
}

struct oxygen oxygen_estimate(const struct oxygen_light *red, const struct oxygen_light *infrared,
                              size_t count, const double *calibration)
{
	double rr = 0, ri = 0, ii = 0, ratio, percent;

	for (size_t n = 0; n < count; n++) {
		rr += (double)red->ac[n] * (double)red->ac[n];
		ri += (double)red->ac[n] * (double)infrared->ac[n];
		ii += (double)infrared->ac[n] * (double)infrared->ac[n];
	}
	if (!(rr > 0) || !(ii > 0) || !(red->dc > 0) || !(infrared->dc > 0))
		return (struct oxygen){ 0 };
	ratio = ri / ii * (double)infrared->dc / (double)red->dc;
	percent = calibration[0] + calibration[1] * ratio + calibration[2] * ratio * ratio;
	return (struct oxygen){
		.percent = (float)fmin(100, fmax(0, percent)),
		.quality = ramp((float)(ri / sqrt(rr * ii)), CORRELATION_BAD, CORRELATION_GOOD),
	};
}
