#include "services/cli/progress.h"

#include <criterion/criterion.h>
#include <string.h>

static char text[160];

Test(progress, shows_a_bar_share_rates_and_the_time_left)
{
	const struct progress half = { 240, 480, 60, 1200, 120000 };

	progress_text(&half, 10, text);
	cr_assert_str_eq(text,
	                 "[=====>    ]  50 %  4:00 of 8:00  20.0 frames/s  2.0 kB/s  left 1:00");
}

Test(progress, is_full_at_the_end_and_never_beyond)
{
	const struct progress over = { 500, 480, 60, 1, 1 };

	progress_text(&over, 4, text);
	cr_assert_eq(strncmp(text, "[====] 100 %", 12), 0, "%s", text);
}

Test(progress, has_no_share_where_there_is_no_end)
{
	const struct progress endless = { 3700, 0, 37, 370, 37 };

	progress_text(&endless, 10, text);
	cr_assert_str_eq(text, "1:01:40 sent  10.0 frames/s  1 B/s");
}

Test(progress, divides_by_nothing_at_the_start)
{
	const struct progress none = { 0, 480, 0, 0, 0 };

	progress_text(&none, 0, text);
	cr_assert_str_eq(text, "  0 %  0:00 of 8:00  0.0 frames/s  0 B/s  left ?");
}

Test(progress, keeps_any_number_in_bounds)
{
	const struct progress huge = { 1e300, 1e301, 1e300, UINT64_MAX, UINT64_MAX };
	const struct progress negative = { -5, -7, -1, 0, 0 };

	progress_text(&huge, 1000, text);
	cr_assert_lt(strlen(text), sizeof text);
	progress_text(&negative, 1000, text);
	cr_assert_eq(strncmp(text, "0:00 sent", 9), 0, "%s", text);
}
