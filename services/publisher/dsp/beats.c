#include "services/publisher/dsp/beats.h"

#include "common/mem.h"
#include "services/publisher/dsp/front.h"
#include "services/publisher/dsp/spectrum.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SCALES       (FRONT_HZ - 1) /* about 1 s: half a beat at 30 bpm */
#define THIN         2              /* every second sample tells the best scale as well */
#define REFRACTORY_S 0.25           /* 240 bpm: no heart beats twice in that */
#define RATE_S       8              /* the span that a heart rate is the mean of */
#define RIM          2              /* samples at the ends where nothing can be a peak */
#define SHAPE_BEFORE 0.35f          /* of an interval: the upstroke */
#define SHAPE_AFTER  0.45f          /* of an interval: to behind the dicrotic wave */
#define SHAPE_MAX    96             /* samples of a shape: 0.8 of 3 s and more */
#define STEADY       0.15f          /* sinus arrhythmia changes an interval by that a beat */

/* k*, the scale with the most maxima. */
static size_t best_scale(const float *x, size_t count)
{
	size_t best = 1, most = 0;

	for (size_t k = 1; k <= SCALES && 2 * k < count; k++) {
		size_t found = 0;

		for (size_t i = k; i + k < count; i += THIN)
			found += (x[i] > x[i - k]) & (x[i] > x[i + k]);
		if (found > most) {
			most = found;
			best = k;
		}
	}
	return best;
}

static bool is_peak(const float *x, size_t count, size_t i, size_t scale)
{
	for (size_t k = 1; k <= scale; k++)
		if ((i >= k && !(x[i] > x[i - k])) || (i + k < count && !(x[i] > x[i + k])))
			return false;
	return true;
}

/* Where between the samples a parabola through three of them has its top. */
static float vertex(const float *y)
{
	float bend = y[-1] - 2 * y[0] + y[1];

	return bend < 0 ? 0.5f * (y[-1] - y[1]) / bend : 0;
}

static float trough_before(const float *x, size_t peak, size_t reach)
{
	float low = x[peak];

	for (size_t i = peak > reach ? peak - reach : 0; i < peak; i++)
		low = fminf(low, x[i]);
	return low;
}

static int compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

static float median(float *value, size_t count)
{
	qsort(value, count, sizeof(*value), compare);
	return value[count / 2];
}

static float interval_of(const struct peaks *peaks)
{
	float interval[BEATS_PEAKS];

	for (size_t i = 1; i < peaks->count; i++)
		interval[i - 1] = peaks->at[i] - peaks->at[i - 1];
	return median(interval, peaks->count - 1);
}

static float steadiness(const struct peaks *peaks, float interval)
{
	float change[BEATS_PEAKS];

	for (size_t i = 2; i < peaks->count; i++)
		change[i - 2] = fabsf(peaks->at[i] - 2 * peaks->at[i - 1] + peaks->at[i - 2]);
	return expf(-median(change, peaks->count - 2) / interval / STEADY);
}

/* The beat at a peak, its mean taken out; false when it is not wholly in the window. */
static bool cut_shape(const float *x, size_t count, float at, size_t before, size_t length,
                      float *ret)
{
	size_t peak = (size_t)lrintf(at);
	float sum = 0;

	if (peak < before || peak - before + length > count)
		return false;
	for (size_t n = 0; n < length; n++)
		sum += ret[n] = x[peak - before + n];
	for (size_t n = 0; n < length; n++)
		ret[n] -= sum / (float)length;
	return true;
}

static float likeness(const float *x, size_t count, const struct peaks *peaks, float interval)
{
	size_t before = (size_t)lrintf(SHAPE_BEFORE * interval), used = 0;
	size_t length = before + (size_t)lrintf(SHAPE_AFTER * interval) + 1;
	float shape[SHAPE_MAX], mean[SHAPE_MAX] = { 0 }, sum = 0, own = 0;

	if (before < 2 || length > SHAPE_MAX)
		return 0;
	for (size_t i = 0; i < peaks->count; i++)
		if (cut_shape(x, count, peaks->at[i], before, length, shape))
			for (size_t n = 0; n < length; n++)
				mean[n] += shape[n];
	for (size_t n = 0; n < length; n++)
		own += mean[n] * mean[n];
	for (size_t i = 0; i < peaks->count; i++) {
		float cross = 0, square = 0;

		if (!cut_shape(x, count, peaks->at[i], before, length, shape))
			continue;
		for (size_t n = 0; n < length; n++) {
			cross += shape[n] * mean[n];
			square += shape[n] * shape[n];
		}
		sum += square > 0 && own > 0 ? cross / sqrtf(square * own) : 0;
		used++;
	}
	return used >= 2 ? sum / (float)used : 0;
}

/* bpm and scatter of the last RATE_S. */
static void rate_recent(struct peaks *peaks, size_t count)
{
	float from = (float)count - RATE_S * FRONT_HZ, mean, square = 0;
	size_t last = peaks->count - 1, first = 0;

	peaks->scatter = 1;
	while (peaks->at[first] < from && first < last)
		first++;
	if (last - first < 2)
		return;
	mean = (peaks->at[last] - peaks->at[first]) / (float)(last - first);
	for (size_t i = first + 1; i <= last; i++) {
		float off = peaks->at[i] - peaks->at[i - 1] - mean;

		square += off * off;
	}
	peaks->bpm = 60.0f * FRONT_HZ / mean;
	peaks->scatter = sqrtf(square / (float)(last - first)) / mean;
}

void peaks_find(const float *x, size_t count, float sign, struct peaks *ret)
{
	float wave[BEATS_WINDOW], interval;
	size_t scale;

	MUST(count <= BEATS_WINDOW);
	*ret = (struct peaks){ .scatter = 1 };
	if (count <= 2 * RIM)
		return;
	for (size_t i = 0; i < count; i++)
		wave[i] = sign * x[i];
	spectrum_detrend(wave, count);
	scale = best_scale(wave, count);
	for (size_t i = RIM; i + RIM < count && ret->count < BEATS_PEAKS; i++) {
		if (!is_peak(wave, count, i, scale))
			continue;
		ret->at[ret->count] = (float)i + vertex(wave + i);
		ret->height[ret->count++] =
		        wave[i] -
		        trough_before(wave, i, 2 * scale < FRONT_HZ ? 2 * scale : FRONT_HZ);
	}
	if (ret->count < 3)
		return;
	interval = interval_of(ret);
	rate_recent(ret, count);
	ret->steadiness = steadiness(ret, interval);
	ret->likeness = likeness(wave, count, ret, interval);
}

uint32_t beat_ticks(double t_s)
{
	return (uint32_t)llround(t_s * BEATS_TICKS);
}

double beat_after(const struct beat *beat, double t_s)
{
	return (int32_t)(beat->ticks - beat_ticks(t_s)) / BEATS_TICKS;
}

float beats_interval(const struct beats *beats, size_t i)
{
	return (float)((beats->beat[i].ticks - beats->beat[i - 1].ticks) / BEATS_TICKS);
}

static void keep(struct beats *beats, const struct beat *beat)
{
	if (beats->count == BEATS_MAX) {
		memmove(beats->beat, beats->beat + 1, (BEATS_MAX - 1) * sizeof(*beat));
		beats->count--;
	}
	beats->beat[beats->count++] = *beat;
}

void beats_keep(struct beats *beats, const struct peaks *peaks, size_t count, double end_s)
{
	for (size_t i = 0; i < peaks->count; i++) {
		double back_s = ((double)count - (double)peaks->at[i]) / FRONT_HZ;
		double t_s = end_s - back_s;

		if (back_s >= BEATS_EDGE_S &&
		    (beats->count == 0 ||
		     beat_after(&beats->beat[beats->count - 1], t_s) <= -REFRACTORY_S))
			keep(beats, &(struct beat){ beat_ticks(t_s), peaks->height[i] });
	}
}

void beats_forget(struct beats *beats, double t_s)
{
	uint32_t old = 0;

	while (old < beats->count && beat_after(&beats->beat[old], t_s) < 0)
		old++;
	memmove(beats->beat, beats->beat + old, (beats->count - old) * sizeof(*beats->beat));
	beats->count -= old;
}
