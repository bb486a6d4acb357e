#include "common/frame.h"

#include <inttypes.h>
#include <stdio.h>

static uint64_t big_endian(const uint8_t *p, int bytes)
{
	uint64_t number = 0;

	for (int i = 0; i < bytes; i++)
		number = number << 8 | p[i];
	return number;
}

bool frame_parse(struct bytes message, struct frame *ret)
{
	const uint8_t *p = message.data;

	if (message.len < FRAME_HEAD_BYTES)
		return false;
	*ret = (struct frame){
		.slot_id = p[0],
		.t0_epoch_ms = (int64_t)big_endian(p + 1, 8),
		.sample_count = (uint16_t)big_endian(p + 9, 2),
		.flags = p[11],
		.payload = BYTES(p + FRAME_HEAD_BYTES, message.len - FRAME_HEAD_BYTES),
	};
	return true;
}

void frame_head(const struct frame *frame, uint8_t ret[FRAME_HEAD_BYTES])
{
	ret[0] = frame->slot_id;
	for (int i = 0; i < 8; i++)
		ret[1 + i] = (uint8_t)((uint64_t)frame->t0_epoch_ms >> (8 * (7 - i)));
	ret[9] = (uint8_t)(frame->sample_count >> 8);
	ret[10] = (uint8_t)frame->sample_count;
	ret[11] = frame->flags;
}

static const Raeh__Slot *find_slot(Raeh__Slot *const *slots, size_t n_slots, uint8_t slot_id)
{
	for (size_t i = 0; i < n_slots; i++)
		if (slots[i]->slot_id == slot_id)
			return slots[i];
	return NULL;
}

int frame_refusal(struct bytes message, Raeh__Slot *const *slots, size_t n_slots, char why[124])
{
	struct frame frame;
	const Raeh__Slot *slot;
	size_t expected;

	if (!frame_parse(message, &frame)) {
		(void)snprintf(why, 124, "frame too short: expected at least %d bytes, got %zu",
		               FRAME_HEAD_BYTES, message.len);
		return 1007;
	}
	slot = find_slot(slots, n_slots, frame.slot_id);
	if (!slot) {
		(void)snprintf(why, 124, "slot_id %u is not in this session's manifest",
		               frame.slot_id);
		return 4004;
	}
	if (frame.sample_count == 0) {
		(void)snprintf(why, 124, "frame on slot %u has 0 samples: expected at least 1",
		               frame.slot_id);
		return 1007;
	}
	expected = (size_t)frame.sample_count * ((slot->bit_depth + 7) / 8) * slot->num_channels;
	if (frame.payload.len != expected) {
		(void)snprintf(why, 124,
		               "slot %u, %u samples: expected a payload of %zu bytes, got %zu",
		               frame.slot_id, frame.sample_count, expected, frame.payload.len);
		return 1007;
	}
	return 0;
}
