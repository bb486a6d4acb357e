/* The command's exit status and its first lines. */
#include "services/publisher/analyze.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <string.h>

static int run(const char *a, const char *b, const char *c)
{
	char *argv[] = { (char *)"analyze", (char *)a, (char *)b, (char *)c, NULL };
	int argc = 1;

	while (argv[argc] != NULL)
		argc++;
	return analyze_main(argc, argv);
}

static void first_line(FILE *file, char *ret, size_t size)
{
	fflush(stdout);
	fflush(stderr);
	cr_assert_not_null(fgets(ret, (int)size, file));
}

Test(analyze, begins_with_the_header, .init = cr_redirect_stdout)
{
	char line[128];

	cr_assert_eq(run("integration/recordings/welltory_05.csv", NULL, NULL), 0);
	first_line(cr_get_redirected_stdout(), line, sizeof(line));
	cr_assert_str_eq(line, "t,type,value,confidence,sqi_class\n");
}

Test(analyze, prints_one_json_array, .init = cr_redirect_stdout)
{
	char text[64];

	cr_assert_eq(run("integration/recordings/welltory_05.csv", "--json", NULL), 0);
	first_line(cr_get_redirected_stdout(), text, sizeof(text));
	cr_assert_str_eq(text, "[\n");
}

Test(analyze, fails_with_words_for_a_file_that_is_not_there, .init = cr_redirect_stderr)
{
	char line[128];

	cr_assert_eq(run("/nowhere.csv", NULL, NULL), 1);
	first_line(cr_get_redirected_stderr(), line, sizeof(line));
	cr_assert_str_eq(line, "/nowhere.csv: No such file or directory\n");
}

Test(analyze, tells_wrong_usage_from_failure, .init = cr_redirect_stderr)
{
	cr_assert_eq(run(NULL, NULL, NULL), 2);
	cr_assert_eq(run("--frame-ms", "x", "a.csv"), 2);
	cr_assert_eq(run("--unknown", "a.csv", NULL), 2);
	cr_assert_eq(run("a.csv", "b.csv", NULL), 2);
}
