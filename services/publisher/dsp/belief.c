#include "services/publisher/dsp/belief.h"

#include <math.h>

void belief_reset(float *p, size_t n)
{
	for (size_t h = 0; h < n; h++)
		p[h] = 1 / (float)n;
}

/* A one-pole smoother run forwards and back is the convolution with a Laplace
 * kernel: two operations a state instead of a row of moves. */
static void spread(float *p, size_t n, float scale)
{
	float keep = expf(-1 / scale), sum = 0;

	for (size_t h = 0; h < n; h++)
		p[h] = sum = keep * sum + (1 - keep) * p[h];
	sum = 0;
	for (size_t h = n; h-- > 0;)
		p[h] = sum = keep * sum + (1 - keep) * p[h];
}

static void normalise(float *p, size_t n)
{
	float sum = 0;

	for (size_t h = 0; h < n; h++)
		sum += p[h];
	if (!(sum > 0)) {
		belief_reset(p, n);
		return;
	}
	for (size_t h = 0; h < n; h++)
		p[h] /= sum;
}

void belief_update(float *p, size_t n, float scale, float restart, const float *likelihood)
{
	spread(p, n, scale);
	normalise(p, n);
	for (size_t h = 0; h < n; h++)
		p[h] = ((1 - restart) * p[h] + restart / (float)n) * likelihood[h];
	normalise(p, n);
}

float belief_mode(const float *p, size_t n, size_t width)
{
	size_t mode = 0, first, last;
	float sum = 0, moment = 0;

	for (size_t h = 1; h < n; h++)
		if (p[h] > p[mode])
			mode = h;
	first = mode > width ? mode - width : 0;
	last = mode + width < n ? mode + width : n - 1;
	for (size_t h = first; h <= last; h++) {
		sum += p[h];
		moment += p[h] * (float)h;
	}
	return moment / sum;
}

float belief_median(const float *p, size_t n)
{
	float sum = 0;

	for (size_t h = 0; h < n; h++) {
		sum += p[h];
		if (sum >= 0.5f)
			return (float)h + 0.5f - (sum - 0.5f) / p[h];
	}
	return (float)n - 1;
}

float belief_mass(const float *p, size_t n, float place, float width)
{
	float mass = 0;

	for (size_t h = 0; h < n; h++)
		if (fabsf((float)h - place) <= width)
			mass += p[h];
	return mass;
}
