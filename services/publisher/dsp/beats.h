/*
 * beats - the peaks of a pulse wave.
 *
 * Automatic multiscale peak detection (Scholkmann et al., Algorithms 2012; as
 * MSPTD, Bishop & Ercole 2018): sample i is a maximum at scale k when
 *
 *     x[i] > x[i - k]  and  x[i] > x[i + k],      k = 1 … K
 *
 * With n[k] = the number of maxima at scale k and k* = argmax n[k], the peaks are
 * the samples that are maxima at every scale up to k*, as far as the window goes. No
 * threshold, no amplitude: it holds from a camera's 0.1 counts to a 24-bit ADC. K is
 * half the longest beat.
 *
 * How far the peaks may be trusted is told by two numbers. likeness: the mean
 * correlation of the beats with their mean shape. steadiness: exp(-d / 0.15) with d
 * the median change from one interval to the next over the median interval. And scatter,
 * the sd of the last intervals over their mean, tells how much one rate says of them.
 */
#ifndef PUBLISHER_DSP_BEATS_H
#define PUBLISHER_DSP_BEATS_H

#include <stddef.h>
#include <stdint.h>

#define BEATS_WINDOW 384 /* samples at FRONT_HZ, at most: 12 s */
#define BEATS_PEAKS  64  /* in a window: 12 s at 320 a minute */
#define BEATS_EDGE_S 1   /* at a window's end a peak has not all its scales: not kept */
#define BEATS_MAX    160 /* kept: 60 s at 150 bpm, 43 s at 220 */

/* The peaks of one window. */
struct peaks {
	size_t count;
	float at[BEATS_PEAKS];     /* samples from the window's start, between samples too */
	float height[BEATS_PEAKS]; /* above the trough before, units of the wave */
	float bpm;                 /* 60 (n - 1) / (last - first) of the last 8 s; 0: too few */
	float likeness, steadiness;
	float scatter; /* of the same intervals as bpm; 1: too few */
};

/* Its time is kept modulo 2^32 ticks, which is 18 hours: beats live a minute or so, and
 * only differences are asked for. */
#define BEATS_TICKS 65536.0 /* a second: 15 us, a hundredth of what a sample tells */

struct beat {
	uint32_t ticks; /* session time of the peak */
	float height;
};

/* The beats of the last minute or so, each once. */
struct beats {
	uint32_t count;
	struct beat beat[BEATS_MAX]; /* oldest first */
};

/* Peaks of x; sign is +1 when more blood is up, -1 for raw light. */
void peaks_find(const float *x, size_t count, float sign, struct peaks *ret);

/* Keep the peaks of a window of `count` samples that ends at end_s, from the newest kept
 * on, up to BEATS_EDGE_S before the end. */
void beats_keep(struct beats *beats, const struct peaks *peaks, size_t count, double end_s);

/* Seconds from session time t_s to the beat; negative when it came before. */
double beat_after(const struct beat *beat, double t_s);

/* Seconds from the beat before to beat i >= 1. */
float beats_interval(const struct beats *beats, size_t i);

/* Session time in ticks. */
uint32_t beat_ticks(double t_s);

/* Forget what is older than t_s. */
void beats_forget(struct beats *beats, double t_s);

#endif
