/*
 * motion - how much the wearer moves.
 *
 *     sway  = sd(|a|) / mean(|a|)
 *     level = 1 - exp(-(sway / V)^2)      0 at rest to 1
 *
 * over the window; |a| includes gravity, so its mean is about 1 g and sway needs no
 * unit: g, mg, m/s^2 and raw counts give the same.
 */
#ifndef PUBLISHER_DSP_MOTION_H
#define PUBLISHER_DSP_MOTION_H

#include <stddef.h>

/* magnitude: |a| per sample. */
float motion_sway(const float *magnitude, size_t count);

float motion_level(float sway);

#endif
