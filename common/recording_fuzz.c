/*
 * Any two files: a recording or a fault in words, and frames that hold each sample once.
 */
#include "common/recording.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_frames(const struct recording *recording, unsigned frame_ms)
{
	for (size_t g = 0; g < recording->n_segments; g++)
		for (size_t s = 0; s < recording->n_slots; s++) {
			struct recording_frame frame;
			size_t samples = 0;
			volatile uint8_t last = 0;

			for (size_t k = 0; recording_frame(recording, g, s, k, frame_ms, &frame);
			     k++) {
				samples += frame.sample_count;
				if (frame.payload_bytes > 0)
					last = frame.payload[frame.payload_bytes - 1];
			}
			(void)last;
			MUST(samples == recording->segment[g].count);
		}
}

/* The files are separated by the first zero byte: meta, then CSV. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *zero = size > 0 ? memchr(data, 0, size) : NULL;
	size_t meta = zero != NULL ? (size_t)(zero - data) : 0;
	struct recording_fault fault = { .text = "" };
	AUTO(recording_close) struct recording *recording = NULL;

	if (zero == NULL)
		return 0;
	if (recording_parse(BYTES(zero + 1, size - meta - 1), BYTES(data, meta), "a.csv", "a.json",
	                    &fault, &recording) != OK) {
		MUST(fault.text[0] != '\0');
		return 0;
	}
	read_frames(recording, 0);
	if (recording->sample_rate_hz * 1 < RECORDING_MAX_FRAME)
		read_frames(recording, 1000);
	return 0;
}
