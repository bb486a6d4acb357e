#include "services/publisher/dsp/breath.h"

#include "services/publisher/dsp/spectrum.h"

#include <math.h>
#include <string.h>

#define COUNT   (BREATH_WINDOW_S * BREATH_HZ)
#define BIN_HZ  ((float)BREATH_HZ / SPECTRUM_N)
#define LOW_HZ  0.08f /* 5 a minute */
#define HIGH_HZ 0.75f /* 45 a minute */
#define BINS    220   /* 0.86 Hz */
#define AGREE   4.0f  /* per minute, Karlen's sd */
#define SERIES  3
#define PEAK_HZ 0.04f /* half width of a Hann peak over 32 s is 2 / 32 s; a bit less */

struct peak {
	float hz, share;
};

static struct peak find_peak(float *series, float high_hz)
{
	float power[BINS], all = 0, near = 0;
	size_t low = (size_t)(LOW_HZ / BIN_HZ), high = (size_t)(high_hz / BIN_HZ), best = 0;

	spectrum_power(series, COUNT, power, BINS);
	for (size_t k = low; k <= high; k++) {
		all += power[k];
		if (power[k] > power[k - 1] && power[k] >= power[k + 1] &&
		    (best == 0 || power[k] > power[best]))
			best = k;
	}
	if (best == 0 || !(all > 0))
		return (struct peak){ 0 };
	for (size_t k = low; k <= high; k++)
		if (fabsf((float)k - (float)best) * BIN_HZ <= PEAK_HZ)
			near += power[k];
	return (struct peak){ .hz = (float)best * BIN_HZ, .share = near / all };
}

/* A value per beat, on the even grid: straight lines between beats, held outside. */
static void spread(const double *t_s, const float *value, size_t count, double end_s, float *ret)
{
	size_t next = 0;

	for (size_t n = 0; n < COUNT; n++) {
		double t = end_s + ((double)n + 1 - COUNT) / BREATH_HZ;

		while (next < count && t_s[next] <= t)
			next++;
		if (next == 0)
			ret[n] = value[0];
		else if (next == count)
			ret[n] = value[count - 1];
		else
			ret[n] = value[next - 1] +
			         (value[next] - value[next - 1]) *
			                 (float)((t - t_s[next - 1]) / (t_s[next] - t_s[next - 1]));
	}
}

static size_t beat_series(const struct beats *beats, double from_s, double *t_s, float *amplitude,
                          float *interval)
{
	size_t count = 0;

	for (size_t i = 1; i < beats->count; i++) {
		const struct beat *beat = &beats->beat[i];

		if (beat->t_s < from_s)
			continue;
		t_s[count] = beat->t_s;
		amplitude[count] = beat->height;
		interval[count] = (float)(beat->t_s - beats->beat[i - 1].t_s);
		count++;
	}
	return count;
}

static struct breath_rate fuse(const struct peak *peak, size_t count)
{
	float weight = 0, sum = 0, square = 0;
	struct breath_rate rate = { 0 };

	for (size_t i = 0; i < count; i++) {
		float per_min = 60 * peak[i].hz;

		weight += peak[i].share;
		sum += peak[i].share * per_min;
		square += peak[i].share * per_min * per_min;
	}
	if (!(weight > 0))
		return rate;
	rate.per_min = sum / weight;
	rate.quality =
	        weight / (float)count *
	        expf(-fmaxf(0, square / weight - rate.per_min * rate.per_min) / (AGREE * AGREE));
	return rate;
}

struct breath_rate breath_estimate(const struct beats *beats, const float *level, double end_s,
                                   float heart_bpm)
{
	double t_s[BEATS_MAX];
	float amplitude[BEATS_MAX], interval[BEATS_MAX], even[COUNT];
	float high_hz = fminf(HIGH_HZ, heart_bpm / 120);
	struct peak peak[SERIES] = { 0 };
	size_t count = beat_series(beats, end_s - BREATH_WINDOW_S, t_s, amplitude, interval);

	if (!(high_hz > 2 * LOW_HZ))
		high_hz = HIGH_HZ;
	memcpy(even, level, sizeof(even));
	peak[0] = find_peak(even, high_hz);
	if (count >= BREATH_WINDOW_S / 4) {
		spread(t_s, amplitude, count, end_s, even);
		peak[1] = find_peak(even, high_hz);
		spread(t_s, interval, count, end_s, even);
		peak[2] = find_peak(even, high_hz);
	}
	return fuse(peak, SERIES);
}
