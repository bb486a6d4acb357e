#include "services/publisher/dsp/cancel.h"

#include "common/mem.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define LAG_STEP 2    /* samples */
#define LAG_MOST 4    /* samples: (CANCEL_LAGS - 1) / 2 steps */
#define RIDGE    0.1f /* r: an axis with a tenth of the mean power is believed by half */

/* Column j of X: sample n is axis a at n - lag, 0 outside the window. */
static void column(const struct cancel *cancel, size_t j, float *ret)
{
	const float *axis = cancel->axis[j / CANCEL_LAGS];
	int lag = (int)(j % CANCEL_LAGS) * LAG_STEP - LAG_MOST;
	size_t skip = (size_t)(lag < 0 ? -lag : lag);

	memset(ret, 0, cancel->count * sizeof(*ret));
	if (lag >= 0)
		memcpy(ret + skip, axis, (cancel->count - skip) * sizeof(*ret));
	else
		memcpy(ret, axis + skip, (cancel->count - skip) * sizeof(*ret));
}

static float dot(const float *a, const float *b, size_t count)
{
	float part[4] = { 0 };

	for (size_t n = 0; n + 4 <= count; n += 4)
		for (size_t i = 0; i < 4; i++)
			part[i] += a[n + i] * b[n + i];
	for (size_t n = count - count % 4; n < count; n++)
		part[0] += a[n] * b[n];
	return part[0] + part[1] + (part[2] + part[3]);
}

/* L of A = L L', in place; false when A is not positive. */
static bool cholesky(float a[CANCEL_P][CANCEL_P])
{
	for (size_t i = 0; i < CANCEL_P; i++)
		for (size_t j = 0; j <= i; j++) {
			float sum = a[i][j] - dot(a[i], a[j], j);

			if (i == j && !(sum > 0))
				return false;
			a[i][j] = i == j ? sqrtf(sum) : sum / a[j][j];
		}
	return true;
}

struct cancel cancel_new(const float *const *axis, size_t count, float sway)
{
	struct cancel cancel = { .count = count };
	float x[CANCEL_P][CANCEL_MAX], trace = 0;

	MUST(count <= CANCEL_MAX && count > LAG_MOST);
	cancel.strength = fminf(1, fmaxf(0, (sway - CANCEL_STILL) / (CANCEL_MOVED - CANCEL_STILL)));
	if (!(cancel.strength > 0))
		return cancel;
	memcpy(cancel.axis, axis, sizeof(cancel.axis));
	for (size_t j = 0; j < CANCEL_P; j++)
		column(&cancel, j, x[j]);
	for (size_t i = 0; i < CANCEL_P; i++)
		for (size_t j = 0; j <= i; j++)
			cancel.factor[i][j] = dot(x[i], x[j], count);
	for (size_t i = 0; i < CANCEL_P; i++)
		trace += cancel.factor[i][i];
	for (size_t i = 0; i < CANCEL_P; i++)
		cancel.factor[i][i] += RIDGE * trace / CANCEL_P;
	if (!cholesky(cancel.factor))
		cancel.strength = 0;
	return cancel;
}

/* b from L L' b = right, in place. */
static void solve(const struct cancel *cancel, float *b)
{
	for (size_t i = 0; i < CANCEL_P; i++)
		b[i] = (b[i] - dot(cancel->factor[i], b, i)) / cancel->factor[i][i];
	for (size_t i = CANCEL_P; i-- > 0;) {
		for (size_t k = i + 1; k < CANCEL_P; k++)
			b[i] -= cancel->factor[k][i] * b[k];
		b[i] /= cancel->factor[i][i];
	}
}

void cancel_wave(const struct cancel *cancel, const float *y, float *ret)
{
	float x[CANCEL_MAX], b[CANCEL_P];

	memcpy(ret, y, cancel->count * sizeof(*ret));
	if (!(cancel->strength > 0))
		return;
	for (size_t j = 0; j < CANCEL_P; j++) {
		column(cancel, j, x);
		b[j] = dot(x, y, cancel->count);
	}
	solve(cancel, b);
	for (size_t j = 0; j < CANCEL_P; j++) {
		column(cancel, j, x);
		for (size_t n = 0; n < cancel->count; n++)
			ret[n] -= cancel->strength * b[j] * x[n];
	}
}
