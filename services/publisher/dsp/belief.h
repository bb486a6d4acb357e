/*
 * belief - what is known of a rate, as a probability over an even grid of rates.
 *
 * The forward pass of a hidden Markov model on the states h = 0 … n - 1:
 *
 *     predicted[h] = (1 - e) sum_g move(h - g) p[g] + e / n
 *     p[h]         = predicted[h] L[h] / sum
 *
 * move(d) ~ exp(-|d| / s), a Laplace kernel of scale s states a step (rates mostly
 * stay and sometimes hurry), e the chance that all was wrong so far (restart), L[h]
 * the likelihood of the new window under rate h.
 *
 * Pure: the owner holds p.
 */
#ifndef PUBLISHER_DSP_BELIEF_H
#define PUBLISHER_DSP_BELIEF_H

#include <stddef.h>

/* Nothing is known. */
void belief_reset(float *p, size_t n);

/* One step: scale > 0 states, restart in 0..1, likelihood > 0 somewhere. */
void belief_update(float *p, size_t n, float scale, float restart, const float *likelihood);

/* The most probable state, as the mean of the `width` states either side of it. */
float belief_mode(const float *p, size_t n, size_t width);

/* The state that half of the probability lies below. */
float belief_median(const float *p, size_t n);

/* Probability within +-width states of a place. */
float belief_mass(const float *p, size_t n, float place, float width);

#endif
