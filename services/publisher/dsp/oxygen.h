/*
 * oxygen - arterial oxygen saturation from red and infrared light.
 *
 *     R = (AC_red / DC_red) / (AC_ir / DC_ir),   SpO2 = a + b R + c R^2   [%]
 *
 * AC_red / AC_ir is the slope of the regression of red on infrared over the window,
 *
 *     slope = sum red ir / sum ir^2,
 *
 * which weighs each sample by how much blood moved and drops what only one of them
 * shows. Only samples that both have count; their regression lines are out, and infrared
 * must cross its line as often as the slowest pulse does: a finger that is put down moves
 * both colours alike, once. a, b, c
 * belong to the optics: the default 110 - 25 R is the textbook line (Webster, Design of
 * Pulse Oximeters, 1997) and is never trusted beyond `acceptable`.
 */
#ifndef PUBLISHER_DSP_OXYGEN_H
#define PUBLISHER_DSP_OXYGEN_H

#include <stddef.h>
#include <stdint.h>

#define OXYGEN_STEP_S   5
#define OXYGEN_WINDOW_S 8 /* at least four beats from 30 bpm on */

/* A window of OXYGEN_WINDOW_S at FRONT_HZ. */
struct oxygen_light {
	const float *ac;       /* band-passed */
	const uint32_t *valid; /* a bit a sample, a word a second */
	float dc;              /* its constant part, same unit */
};

struct oxygen {
	float percent;
	float quality; /* 0..1; 0: nothing to say */
};

struct oxygen oxygen_estimate(const struct oxygen_light *red, const struct oxygen_light *infrared,
                              const double *calibration);

#endif
