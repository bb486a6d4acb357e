/* What a CSV file becomes on the wire, and what is refused in which words. */
#include "common/recording.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct recording_fault fault;

static enum err parse(const char *csv, const char *meta, struct recording **ret)
{
	return recording_parse(BYTES(csv, strlen(csv)), BYTES(meta, strlen(meta)), "a.csv",
	                       "a.json", &fault, ret);
}

static struct recording *must_parse(const char *csv, const char *meta)
{
	struct recording *recording = NULL;

	cr_assert_eq(parse(csv, meta, &recording), OK, "%s", fault.text);
	return recording;
}

Test(recording, makes_slots_of_columns)
{
	AUTO(recording_close)
	struct recording *recording = must_parse(
	        "ppg_green,acc_x,acc_y,acc_z,ppg_green2,cam_red,cam_blue\n1,2,3,4,5,6,7\n",
	        "{\"fs\":25,\"columns\":[\"ppg_green\",\"acc_x\",\"acc_y\",\"acc_z\","
	        "\"ppg_green2\",\"cam_red\",\"cam_blue\"]}");
	const struct {
		const char *modality;
		unsigned channels;
	} want[] = {
		{"ppg_green",  2},
                { "acc_3axis", 3},
                { "ppg_red",   1},
                { "cam_blue",  1}
	};

	cr_assert_eq(recording->n_slots, ARRAY_LEN(want));
	for (size_t s = 0; s < ARRAY_LEN(want); s++) {
		cr_assert_str_eq(recording->slot[s].modality, want[s].modality);
		cr_assert_eq(recording->slot[s].num_channels, want[s].channels);
		cr_assert_eq(recording->slot[s].sample_rate_hz, 25);
	}
}

Test(recording, sends_whole_numbers_as_they_are_in_as_few_bytes_as_they_need)
{
	AUTO(recording_close)
	struct recording *recording =
	        must_parse("a,b,c\n-2,70000,-2000000000\r\n258,1,1\n", "{\"fs\":1}");
	struct recording_frame frame;

	cr_assert_eq(recording->slot[0].bit_depth, 16);
	cr_assert_eq(recording->slot[1].bit_depth, 24);
	cr_assert_eq(recording->slot[2].bit_depth, 32);
	cr_assert(recording_frame(recording, 0, 0, 0, 2000, &frame));
	cr_assert_eq(frame.sample_count, 2);
	cr_assert_arr_eq(frame.payload, ((uint8_t[]){ 0xfe, 0xff, 0x02, 0x01 }), 4);
	cr_assert(recording_frame(recording, 0, 2, 0, 2000, &frame));
	cr_assert_arr_eq(frame.payload, ((uint8_t[]){ 0x00, 0x6c, 0xca, 0x88 }), 4);
}

Test(recording, scales_other_numbers_to_24_bits_without_an_offset)
{
	AUTO(recording_close)
	struct recording *recording =
	        must_parse("acc_x,acc_y,acc_z\n0.5,-1,0\n0.25,0,0\n", "{\"fs\":1}");
	struct recording_frame frame;

	cr_assert(recording_frame(recording, 0, 0, 0, 1000, &frame));
	cr_assert_eq(recording->slot[0].bit_depth, 24);
	cr_assert_arr_eq(frame.payload, ((uint8_t[]){ 0, 0, 0x40, 1, 0, 0x80, 0, 0, 0 }), 9);
}

Test(recording, sends_a_missing_sample_as_the_lowest_number)
{
	AUTO(recording_close)
	struct recording *recording = must_parse("a,b\n1,2.5\n,NaN\nnan,-2.5\n3,\n", "{\"fs\":1}");
	struct recording_frame frame;

	cr_assert(recording_frame(recording, 0, 0, 0, 4000, &frame));
	cr_assert_arr_eq(frame.payload, ((uint8_t[]){ 1, 0, 0, 0x80, 0, 0x80, 3, 0 }), 8);
	cr_assert(recording_frame(recording, 0, 1, 0, 4000, &frame));
	cr_assert_arr_eq(frame.payload,
	                 ((uint8_t[]){ 0xff, 0xff, 0x7f, 0, 0, 0x80, 1, 0, 0x80, 0, 0, 0x80 }), 12);
}

Test(recording, cuts_frames_without_losing_or_repeating_a_sample)
{
	static char csv[200000] = "ppg_ir\n";
	const unsigned lengths[] = { 0, 7, 40, 1000, 10000 };
	AUTO(recording_close) struct recording *recording = NULL;

	for (int i = 0; i < 5000; i++)
		sprintf(csv + strlen(csv), "%d\n", i);
	recording = must_parse(csv, "{\"fs\":64.3}");
	for (size_t l = 0; l < ARRAY_LEN(lengths); l++) {
		struct recording_frame frame;
		uint32_t next = 0;

		for (size_t k = 0; recording_frame(recording, 0, 0, k, lengths[l], &frame); k++) {
			if (frame.sample_count > 0)
				cr_assert_eq(frame.payload[0] | frame.payload[1] << 8, next);
			next += frame.sample_count;
		}
		cr_assert_eq(next, 5000, "frames of %u ms", lengths[l]);
	}
}

Test(recording, stamps_frames_with_the_time_of_their_first_sample)
{
	AUTO(recording_close)
	struct recording *recording = must_parse("ppg_ir\n1\n2\n3\n4\n5\n", "{\"fs\":2}");
	struct recording_frame frame;

	cr_assert(recording_frame(recording, 0, 0, 1, 1000, &frame));
	cr_assert_eq(frame.t0_ms, 1000);
	cr_assert_eq(frame.payload[0], 3);
	cr_assert(recording_frame(recording, 0, 0, 2, 1000, &frame));
	cr_assert_eq(frame.sample_count, 1);
	cr_assert_not(recording_frame(recording, 0, 0, 3, 1000, &frame));
}

Test(recording, resamples_irregular_times_to_their_median_rate)
{
	AUTO(recording_close)
	struct recording *recording = must_parse(
	        "t,cam_red\n0,0\n0.125,10\n0.25,20\n0.3125,25\n0.5,40\n", "{\"fs\":null}");
	struct recording_frame frame;

	cr_assert_float_eq(recording->sample_rate_hz, 8, 1e-6);
	cr_assert_eq(recording->n_slots, 1);
	cr_assert(recording_frame(recording, 0, 0, 0, 1000, &frame));
	cr_assert_eq(frame.sample_count, 5);
	cr_assert_eq(frame.payload[2 * 3], 30);
}

Test(recording, begins_a_session_when_the_segment_changes)
{
	AUTO(recording_close)
	struct recording *recording =
	        must_parse("seg,ppg_ir\n0,1\n0,2\n1,3\n1,4\n1,5\n", "{\"fs\":10}");
	struct recording_frame frame;

	cr_assert_eq(recording->n_segments, 2);
	cr_assert_eq(recording->segment[1].count, 3);
	cr_assert(recording_frame(recording, 1, 0, 0, 1000, &frame));
	cr_assert_eq(frame.t0_ms, 200);
	cr_assert_eq(frame.payload[0], 3);
}

Test(recording, reads_the_calibration)
{
	AUTO(recording_close)
	struct recording *recording = must_parse(
	        "ppg_ir\n1\n", "{\"fs\":10,\"spo2_calibration\":[110,-25,0.5],\"other\":1}");

	cr_assert(recording->has_spo2_calibration);
	cr_assert_eq(recording->spo2_calibration[1], -25);
	cr_assert_eq(recording->spo2_calibration[2], 0.5);
}

Test(recording, says_what_is_wrong_and_where)
{
	const struct {
		const char *csv, *meta, *words;
	} bad[] = {
		{"a,b\n1,2\n3,x\n",       "{\"fs\":1}",
                 "a.csv:3: column b: expected a number, got \"x\""                                                                  },
		{ "a,b\n1,2\n3\n",        "{\"fs\":1}",                          "a.csv:3: expected 2 values, got fewer"            },
		{ "a,b\n1,2,3\n",         "{\"fs\":1}",                          "a.csv:2: expected 2 values, got more"             },
		{ "t,a\nnan,1\n",         "{\"fs\":1}",
                 "a.csv:2: column t: expected a number, got \"nan\""                                                                },
		{ "a\ninf\n",             "{\"fs\":1}",                          "a.csv:2: column a: expected a number, got \"inf\""},
		{ "a,a\n1,1\n",           "{\"fs\":1}",                          "a.csv:1: column a is there twice"                 },
		{ "A\n1\n",               "{\"fs\":1}",
                 "a.csv:1: expected a column name of a-z, 0-9 and _, got \"A\""                                                     },
		{ "a\n",                  "{\"fs\":1}",                          "a.csv: expected rows behind the header, got none" },
		{ "",                     "{\"fs\":1}",                          "a.csv: expected a header line, got an empty file" },
		{ "a\n1\n",               "{}",
                 "a.json: fs: expected the sample rate in Hz (there is no column t)"                                                },
		{ "a\n1\n",               "{\"fs\":\"1\"}",                      "a.json: fs: expected a number (Hz)"               },
		{ "a\n1\n",               "{\"fs\":1,\"columns\":[\"b\"]}",
                 "a.json: columns: expected \"a\" as number 1, got \"b\""                                                           },
		{ "a\n1\n",               "{\"fs\":1,\"spo2_calibration\":[1]}",
                 "a.json: spo2_calibration: expected [a, b, c]"		                                                     },
		{ "t,a\n0,1\n1,1\n1,1\n", "{}",                                  "a.csv:4: column t: expected more than 1, got 1"   },
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct recording *recording = NULL;

		cr_assert_neq(parse(bad[i].csv, bad[i].meta, &recording), OK, "case %zu", i);
		cr_assert_str_eq(fault.text, bad[i].words);
		cr_assert_null(recording);
	}
}

Test(recording, says_which_file_cannot_be_opened)
{
	struct recording *recording = NULL;

	cr_assert_eq(recording_open("/nowhere/x.csv", NULL, &fault, &recording), ERR_IO);
	cr_assert_str_eq(fault.text, "/nowhere/x.csv: No such file or directory");
}
