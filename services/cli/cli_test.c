#include "services/cli/cli.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <string.h>

static int got_argc;
static char got_word[32];

static int remember(const struct command *self, int argc, char **argv)
{
	(void)self;
	got_argc = argc;
	(void)strncpy(got_word, argv[argc - 1], sizeof got_word - 1);
	return CLI_DONE;
}

static const struct command subs[] = {
	{"create", "key create", "mint", NULL, remember, NULL },
        { 0 }
};
static const struct command commands[] = {
	{"up",           "up", "run", NULL, remember, NULL },
	{ "replay",         "replay FILE", "stream", NULL, remember, NULL },
	{ "key",      NULL, "keys", NULL, NULL, subs },
	{ "hidden",             "hidden", NULL, NULL, remember, NULL },
	{ 0},
};

static int dispatch(const char *a, const char *b, const char *c)
{
	char *argv[] = { "raeh", (char *)a, (char *)b, (char *)c, NULL };

	return cli_dispatch(commands, "raeh", 1 + !!a + !!b + !!c, argv);
}

Test(cli, runs_a_command_of_one_word_and_of_two)
{
	cr_assert_eq(dispatch("up", "--x", NULL), CLI_DONE);
	cr_assert_eq(got_argc, 2);
	cr_assert_str_eq(got_word, "--x");
	cr_assert_eq(dispatch("key", "create", "now"), CLI_DONE);
	cr_assert_str_eq(got_word, "now");
	cr_assert_eq(got_argc, 2);
}

Test(cli, says_usage_for_no_command_and_for_an_unknown_one, .init = cr_redirect_stderr)
{
	cr_assert_eq(dispatch(NULL, NULL, NULL), CLI_USAGE);
	cr_assert_eq(dispatch("--listen", NULL, NULL), CLI_USAGE);
	cr_assert_eq(dispatch("key", NULL, NULL), CLI_USAGE);
	cr_assert_eq(dispatch("key", "make", NULL), CLI_USAGE);
}

Test(cli, lists_the_commands_for_help, .init = cr_redirect_stdout)
{
	cr_assert_eq(dispatch("--help", NULL, NULL), CLI_DONE);
	cr_assert_eq(dispatch("key", "-h", NULL), CLI_DONE);
}

Test(cli, guesses_what_a_mistyped_command_was_meant_to_be)
{
	cr_assert_str_eq(cli_nearest(commands, "reply"), "replay");
	cr_assert_str_eq(cli_nearest(commands, "keys"), "key");
	cr_assert_str_eq(cli_nearest(commands, "uo"), "up");
	cr_assert_null(cli_nearest(commands, "frobnicate"));
	cr_assert_null(cli_nearest(commands, "hiddem"), "a hidden command was suggested");
}

static int options(const char *flag, int64_t *number, bool *on)
{
	const struct config_item items[] = {
		{"number", CONFIG_INT, number, "7", 1, 9, "a number" },
		{ "on",  CONFIG_FLAG, on, NULL, 0, 0, "a switch" },
		{ 0      },
	};
	char *argv[] = { "up", (char *)flag, NULL };

	return cli_options(&commands[0], items, NULL, 2, argv, NULL, NULL);
}

Test(cli, options_go_on_or_end_with_a_status, .init = cr_redirect_stderr)
{
	int64_t number = 0;
	bool on = false;

	cr_redirect_stdout();
	cr_assert_eq(options("--number=3", &number, &on), -1);
	cr_assert_eq(number, 3);
	cr_assert_eq(options("--number=10", &number, &on), CLI_USAGE);
	cr_assert_eq(options("--other", &number, &on), CLI_USAGE);
	cr_assert_eq(options("word", &number, &on), CLI_USAGE);
	cr_assert_eq(options("--help", &number, &on), CLI_DONE);
}
