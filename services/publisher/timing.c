#include "services/publisher/timing.h"

#include <math.h>

#define BACK_MS   2000
#define TIME_MOST (INT64_C(1) << 52) /* ms; what lies beyond is no time */

static void end_bucket(struct timing *timing)
{
	double x, y;

	if (timing->n == 0) {
		timing->origin_ms = timing->bucket_ms;
		timing->y = 0;
	}
	x = (double)(timing->bucket_ms - timing->origin_ms) / 1000;
	y = (double)timing->least_ms;
	timing->n++;
	timing->x += x;
	timing->y += y;
	timing->xx += x * x;
	timing->xy += x * y;
	timing->offset_ms = timing->least_ms;
	timing->has_offset = true;
	timing->in_bucket = false;
}

static void forget_offsets(struct timing *timing)
{
	timing->in_bucket = timing->has_offset = false;
	timing->n = timing->x = timing->y = timing->xx = timing->xy = 0;
}

static void note_arrival(struct timing *timing, int64_t end_ms, int64_t arrived_ms)
{
	if (timing->in_bucket &&
	    (arrived_ms - timing->bucket_ms >= TIMING_BUCKET_MS || arrived_ms < timing->bucket_ms))
		end_bucket(timing);
	if (!timing->in_bucket) {
		timing->in_bucket = true;
		timing->bucket_ms = arrived_ms;
		timing->least_ms = arrived_ms - end_ms;
	} else if (arrived_ms - end_ms < timing->least_ms) {
		timing->least_ms = arrived_ms - end_ms;
	}
}

/* True: the clock was set back, and this frame is the newest from now on. */
static bool has_stepped(struct timing *timing, int64_t t0_ms, int64_t end_ms, double slack)
{
	if (timing->behind_ms == 0 || fabs((double)(t0_ms - timing->behind_ms)) > slack) {
		timing->behind_ms = end_ms;
		return false;
	}
	timing->behind_ms = 0;
	timing->steps_back++;
	if (timing->end_ms - t0_ms > timing->largest_step_ms)
		timing->largest_step_ms = timing->end_ms - t0_ms;
	forget_offsets(timing);
	return true;
}

void timing_note(struct timing *timing, double rate_hz, int64_t t0_ms, uint32_t samples,
                 int64_t arrived_ms)
{
	double length = samples * 1000.0 / rate_hz, slack = 1500 / rate_hz + length / 20 + 1;
	double held_ms = timing->held * 1000 / rate_hz;
	int64_t end_ms;
	bool goes_on;

	if (t0_ms < -TIME_MOST || t0_ms > TIME_MOST)
		return;
	end_ms = t0_ms + llround(length);
	goes_on = timing->began && fabs((double)(t0_ms - timing->t0_ms) - held_ms) <= slack;
	if (timing->began && t0_ms < timing->t0_ms - BACK_MS) {
		if (!has_stepped(timing, t0_ms, end_ms, slack))
			return;
	} else if (goes_on && t0_ms == timing->t0_ms && held_ms < 1) {
		samples += (uint32_t)timing->held; /* short frames: several in a millisecond */
		end_ms = t0_ms + llround(samples * 1000.0 / rate_hz);
	} else if (timing->began && t0_ms <= timing->t0_ms) {
		return; /* out of order: of no use here */
	} else if (goes_on) {
		timing->samples += timing->held;
		timing->span_ms += (double)(t0_ms - timing->t0_ms);
		timing->behind_ms = 0;
	}
	timing->began = true;
	timing->held = samples;
	timing->t0_ms = t0_ms;
	timing->end_ms = end_ms;
	if (arrived_ms != 0)
		note_arrival(timing, end_ms, arrived_ms);
}

bool timing_rate(const struct timing *timing, double *ret_hz)
{
	if (timing->span_ms <= 0)
		return false;
	*ret_hz = timing->samples * 1000 / timing->span_ms;
	return true;
}

bool timing_offset(const struct timing *timing, int64_t *ret_ms)
{
	if (!timing->has_offset && !timing->in_bucket)
		return false;
	*ret_ms = timing->has_offset ? timing->offset_ms : timing->least_ms;
	return true;
}

bool timing_drift(const struct timing *timing, double *ret_ppm)
{
	double spread = timing->n * timing->xx - timing->x * timing->x;

	if (timing->n < TIMING_DRIFT_LEAST || spread <= 0)
		return false;
	*ret_ppm = -1000 * (timing->n * timing->xy - timing->x * timing->y) / spread;
	return true;
}
