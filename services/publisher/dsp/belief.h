/*
 * belief - what is known of the heart rate, as a probability over a grid of rates.
 *
 * A hidden Markov model's forward pass on h = 30, 31, … 220 bpm:
 *
 *     predicted[h] = (1 - e) sum_g move(h - g) p[g] + e / H
 *     p[h]         = predicted[h] L[h] / sum
 *
 * move is a Laplace-like kernel of scale s bpm a step (hearts mostly stay and
 * sometimes hurry), e the chance that all was wrong so far (restart), L[h] the
 * likelihood of the new window under rate h.
 *
 * Pure: a struct belief may be copied freely.
 */
#ifndef PUBLISHER_DSP_BELIEF_H
#define PUBLISHER_DSP_BELIEF_H

#include <stddef.h>

#define BELIEF_MIN_BPM 30
#define BELIEF_MAX_BPM 220
#define BELIEF_STATES  (BELIEF_MAX_BPM - BELIEF_MIN_BPM + 1)

struct belief {
	float p[BELIEF_STATES];
};

struct belief belief_new(void);

/* One step: scale_bpm > 0, restart in 0..1, likelihood > 0 everywhere. */
void belief_update(struct belief *belief, float scale_bpm, float restart, const float *likelihood);

/* The most probable rate, with the mean of its neighbourhood as a fraction. */
float belief_mode(const struct belief *belief);

/* Probability within +-width bpm of a rate. */
float belief_mass(const struct belief *belief, float bpm, float width);

#endif
