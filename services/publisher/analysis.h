/*
 * analysis - the insights of one session, from its frames.
 *
 * Frames go in as they came over the wire, in any order; insights come out in the
 * order of session time, which is the clock of t0 and nothing else:
 *
 *     frames → grid per slot → [watermark] → 32-Hz signals → vitals → insights
 *              grid.h                        front.h         vitals.h
 *
 * The watermark is the oldest of the slots' newest sample times, leaving out a slot
 * that is more than 2 s (plus the longest frame seen, at most 10 s) behind. When it
 * passes the end of a window the window is computed, once. So insights do not depend
 * on how samples were cut into frames, nor on the order of frames within the window (but
 * for less than a sample's shift where the very first frame comes second and does not lie
 * a whole number of the grid's cells before the other).
 *
 * A jump of more than 60 s forward restarts the windows. So does the clock's stepping
 * back by more than 2 s: two frames in a row, one behind the other, that lie behind
 * the windows and make up 2 s. A single late frame changes nothing.
 *
 * Memory is bounded whatever the slots declare: at most ANALYSIS_LIGHTS channels of
 * light and one accelerometer are analysed, decimated on entry. Slots below 8 Hz and
 * other modalities are ignored. The state is flat: save, restore, go on bit by bit.
 */
#ifndef PUBLISHER_ANALYSIS_H
#define PUBLISHER_ANALYSIS_H

#include "common/err.h"
#include "common/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANALYSIS_MAX_SLOTS 64
#define ANALYSIS_LIGHTS    4

enum insight_type {
	INSIGHT_HR,
	INSIGHT_SPO2,
	INSIGHT_RR,
	INSIGHT_HRV_RMSSD,
	INSIGHT_HRV_SDNN,
	INSIGHT_MOTION,
	INSIGHT_TYPES,
};

const char *insight_type_name(enum insight_type type); /* "hr" … */
const char *insight_unit(enum insight_type type);      /* bpm, %, brpm, ms; "" for motion */
const char *insight_sqi_class(double confidence); /* excellent ≥ 0.8, acceptable ≥ 0.5, unfit */

struct analysis_slot {
	char modality[33];
	double sample_rate_hz;
	unsigned bit_depth, num_channels; /* num_channels 0: the slot is not used */
};

struct analysis_config {
	const struct analysis_slot *slots;
	size_t n_slots;
	bool has_spo2_calibration;
	double spo2_calibration[3]; /* a, b, c of a + b R + c R^2 */
};

struct analysis_insight {
	enum insight_type type;
	int64_t t_ms; /* session time (t0's clock) at the window's end */
	double value, confidence;
	bool uncalibrated; /* spo2 without the device model's calibration */
};

/* Where a frame's samples went. */
struct analysis_placed {
	uint32_t stored;     /* on the grid */
	uint32_t overlapped; /* the place was filled: the first writer wins */
	uint32_t late;       /* behind an emitted window */
};

struct analysis;

/* Copies what it needs of config. n_slots <= ANALYSIS_MAX_SLOTS. */
struct analysis *analysis_new(const struct analysis_config *config);
void analysis_free(struct analysis *analysis);
AUTO_FREE(struct analysis, analysis_free)

/* payload: sample_count x ceil(bit_depth / 8) x num_channels bytes, signed
 * little-endian, channels interleaved. A slot that is not analysed: all zero. */
struct analysis_placed analysis_push(struct analysis *analysis, unsigned slot, int64_t t0_ms,
                                     const uint8_t *payload, uint32_t sample_count);

/* The same in slices: begins with a frame, whose payload must stay until it is whole, and goes on
 * for about so many seconds of its samples. True: it is whole. Nothing else is done with the
 * analysis until then. */
void analysis_push_begin(struct analysis *analysis, unsigned slot, int64_t t0_ms,
                         const uint8_t *payload, uint32_t sample_count);
bool analysis_push_some(struct analysis *analysis, unsigned seconds, struct analysis_placed *ret);

/* Takes the due insights one by one, in order of t_ms; false: none left. */
bool analysis_next(struct analysis *analysis, struct analysis_insight *ret);

/* The session is closed: the windows already due are computed, and a session too
 * short for one gives one answer at its end. */
void analysis_finish(struct analysis *analysis);

/* A checkpoint. Insights not yet taken are not part of it: take them first. */
size_t analysis_state_size(const struct analysis *analysis);
void analysis_save(const struct analysis *analysis, uint8_t *ret);
/* ERR_MALFORMED: of another version or configuration, or damaged; nothing has changed. */
CHECKED enum err analysis_restore(struct analysis *analysis, const uint8_t *state, size_t size);

#endif
