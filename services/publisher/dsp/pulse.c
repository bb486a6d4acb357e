#include "services/publisher/dsp/pulse.h"

#include <math.h>
#include <string.h>

#define HIGHPASS_HZ   0.4   /* below 30 bpm; breathing (0.1 – 0.5 Hz) is mostly gone */
#define SIGN_KEEP     0.95f /* a second: the sign rests on the last 20 s or so */
#define SIGN_SAMPLES  (4 * FRONT_HZ)
#define LEAST_COUNTS  0.3f  /* rms: rounding alone makes as much, 1 / sqrt 12 */
#define LEAST_OFFSET  2e-6f /* 16 roundings of 2^-23: the filters repeat them */
#define LEVEL_SAMPLES 8     /* of the wave in one of the level, at 4 Hz */

_Static_assert(4 * LEVEL_SAMPLES == FRONT_HZ, "the level is at 4 Hz");

struct pulse pulse_new(void)
{
	return (struct pulse){ .highpass = biquad_highpass(HIGHPASS_HZ, FRONT_HZ) };
}

static void shift(float *series, size_t count, size_t by)
{
	memmove(series, series + by, (count - by) * sizeof(*series));
}

/* Of a wave without a mean, from its sums of squares and cubes. */
static float skewness(float square, float cube, float count)
{
	float mean = square / count;

	return mean > 0 ? cube / count / (mean * sqrtf(mean)) : 0;
}

static void watch_sign(struct pulse *pulse)
{
	const float *x = pulse->wave + PULSE_WAVE - SIGN_SAMPLES;
	float square = 0, cube = 0, slope_square = 0, slope_cube = 0;

	for (size_t j = 1; j < SIGN_SAMPLES; j++) {
		float d = x[j] - x[j - 1];

		square += x[j] * x[j];
		cube += x[j] * x[j] * x[j];
		slope_square += d * d;
		slope_cube += d * d * d;
	}
	pulse->upright *= SIGN_KEEP;
	pulse->upright += skewness(square, cube, SIGN_SAMPLES) +
	                  skewness(slope_square, slope_cube, SIGN_SAMPLES);
}

void pulse_second(struct pulse *pulse, const float *sample, uint32_t valid, double reference)
{
	double sum = 0;

	shift(pulse->wave, PULSE_WAVE, FRONT_HZ);
	shift(pulse->level, PULSE_LEVEL, 4);
	shift(pulse->dc, PULSE_WAVE_S, 1);
	memmove(pulse->valid, pulse->valid + 1, (PULSE_VALID_S - 1) * sizeof(*pulse->valid));
	for (size_t j = 0; j < FRONT_HZ; j++) {
		pulse->wave[PULSE_WAVE - FRONT_HZ + j] = biquad_push(&pulse->highpass, sample[j]);
		sum += (double)sample[j];
	}
	for (size_t q = 0; q < 4; q++) {
		float quarter = 0;

		for (size_t j = 0; j < LEVEL_SAMPLES; j++)
			quarter += sample[q * LEVEL_SAMPLES + j];
		pulse->level[PULSE_LEVEL - 4 + q] = quarter / LEVEL_SAMPLES;
	}
	pulse->offset = (float)(sum / FRONT_HZ);
	pulse->dc[PULSE_WAVE_S - 1] = (float)(reference + sum / FRONT_HZ);
	pulse->valid[PULSE_VALID_S - 1] = valid;
	watch_sign(pulse);
}

float pulse_sign(const struct pulse *pulse)
{
	return pulse->upright < 0 ? -1 : 1;
}

const float *pulse_wave(const struct pulse *pulse, size_t seconds)
{
	return pulse->wave + PULSE_WAVE - seconds * FRONT_HZ;
}

bool pulse_is_there(const struct pulse *pulse, size_t seconds)
{
	const float *wave = pulse_wave(pulse, seconds);
	float least = LEAST_COUNTS + LEAST_OFFSET * fabsf(pulse->offset), sum = 0, square = 0;
	float count = (float)(seconds * FRONT_HZ);

	for (size_t n = 0; n < seconds * FRONT_HZ; n++)
		sum += wave[n];
	for (size_t n = 0; n < seconds * FRONT_HZ; n++)
		square += (wave[n] - sum / count) * (wave[n] - sum / count);
	return square > least * least * count;
}

unsigned pulse_valid(const uint32_t *valid, size_t seconds)
{
	unsigned count = 0;

	for (size_t s = PULSE_VALID_S - seconds; s < PULSE_VALID_S; s++)
		count += (unsigned)__builtin_popcount(valid[s]);
	return count;
}
