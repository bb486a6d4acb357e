#include "services/publisher/dsp/motion.h"

#include <math.h>

#define HALF_G 0.1 /* V, in g: quiet sitting stays below 0.02, walking is above 0.15 */

float motion_level(const float *magnitude, size_t count)
{
	double sum = 0, square = 0, mean, v2;

	for (size_t n = 0; n < count; n++) {
		sum += (double)magnitude[n];
		square += (double)magnitude[n] * (double)magnitude[n];
	}
	mean = sum / (double)count;
	if (!(mean > 0))
		return 0;
	v2 = fmax(0, square / (double)count - mean * mean) / (mean * mean);
	return (float)(1 - exp(-v2 / (HALF_G * HALF_G)));
}
