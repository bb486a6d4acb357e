/*
 * Any two files: a recording or a fault in words, and frames that hold each sample once.
 */
#include "common/recording.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

static int file_of(struct bytes data, char path[64])
{
	int fd = memfd_create("recording", 0);

	MUST(fd >= 0 && write(fd, data.data, data.len) == (ssize_t)data.len);
	(void)snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

/* From files it is the same. */
static void read_files(struct bytes csv, struct bytes meta, enum err expected)
{
	char csv_path[64], meta_path[64];
	int csv_fd = file_of(csv, csv_path), meta_fd = file_of(meta, meta_path);
	struct recording_fault fault = { .text = "" };
	AUTO(recording_close) struct recording *recording = NULL;

	MUST(recording_open(csv_path, meta_path, &fault, &recording) == expected);
	close(csv_fd);
	close(meta_fd);
	MUST(recording_open(csv_path, NULL, &fault, &recording) == ERR_IO);
}

/* The files are separated by the first zero byte: meta, then CSV. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *zero = size > 0 ? memchr(data, 0, size) : NULL;
	size_t meta = zero != NULL ? (size_t)(zero - data) : 0;
	struct recording_fault fault = { .text = "" };
	AUTO(recording_close) struct recording *recording = NULL;
	enum err err;

	if (zero == NULL)
		return 0;
	err = recording_parse(BYTES(zero + 1, size - meta - 1), BYTES(data, meta), "a.csv",
	                      "a.json", &fault, &recording);
	read_files(BYTES(zero + 1, size - meta - 1), BYTES(data, meta), err);
	if (err != OK) {
		MUST(fault.text[0] != '\0');
		return 0;
	}
	read_frames(recording, 0);
	if (recording->sample_rate_hz * 1 < RECORDING_MAX_FRAME)
		read_frames(recording, 1000);
	return 0;
}
