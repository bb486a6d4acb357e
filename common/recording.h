/*
 * recording - a CSV file of biosignals as the frames that a device would send.
 *
 * FILE.csv has a header of channel names and a row a sample; FILE.json beside it has
 * `fs` (Hz), `columns` (optional, must then be the header) and `spo2_calibration`
 * (optional). Nothing else in it is read. Columns become slots:
 *
 *     ppg_green ppg_green2 …       one slot ppg_green, a channel each; so all colours
 *     cam_red cam_green            ppg_red, ppg_green; cam_blue is a modality of its own
 *     acc_x acc_y acc_z            one slot acc_3axis
 *     t                            irregular times in s: resampled to the median rate
 *     seg                          a change of its value begins a new session
 *     anything else                a slot of that name
 *
 * Whole numbers go as they are, in 16, 24 or 32 bits; a slot with other numbers is
 * multiplied so that its largest is 2^23 - 1 (no offset: ratios of levels survive). An
 * empty field or "nan" is a sample that is missing: it is sent as the lowest number of its
 * bits, which no other sample is, and which reads as a clipped one.
 *
 * Limits: RECORDING_MAX_SAMPLES rows; a modality name is [a-z0-9_]{1,32}.
 */
#ifndef COMMON_RECORDING_H
#define COMMON_RECORDING_H

#include "common/err.h"
#include "common/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORDING_MAX_SAMPLES 50000000
#define RECORDING_MAX_SLOTS   64
#define RECORDING_MAX_FRAME   65535 /* samples: the wire's count is 16 bits wide */

struct recording_slot {
	char modality[33];
	double sample_rate_hz;
	unsigned bit_depth, num_channels;
};

/* A run of samples that is one session. */
struct recording_segment {
	size_t first, count; /* samples */
};

struct recording {
	size_t n_slots, n_segments;
	struct recording_slot slot[RECORDING_MAX_SLOTS];
	const struct recording_segment *segment;
	double sample_rate_hz;
	double duration_s;
	bool has_spo2_calibration;
	double spo2_calibration[3];
};

struct recording_frame {
	int64_t t0_ms; /* from the file's first sample */
	uint32_t sample_count;
	const uint8_t *payload; /* borrowed from the recording */
	size_t payload_bytes;
};

/* What was wrong with a file: "a.csv:17: column ppg_red: expected a number, got \"x\"". */
struct recording_fault {
	char text[256];
};

/* meta_path NULL: FILE.json beside FILE.csv. ERR_IO: a file cannot be read;
 * ERR_MALFORMED, ERR_LIMIT: what is in it. fault says it in words. */
CHECKED enum err recording_open(const char *csv_path, const char *meta_path,
                                struct recording_fault *fault, struct recording **ret);
/* The same from memory; the paths are only for the fault. */
CHECKED enum err recording_parse(struct bytes csv, struct bytes meta, const char *csv_path,
                                 const char *meta_path, struct recording_fault *fault,
                                 struct recording **ret);
void recording_close(struct recording *recording);
AUTO_FREE(struct recording, recording_close)

/* Frame k of a slot in a segment, cut at multiples of frame_ms from the segment's start
 * (0: a sample a frame). False: there is no frame k. At low rates a frame may hold no
 * sample; it is not to be sent. */
bool recording_frame(const struct recording *recording, size_t segment, size_t slot, size_t k,
                     unsigned frame_ms, struct recording_frame *ret);

#endif
