#include "common/uuid.h"
#include "common/mem.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <string.h>

#define A_TIME_MS INT64_C(1776184865123)

Test(uuid, is_of_version_7_and_says_its_time)
{
	for (int i = 0; i < 1000; i++) {
		struct uuid id = uuid_new(A_TIME_MS + i);

		cr_assert_eq(id.byte[6] >> 4, 7);
		cr_assert_eq(id.byte[8] >> 6, 2);
		cr_assert_eq(uuid_ms(&id), A_TIME_MS + i);
	}
}

Test(uuid, of_the_same_time_is_not_made_twice)
{
	struct uuid last = uuid_new(A_TIME_MS);

	for (int i = 0; i < 1000; i++) {
		struct uuid id = uuid_new(A_TIME_MS);

		cr_assert_not(uuid_equal(&id, &last));
		last = id;
	}
}

Test(uuid, sorts_by_time_as_bytes_and_as_text)
{
	struct uuid earlier = uuid_new(A_TIME_MS), later = uuid_new(A_TIME_MS + 1);
	char earlier_text[UUID_TEXT], later_text[UUID_TEXT];

	uuid_text(&earlier, earlier_text);
	uuid_text(&later, later_text);
	cr_assert_lt(memcmp(&earlier, &later, sizeof earlier), 0);
	cr_assert_lt(strcmp(earlier_text, later_text), 0);
}

Test(uuid, carries_62_bits_of_the_callers)
{
	const uint64_t numbers[] = { 0, 1, 0x3f00000000000000, (UINT64_C(1) << 62) - 1,
		                     UINT64_C(0x123456789abcdef) };

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		struct uuid id = uuid_numbered(A_TIME_MS, numbers[i]);
		struct uuid next = uuid_numbered(A_TIME_MS, numbers[i] + 1);

		cr_assert_eq(uuid_number(&id), numbers[i]);
		cr_assert_eq(uuid_ms(&id), A_TIME_MS);
		cr_assert_eq(id.byte[6], 0x70);
		cr_assert_eq(id.byte[8] >> 6, 2);
		if (numbers[i] + 1 < UINT64_C(1) << 62)
			cr_assert_lt(memcmp(&id, &next, sizeof id), 0, "numbers sort");
	}
}

Test(uuid, is_written_in_lower_case_and_read_in_both)
{
	const char *text = "0190a5b3-7c2d-7def-8123-456789abcdef";
	char upper[UUID_TEXT], written[UUID_TEXT];
	struct uuid id, same;

	for (size_t i = 0; i < UUID_TEXT; i++)
		upper[i] = (char)toupper((unsigned char)text[i]);
	cr_assert(uuid_parse(text, &id));
	cr_assert(uuid_parse(upper, &same));
	cr_assert(uuid_equal(&id, &same));
	uuid_text(&id, written);
	cr_assert_str_eq(written, text);
	cr_assert_eq(id.byte[0], 0x01);
	cr_assert_eq(id.byte[15], 0xef);
}

Test(uuid, is_read_in_the_form_of_36_characters_alone)
{
	const char *bad[] = { "",
		              "0190a5b37c2d7def8123456789abcdef",
		              "0190a5b3-7c2d-7def-8123-456789abcde",
		              "0190a5b3-7c2d-7def-8123-456789abcdef0",
		              "{190a5b3-7c2d-7def-8123-456789abcde}",
		              "0190a5b3-7c2d-7def-8123-456789abcdeg",
		              "0190a5b37-c2d-7def-8123-456789abcdef",
		              "0190a5b3_7c2d_7def_8123_456789abcdef",
		              " 190a5b3-7c2d-7def-8123-456789abcdef",
		              "------------------------------------" };
	struct uuid id = uuid_new(A_TIME_MS), before = id;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert_not(uuid_parse(bad[i], &id), "took \"%s\"", bad[i]);
	cr_assert(uuid_equal(&id, &before), "a refused text changes nothing");
}

Test(uuid, of_zeros_is_nil)
{
	struct uuid nil = { { 0 } }, other = { { 0 } };

	other.byte[15] = 1;
	cr_assert(uuid_is_nil(&nil));
	cr_assert_not(uuid_is_nil(&other));
}
