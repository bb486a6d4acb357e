#include "services/publisher/dsp/belief.h"

#include <math.h>

#define MODE_WIDTH 4 /* bpm each side that belong to one peak of the belief */

struct belief belief_new(void)
{
	struct belief belief;

	for (size_t h = 0; h < BELIEF_STATES; h++)
		belief.p[h] = 1.0f / BELIEF_STATES;
	return belief;
}

/* Two passes of a one-pole smoother, forwards and back, are the convolution with
 * a Laplace kernel: two operations a state instead of a row of moves. */
static void spread(float *p, float scale_bpm)
{
	float keep = expf(-1 / scale_bpm);
	float sum = 0;

	for (size_t h = 0; h < BELIEF_STATES; h++)
		p[h] = sum = keep * sum + (1 - keep) * p[h];
	sum = 0;
	for (size_t h = BELIEF_STATES; h-- > 0;)
		p[h] = sum = keep * sum + (1 - keep) * p[h];
}

static void normalise(float *p)
{
	float sum = 0;

	for (size_t h = 0; h < BELIEF_STATES; h++)
		sum += p[h];
	for (size_t h = 0; h < BELIEF_STATES; h++)
		p[h] /= sum;
}

void belief_update(struct belief *belief, float scale_bpm, float restart, const float *likelihood)
{
	spread(belief->p, scale_bpm);
	normalise(belief->p);
	for (size_t h = 0; h < BELIEF_STATES; h++)
		belief->p[h] =
		        ((1 - restart) * belief->p[h] + restart / BELIEF_STATES) * likelihood[h];
	normalise(belief->p);
}

float belief_mode(const struct belief *belief)
{
	size_t mode = 0;
	float sum = 0, moment = 0;

	for (size_t h = 1; h < BELIEF_STATES; h++)
		if (belief->p[h] > belief->p[mode])
			mode = h;
	for (int d = -MODE_WIDTH; d <= MODE_WIDTH; d++) {
		int h = (int)mode + d;

		if (h < 0 || h >= BELIEF_STATES)
			continue;
		sum += belief->p[h];
		moment += belief->p[h] * (float)d;
	}
	return BELIEF_MIN_BPM + (float)mode + moment / sum;
}

float belief_mass(const struct belief *belief, float bpm, float width)
{
	float mass = 0;

	for (size_t h = 0; h < BELIEF_STATES; h++)
		if (fabsf((float)(BELIEF_MIN_BPM + h) - bpm) <= width)
			mass += belief->p[h];
	return mass;
}
