/*
 * ramp - from a measured quality to a share of trust.
 *
 *     ramp(x) = 0 up to `none`, 1 from `full` on, a straight line between
 *
 * full < none turns it round.
 */
#ifndef PUBLISHER_DSP_RAMP_H
#define PUBLISHER_DSP_RAMP_H

#include <math.h>

static inline float ramp(float x, float none, float full)
{
	return fminf(1, fmaxf(0, (x - none) / (full - none)));
}

#endif
