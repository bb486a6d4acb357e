/*
 * frame - one binary message of a device.
 *
 *      0          1                     9               11      12
 *     | slot (1) | t0_epoch_ms (8, BE) | samples (2,BE)| flags | payload … |
 *
 * payload = samples x ceil(bit_depth / 8) x num_channels bytes, signed little-endian.
 * Pure; never allocates; the payload is borrowed.
 */
#ifndef COMMON_FRAME_H
#define COMMON_FRAME_H

#include "common/mem.h"
#include "raeh.pb-c.h"

#define FRAME_HEAD_BYTES 12

struct frame {
	uint8_t slot_id;
	uint8_t flags;
	uint16_t sample_count;
	int64_t t0_epoch_ms;
	struct bytes payload;
};

/* False when it is shorter than a head. */
bool frame_parse(struct bytes message, struct frame *ret);
void frame_head(const struct frame *frame, uint8_t ret[FRAME_HEAD_BYTES]);

/* Why a message is refused against its session's slots: a close code (1007, 4004) and a
 * sentence with expected and got; 0 when it is good. */
int frame_refusal(struct bytes message, Raeh__Slot *const *slots, size_t n_slots, char why[124]);

#endif
