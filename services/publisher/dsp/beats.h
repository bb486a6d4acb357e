/*
 * beats - the peaks of a pulse wave.
 *
 * Automatic multiscale peak detection (Scholkmann et al., Algorithms 2012; as
 * MSPTD, Bishop & Ercole 2018): sample i is a maximum at scale k when
 *
 *     x[i] > x[i - k]  and  x[i] > x[i + k],      k = 1 … K
 *
 * With n[k] = the number of maxima at scale k and k* = argmax n[k], the peaks are
 * the samples that are maxima at every scale up to k*. No threshold, no amplitude:
 * it holds from a camera's 0.1 counts to a 24-bit ADC. K is half the longest beat.
 *
 * Windows overlap; only the peaks of a window's middle are taken, so that each
 * has all its scales on both sides.
 */
#ifndef PUBLISHER_DSP_BEATS_H
#define PUBLISHER_DSP_BEATS_H

#include <stddef.h>
#include <stdint.h>

#define BEATS_WINDOW_S 6
#define BEATS_EDGE_S   2   /* at each end of the window, not taken */
#define BEATS_MAX      160 /* kept: 60 s at 150 bpm, 43 s at 220 */

struct beat {
	double t_s;      /* session time of the peak */
	float amplitude; /* peak less the trough before it, units of the wave */
	float base;      /* the trough */
};

struct beats {
	uint32_t count;
	struct beat beat[BEATS_MAX]; /* oldest first */
};

/* Peaks of x in the middle of a window that ends at end_s; sign is +1 when more
 * blood is up, -1 for raw light. count = BEATS_WINDOW_S * FRONT_HZ samples. */
void beats_update(struct beats *beats, const float *x, size_t count, float sign, double end_s);

/* Forget what is older than t_s. */
void beats_forget(struct beats *beats, double t_s);

#endif
