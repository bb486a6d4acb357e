/*
 * spectrum - power over frequency of a short window.
 *
 *     P[k] = | sum_n w[n] (x[n] - m) e^(-2 pi i k n / N) |^2,   f[k] = k rate / N
 *
 * x in any unit, m its mean (or its regression line), w the Hann window over the
 * count samples, zero-padded to N. P is in units of x squared, unscaled: all uses
 * are ratios. The FFT is KissFFT's.
 *
 * The plans are made at first use and kept for the life of the process; they are
 * read-only tables.
 */
#ifndef PUBLISHER_DSP_SPECTRUM_H
#define PUBLISHER_DSP_SPECTRUM_H

#include <stddef.h>

#define SPECTRUM_N    1024
#define SPECTRUM_BINS (SPECTRUM_N / 2 + 1)

/* count <= SPECTRUM_N. Bins beyond `bins` are not wanted. */
void spectrum_power(const float *x, size_t count, float *ret, size_t bins);

/* P at a broken bin, linear in amplitude between its neighbours; 0 outside. */
float spectrum_at(const float *power, size_t bins, float bin);

/* Takes the regression line a + b n out of x. */
void spectrum_detrend(float *x, size_t count);

#endif
