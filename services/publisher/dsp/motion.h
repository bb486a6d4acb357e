/*
 * motion - how much the wearer moves.
 *
 *     sway  = sqrt( mean (x^2 + y^2 + z^2) ) / g
 *     level = 1 - exp(-(sway / V)^2)               0 at rest to 1
 *
 * over the window; x, y, z the acceleration less its constant part (above 0.4 Hz), g the
 * mean of |a|, which is gravity: sway needs no unit. A slow push-up turns the wrist more
 * than it speeds it up, so that the length of a alone would hardly show it.
 */
#ifndef PUBLISHER_DSP_MOTION_H
#define PUBLISHER_DSP_MOTION_H

#include <stddef.h>

#define MOTION_AXES 3

/* axis: each `count` samples, high-passed; g: in their unit. */
float motion_sway(const float *const *axis, size_t count, float g);

float motion_level(float sway);

#endif
