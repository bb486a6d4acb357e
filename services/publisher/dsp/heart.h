/*
 * heart - the heart rate every HEART_STEP_S seconds from windows of light and motion.
 *
 * 1. What moves with the arm is taken out of each channel (cancel.h).
 * 2. P[f]: the channels' spectra times f^1.5, each scaled to the same power in the band
 *    0.5 – 4 Hz, averaged. Wander and breathing fall with about that power of f, so it
 *    makes peaks comparable over f. In motion green counts alone where there is green:
 *    longer waves reach deeper, where the arm moves more.
 * 3. Salience of a rate: S[h] = P[h] + min(4 P[h], P[2h]): a pulse has a second harmonic,
 *    which f^1.5 has raised; breath and sway have little.
 * 4. Likelihood: L[h] = (S[h] / max S + floor) * prior[h] + VOTE * trust *
 *    exp(-|h - beats| / 2 bpm). The prior is a broad bell over log h (sd 0.45) around 75 bpm
 *    at rest and up to 135 in hard exercise, which the acceleration of the last seconds
 *    tells; the floor rises in motion, where a window may show other things than the
 *    pulse. Beats that were seen one by one need no prior: a slow heart is not taken for
 *    its second harmonic. Belief over h: belief.h.
 * 5. The answer is the belief's mode, drawn to the beats' own rate where they are close;
 *    where the belief has no clear mode, its median, which errs least.
 *
 * Sources: Zhang et al., IEEE TBME 2015 (TROIKA: the heart's peak is followed, not found
 * anew); Temko, IEEE TBME 2017.
 */
#ifndef PUBLISHER_DSP_HEART_H
#define PUBLISHER_DSP_HEART_H

#include <stdbool.h>
#include <stddef.h>

#define HEART_STEP_S   2
#define HEART_WINDOW_S 8 /* references are means of 8 s; two beats at 15 bpm */
#define HEART_CHANNELS 4
#define HEART_AXES     3

/* The grid of rates: 30 to 220 bpm. */
#define HEART_MIN_BPM 30
#define HEART_RATES   191

struct heart {
	float belief[HEART_RATES];
	float bpm;      /* the last answer; 0: none yet */
	float activity; /* 0..1: how hard the work of the last ACTIVITY_S was */
};

/* Windows of `count` samples at FRONT_HZ, newest last, band-passed. */
struct heart_window {
	const float *pulse[HEART_CHANNELS];
	bool is_green[HEART_CHANNELS];
	size_t channels, count;
	const float *axis[HEART_AXES]; /* NULL: no accelerometer */
	float sway;                    /* motion.h */
	float beats_bpm, beats_trust;  /* the rate of the peaks in time, 0..1 */
	float beats_scatter;           /* beats.h */
};

struct heart_rate {
	float bpm;
	float quality; /* 0..1: is it likely to be right */
};

struct heart heart_new(void);
struct heart_rate heart_update(struct heart *heart, const struct heart_window *window);

#endif
