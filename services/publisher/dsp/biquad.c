#include "services/publisher/dsp/biquad.h"

#include <math.h>

static struct biquad design(double corner_hz, double rate_hz, double first, double second)
{
	double k = tan(M_PI * corner_hz / rate_hz);
	double norm = 1 / (1 + M_SQRT2 * k + k * k);
	double gain = (first > 0 ? k * k : 1) * norm;

	return (struct biquad){
		.b0 = (float)gain,
		.b1 = (float)(second * gain),
		.b2 = (float)gain,
		.a1 = (float)(2 * (k * k - 1) * norm),
		.a2 = (float)((1 - M_SQRT2 * k + k * k) * norm),
	};
}

struct biquad biquad_lowpass(double corner_hz, double rate_hz)
{
	return design(corner_hz, rate_hz, 1, 2);
}

struct biquad biquad_highpass(double corner_hz, double rate_hz)
{
	return design(corner_hz, rate_hz, -1, -2);
}

float biquad_push(struct biquad *biquad, float x)
{
	float y = biquad->b0 * x + biquad->s1;

	biquad->s1 = biquad->b1 * x - biquad->a1 * y + biquad->s2;
	biquad->s2 = biquad->b2 * x - biquad->a2 * y;
	return y;
}

void biquad_settle(struct biquad *biquad, float x)
{
	float gain = (biquad->b0 + biquad->b1 + biquad->b2) / (1 + biquad->a1 + biquad->a2);
	float y = gain * x;

	biquad->s2 = biquad->b2 * x - biquad->a2 * y;
	biquad->s1 = biquad->b1 * x - biquad->a1 * y + biquad->s2;
}
