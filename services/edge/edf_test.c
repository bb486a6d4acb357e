/* EDF+ and BDF+: the layout, to the byte. */
#include "services/edge/edf.h"

#include <criterion/criterion.h>
#include <string.h>

static Raeh__Slot slot_of(uint32_t id, const char *modality, double rate, uint32_t bits,
                          uint32_t channels)
{
	Raeh__Slot slot = RAEH__SLOT__INIT;

	slot.slot_id = id;
	slot.modality = (char *)modality;
	slot.sample_rate_hz = rate;
	slot.bit_depth = bits;
	slot.num_channels = channels;
	return slot;
}

static int64_t record_ms(double one, double other)
{
	Raeh__Slot slots[] = { slot_of(0, "ppg_green", one, 16, 1),
		               slot_of(1, "ppg_red", other, 16, 1) };
	struct edf edf;

	edf_plan(&edf, EDF_16, slots, 2);
	return edf.record_ms;
}

Test(edf, takes_the_record_that_makes_every_rate_whole)
{
	cr_assert_eq(record_ms(100, 64), 1000);
	cr_assert_eq(record_ms(64.5, 100), 2000);
	cr_assert_eq(record_ms(51.2, 100), 5000);
	cr_assert_eq(record_ms(0.1, 25), 10000);
	cr_assert_eq(record_ms(10000, 10000), 1000);
}

Test(edf, takes_a_shorter_record_rather_than_one_that_is_too_long)
{
	Raeh__Slot slot = slot_of(0, "raw", 10000, 16, 16);
	struct edf edf;

	edf_plan(&edf, EDF_16, &slot, 1);
	cr_assert_eq(edf.record_ms, 100);
	cr_assert_leq(edf_record_bytes(&edf), 61440);
}

Test(edf, holds_the_most_that_a_device_model_can_be)
{
	Raeh__Slot slots[EDF_SLOTS];
	struct edf edf;

	for (uint32_t i = 0; i < EDF_SLOTS; i++)
		slots[i] = slot_of(i, "fast", i % 2 ? 10000 : 9999.9, 32, 16);
	slots[0].sample_rate_hz = 0.1;
	edf_plan(&edf, EDF_24, slots, EDF_SLOTS);
	cr_assert_eq(edf.record_ms, 20);
	cr_assert_leq(edf_record_bytes(&edf), EDF_RECORD_MOST);
}

Test(edf, header_and_record_are_as_long_as_they_say_and_hold_what_was_given)
{
	Raeh__Slot slots[] = { slot_of(0, "ppg_green", 4, 16, 1),
		               slot_of(3, "acc_3axis", 2, 24, 3) };
	const struct edf_about about = { "a watch", "0190a5b2-0000-7000-8000-000000000001",
		                         1760000000250, 2, true };
	struct edf_record record;
	struct buf out = { 0 };
	struct edf edf;
	const char *text;

	edf_plan(&edf, EDF_16, slots, 2);
	edf_append_header(&edf, &about, &out);
	cr_assert_eq(out.len, 256 * 6);
	text = (const char *)out.data;
	cr_assert_arr_eq(text, "0       X X X X ", 16);
	cr_assert_arr_eq(text + 88,
	                 "Startdate 09-OCT-2025 0190a5b2-0000-7000-8000-000000000001 X "
	                 "a_watch ",
	                 69);
	cr_assert_arr_eq(text + 168, "09.10.2508.53.20", 16);
	cr_assert_arr_eq(text + 184, "1536    EDF+C ", 14);
	cr_assert_arr_eq(text + 236, "2       1       5   ", 20);
	cr_assert_arr_eq(text + 256, "ppg_green       acc_3axis.0     acc_3axis.1     ", 48);

	out.len = 0;
	edf_record_init(&edf, &record);
	edf_record_clear(&edf, &record);
	for (int i = 0; i < 4; i++) {
		record.value[edf.slot[0].values + (size_t)i] = 100 * i - 32768;
		record.present[edf.slot[0].presence + (size_t)i] = true;
	}
	record.value[edf.slot[1].values + 3 + 2] = 0x7fff12; /* second sample, third axis */
	record.present[edf.slot[1].presence + 1] = true;
	edf_append_record(&edf, &record, about.start_ms, 1000, &out);
	cr_assert_eq(out.len, edf_record_bytes(&edf));
	cr_assert_arr_eq(out.data, "\x00\x80\x64\x80\xc8\x80\x2c\x81", 8);
	cr_assert_arr_eq(out.data + 8 + 2 * 4, "\x00\x80\xff\x7f", 4, "the high 16 of 24 bits");
	text = (const char *)out.data + 8 + 3 * 4;
	cr_assert_str_eq(text, "+1.250\x14\x14");
	cr_assert_str_eq(text + strlen(text) + 1,
	                 "+1.250\x15"
	                 "0.500\x14no data: acc_3axis, 1 of 2 samples\x14");
	edf_record_free(&record);
	buf_free(&out);
}

Test(edf, labels_differ_where_names_are_longer_than_a_label)
{
	Raeh__Slot slots[] = { slot_of(0, "temperature_left_arm", 1, 16, 1),
		               slot_of(12, "temperature_leg", 1, 16, 2),
		               slot_of(255, "ppg_green", 1, 16, 1) };
	struct edf edf;

	edf_plan(&edf, EDF_16, slots, 3);
	cr_assert_str_eq(edf.slot[0].label, "temperature_le#0");
	cr_assert_str_eq(edf.slot[1].label, "temperatur#12");
	cr_assert_str_eq(edf.slot[2].label, "ppg_green");
}

Test(edf, a_clock_that_was_never_set_gives_no_date)
{
	Raeh__Slot slot = slot_of(0, "ppg_green", 4, 16, 1);
	const struct edf_about about = { "\xc3\xa9 1", "id", -5, 0, false };
	struct buf out = { 0 };
	struct edf edf;

	edf_plan(&edf, EDF_24, &slot, 1);
	edf_append_header(&edf, &about, &out);
	cr_assert_arr_eq(out.data,
	                 "\xff"
	                 "BIOSEMI",
	                 8);
	cr_assert_arr_eq(out.data + 88, "Startdate X id X ___1 ", 22, "ASCII alone");
	cr_assert_arr_eq(out.data + 168, "01.01.8500.00.00", 16);
	cr_assert_arr_eq(out.data + 192, "BDF+D ", 6);
	buf_free(&out);
}
