#include "integration/load/shape.h"

#include <math.h>
#include <string.h>

#define WAVE_S 4 /* the pulse repeats after that */
#define BEATS  5 /* in it: 75 a minute           */

static void put_be(uint8_t *at, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

void shape_add_slot(struct shape *shape, int rate, int channels, int bits)
{
	struct slot *slot = &shape->slot[shape->n_slots++];
	int samples = WAVE_S * rate, bytes = (bits + 7) / 8;
	uint8_t *at;

	MUST(shape->n_slots <= SHAPE_SLOTS && rate > 0 && channels > 0 && bytes > 0);
	*slot = (struct slot){ rate, channels, bytes, NULL };
	at = slot->wave = xcalloc(2 * (size_t)samples, (size_t)channels * (size_t)bytes);
	for (int i = 0; i < 2 * samples; i++) {
		double turn = 2 * M_PI * BEATS * i / samples;
		int32_t value = (int32_t)(8000 + 2000 * (sin(turn) + 0.4 * sin(2 * turn + 1)));

		for (int v = 0; v < channels; v++)
			for (int b = 0; b < bytes; b++)
				*at++ = (uint8_t)(value >> (8 * b));
	}
}

size_t shape_frame(const struct shape *shape, const struct shape_frame *frame,
                   uint8_t ret[FRAME_MOST])
{
	const struct slot *slot = &shape->slot[frame->slot];
	size_t sample = (size_t)slot->channels * (size_t)slot->bytes;
	size_t count = (size_t)slot->rate * (size_t)frame->span_ms / 1000;
	size_t period = (size_t)(WAVE_S * slot->rate);
	size_t at = (size_t)frame->phase_ms * (size_t)slot->rate / 1000 % period;

	MUST(12 + count * sample <= FRAME_MOST && count <= period);
	ret[0] = frame->slot;
	put_be(ret + 1, (uint64_t)frame->t0_ms, 8);
	put_be(ret + 9, count, 2);
	ret[11] = 0; /* flags */
	memcpy(ret + 12, slot->wave + at * sample, count * sample);
	return 12 + count * sample;
}
