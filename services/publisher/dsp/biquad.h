/*
 * biquad - a second-order Butterworth low-pass or high-pass, one sample at a time.
 *
 *     y[n] = b0 x[n] + b1 x[n-1] + b2 x[n-2] - a1 y[n-1] - a2 y[n-2]
 *
 * by the bilinear transform with the corner f_c pre-warped: K = tan(pi f_c / f_s),
 * Q = 1/sqrt(2). Kept in the transposed direct form II (two states s1, s2), which
 * loses least to rounding in float32 at corners far below f_s.
 * Source: R. Bristow-Johnson, Cookbook formulae for audio equaliser biquads.
 *
 * Pure: a struct biquad may be copied freely.
 */
#ifndef PUBLISHER_DSP_BIQUAD_H
#define PUBLISHER_DSP_BIQUAD_H

struct biquad {
	float b0, b1, b2, a1, a2;
	float s1, s2;
};

/* 0 < corner_hz < rate_hz / 2. */
struct biquad biquad_lowpass(double corner_hz, double rate_hz);
struct biquad biquad_highpass(double corner_hz, double rate_hz);

float biquad_push(struct biquad *biquad, float x);

/* As if x had been pushed for ever: no transient when a signal starts there. */
void biquad_settle(struct biquad *biquad, float x);

#endif
