#include "services/publisher/publisher_count.h"

#include "common/mem.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/publisher_count_test.XXXXXX";

static void with_directory(void)
{
	cr_assert(mkdtemp(directory));
}

static void remove_directory(void)
{
	AUTO_MEM char *path = xasprintf("%s/publishers", directory);

	(void)unlink(path);
	cr_assert_eq(rmdir(directory), 0, "something else was left behind");
}

static void write_file(const char *text)
{
	AUTO_MEM char *path = xasprintf("%s/publishers", directory);
	FILE *file = fopen(path, "w");

	cr_assert(file);
	(void)fputs(text, file);
	cr_assert_eq(fclose(file), 0);
}

TestSuite(publisher_count, .init = with_directory, .fini = remove_directory);

Test(publisher_count, is_remembered_from_the_first_start_on)
{
	cr_assert(publisher_count_agrees(directory, 4));
	cr_assert(publisher_count_agrees(directory, 4));
	cr_assert(!publisher_count_agrees(directory, 2));
	cr_assert(!publisher_count_agrees(directory, 8));
}

Test(publisher_count, refuses_a_file_that_holds_something_else)
{
	const char *const bad[] = { "", "\n", "two\n", "2", "2 \n", "-2\n", "0\n", "2\n2\n" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		write_file(bad[i]);
		cr_assert(!publisher_count_agrees(directory, 2), "\"%s\" was accepted", bad[i]);
	}
}

Test(publisher_count, refuses_a_directory_that_cannot_be_written)
{
	cr_assert(!publisher_count_agrees("/nonexistent/directory", 2));
}
