#include "services/cli/panel.h"

#include <criterion/criterion.h>
#include <string.h>

Test(panel, finds_a_line_by_its_number)
{
	size_t len;

	cr_assert_eq(strncmp(panel_line("a\nbc\n", 1, &len), "bc", 2), 0);
	cr_assert_eq(len, 2);
	cr_assert_null(panel_line("a\nbc\n", 2, &len));
	cr_assert_null(panel_line("", 0, &len));
}

Test(panel, fits_a_line_into_columns_without_splitting_a_character)
{
	cr_assert_eq(panel_fit("abc", 3, 5), 3);
	cr_assert_eq(panel_fit("abc", 3, 2), 2);
	cr_assert_eq(panel_fit("\xC3\xA9\xC3\xA9x", 5, 1), 2);
	cr_assert_eq(panel_fit("\xC3\xA9\xC3\xA9x", 5, 3), 5);
	cr_assert_eq(panel_fit("", 0, 3), 0);
}
