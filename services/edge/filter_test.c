#include "services/edge/filter.h"

#include "common/mem.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define SESSION "0192f0c0-0000-7000-8000-00000000abcd"

static bool passes(const char *query, const char *type, const char *session, const char *device)
{
	Publisher__Insight insight = PUBLISHER__INSIGHT__INIT;
	struct filter filter;
	char why[FILTER_WHY];
	bool ret;

	insight.type = (char *)type;
	insight.session_id = (char *)session;
	insight.device_id = (char *)device;
	cr_assert(filter_read(&filter, query, why), "%s: %s", query, why);
	ret = filter_passes(&filter, &insight);
	filter_done(&filter);
	return ret;
}

Test(filter, lets_the_types_of_the_contract_pass_when_nothing_is_asked)
{
	cr_assert(passes("", "hr", SESSION, "a"));
	cr_assert(passes("api_key=x&unknown=y", "spo2", SESSION, "a"));
	cr_assert(passes("", "rr", SESSION, "a"));
	cr_assert_not(passes("", "motion", SESSION, "a"));
	cr_assert_not(passes("", "hrv_rmssd", SESSION, "a"));
	cr_assert_not(passes("", "a type of tomorrow", SESSION, "a"));
}

Test(filter, gives_the_extra_types_to_those_who_ask_and_then_no_others)
{
	cr_assert(passes("type=motion&type=hr", "motion", SESSION, "a"));
	cr_assert(passes("type=motion&type=hr", "hr", SESSION, "a"));
	cr_assert_not(passes("type=motion&type=hr", "rr", SESSION, "a"));
	cr_assert(passes("type=hrv_sdnn", "hrv_sdnn", SESSION, "a"));
}

Test(filter, takes_any_value_of_a_parameter_and_asks_for_all_parameters)
{
	cr_assert(passes("device_id=a%20b&device_id=c", "hr", SESSION, "a b"));
	cr_assert(passes("device_id=a%20b&device_id=c", "hr", SESSION, "c"));
	cr_assert_not(passes("device_id=a%20b&device_id=c", "hr", SESSION, "d"));
	cr_assert(passes("session_id=0192F0C0-0000-7000-8000-00000000ABCD", "hr", SESSION, "d"));
	cr_assert_not(passes("session_id=" SESSION "&device_id=c", "hr", SESSION, "d"));
	cr_assert_not(
	        passes("session_id=0192f0c0-0000-7000-8000-00000000abce", "hr", SESSION, "d"));
}

static void assert_refused(const char *query, const char *expected)
{
	struct filter filter;
	char why[FILTER_WHY];

	cr_assert_not(filter_read(&filter, query, why), "%s", query);
	cr_assert_str_eq(why, expected);
	filter_done(&filter);
}

Test(filter, names_the_parameter_that_is_wrong)
{
	struct buf query = { 0 };

	assert_refused("type=pulse", "type: expected hr, rr, spo2, hrv_rmssd, hrv_sdnn or motion");
	assert_refused("session_id=x", "session_id: expected the UUID of a session");
	assert_refused("device_id=", "device_id: expected 1 to 128 bytes of UTF-8");
	assert_refused("device_id=%zz", "device_id: expected 1 to 128 bytes of UTF-8");
	for (int i = 0; i <= FILTER_VALUES; i++)
		buf_append(&query, "device_id=a&", 12);
	buf_append(&query, "", 1);
	assert_refused((const char *)query.data, "device_id: expected at most 64 of them");
	buf_free(&query);
}

static bool is_only(const char *query, const char *device_id)
{
	struct filter filter;
	char why[FILTER_WHY];
	bool ret;

	cr_assert(filter_read(&filter, query, why), "%s: %s", query, why);
	ret = filter_is_only(&filter, device_id);
	filter_done(&filter);
	return ret;
}

Test(filter, knows_whether_it_asks_for_one_device_alone)
{
	cr_assert(is_only("device_id=a&type=hr", "a"));
	cr_assert(is_only("device_id=a&device_id=a", "a"));
	cr_assert_not(is_only("device_id=a&device_id=b", "a"));
	cr_assert_not(is_only("", "a"));
}
