#include "services/publisher/dsp/motion.h"

#include <math.h>

#define WALK 0.1f /* V: quiet sitting stays below 0.02, walking is above 0.15 */

float motion_sway(const float *magnitude, size_t count)
{
	double sum = 0, square = 0, mean;

	for (size_t n = 0; n < count; n++) {
		sum += (double)magnitude[n];
		square += (double)magnitude[n] * (double)magnitude[n];
	}
	mean = sum / (double)count;
	if (!(mean > 0))
		return 0;
	return (float)(sqrt(fmax(0, square / (double)count - mean * mean)) / mean);
}

float motion_level(float sway)
{
	return 1 - expf(-(sway / WALK) * (sway / WALK));
}
