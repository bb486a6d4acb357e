#include "common/clock.h"
#include "common/mem.h"

#include <criterion/criterion.h>

static int64_t fixed(void *us)
{
	return *(int64_t *)us;
}

Test(clock, boot_time_never_steps_back)
{
	int64_t last = clock_boot_us();

	for (int i = 0; i < 100000; i++) {
		int64_t now = clock_boot_us();

		cr_assert_geq(now, last);
		last = now;
	}
	cr_assert_leq(clock_boot_ms(), clock_boot_us() / 1000);
}

Test(clock, takes_another_source_for_both_and_gives_the_real_ones_back)
{
	int64_t us = 5000999, before = clock_boot_ms();

	clock_set_source(fixed, &us, 1000000);
	cr_assert_eq(clock_boot_us(), 5000999);
	cr_assert_eq(clock_boot_ms(), 5000);
	cr_assert_eq(clock_wall_ms(), 1005000);
	clock_set_source(NULL, NULL, 0);
	cr_assert_geq(clock_boot_ms(), before);
	cr_assert_gt(clock_wall_ms(), INT64_C(1600000000000));
}

static const struct {
	int64_t ms;
	const char *text;
} moments[] = {
	{0,	                 "1970-01-01T00:00:00.000Z"},
	{ 1,	                "1970-01-01T00:00:00.001Z"},
	{ -1,	               "1969-12-31T23:59:59.999Z"},
	{ INT64_C(1776184865000),   "2026-04-14T16:41:05.000Z"},
	{ INT64_C(951782399999),    "2000-02-28T23:59:59.999Z"},
	{ INT64_C(951782400000),    "2000-02-29T00:00:00.000Z"},
	{ INT64_C(253402300799999), "9999-12-31T23:59:59.999Z"},
};

Test(clock, writes_and_reads_iso_8601)
{
	for (size_t i = 0; i < ARRAY_LEN(moments); i++) {
		char text[25];
		int64_t ms = 0;

		clock_iso8601(moments[i].ms, text);
		cr_assert_str_eq(text, moments[i].text);
		cr_assert_eq(clock_parse_iso8601(text, &ms), 0, "%s was refused", text);
		cr_assert_eq(ms, moments[i].ms);
	}
}

Test(clock, writes_nothing_for_a_year_of_five_digits)
{
	char text[25];

	clock_iso8601(INT64_C(253402300800000), text);
	cr_assert_str_eq(text, "");
	clock_iso8601(INT64_MAX, text);
	cr_assert_str_eq(text, "");
	clock_iso8601(INT64_MIN, text);
	cr_assert_str_eq(text, "");
}

Test(clock, reads_a_time_without_or_with_a_shorter_or_longer_fraction)
{
	int64_t ms = 0;

	cr_assert_eq(clock_parse_iso8601("1970-01-01T00:00:01Z", &ms), 0);
	cr_assert_eq(ms, 1000);
	cr_assert_eq(clock_parse_iso8601("1970-01-01T00:00:01.5Z", &ms), 0);
	cr_assert_eq(ms, 1500);
	cr_assert_eq(clock_parse_iso8601("1970-01-01T00:00:01.123456Z", &ms), 0);
	cr_assert_eq(ms, 1123);
}

/* What Python's isoformat() and str(), Java's Instant and Go's RFC3339Nano write. */
Test(clock, reads_every_form_of_rfc_3339)
{
	static const char *const same[] = {
		"2026-04-14T16:41:05Z",      "2026-04-14T16:41:05.000000+00:00",
		"2026-04-14 16:41:05+00:00", "2026-04-14T16:41:05-00:00",
		"2026-04-14T18:41:05+02:00", "2026-04-14T11:11:05.000-05:30",
		"2026-04-15T00:41:05+08:00", "2026-04-13T16:42:05-23:59",
		"2026-04-14t16:41:05z",      "2026-04-14T16:41:05.000999999Z",
	};

	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		int64_t ms = 0;

		cr_assert_eq(clock_parse_iso8601(same[i], &ms), 0, "%s was refused", same[i]);
		cr_assert_eq(ms, INT64_C(1776184865000), "%s", same[i]);
	}
}

Test(clock, refuses_what_is_no_time)
{
	const char *bad[] = { "",
		              "now",
		              "1970-01-01",
		              "1970-01-01T00:00:01",
		              "1970-13-01T00:00:01Z",
		              "1970-01-01T25:00:01Z",
		              "1970-01-01T00:00:01+0000",
		              "1970-01-01T00:00:01+00",
		              "1970-01-01T00:00:01 00:00",
		              "1970-01-01T00:00:01+24:00",
		              "1970-01-01T00:00:01.Z",
		              "1970-01-01T24:00:00Z",
		              "1970-01-01T00:00:61Z",
		              "1970-02-29T00:00:00Z",
		              "1970-04-31T00:00:00Z",
		              "1970-00-01T00:00:00Z",
		              "1970-01-00T00:00:00Z",
		              "70-01-01T00:00:00Z",
		              "1970-1-1T0:0:0Z",
		              " 1970-01-01T00:00:01Z",
		              "19700101T000001Z",
		              "-1970-01-01T00:00:01Z",
		              "9999-12-31T23:59:59-00:01",
		              "0000-01-01T00:00:00+00:01",
		              "1970-01-01T00:00:01.5",
		              "1970-01-01T00:00:01Zx" };
	int64_t ms = 42;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert_neq(clock_parse_iso8601(bad[i], &ms), 0, "took \"%s\"", bad[i]);
	cr_assert_eq(ms, 42);
}

Test(clock, years_before_1000_have_four_digits_too)
{
	char text[25];
	int64_t ms;

	cr_assert_eq(clock_parse_iso8601("0143-04-14T16:41:05.250Z", &ms), 0);
	clock_iso8601(ms, text);
	cr_assert_str_eq(text, "0143-04-14T16:41:05.250Z");
}
