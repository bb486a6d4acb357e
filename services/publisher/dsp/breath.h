/*
 * breath - the breathing rate from what breathing does to the pulse.
 *
 * Three series over the last BREATH_WINDOW_S, on an even 4-Hz grid: the light's slow
 * level (intensity), the height of each beat (amplitude) and the time between beats
 * (interval; respiratory sinus arrhythmia). Beats whose interval or height is far from
 * the median of the seven around them are left out. Each series: regression line out,
 * spectrum times f^2 (level) or f (the others), which levels their drift and the 0.1-Hz
 * wave of blood pressure, scaled to the same power P[i] between 4 a minute and the lower
 * of 45 a minute and half the heart rate. Then, every BREATH_STEP_S,
 *
 *     S[r] = P_level[r] / 2 + P_amplitude[r] + P_interval[r]
 *     L[r] = (S[r] / max S + FLOOR) prior[r]
 *
 * with a broad bell over log r (sd 0.7) around 15 a minute as the prior, and a belief
 * (belief.h) over r = 4, 4.5, … 50 a minute. The quality is the belief's mass within
 * 2 a minute of its mode, times the depth of the deepest series: where none varies by
 * half a percent, there is no breath to see.
 *
 * Sources: the series, Karlen et al., IEEE TBME 2013 and Charlton et al., IEEE Rev.
 * Biomed. Eng. 2018; that they are fused as a belief over time is ours.
 */
#ifndef PUBLISHER_DSP_BREATH_H
#define PUBLISHER_DSP_BREATH_H

#include "services/publisher/dsp/beats.h"

#define BREATH_HZ       4
#define BREATH_WINDOW_S 32 /* two breaths at 4 a minute, eight at 15 */
#define BREATH_STEP_S   5
#define BREATH_RATES    93 /* 4 to 50 a minute by halves */

struct breath {
	float belief[BREATH_RATES];
};

struct breath_rate {
	float per_min;
	float quality; /* 0..1: is it likely to be right */
};

struct breath breath_new(void);

/* level: the newest `seconds` (at most BREATH_WINDOW_S) of slow light at BREATH_HZ,
 * ending at end_s; beats: those of the same time and a few before. */
struct breath_rate breath_update(struct breath *breath, const struct beats *beats,
                                 const float *level, size_t seconds, double end_s, float heart_bpm);

#endif
