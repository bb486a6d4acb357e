#include "services/publisher/dsp/heart.h"

#include "services/publisher/dsp/front.h"
#include "services/publisher/dsp/spectrum.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define BIN_HZ      ((float)FRONT_HZ / SPECTRUM_N)
#define BINS        260 /* up to 8.1 Hz: the second harmonic of 220 bpm and more */
#define BAND_LOW    16  /* 0.5 Hz = 30 bpm */
#define BAND_HIGH   128 /* 4 Hz = 240 bpm  */
#define HARMONIC    0.5f
#define FLOOR       0.02f
#define MOVE_REST   1.5f /* bpm a step */
#define MOVE_MOTION 3.0f
#define RESTART     0.01f
#define MODE_WIDTH  5.0f /* bpm: the tolerance within which a rate is called right */

struct heart heart_new(void)
{
	return (struct heart){ .belief = belief_new() };
}

static void add_scaled(const float *power, float *sum)
{
	float total = 0;

	for (size_t k = BAND_LOW; k <= BAND_HIGH; k++)
		total += power[k];
	for (size_t k = 0; total > 0 && k < BINS; k++)
		sum[k] += power[k] / total;
}

static void light_spectrum(const struct heart_window *window, float *ret)
{
	float power[BINS];

	memset(ret, 0, BINS * sizeof(*ret));
	for (size_t c = 0; c < window->channels; c++) {
		spectrum_power(window->pulse[c], window->count, power, BINS);
		add_scaled(power, ret);
	}
}

static void motion_spectrum(const struct heart_window *window, float *ret)
{
	float power[BINS], sum[BINS] = { 0 };

	memset(ret, 0, BINS * sizeof(*ret));
	for (size_t a = 0; a < window->axes; a++) {
		spectrum_power(window->motion[a], window->count, power, BINS);
		for (size_t k = 0; k < BINS; k++)
			sum[k] += power[k];
	}
	add_scaled(sum, ret);
}

static void take_motion_away(const struct heart_window *window, float *light)
{
	float motion[BINS];
	float weight = window->motion_level * (float)window->channels;

	if (window->axes == 0 || weight <= 0)
		return;
	motion_spectrum(window, motion);
	for (size_t k = 0; k < BINS; k++)
		if (light[k] > 0)
			light[k] *= light[k] / (light[k] + weight * motion[k]);
}

/* S over the grid of rates, largest value 1; false when there is nothing. */
static bool salience(const float *clean, float *ret)
{
	float most = 0;

	for (size_t h = 0; h < BELIEF_STATES; h++) {
		float bin = (float)(BELIEF_MIN_BPM + h) / 60 / BIN_HZ;
		float first = spectrum_at(clean, BINS, bin);
		float second = spectrum_at(clean, BINS, 2 * bin);

		ret[h] = first + HARMONIC * fminf(first, second);
		most = fmaxf(most, ret[h]);
	}
	for (size_t h = 0; most > 0 && h < BELIEF_STATES; h++)
		ret[h] /= most;
	return most > 0;
}

/* Share of the band's power within the mode's peak and its second harmonic's. */
static float concentration(const float *clean, float bpm)
{
	float near = 0, all = 0;

	for (size_t k = BAND_LOW; k < BINS; k++) {
		float f = (float)k * BIN_HZ * 60;

		all += clean[k];
		if (fabsf(f - bpm) < 12 || fabsf(f - 2 * bpm) < 12)
			near += clean[k];
	}
	return all > 0 ? near / all : 0;
}

struct heart_rate heart_update(struct heart *heart, const struct heart_window *window)
{
	float clean[BINS], likelihood[BELIEF_STATES];
	float scale = MOVE_REST + (MOVE_MOTION - MOVE_REST) * window->motion_level;
	struct heart_rate rate = { 0 };

	light_spectrum(window, clean);
	take_motion_away(window, clean);
	if (!salience(clean, likelihood))
		return rate;
	for (size_t h = 0; h < BELIEF_STATES; h++)
		likelihood[h] += FLOOR;
	belief_update(&heart->belief, scale, RESTART, likelihood);
	rate.bpm = belief_mode(&heart->belief);
	rate.quality =
	        belief_mass(&heart->belief, rate.bpm, MODE_WIDTH) * concentration(clean, rate.bpm);
	return rate;
}
