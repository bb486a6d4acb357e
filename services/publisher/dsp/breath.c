#include "services/publisher/dsp/breath.h"

#include "services/publisher/dsp/belief.h"
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
#define RESTART       0.02f
#define MODE_PER_MIN  2.0f /* within which a rate is called right */
#define AROUND        3    /* beats each side that a beat is compared with */
#define FAR_INTERVAL  0.3f /* of the median: a missed or a false beat */
#define FAR_HEIGHT    0.6f
#define LEAST_BEATS   8    /* in the window: below, only the level speaks */
#define LEVEL_ALONE   0.5f /* the quality's factor then */

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

/* The beats from from_s on, less those that stick out. */
static void clean_series(const struct beats *beats, double from_s, struct points *height,
                         struct points *interval)
{
	float heights[BEATS_MAX], intervals[BEATS_MAX];
	double t_s[BEATS_MAX];
	size_t count = 0;

	for (size_t i = 1; i < beats->count; i++) {
		if (beats->beat[i - 1].t_s < from_s)
			continue;
		t_s[count] = beats->beat[i].t_s;
		heights[count] = beats->beat[i].height;
		intervals[count++] = (float)(beats->beat[i].t_s - beats->beat[i - 1].t_s);
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

/* Adds weight * P to S. */
static void add_series(const float *series, size_t count, unsigned power_of_f, float most_per_min,
                       float weight, float *salience)
{
	float power[BINS], total = 0;

	spectrum_power(series, count, power, BINS);
	for (size_t k = 0; k < BINS; k++) {
		float per_min = (float)k * BIN_HZ * 60;

		for (unsigned i = 0; i < power_of_f; i++)
			power[k] *= per_min;
		if (per_min >= LEAST_PER_MIN && per_min <= most_per_min)
			total += power[k];
	}
	for (size_t r = 0; total > 0 && r < BREATH_RATES && rate_at(r) <= most_per_min; r++)
		salience[r] += weight / total * spectrum_at(power, BINS, rate_at(r) / 60 / BIN_HZ);
}

/* L over the grid of rates; false when there is nothing to see. */
static bool likelihood(const float *salience, float *ret)
{
	float most = 0;

	for (size_t r = 0; r < BREATH_RATES; r++)
		most = fmaxf(most, salience[r]);
	for (size_t r = 0; most > 0 && r < BREATH_RATES; r++) {
		float z = logf(rate_at(r) / PRIOR_PER_MIN) / PRIOR_SD;

		ret[r] = (salience[r] / most + FLOOR) * expf(-0.5f * z * z);
	}
	return most > 0;
}

struct breath breath_new(void)
{
	struct breath breath;

	belief_reset(breath.belief, BREATH_RATES);
	return breath;
}

static struct breath_rate answer(const struct breath *breath, bool has_beats)
{
	float width = MODE_PER_MIN / STEP_PER_MIN;
	float mode = belief_mode(breath->belief, BREATH_RATES, (size_t)width);

	return (struct breath_rate){
		.per_min = LEAST_PER_MIN + STEP_PER_MIN * mode,
		.quality = belief_mass(breath->belief, BREATH_RATES, mode, width) *
		           (has_beats ? 1 : LEVEL_ALONE),
	};
}

struct breath_rate breath_update(struct breath *breath, const struct beats *beats,
                                 const float *level, size_t seconds, double end_s, float heart_bpm)
{
	float even[COUNT], salience[BREATH_RATES] = { 0 }, chance[BREATH_RATES];
	float most_per_min = heart_bpm > 0 ? fminf(MOST_PER_MIN, heart_bpm / 2) : MOST_PER_MIN;
	size_t count = seconds * BREATH_HZ;
	struct points height, interval;
	bool has_beats;

	clean_series(beats, end_s - (double)seconds, &height, &interval);
	has_beats = height.count >= LEAST_BEATS;
	add_series(level, count, 2, most_per_min, LEVEL_WEIGHT, salience);
	if (has_beats) {
		spread(&height, count, end_s, even);
		add_series(even, count, 1, most_per_min, 1, salience);
		spread(&interval, count, end_s, even);
		add_series(even, count, 1, most_per_min, 1, salience);
	}
	if (!likelihood(salience, chance))
		return (struct breath_rate){ 0 };
	belief_update(breath->belief, BREATH_RATES, MOVE_PER_MIN / STEP_PER_MIN, RESTART, chance);
	return answer(breath, has_beats);
}
