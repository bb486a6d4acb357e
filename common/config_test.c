#include "common/config.h"

#include "common/mem.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *address;
static const char *unset_text;
static int64_t lease_ms;
static bool echo;
static const struct config_item items[] = {
	{"listen",                CONFIG_TEXT, &address, "127.0.0.1:8080", 0, 0, "address to listen on" },
	{ "lease-ms",               CONFIG_INT, &lease_ms, "30000", 1000, 600000, "how long a lease lasts" },
	{ "echo",	              CONFIG_FLAG, &echo, NULL, 0, 0, "send frames back" },
	{ "secret", CONFIG_TEXT, &unset_text, NULL, 0, 0, NULL },
	{ 0	    },
};

static char file[64];
static char why[256];
static const char *rest[3];
static int n_rest;

static void given_no_settings(void)
{
	int fd;

	strcpy(file, "/tmp/config_test.XXXXXX");
	fd = mkstemp(file);
	cr_assert_geq(fd, 0);
	(void)close(fd);
	unsetenv("RAEH_LISTEN");
	unsetenv("RAEH_LEASE_MS");
	unsetenv("RAEH_ECHO");
	unsetenv("RAEH_SECRET");
}

static void done(void)
{
	(void)unlink(file);
}

TestSuite(config, .init = given_no_settings, .fini = done);

static void write_file(const char *content)
{
	FILE *stream = fopen(file, "w");

	cr_assert(stream);
	cr_assert_geq(fputs(content, stream), 0);
	cr_assert_eq(fclose(stream), 0);
}

/* The words of a command line, split at blanks. */
static enum err load(const char *line)
{
	static char words[512];
	char *argv[16] = { "program" };
	int argc = 1;

	cr_assert_lt(strlen(line), sizeof words);
	strcpy(words, line);
	for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	n_rest = ARRAY_LEN(rest);
	why[0] = '\0';
	return config_load(items, file, argc, argv, rest, &n_rest, why);
}

static void expect_refusal(const char *line, const char *sentence)
{
	cr_expect_eq(load(line), ERR_MALFORMED, "\"%s\" was taken", line);
	cr_expect_str_eq(why, sentence);
}

Test(config, falls_back_when_nothing_is_said)
{
	(void)unlink(file);
	cr_assert_eq(load(""), OK, "%s", why);

	cr_assert_str_eq(address, "127.0.0.1:8080");
	cr_assert_eq(lease_ms, 30000);
	cr_assert_not(echo);
	cr_assert_null(unset_text);
	cr_assert_eq(n_rest, 0);
}

Test(config, takes_the_file_before_the_fallback)
{
	write_file("# a comment\n\n  lease-ms =  2000  # half\n\tlisten=[::1]:80#1 \necho = yes\n"
	           "secret = ");
	cr_assert_eq(load(""), OK, "%s", why);

	cr_assert_str_eq(address, "[::1]:80#1");
	cr_assert_eq(lease_ms, 2000);
	cr_assert(echo);
	cr_assert_str_eq(unset_text, "");
}

Test(config, takes_the_environment_before_the_file)
{
	write_file("lease-ms = 2000\nlisten = file\necho = true\n");
	setenv("RAEH_LEASE_MS", "3000", 1);
	setenv("RAEH_ECHO", "0", 1);
	cr_assert_eq(load(""), OK, "%s", why);

	cr_assert_str_eq(address, "file");
	cr_assert_eq(lease_ms, 3000);
	cr_assert_not(echo);
}

Test(config, takes_flags_before_everything)
{
	write_file("lease-ms = 2000\nlisten = file\n");
	setenv("RAEH_LEASE_MS", "3000", 1);
	setenv("RAEH_ECHO", "1", 1);
	cr_assert_eq(load("--lease-ms 4000 --listen=a=b --echo=false --lease-ms=5000"), OK, "%s",
	             why);

	cr_assert_str_eq(address, "a=b");
	cr_assert_eq(lease_ms, 5000);
	cr_assert_not(echo);
}

Test(config, needs_no_value_for_a_flag_that_is_true)
{
	cr_assert_eq(load("--echo word"), OK, "%s", why);

	cr_assert(echo);
	cr_assert_eq(n_rest, 1);
}

Test(config, understands_the_usual_words_for_true_and_false)
{
	const char *words[] = {
		"false", "true", "0", "1", "no", "yes", "off", "on", "FALSE", "True"
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		setenv("RAEH_ECHO", words[i], 1);
		cr_expect_eq(load(""), OK, "%s", why);
		cr_expect_eq(echo, i % 2 == 1, "%s", words[i]);
	}
}

Test(config, gathers_the_words_that_are_no_flags)
{
	cr_assert_eq(load("one --lease-ms 2000 - -- --echo"), OK, "%s", why);

	cr_assert_eq(n_rest, 3);
	cr_assert_str_eq(rest[0], "one");
	cr_assert_str_eq(rest[1], "-");
	cr_assert_str_eq(rest[2], "--echo");
	cr_assert_not(echo);
}

Test(config, refuses_words_that_are_too_many_or_not_wanted)
{
	char *argv[] = { "program", "word" };

	expect_refusal("1 2 3 4", "4: expected at most 3 words");
	cr_assert_eq(config_load(items, NULL, 2, argv, NULL, NULL, why), ERR_MALFORMED);
	cr_assert_str_eq(why, "word: expected a flag (see --help)");
}

Test(config, names_place_expectation_and_value_of_a_bad_flag)
{
	const char *numbers[] = { "999",   "600001", "1e4",
		                  "0x800", "2000ms", "99999999999999999999",
		                  "-2000" };
	char line[64], sentence[256];

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		sprintf(line, "--lease-ms=%s", numbers[i]);
		sprintf(sentence,
		        "--lease-ms: expected a whole number from 1000 to 600000, got \"%s\"",
		        numbers[i]);
		expect_refusal(line, sentence);
	}
	expect_refusal("--lease-ms=", "--lease-ms: expected a whole number from 1000 to 600000, "
	                              "got \"\"");
	expect_refusal("--lease-ms", "--lease-ms: expected a value, got nothing");
	expect_refusal("--echo=maybe", "--echo: expected true or false, got \"maybe\"");
	expect_refusal("--lease", "--lease: expected a flag of this program (see --help)");
	expect_refusal("--lease-ms2=1", "--lease-ms2=1: expected a flag of this program "
	                                "(see --help)");
	expect_refusal("-e", "-e: expected a flag of this program (see --help)");
}

Test(config, names_the_variable_that_is_bad)
{
	setenv("RAEH_LEASE_MS", "soon", 1);
	expect_refusal("", "RAEH_LEASE_MS: expected a whole number from 1000 to 600000, "
	                   "got \"soon\"");
}

static void expect_file_refusal(const char *content, const char *sentence)
{
	AUTO_MEM char *whole = xasprintf("%s:%s", file, sentence);

	write_file(content);
	expect_refusal("", whole);
}

Test(config, names_the_line_of_the_file_that_is_bad)
{
	expect_file_refusal("\n#\nlease-ms = 5\n",
	                    "3: expected a whole number from 1000 to 600000, got \"5\"");
	expect_file_refusal("lease-ms 2000", "1: expected name = value, got \"lease-ms 2000\"");
	expect_file_refusal("= 5", "1: expected the name of a setting, got \"\"");
	expect_file_refusal("echo =", "1: expected true or false, got \"\"");
}

Test(config, passes_over_what_other_programs_read_in_the_file)
{
	write_file("number = 5\nlease-ms = 2000\n");
	cr_assert_eq(config_load(items, file, 0, NULL, NULL, NULL, why), OK);
	cr_assert_eq(lease_ms, 2000);
}

Test(config, checks_a_file_for_names_that_nobody_reads)
{
	AUTO_MEM char *sentence =
	        xasprintf("%s:2: expected the name of a setting, got \"lease\"", file);

	write_file("lease-ms = 2000\n# nothing\n");
	cr_assert_eq(config_check_file(items, file, why), OK);
	write_file("lease-ms = 2000\nlease = 5\n");
	cr_assert_eq(config_check_file(items, file, why), ERR_MALFORMED);
	cr_assert_str_eq(why, sentence);
	cr_assert_eq(config_check_file(items, "/nowhere/raeh.conf", why), OK);
}

Test(config, refuses_a_line_without_an_end)
{
	char content[10000];

	memset(content, 'x', sizeof content - 1);
	content[sizeof content - 1] = '\0';
	expect_file_refusal(content, "1: expected a line of at most 4094 bytes");
}

Test(config, says_so_when_the_file_is_there_but_cannot_be_read)
{
	cr_assert_eq(config_load(items, "/tmp", 0, NULL, NULL, NULL, why), ERR_MALFORMED);
	cr_assert_str_eq(why, "/tmp: cannot be read: Is a directory");
}

Test(config, writes_nothing_unless_everything_is_right)
{
	lease_ms = 7;
	cr_assert_eq(load("--lease-ms 2000 --nonsense"), ERR_MALFORMED);

	cr_assert_eq(lease_ms, 7);
}

Test(config, never_repeats_a_key)
{
	cr_assert_eq(load("--raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE"), ERR_MALFORMED);

	cr_assert_null(strstr(why, "ABCDEF"), "%s", why);
}

Test(config, cuts_what_is_long)
{
	char line[400] = "--lease-ms=";

	memset(line + strlen(line), '9', sizeof line - strlen(line) - 1);
	cr_assert_eq(load(line), ERR_MALFORMED);

	cr_assert_lt(strlen(why), sizeof why);
	cr_assert_null(
	        strstr(why, "9999999999999999999999999999999999999999999999999999999999999"));
}

Test(config, asks_for_help_before_anything_is_checked)
{
	write_file("nonsense");

	cr_assert_eq(load("--nonsense --help"), ERR_AGAIN);
	cr_assert_eq(load("-h"), ERR_AGAIN);
}

Test(config, aligns_its_help_and_hides_what_has_none, .init = cr_redirect_stdout)
{
	config_help(items);
	(void)fflush(stdout);

	cr_assert_stdout_eq_str(
	        "  --listen TEXT  address to listen on (default 127.0.0.1:8080)\n"
	        "  --lease-ms N   how long a lease lasts (1000-600000, default 30000)\n"
	        "  --echo         send frames back\n");
}

Test(config_items, take_a_fallback_that_is_no_number_for_a_bug, .signal = SIGABRT)
{
	const struct config_item bad[] = {
		{"n",        CONFIG_INT, &lease_ms, "ten", 0, 9, "" },
		{ 0},
	};

	cr_assert_fail("loaded: %d", (int)config_load(bad, NULL, 0, NULL, NULL, NULL, why));
}
