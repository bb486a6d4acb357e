/*
 * pulse - what is remembered of one channel of light, at 32 Hz and slower.
 *
 *   wave    the band 0.4 – 8 Hz: beats and their spectrum     PULSE_WAVE_S seconds
 *   level   means of 8 samples (4 Hz): breathing              PULSE_LEVEL_S seconds
 *   dc      means of a second in declared units: oximetry     PULSE_WAVE_S seconds
 *   valid   which samples rest on samples, a word a second    PULSE_VALID_S seconds
 *   beats   their peaks                                       PULSE_VALID_S seconds
 *
 * The wave's sign is not given: raw reflected light falls when blood comes. Two things
 * tell: blood rushes in faster than it runs off (its differences are skewed upwards), and
 * the crest is narrower than the trough (the wave itself is). Their sum was right where
 * one of them alone was wrong.
 */
#ifndef PUBLISHER_DSP_PULSE_H
#define PUBLISHER_DSP_PULSE_H

#include "services/publisher/dsp/beats.h"
#include "services/publisher/dsp/biquad.h"
#include "services/publisher/dsp/front.h"

#include <stdbool.h>

#define PULSE_WAVE_S  12
#define PULSE_LEVEL_S 32 /* the window of breathing */
#define PULSE_VALID_S 64 /* the window of HRV, and the beats before it */
#define PULSE_WAVE    (PULSE_WAVE_S * FRONT_HZ)
#define PULSE_LEVEL   (PULSE_LEVEL_S * 4)

struct pulse {
	struct biquad highpass;
	float wave[PULSE_WAVE]; /* newest last, as all below */
	float level[PULSE_LEVEL];
	float dc[PULSE_WAVE_S];
	uint32_t valid[PULSE_VALID_S];
	float offset;  /* newest level less the reference, declared units */
	float upright; /* running sum of both skewnesses */
	float trust;   /* in its beats, over the last BREATH_WINDOW_S or so; 0..1 */
	struct beats beats;
};

struct pulse pulse_new(void);

/* The next second: FRONT_HZ samples relative to reference. */
void pulse_second(struct pulse *pulse, const float *sample, uint32_t valid, double reference);

/* +1 when more blood is up, -1 otherwise. */
float pulse_sign(const struct pulse *pulse);

/* The newest `seconds` of the wave. */
const float *pulse_wave(const struct pulse *pulse, size_t seconds);

/* The newest `seconds` of the wave are more than what rounding makes of a line: a third
 * of a count, and what float32 loses that far from the reference. */
bool pulse_is_there(const struct pulse *pulse, size_t seconds);

/* Valid samples among the newest `seconds`. */
unsigned pulse_valid(const uint32_t *valid, size_t seconds);

#endif
