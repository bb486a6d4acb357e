#include "services/publisher/dsp/breath.h"

#include "services/publisher/dsp/belief.h"
#include "services/publisher/dsp/ramp.h"
#include "services/publisher/dsp/spectrum.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define COUNT         (BREATH_WINDOW_S * BREATH_HZ)
#define BIN_HZ        ((float)BREATH_HZ / SPECTRUM_N)
#define BINS          220 /* 0.86 Hz: 50 a minute and the neighbour of its bin */
#define LEAST_PER_MIN 4.0f
#define MOST_PER_MIN  45.0f
#define STEP_PER_MIN  0.5f
#define LEVEL_WEIGHT  0.5f /* the level drifts: half the word of the others */
#define FLOOR         0.05f
#define PRIOR_PER_MIN 15.0f /* adults at rest */
#define PRIOR_SD      0.7f  /* of log r: 7.5 to 30 a minute is within one */
#define MOVE_PER_MIN  1.5f  /* a step of 5 s */
#define RESTART       0.05f /* a step: a sigh or a word every minute or two */
#define MODE_PER_MIN  2.0f  /* within which a rate is called right */
#define AROUND        3     /* beats each side that a beat is compared with */
#define FAR_INTERVAL  0.25f /* of the median: a missed or a false beat */
#define FAR_HEIGHT    0.6f
#define LEAST_BEATS   8      /* in the window: below, there is no pulse to breathe in */
#define DEPTH_NONE    0.001f /* of the mean: rounding of a pulse that does not breathe */
#define DEPTH_FULL    0.005f /* 4 ms of a beat, half a percent of its height */

/* A value per beat. */
struct points {
	size_t count;
	double t_s[BEATS_MAX];
	float value[BEATS_MAX];
};

static int compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

static float median_around(const float *value, size_t count, size_t i)
{
	float sorted[2 * AROUND + 1];
	size_t first = i > AROUND ? i - AROUND : 0;
	size_t last = i + AROUND < count ? i + AROUND : count - 1;
	size_t n = last - first + 1;

	memcpy(sorted, value + first, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), compare);
	return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static void add(struct points *points, double t_s, float value)
{
	points->t_s[points->count] = t_s;
	points->value[points->count++] = value;
}

/* The beats of the last `seconds`, less those that stick out. */
static void clean_series(const struct beats *beats, double end_s, size_t seconds,
                         struct points *height, struct points *interval)
{
	float heights[BEATS_MAX], intervals[BEATS_MAX];
	double t_s[BEATS_MAX];
	size_t count = 0;

	for (size_t i = 1; i < beats->count; i++) {
		if (beat_after(&beats->beat[i - 1], end_s - (double)seconds) < 0)
			continue;
		t_s[count] = end_s + beat_after(&beats->beat[i], end_s);
		heights[count] = beats->beat[i].height;
		intervals[count++] = beats_interval(beats, i);
	}
	height->count = interval->count = 0;
	for (size_t i = 0; i < count; i++) {
		float usual = median_around(intervals, count, i);
		float usual_height = median_around(heights, count, i);

		if (fabsf(intervals[i] - usual) >= FAR_INTERVAL * usual)
			continue;
		add(interval, t_s[i], intervals[i]);
		if (fabsf(heights[i] - usual_height) < FAR_HEIGHT * usual_height)
			add(height, t_s[i], heights[i]);
	}
}

/* On the even grid: straight lines between beats, held outside. */
static void spread(const struct points *points, size_t count, double end_s, float *ret)
{
	size_t next = 0;

	for (size_t n = 0; n < count; n++) {
		double t = end_s + ((double)n + 1 - (double)count) / BREATH_HZ;

		while (next < points->count && points->t_s[next] <= t)
			next++;
		if (next == 0 || next == points->count) {
			ret[n] = points->value[next == 0 ? 0 : next - 1];
			continue;
		}
		ret[n] = points->value[next - 1] +
		         (points->value[next] - points->value[next - 1]) *
		                 (float)((t - points->t_s[next - 1]) /
		                         (points->t_s[next] - points->t_s[next - 1]));
	}
}

static float rate_at(size_t r)
{
	return LEAST_PER_MIN + STEP_PER_MIN * (float)r;
}

static float mean_of(const struct points *points)
{
	float sum = 0;

	for (size_t i = 0; i < points->count; i++)
		sum += points->value[i];
	return points->count > 0 ? sum / (float)points->count : 0;
}

static bool in_band(size_t k, float most_per_min)
{
	float per_min = (float)k * BIN_HZ * 60;

	return per_min >= LEAST_PER_MIN && per_min <= most_per_min;
}

/* sd of the part of a series that is in the band, from its spectrum: a Hann window
 * keeps 3/8 of the power, and half of SPECTRUM_N bins share it. */
static float sd_in_band(const float *power, size_t count, float most_per_min)
{
	float sum = 0;

	for (size_t k = 0; k < BINS; k++)
		sum += in_band(k, most_per_min) ? power[k] : 0;
	return sqrtf(sum / (0.375f * (float)count * SPECTRUM_N / 2));
}

/* What a series is measured by: its share of f's power, its weight, and the size that
 * half a percent is of. */
struct measure {
	unsigned power_of_f;
	float weight, size;
};

/* Adds weight * P to S, in so far as the series varies at all; that is returned. */
static float add_series(const float *series, size_t count, const struct measure *measure,
                        float most_per_min, float *salience)
{
	float power[BINS], total = 0, depth = 0;

	spectrum_power(series, count, power, BINS);
	if (measure->size > 0)
		depth = ramp(sd_in_band(power, count, most_per_min) / measure->size, DEPTH_NONE,
		             DEPTH_FULL);
	for (size_t k = 0; k < BINS; k++) {
		for (unsigned i = 0; i < measure->power_of_f; i++)
			power[k] *= (float)k;
		total += in_band(k, most_per_min) ? power[k] : 0;
	}
	for (size_t r = 0; total > 0 && r < BREATH_RATES && rate_at(r) <= most_per_min; r++)
		salience[r] += depth * measure->weight / total *
		               spectrum_at(power, BINS, rate_at(r) / 60 / BIN_HZ);
	return depth;
}

/* The same for a value per beat. */
static float add_points(const struct points *points, size_t count, double end_s, float most_per_min,
                        float *salience)
{
	const struct measure measure = { 1, 1, mean_of(points) };
	float even[COUNT];

	spread(points, count, end_s, even);
	return add_series(even, count, &measure, most_per_min, salience);
}

/* L over the grid of rates; where nothing varies, the prior alone. */
static void likelihood(const float *salience, float *ret)
{
	float most = 0;

	for (size_t r = 0; r < BREATH_RATES; r++)
		most = fmaxf(most, salience[r]);
	for (size_t r = 0; r < BREATH_RATES; r++) {
		float z = logf(rate_at(r) / PRIOR_PER_MIN) / PRIOR_SD;

		ret[r] = ((most > 0 ? salience[r] / most : 0) + FLOOR) * expf(-0.5f * z * z);
	}
}

struct breath breath_new(void)
{
	struct breath breath;

	belief_reset(breath.belief, BREATH_RATES);
	return breath;
}

static struct breath_rate answer(const struct breath *breath, float deepest)
{
	float width = MODE_PER_MIN / STEP_PER_MIN;
	float mode = belief_mode(breath->belief, BREATH_RATES, (size_t)width);

	return (struct breath_rate){
		.per_min = LEAST_PER_MIN + STEP_PER_MIN * mode,
		.quality = belief_mass(breath->belief, BREATH_RATES, mode, width) * deepest,
	};
}

struct breath_rate breath_update(struct breath *breath, const struct beats *beats,
                                 const float *level, size_t seconds, double end_s, float heart_bpm)
{
	float salience[BREATH_RATES] = { 0 }, chance[BREATH_RATES];
	float most_per_min = heart_bpm > 0 ? fminf(MOST_PER_MIN, heart_bpm / 2) : MOST_PER_MIN;
	size_t count = seconds * BREATH_HZ;
	struct points height, interval;
	bool has_beats;
	float deepest, pulse;

	clean_series(beats, end_s, seconds, &height, &interval);
	has_beats = height.count >= LEAST_BEATS;
	pulse = has_beats ? mean_of(&height) : 0;
	deepest = add_series(level, count, &(struct measure){ 2, LEVEL_WEIGHT, pulse },
	                     most_per_min, salience);
	if (has_beats) {
		deepest = fmaxf(deepest, add_points(&height, count, end_s, most_per_min, salience));
		deepest =
		        fmaxf(deepest, add_points(&interval, count, end_s, most_per_min, salience));
	}
	likelihood(salience, chance);
	belief_update(breath->belief, BREATH_RATES, MOVE_PER_MIN / STEP_PER_MIN, RESTART, chance);
	return answer(breath, deepest);
}
