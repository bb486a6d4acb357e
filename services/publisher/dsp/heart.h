/*
 * heart - the heart rate every HEART_STEP_S seconds from windows of light and motion.
 *
 * 1. P[f]: the channels' spectra, each scaled to unit power in the heart band, averaged.
 * 2. A[f]: the axes' spectra, summed and scaled alike; C = P * P / (P + m A) takes away
 *    what moves with the arm, in proportion to the motion m (0 at rest: C = P).
 * 3. Salience of a rate: S[h] = C[h/60] + HARMONIC * min(C[h/60], C[2 h/60]).
 * 4. Belief (belief.h) with L[h] = S[h] / max S + FLOOR.
 *
 * Sources: Zhang et al., IEEE TBME 2015 (TROIKA: the heart's peak is followed, not found
 * anew); Temko, IEEE TBME 2017 (Wiener-like masking by the accelerometer).
 */
#ifndef PUBLISHER_DSP_HEART_H
#define PUBLISHER_DSP_HEART_H

#include "services/publisher/dsp/belief.h"

#define HEART_STEP_S   2
#define HEART_WINDOW_S 8 /* references are means of 8 s; two beats at 15 bpm */
#define HEART_CHANNELS 4
#define HEART_AXES     3

struct heart {
	struct belief belief;
};

/* Windows of `count` samples at FRONT_HZ, newest last, band-passed. */
struct heart_window {
	const float *pulse[HEART_CHANNELS];
	size_t channels;
	const float *motion[HEART_AXES];
	size_t axes;
	size_t count;
	float motion_level; /* 0 rest … 1 full, see motion.h */
};

struct heart_rate {
	float bpm;
	float quality; /* 0..1: is it likely to be right */
};

struct heart heart_new(void);
struct heart_rate heart_update(struct heart *heart, const struct heart_window *window);

#endif
