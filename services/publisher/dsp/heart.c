#include "services/publisher/dsp/heart.h"

#include "services/publisher/dsp/belief.h"
#include "services/publisher/dsp/cancel.h"
#include "services/publisher/dsp/front.h"
#include "services/publisher/dsp/gait.h"
#include "services/publisher/dsp/motion.h"
#include "services/publisher/dsp/ramp.h"
#include "services/publisher/dsp/spectrum.h"

#include <math.h>
#include <string.h>

#define BIN_HZ       ((float)FRONT_HZ / SPECTRUM_N)
#define BINS         260   /* up to 8.1 Hz: the second harmonic of 220 bpm and more */
#define BAND_LOW     16    /* 0.5 Hz = 30 bpm */
#define BAND_HIGH    128   /* 4 Hz = 240 bpm  */
#define FLOOR        0.02f /* of the largest salience: a rate unseen now is not ruled out */
#define FLOOR_MOTION 0.2f  /* more of it in motion */
#define SECOND_MOST  4.0f  /* the second harmonic's power over the first's that is believed */
#define VOTE         1.5f  /* trusted beats weigh a little more than the whole spectrum */
#define VOTE_BPM     2.0f
#define VOTE_REACH   16.0f /* beyond, a vote is worth less than a thousandth */
#define PRIOR_REST   75.0f /* bpm, adults at rest */
#define PRIOR_ACTIVE 60.0f /* bpm more in lasting hard work */
#define PRIOR_SD     0.45f /* of log h: 48 – 118 bpm is within one at rest */
#define HARD_WORK    0.4f  /* sway: walking is at 0.17, burpees 0.6, running 0.8 and more */
#define ACTIVITY_S   10.0f /* the heart begins to follow exercise within seconds */
#define MOVE_REST    2.0f  /* bpm a step */
#define MOVE_ACTIVE  9.0f  /* bpm a step: the onset of exercise */
#define RESTART      0.02f
#define GREEN_MOTION 3.0f /* at a third of full motion the other colours are out */
#define GREEN_LEAST  0.001f
#define NEAR         0.08f /* beats within 8 % of the mode mean the same rate */
#define DRAW         0.7f  /* share of the beats' rate in the answer, at full trust */
#define CLEAR_WIDTH  5.0f  /* bpm either side of the mode: belief within that … */
#define CLEAR_NONE   0.16f /* … below this, the median is the answer … */
#define CLEAR_MODE   0.4f  /* … and above this the mode */
#define MODE_MEAN    4     /* bpm each side that belong to one peak of the belief */
#define SURE_WIDTH   2.0f  /* bpm either side of the mode */
#define SURE_ACTIVE  3.0f  /* bpm more in motion, where the belief is spread by MOVE_ACTIVE */
#define SURE_NONE    0.1f  /* belief within that: nothing is known … */
#define SURE_FULL    0.55f /* … a steady rate seen several times; it spreads by MOVE_REST */
#define CLEAR_FULL   0.3f  /* share of the light's power at the rate and its double */
#define DISPUTED     0.4f  /* taken off at rest where the beats say otherwise, or nothing */
#define GAIT_LEVEL   0.05f /* of motion: below, there is no gait */
#define GAIT_NONE    0.05f
#define GAIT_FULL    0.5f
#define GAIT_DOUBT   0.5f
#define AGREE        0.05f /* of the rate */
#define LIVELY       0.1f /* taken off where intervals scatter, and as much where the rate jumps … */
#define LIVELY_HALF  0.05f /* … half of it at 5 %: deep sinus arrhythmia, the onset of exercise */

struct heart heart_new(void)
{
	struct heart heart = { .activity = 0 };

	belief_reset(heart.belief, HEART_RATES);
	return heart;
}

static void add_scaled(float *power, float weight, float *sum)
{
	float total = 0;

	for (size_t k = 0; k < BINS; k++) {
		float f = (float)k * BIN_HZ;

		power[k] *= f * sqrtf(f);
	}
	for (size_t k = BAND_LOW; k <= BAND_HIGH; k++)
		total += power[k];
	for (size_t k = 0; total > 0 && k < BINS; k++)
		sum[k] += weight * power[k] / total;
}

static bool has_green(const struct heart_window *window)
{
	for (size_t c = 0; c < window->channels; c++)
		if (window->is_green[c])
			return true;
	return false;
}

static void light_spectrum(const struct heart_window *window, float level, float *ret)
{
	struct cancel cancel = { .count = window->count };
	float wave[CANCEL_MAX], power[BINS];
	float other = 1;

	if (window->axis[0] != NULL)
		cancel = cancel_new(window->axis, window->count, window->sway);
	if (has_green(window))
		other = fmaxf(GREEN_LEAST, 1 - GREEN_MOTION * level);
	memset(ret, 0, BINS * sizeof(*ret));
	for (size_t c = 0; c < window->channels; c++) {
		cancel_wave(&cancel, window->pulse[c], wave);
		spectrum_power(wave, window->count, power, BINS);
		add_scaled(power, window->is_green[c] ? 1 : other, ret);
	}
}

static float prior(float bpm, float middle)
{
	float z = logf(bpm / middle) / PRIOR_SD;

	return expf(-0.5f * z * z);
}

static float vote(const struct heart_window *window, float bpm)
{
	float off = fabsf(bpm - window->beats_bpm);

	return off < VOTE_REACH ? VOTE * window->beats_trust * expf(-off / VOTE_BPM) : 0;
}

/* L over the grid of rates; false when there is nothing to see. */
static bool likelihood(const struct heart_window *window, const float *light, float activity,
                       float *ret)
{
	float most = 0, floor = FLOOR + FLOOR_MOTION * motion_level(window->sway);

	for (size_t h = 0; h < HEART_RATES; h++) {
		float bin = (float)(HEART_MIN_BPM + h) / 60 / BIN_HZ;
		float first = spectrum_at(light, BINS, bin);
		float second = spectrum_at(light, BINS, 2 * bin);

		ret[h] = first + fminf(SECOND_MOST * first, second);
		most = fmaxf(most, ret[h]);
	}
	for (size_t h = 0; most > 0 && h < HEART_RATES; h++) {
		float bpm = (float)(HEART_MIN_BPM + h);

		ret[h] =
		        (ret[h] / most + floor) * prior(bpm, PRIOR_REST + PRIOR_ACTIVE * activity) +
		        vote(window, bpm);
	}
	return most > 0;
}

/* Share of the band's power within the mode's peak and its second harmonic's. */
static float concentration(const float *light, float bpm)
{
	float near = 0, all = 0;

	for (size_t k = BAND_LOW; k < BINS; k++) {
		float f = (float)k * BIN_HZ * 60;

		all += light[k];
		if (fabsf(f - bpm) < 12 || fabsf(f - 2 * bpm) < 12)
			near += light[k];
	}
	return all > 0 ? near / all : 0;
}

static float agreement(const struct heart_window *window, float bpm)
{
	return window->beats_trust * expf(-fabsf(window->beats_bpm - bpm) / (AGREE * bpm));
}

/* 1: the arm moves at that rate, or at twice of it. */
static float on_gait(const struct heart_window *window, float bpm, float level)
{
	if (window->axis[0] == NULL || level < GAIT_LEVEL)
		return 0;
	return ramp(gait_share(window->axis, window->count, bpm), GAIT_NONE, GAIT_FULL);
}

/* A rate that changes says less of the moment: its own error and the delay's grow. */
static float lively(float change)
{
	return 1 - LIVELY * change / (change + LIVELY_HALF);
}

/* Sure of the rate, which the light shows clearly; at rest the beats agree, and in
 * motion it is not the gait's. Never quite as sure of a rate that changes. */
static float quality(const struct heart *heart, const struct heart_window *window,
                     const float *light, float mode, float level)
{
	float bpm = HEART_MIN_BPM + mode;
	float sure =
	        belief_mass(heart->belief, HEART_RATES, mode, SURE_WIDTH + SURE_ACTIVE * level);

	return ramp(sure, SURE_NONE, SURE_FULL) * ramp(concentration(light, bpm), 0, CLEAR_FULL) *
	       (1 - DISPUTED * (1 - level) * (1 - agreement(window, bpm))) *
	       (1 - GAIT_DOUBT * on_gait(window, bpm, level)) * lively(window->beats_scatter) *
	       lively(heart->bpm > 0 ? fabsf(bpm / heart->bpm - 1) : 1);
}

/* The mode where there is a clear one, else towards the median. */
static float most_likely(const float *belief, float mode)
{
	float clear =
	        ramp(belief_mass(belief, HEART_RATES, mode, CLEAR_WIDTH), CLEAR_NONE, CLEAR_MODE);

	return mode + (1 - clear) * (belief_median(belief, HEART_RATES) - mode);
}

struct heart_rate heart_update(struct heart *heart, const struct heart_window *window)
{
	float light[BINS], chance[HEART_RATES];
	float level = motion_level(window->sway), mode;
	float swing = fminf(1, window->sway / HARD_WORK), work = swing * swing; /* as energy */
	struct heart_rate rate = { 0 };

	heart->activity += HEART_STEP_S / ACTIVITY_S * (work - heart->activity);
	light_spectrum(window, level, light);
	if (!likelihood(window, light, heart->activity, chance))
		return rate;
	belief_update(heart->belief, HEART_RATES, MOVE_REST + (MOVE_ACTIVE - MOVE_REST) * level,
	              RESTART, chance);
	mode = belief_mode(heart->belief, HEART_RATES, MODE_MEAN);
	rate.bpm = HEART_MIN_BPM + most_likely(heart->belief, mode);
	rate.quality = quality(heart, window, light, mode, level);
	if (fabsf(window->beats_bpm - rate.bpm) < NEAR * rate.bpm)
		rate.bpm += DRAW * window->beats_trust * (window->beats_bpm - rate.bpm);
	heart->bpm = rate.bpm;
	return rate;
}
