#include "common/frame.h"

#include <criterion/criterion.h>
#include <string.h>

static Raeh__Slot slot_0, slot_3;
static Raeh__Slot *slots[] = { &slot_0, &slot_3 };

static void set_up(void)
{
	raeh__slot__init(&slot_0);
	slot_0.slot_id = 0;
	slot_0.bit_depth = 16;
	slot_0.num_channels = 1;
	raeh__slot__init(&slot_3);
	slot_3.slot_id = 3;
	slot_3.bit_depth = 17; /* 3 bytes a sample */
	slot_3.num_channels = 3;
}

TestSuite(frame, .init = set_up);

static int refusal_of(uint8_t slot, uint16_t samples, size_t payload, char why[124])
{
	uint8_t message[FRAME_HEAD_BYTES + 64] = { 0 };
	struct frame frame = { .slot_id = slot, .sample_count = samples, .t0_epoch_ms = 1 };

	frame_head(&frame, message);
	return frame_refusal(BYTES(message, FRAME_HEAD_BYTES + payload), slots, 2, why);
}

Test(frame, reads_its_head_in_network_order)
{
	const uint8_t message[] = { 7, 0, 0, 1, 0x99, 0xc8, 0x6e, 0xc4, 0x01, 0x01, 0x02, 0x80, 9 };
	struct frame frame;

	cr_assert(frame_parse(BYTES(message, sizeof message), &frame));
	cr_assert_eq(frame.slot_id, 7);
	cr_assert_eq(frame.t0_epoch_ms, 0x000199c86ec401LL);
	cr_assert_eq(frame.sample_count, 0x0102);
	cr_assert_eq(frame.flags, 0x80);
	cr_assert_eq(frame.payload.len, 1);
}

Test(frame, writes_the_head_that_it_reads)
{
	const struct frame frame = {
		255, 1, 65535, -2, {"", 0}
	};
	uint8_t head[FRAME_HEAD_BYTES];
	struct frame again;

	frame_head(&frame, head);
	cr_assert(frame_parse(BYTES(head, sizeof head), &again));
	cr_assert_eq(again.slot_id, 255);
	cr_assert_eq(again.t0_epoch_ms, -2);
	cr_assert_eq(again.sample_count, 65535);
	cr_assert_eq(again.flags, 1);
}

Test(frame, every_message_shorter_than_a_head_is_refused_with_1007)
{
	uint8_t message[FRAME_HEAD_BYTES] = { 0 };
	char why[124];

	for (size_t len = 0; len < FRAME_HEAD_BYTES; len++)
		cr_expect_eq(frame_refusal(BYTES(message, len), slots, 2, why), 1007);
	cr_assert(strstr(why, "at least 12"), "%s", why);
}

Test(frame, a_payload_that_fits_its_slot_is_good)
{
	char why[124];

	cr_assert_eq(refusal_of(0, 5, 10, why), 0);
	cr_assert_eq(refusal_of(3, 2, 18, why), 0);
}

Test(frame, a_payload_of_another_length_is_refused_with_expected_and_got)
{
	char why[124];

	cr_assert_eq(refusal_of(0, 5, 11, why), 1007);
	cr_assert(strstr(why, "10 bytes, got 11"), "%s", why);
	cr_assert_eq(refusal_of(3, 2, 12, why), 1007);
	cr_assert(strstr(why, "18 bytes, got 12"), "%s", why);
}

Test(frame, no_samples_are_refused_with_1007)
{
	char why[124];

	cr_assert_eq(refusal_of(0, 0, 0, why), 1007);
	cr_assert(strstr(why, "0 samples"), "%s", why);
}

Test(frame, a_slot_that_is_not_in_the_manifest_is_refused_with_4004)
{
	char why[124];

	cr_assert_eq(refusal_of(1, 5, 10, why), 4004);
	cr_assert(strstr(why, "slot_id 1"), "%s", why);
}
