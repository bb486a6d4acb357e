/*
 * breath - the breathing rate from what breathing does to the pulse.
 *
 * Three series over the last BREATH_WINDOW_S, on an even 4-Hz grid: the light's
 * slow level (intensity), the height of each beat (amplitude) and the time between
 * beats (interval; respiratory sinus arrhythmia). Each: regression line out,
 * spectrum_power(), the largest peak f[i] between 0.08 Hz and the lower of 0.75 Hz
 * and half the heart rate, and its share q[i] of the power in that band.
 *
 *     rate = 60 sum q[i] f[i] / sum q[i]   over those that agree within 4 /min
 *
 * Source: Karlen et al., IEEE TBME 2013 (Smart Fusion).
 */
#ifndef PUBLISHER_DSP_BREATH_H
#define PUBLISHER_DSP_BREATH_H

#include "services/publisher/dsp/beats.h"

#define BREATH_HZ       4
#define BREATH_WINDOW_S 32
#define BREATH_STEP_S   5

struct breath_rate {
	float per_min;
	float quality; /* 0..1 */
};

/* level: BREATH_WINDOW_S * BREATH_HZ samples of slow light, newest last, ending at end_s. */
struct breath_rate breath_estimate(const struct beats *beats, const float *level, double end_s,
                                   float heart_bpm);

#endif
