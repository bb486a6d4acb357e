/*
 * timing - how a session's clocks run: the device's against the server's, its crystal against
 * what it declared. Pure.
 *
 *     measured rate   samples ÷ (t0 of the next frame − t0), over frames that follow each other
 *     offset          arrival − end of the frame, the least of TIMING_BUCKET_MS: what remains is
 *                     the difference of the clocks and the way that cannot be shorter
 *     drift           the slope of these offsets over the arrival
 *     step back       two frames in a row, one behind the other, more than 2 s behind
 */
#ifndef PUBLISHER_TIMING_H
#define PUBLISHER_TIMING_H

#include <stdbool.h>
#include <stdint.h>

#define TIMING_BUCKET_MS   10000
#define TIMING_DRIFT_LEAST 6 /* buckets, before a slope is told */

struct timing {
	bool began, has_offset, in_bucket;
	int64_t t0_ms, end_ms; /* of the newest frame */
	double held;           /* samples from t0_ms on, not yet among those counted */
	int64_t behind_ms;     /* end of the last frame behind; 0: none */
	double samples, span_ms;
	uint32_t steps_back;
	int64_t largest_step_ms;
	int64_t bucket_ms, least_ms; /* arrival at which it began; the least offset in it */
	int64_t offset_ms;           /* of the last bucket that is over */
	int64_t origin_ms;           /* arrival of the first */
	double n, x, y, xx, xy;      /* sums over buckets: s since the origin, ms of offset */
};

/* arrived_ms: on the server's clock; 0: not known. */
void timing_note(struct timing *timing, double rate_hz, int64_t t0_ms, uint32_t samples,
                 int64_t arrived_ms);

/* False: not yet known. */
bool timing_rate(const struct timing *timing, double *ret_hz);
bool timing_offset(const struct timing *timing, int64_t *ret_ms);
/* Positive: the device's clock runs fast. */
bool timing_drift(const struct timing *timing, double *ret_ppm);

#endif
