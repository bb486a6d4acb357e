#include "services/publisher/dsp/beats.h"

#include "common/mem.h"
#include "services/publisher/dsp/front.h"
#include "services/publisher/dsp/spectrum.h"

#include <string.h>

#define WINDOW       (BEATS_WINDOW_S * FRONT_HZ)
#define SCALES       (FRONT_HZ - 1) /* about 1 s: half a beat at 30 bpm; one bit each below */
#define REFRACTORY_S 0.25           /* 240 bpm: no heart beats twice in that */

/* Bit k - 1 of maxima[i]: x[i] is a maximum at scale k. Returns k*. */
static size_t multiscale_maxima(const float *x, uint32_t *maxima)
{
	size_t best = 1, most = 0;

	memset(maxima, 0, WINDOW * sizeof(*maxima));
	for (size_t k = 1; k <= SCALES; k++) {
		size_t found = 0;

		for (size_t i = k; i + k < WINDOW; i++) {
			uint32_t is = x[i] > x[i - k] && x[i] > x[i + k];

			maxima[i] |= is << (k - 1);
			found += is;
		}
		if (found > most) {
			most = found;
			best = k;
		}
	}
	return best;
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
		low = x[i] < low ? x[i] : low;
	return low;
}

static void keep(struct beats *beats, const struct beat *beat)
{
	if (beats->count > 0 && beat->t_s - beats->beat[beats->count - 1].t_s < REFRACTORY_S)
		return;
	if (beats->count == BEATS_MAX) {
		memmove(beats->beat, beats->beat + 1, (BEATS_MAX - 1) * sizeof(*beat));
		beats->count--;
	}
	beats->beat[beats->count++] = *beat;
}

void beats_update(struct beats *beats, const float *x, size_t count, float sign, double end_s)
{
	float wave[WINDOW];
	uint32_t maxima[WINDOW];
	size_t scale, edge = BEATS_EDGE_S * FRONT_HZ;
	uint32_t all;

	MUST(count == WINDOW);
	for (size_t i = 0; i < WINDOW; i++)
		wave[i] = sign * x[i];
	spectrum_detrend(wave, WINDOW);
	scale = multiscale_maxima(wave, maxima);
	all = (uint32_t)((1ull << scale) - 1);
	for (size_t i = edge; i < WINDOW - edge; i++) {
		float low;

		if ((maxima[i] & all) != all)
			continue;
		low = trough_before(wave, i, 2 * scale < FRONT_HZ ? 2 * scale : FRONT_HZ);
		keep(beats, &(struct beat){
		                    .t_s = end_s + ((double)i - WINDOW + (double)vertex(wave + i)) /
		                                           FRONT_HZ,
		                    .amplitude = wave[i] - low,
		                    .base = low,
		            });
	}
}

void beats_forget(struct beats *beats, double t_s)
{
	uint32_t old = 0;

	while (old < beats->count && beats->beat[old].t_s < t_s)
		old++;
	memmove(beats->beat, beats->beat + old, (beats->count - old) * sizeof(*beats->beat));
	beats->count -= old;
}
