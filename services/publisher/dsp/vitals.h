/*
 * vitals - the estimators of a session over its signals, on their schedule.
 *
 * Every second the owner gives each channel its second and calls vitals_tick(); at
 * the ends of their steps the estimators answer through the sink, in the order of
 * enum vital. An answer's confidence is
 *
 *     coverage x (1 - gap_fraction) x quality,   quality in 0..1
 *
 * coverage = span of the window since the signal began / window; gap_fraction =
 * share of that span without samples, of the worst channel used.
 *
 * One flat block of memory: it may be copied, stored and read back.
 */
#ifndef PUBLISHER_DSP_VITALS_H
#define PUBLISHER_DSP_VITALS_H

#include "services/publisher/dsp/breath.h"
#include "services/publisher/dsp/heart.h"
#include "services/publisher/dsp/pulse.h"

#include <stdbool.h>

#define VITALS_CHANNELS 4 /* of light, of all colours */

enum vital { VITAL_HR, VITAL_SPO2, VITAL_RR, VITAL_RMSSD, VITAL_SDNN, VITAL_MOTION, VITALS };

enum colour { COLOUR_GREEN, COLOUR_RED, COLOUR_IR };

/* The accelerometer's memory: PULSE_WAVE_S is longer than any window here. */
struct limb {
	struct biquad highpass[HEART_AXES];
	float axis[HEART_AXES][HEART_WINDOW_S * FRONT_HZ];
	float gravity[HEART_WINDOW_S]; /* mean |a| of each second, declared units */
	uint32_t valid[PULSE_VALID_S];
};

struct vitals {
	uint32_t channels;
	uint32_t has_limb;
	uint32_t colour[VITALS_CHANNELS];
	double calibration[3];
	int64_t second;                              /* session time of the newest sample, s */
	int64_t began;                               /* 32-Hz samples since the first valid one */
	float beats_bpm, beats_trust, beats_scatter; /* of the channel with the best beats, now */
	float heart_trust; /* mean quality of the last minute's heart rates */
	float heart_bpm;   /* last answer, 0: none yet */
	struct heart heart;
	struct breath breath;
	struct limb limb;
	struct pulse pulse[]; /* channels */
};

struct vital_answer {
	enum vital vital;
	float value, confidence;
};

typedef void vitals_sink(void *self, const struct vital_answer *answer);

size_t vitals_size(size_t channels);
/* `vitals` is zeroed room of vitals_size() bytes. */
void vitals_init(struct vitals *vitals, size_t channels, bool has_limb);

/* Acceleration of the second in declared units, relative to reference. */
void vitals_limb_second(struct vitals *vitals, const struct front_second *second,
                        const double *reference);

/* All channels have their second: it ends at session time `second`. */
void vitals_tick(struct vitals *vitals, int64_t second, vitals_sink *sink, void *self);

/* The signal has ended, perhaps within a last second that no tick was called for: who
 * never had a whole window says what there is to say, unless it was due at the last tick. */
void vitals_finish(struct vitals *vitals, int64_t second, vitals_sink *sink, void *self);

#endif
