/* Samples as lines of text. */
#include "services/edge/export_csv.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *line(double rate, uint32_t bits, uint32_t channels, int64_t t0_ms,
                        const uint8_t *payload, uint32_t index, bool wide)
{
	static char text[512];
	Raeh__Slot slot = RAEH__SLOT__INIT;
	struct frame frame = { .slot_id = 4, .sample_count = 9, .t0_epoch_ms = t0_ms };
	struct buf out = { 0 };

	slot.slot_id = 4;
	slot.modality = (char *)"x_1";
	slot.sample_rate_hz = rate;
	slot.bit_depth = bits;
	slot.num_channels = channels;
	frame.payload = BYTES(payload, 64);
	export_csv_line(&frame, &slot, index, wide, &out);
	memcpy(text, out.data, out.len);
	text[out.len] = '\0';
	buf_free(&out);
	return text;
}

Test(export_csv, times_have_the_decimals_that_they_need)
{
	static const uint8_t payload[64] = { 1 };

	cr_assert_str_eq(line(100, 8, 1, 1760000000000, payload, 0, true), "1760000000000,1\n");
	cr_assert_str_eq(line(64, 8, 1, 1760000000000, payload, 1, true), "1760000000015.625,0\n");
	cr_assert_str_eq(line(10000, 8, 1, 5, payload, 3, true), "5.3,0\n");
	cr_assert_str_eq(line(64, 8, 1, -16, payload, 1, true), "-0.375,0\n");
}

Test(export_csv, values_are_signed_of_as_many_bytes_as_the_bits_take)
{
	static const uint8_t payload[64] = { 0xff, 0xff, 0x7f, 0xfe, 0xff, 0xff,
		                             0x00, 0x00, 0x80, 0,    0,    0x80 };

	cr_assert_str_eq(line(10, 8, 1, 0, payload, 0, true), "0,-1\n");
	cr_assert_str_eq(line(10, 12, 2, 0, payload, 0, true), "0,-1,-385\n");
	cr_assert_str_eq(line(10, 24, 3, 0, payload, 0, true), "0,8388607,-2,-8388608\n");
	cr_assert_str_eq(line(10, 32, 1, 0, payload, 2, true), "200,-2147483520\n");
	cr_assert_str_eq(line(10, 24, 2, 0, payload, 0, false),
	                 "0,4,x_1,0,8388607\n0,4,x_1,1,-2\n");
}
