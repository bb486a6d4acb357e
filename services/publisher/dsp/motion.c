#include "services/publisher/dsp/motion.h"

#include <math.h>

#define WALK 0.15f /* V: quiet sitting stays below 0.02, cycling 0.1, walking is at 0.17 */

float motion_sway(const float *const *axis, size_t count, float g)
{
	double square = 0;

	for (size_t a = 0; a < MOTION_AXES; a++)
		for (size_t n = 0; n < count; n++)
			square += (double)axis[a][n] * (double)axis[a][n];
	return g > 0 && count > 0 ? (float)sqrt(square / (double)count) / g : 0;
}

float motion_level(float sway)
{
	return 1 - expf(-(sway / WALK) * (sway / WALK));
}
