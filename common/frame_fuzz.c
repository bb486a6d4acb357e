/* Frames from bytes: nothing is read out of bounds, what is accepted is exactly as long as its
 * slot says, and a head that is read is written the same. The first bytes make the slots. */
#include "common/frame.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define SLOTS 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	Raeh__Slot slot[SLOTS], *slots[SLOTS];
	uint8_t head[FRAME_HEAD_BYTES];
	struct frame frame;
	char why[124] = "";
	int code;

	if (len < SLOTS * 3)
		return 0;
	for (size_t i = 0; i < SLOTS; i++) {
		raeh__slot__init(&slot[i]);
		slot[i].slot_id = data[3 * i] % 8;
		slot[i].bit_depth = data[3 * i + 1] % 32 + 1;
		slot[i].num_channels = data[3 * i + 2] % 16 + 1;
		slots[i] = &slot[i];
	}
	data += SLOTS * 3;
	len -= SLOTS * 3;
	code = frame_refusal(BYTES(data, len), slots, SLOTS, why);
	MUST(code == 0 || code == 1007 || code == 4004);
	MUST(strnlen(why, sizeof why) < sizeof why && (code == 0) == (why[0] == '\0'));
	if (!frame_parse(BYTES(data, len), &frame)) {
		MUST(code == 1007 && len < FRAME_HEAD_BYTES);
		return 0;
	}
	MUST(frame.payload.len == len - FRAME_HEAD_BYTES);
	frame_head(&frame, head);
	MUST(memcmp(head, data, sizeof head) == 0);
	return 0;
}
