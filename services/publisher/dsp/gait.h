/*
 * gait - how far a rate coincides with the arm's own rhythm.
 *
 *     share(h) = max(A[h], A[2h]) / max A,   A[f] = sum over the axes of their spectra
 *
 * in 0.5 – 4 Hz, each within two bins. Steps and arm swing give A narrow peaks at the
 * cadence and its half; a heart rate that sits on one of them is more often the gait's
 * than the heart's: above 0.5, three of four were wrong on sport scenes, below 0.05 one
 * of ten.
 */
#ifndef PUBLISHER_DSP_GAIT_H
#define PUBLISHER_DSP_GAIT_H

#include <stddef.h>

#define GAIT_AXES 3

float gait_share(const float *const *axis, size_t count, float bpm);

#endif
