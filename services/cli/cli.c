#include "services/cli/cli.h"

#include "common/log.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES   2048
#define WORD_MOST    31
#define NEAR_ENOUGH  2 /* letters typed wrong that are still a slip */
#define PROGRAM_MOST 64

static void say(const char *format, va_list args)
{
	char line[LINE_BYTES];

	(void)vsnprintf(line, sizeof line, format, args); /* cut is fine */
	log_redact(line);
	(void)fprintf(stderr, "raeh: %s\n", line);
}

void cli_say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
}

int cli_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	return CLI_FAILED;
}

int cli_misused(const struct command *self, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	(void)fprintf(stderr, "usage: raeh %s\n", self->words);
	return CLI_USAGE;
}

/* How many letters must be put in, left out or changed to make b of a. */
static size_t distance(const char *a, const char *b)
{
	size_t row[WORD_MOST + 1], n = strlen(b);

	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; i <= strlen(a); i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t least = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < least)
				least = row[j] + 1;
			if (row[j - 1] + 1 < least)
				least = row[j - 1] + 1;
			row[j] = least;
		}
	}
	return row[n];
}

const char *cli_nearest(const struct command *commands, const char *word)
{
	size_t best = NEAR_ENOUGH + 1;
	const char *ret = NULL;

	if (strlen(word) > WORD_MOST)
		return NULL;
	for (; commands->name; commands++) {
		size_t d;

		if (!commands->help)
			continue;
		d = distance(word, commands->name);
		if (d < best && d < strlen(commands->name)) {
			best = d;
			ret = commands->name;
		}
	}
	return ret;
}

static void list(const struct command *commands, const char *program, FILE *out)
{
	(void)fprintf(out, "usage: %s COMMAND [options]\n\n", program);
	for (; commands->name; commands++)
		if (commands->help)
			(void)fprintf(out, "  %-9s %s\n", commands->name, commands->help);
	(void)fprintf(out, "\n%s COMMAND --help says more of one.\n", program);
}

static int refuse(const struct command *commands, const char *program, const char *word)
{
	const char *nearest = cli_nearest(commands, word);

	if (nearest)
		cli_say("%s: no such command; did you mean `%s %s`?", word, program, nearest);
	else
		cli_say("%s: no such command; `%s --help` lists them", word, program);
	return CLI_USAGE;
}

int cli_dispatch(const struct command *commands, const char *program, int argc, char **argv)
{
	char longer[PROGRAM_MOST];

	if (argc < 2) {
		list(commands, program, stderr);
		return CLI_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		list(commands, program, stdout);
		return CLI_DONE;
	}
	for (const struct command *one = commands; one->name; one++) {
		if (strcmp(argv[1], one->name) != 0)
			continue;
		if (!one->sub)
			return one->run(one, argc - 1, argv + 1);
		(void)snprintf(longer, sizeof longer, "%s %s", program, one->name);
		return cli_dispatch(one->sub, longer, argc - 1, argv + 1);
	}
	return refuse(commands, program, argv[1]);
}

static void help(const struct command *self, const struct config_item *items)
{
	(void)printf("usage: raeh %s\n\n%s\n\n", self->words, self->help ? self->help : "");
	config_help(items);
	if (self->more)
		(void)printf("\n%s\n", self->more);
}

int cli_options(const struct command *self, const struct config_item *items, const char *file,
                int argc, char **argv, const char **rest, int *n_rest)
{
	char why[256];
	enum err err = config_load(items, file, argc, argv, rest, n_rest, why);

	if (err == ERR_AGAIN) {
		help(self, items);
		return CLI_DONE;
	}
	if (err != OK)
		return cli_misused(self, "%s", why);
	return -1;
}

char *cli_own_directory(void)
{
	char path[4096], *slash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

	if (n <= 0)
		return NULL;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return NULL;
	*slash = '\0';
	return xstrdup(path);
}

void cli_on_stop(struct loop *loop, loop_fn *fn, void *ctx)
{
	struct sigaction on_int;

	loop_on_signal(loop, SIGTERM, fn, ctx);
	MUST(sigaction(SIGINT, NULL, &on_int) == 0);
	if (on_int.sa_handler != SIG_IGN)
		loop_on_signal(loop, SIGINT, fn, ctx);
}
