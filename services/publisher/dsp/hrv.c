#include "services/publisher/dsp/hrv.h"

#include "services/publisher/dsp/ramp.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#define CLEAN          0.3f /* of the median interval: sinus arrhythmia stays inside */
#define CLEAN_NONE     0.7f /* share of the intervals that are clean */
#define CLEAN_FULL     1.0f
#define IRREGULAR_NONE 0.25f /* RMSSD over the mean interval: atrial fibrillation is above 0.15 */
#define IRREGULAR_FULL 0.12f /* … the strongest sinus arrhythmia below */
#define MIN_CLEAN      20    /* intervals */

static int compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

static float median_of(const float *value, size_t count)
{
	float sorted[BEATS_MAX];

	for (size_t i = 0; i < count; i++)
		sorted[i] = value[i];
	qsort(sorted, count, sizeof(*sorted), compare);
	return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

static size_t intervals(const struct beats *beats, double from_s, float *ret)
{
	size_t count = 0;

	for (size_t i = 1; i < beats->count; i++)
		if (beat_after(&beats->beat[i - 1], from_s) >= 0)
			ret[count++] = beats_interval(beats, i);
	return count;
}

struct hrv hrv_estimate(const struct beats *beats, double from_s)
{
	float interval[BEATS_MAX], middle;
	double sum = 0, square = 0, steps = 0;
	size_t count = intervals(beats, from_s, interval), clean = 0, pairs = 0;
	bool was_clean = false;

	if (count < MIN_CLEAN)
		return (struct hrv){ 0 };
	middle = median_of(interval, count);
	for (size_t i = 0; i < count; i++) {
		bool is_clean = fabsf(interval[i] - middle) <= CLEAN * middle;

		if (is_clean) {
			clean++;
			sum += (double)interval[i];
			square += (double)interval[i] * (double)interval[i];
		}
		if (is_clean && was_clean) {
			double step = (double)interval[i] - (double)interval[i - 1];

			pairs++;
			steps += step * step;
		}
		was_clean = is_clean;
	}
	if (clean < MIN_CLEAN || pairs == 0)
		return (struct hrv){ 0 };
	sum /= (double)clean;
	steps = sqrt(steps / (double)pairs);
	return (struct hrv){
		.sdnn_ms = (float)(1000 * sqrt(fmax(0, square / (double)clean - sum * sum))),
		.rmssd_ms = (float)(1000 * steps),
		.quality = ramp((float)clean / (float)count, CLEAN_NONE, CLEAN_FULL) *
		           ramp((float)(steps / sum), IRREGULAR_NONE, IRREGULAR_FULL),
	};
}
