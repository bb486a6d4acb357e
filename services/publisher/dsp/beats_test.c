#include "services/publisher/dsp/beats.h"

#include "services/publisher/dsp/front.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

static float x[BEATS_WINDOW];

/* A pulse of sharp rise and a second, lower wave behind. */
static float shape(double phase)
{
	return (float)(exp(-50 * (phase - 0.2) * (phase - 0.2)) +
	               0.4 * exp(-60 * (phase - 0.55) * (phase - 0.55)));
}

static void pulses(double bpm, float sign)
{
	for (size_t n = 0; n < BEATS_WINDOW; n++) {
		double beat = (double)n / FRONT_HZ * bpm / 60;

		x[n] = sign * shape(beat - floor(beat)) + 0.01f * (float)n;
	}
}

Test(beats, finds_every_beat_from_40_to_200_a_minute)
{
	for (double bpm = 40; bpm <= 200; bpm += 10) {
		struct peaks peaks;

		pulses(bpm, 1);
		peaks_find(x, BEATS_WINDOW, 1, &peaks);
		cr_assert_float_eq(peaks.bpm, bpm, 0.02 * bpm, "%g: %g", bpm, peaks.bpm);
		cr_assert_gt(peaks.likeness, 0.9, "%g: %g", bpm, peaks.likeness);
		cr_assert_gt(peaks.steadiness, 0.6, "%g: %g", bpm, peaks.steadiness);
		cr_assert_lt(peaks.scatter, 0.02, "%g: %g", bpm, peaks.scatter);
	}
}

/* Intervals of 0.75 and 0.85 s in turn: 75 bpm, an sd of a sixteenth. */
Test(beats, tells_how_far_intervals_scatter)
{
	struct peaks peaks;
	double next = 0.3, phase = 0;
	bool is_long = false;

	for (size_t n = 0; n < BEATS_WINDOW; n++) {
		double t = (double)n / FRONT_HZ;

		if (t >= next + (is_long ? 0.85 : 0.75)) {
			next += is_long ? 0.85 : 0.75;
			is_long = !is_long;
		}
		phase = t - next;
		x[n] = expf(-(float)((phase - 0.2) * (phase - 0.2) / 0.01));
	}
	peaks_find(x, BEATS_WINDOW, 1, &peaks);
	cr_assert_float_eq(peaks.bpm, 75, 1.5, "%g", peaks.bpm);
	cr_assert_float_eq(peaks.scatter, 0.05 / 0.8, 0.01, "%g", peaks.scatter);
}

Test(beats, sees_raw_light_turned_round)
{
	struct peaks up, down;

	pulses(72, 1);
	peaks_find(x, BEATS_WINDOW, 1, &up);
	for (size_t n = 0; n < BEATS_WINDOW; n++)
		x[n] = -x[n];
	peaks_find(x, BEATS_WINDOW, -1, &down);

	cr_assert_eq(up.count, down.count);
	cr_assert_eq(up.bpm, down.bpm);
}

Test(beats, does_not_call_noise_a_pulse)
{
	double trust = 0;

	srand(1);
	for (int round = 0; round < 50; round++) {
		struct peaks peaks;

		for (size_t n = 0; n < BEATS_WINDOW; n++)
			x[n] = (float)rand() / (float)RAND_MAX;
		peaks_find(x, BEATS_WINDOW, 1, &peaks);
		trust += (double)(peaks.likeness * peaks.steadiness);
	}
	cr_assert_lt(trust / 50, 0.3);
}

Test(beats, finds_nothing_in_a_flat_line)
{
	struct peaks peaks;

	for (size_t n = 0; n < BEATS_WINDOW; n++)
		x[n] = 5;
	peaks_find(x, BEATS_WINDOW, 1, &peaks);
	cr_assert_eq(peaks.bpm, 0);
	cr_assert_eq(peaks.likeness, 0);
}

Test(beats, keeps_each_beat_once_when_windows_overlap)
{
	static struct beats beats;
	const double began = 65534 - 30; /* the ticks wrap on the way */

	for (int second = 12; second <= 60; second += 2) {
		struct peaks peaks;

		for (size_t n = 0; n < BEATS_WINDOW; n++) {
			double beat = (second - 12 + (double)n / FRONT_HZ) * 1.2;

			x[n] = shape(beat - floor(beat));
		}
		peaks_find(x, BEATS_WINDOW, 1, &peaks);
		beats_keep(&beats, &peaks, BEATS_WINDOW, began + second);
	}

	cr_assert_geq(beats.count, 69);
	cr_assert_leq(beats.count, 72);
	for (uint32_t i = 1; i < beats.count; i++)
		cr_assert_float_eq(beats_interval(&beats, i), 1 / 1.2, 0.01);
	beats_forget(&beats, began + 40);
	cr_assert_geq(beat_after(&beats.beat[0], began + 40), 0);
	cr_assert_lt(beat_after(&beats.beat[0], began + 41), 0);
}
