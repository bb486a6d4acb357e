#include "common/config.h"

#include "common/log.h"
#include "common/mem.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHY_BYTES   256
#define PLACE_BYTES 128
#define LINE_MOST   4096
#define SHOWN       "%.60s" /* of a bad value: the sentence must fit */

/* A value that was found valid; stored only when everything is. */
struct setting {
	const char *text;
	int64_t number;
	bool flag;
};

struct loading {
	const struct config_item *items;
	struct setting *settings; /* one for each item */
	char *why;
	bool strict; /* no other names in the file */
};

/* Texts read from files live as long as the process; this is how they stay reachable. */
struct kept {
	struct kept *next;
	char text[];
};
static struct kept *kept_texts;

static const char *keep(const char *text)
{
	struct kept *kept = xcalloc(1, sizeof *kept + strlen(text) + 1);

	memcpy(kept->text, text, strlen(text) + 1);
	kept->next = kept_texts;
	kept_texts = kept;
	return kept->text;
}

static enum err refuse(struct loading *loading, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
static enum err refuse(struct loading *loading, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(loading->why, WHY_BYTES, format, args); /* cut is fine */
	va_end(args);
	log_redact(loading->why);
	return ERR_MALFORMED;
}

static bool parse_int(const char *text, int64_t *ret)
{
	char *end;
	long long number;

	errno = 0;
	number = strtoll(text, &end, 10);
	if (errno != 0 || end == text || *end || isspace((unsigned char)*text))
		return false;
	*ret = number;
	return true;
}

static bool parse_flag(const char *text, bool *ret)
{
	static const char *const words[] = { "0", "1", "false", "true", "no", "yes", "off", "on" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcasecmp(text, words[i]) != 0)
			continue;
		*ret = i % 2 == 1;
		return true;
	}
	return false;
}

static enum err set(struct loading *loading, size_t i, const char *text, const char *place)
{
	const struct config_item *item = &loading->items[i];
	struct setting setting = { .text = text };

	if (item->kind == CONFIG_FLAG && !parse_flag(text, &setting.flag))
		return refuse(loading, "%s: expected true or false, got \"" SHOWN "\"", place,
		              text);
	if (item->kind == CONFIG_INT &&
	    (!parse_int(text, &setting.number) || setting.number < item->least ||
	     setting.number > item->most))
		return refuse(loading,
		              "%s: expected a whole number from %" PRId64 " to %" PRId64
		              ", got \"" SHOWN "\"",
		              place, item->least, item->most, text);
	loading->settings[i] = setting;
	return OK;
}

/* The fallback is ours, so a bad one is a bug; it may lie outside the range. */
static void set_fallback(struct loading *loading, size_t i)
{
	const struct config_item *item = &loading->items[i];
	struct setting *setting = &loading->settings[i];

	setting->text = item->fallback;
	if (item->kind == CONFIG_INT)
		MUST(item->fallback && parse_int(item->fallback, &setting->number));
	if (item->kind == CONFIG_FLAG && item->fallback)
		MUST(parse_flag(item->fallback, &setting->flag));
}

static bool find(const struct loading *loading, const char *name, size_t len, size_t *ret)
{
	for (size_t i = 0; loading->items[i].name; i++) {
		if (strncmp(loading->items[i].name, name, len) == 0 &&
		    loading->items[i].name[len] == '\0') {
			*ret = i;
			return true;
		}
	}
	return false;
}

static char *trim(char *text)
{
	char *end = text + strlen(text);

	while (end > text && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

static void cut_comment(char *line)
{
	for (char *p = line; *p; p++) {
		if (*p == '#' && (p == line || isspace((unsigned char)p[-1]))) {
			*p = '\0';
			return;
		}
	}
}

static enum err load_line(struct loading *loading, char *line, const char *place)
{
	char *equals, *name;
	size_t i;

	cut_comment(line);
	name = trim(line);
	if (!*name)
		return OK;
	equals = strchr(name, '=');
	if (!equals)
		return refuse(loading, "%s: expected name = value, got \"" SHOWN "\"", place, name);
	*equals = '\0';
	name = trim(name);
	if (find(loading, name, strlen(name), &i))
		return set(loading, i, keep(trim(equals + 1)), place);
	if (*name && !loading->strict)
		return OK;
	return refuse(loading, "%s: expected the name of a setting, got \"" SHOWN "\"", place,
	              name);
}

static enum err load_lines(struct loading *loading, FILE *stream, const char *file)
{
	char line[LINE_MOST], place[PLACE_BYTES];
	enum err err = OK;

	for (int n = 1; err == OK && fgets(line, sizeof line, stream); n++) {
		size_t len = strlen(line);

		(void)snprintf(place, sizeof place, "%.100s:%d", file, n); /* cut is fine */
		if (len == sizeof line - 1 && line[len - 1] != '\n')
			return refuse(loading, "%s: expected a line of at most %d bytes", place,
			              LINE_MOST - 2);
		err = load_line(loading, line, place);
	}
	if (err == OK && ferror(stream))
		return refuse(loading, "%.100s: cannot be read: %s", file, strerror(errno));
	return err;
}

static enum err load_file(struct loading *loading, const char *file)
{
	FILE *stream;
	enum err err;

	if (!file)
		return OK;
	stream = fopen(file, "re");
	if (!stream && errno == ENOENT)
		return OK;
	if (!stream)
		return refuse(loading, "%.100s: cannot be opened: %s", file, strerror(errno));
	err = load_lines(loading, stream, file);
	(void)fclose(stream); /* only read */
	return err;
}

static enum err load_environment(struct loading *loading)
{
	enum err err = OK;

	for (size_t i = 0; err == OK && loading->items[i].name; i++) {
		char name[PLACE_BYTES];
		const char *text;

		MUST(snprintf(name, sizeof name, "RAEH_%s", loading->items[i].name) <
		     (int)sizeof name);
		for (char *p = name; *p; p++)
			*p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
		text = getenv(name);
		if (text)
			err = set(loading, i, text, name);
	}
	return err;
}

/* Takes argv[*at], and the word behind it when that is its value. */
static enum err load_flag(struct loading *loading, int argc, char **argv, int *at)
{
	const char *word = argv[*at], *name = word + 2, *equals = strchr(word, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name), i;
	char place[PLACE_BYTES];
	const char *text;

	if (strncmp(word, "--", 2) != 0 || !find(loading, name, len, &i))
		return refuse(loading, SHOWN ": expected a flag of this program (see --help)",
		              word);
	(void)snprintf(place, sizeof place, "--%.*s", (int)len, name); /* known, so short */
	if (equals)
		text = equals + 1;
	else if (loading->items[i].kind == CONFIG_FLAG)
		text = "true";
	else if (*at + 1 < argc)
		text = argv[++*at];
	else
		return refuse(loading, "%s: expected a value, got nothing", place);
	return set(loading, i, text, place);
}

static enum err load_words(struct loading *loading, int argc, char **argv, const char **rest,
                           int *n_rest)
{
	bool flags_ended = false;
	int n = 0;

	for (int at = 1; at < argc; at++) {
		if (!flags_ended && strcmp(argv[at], "--") == 0) {
			flags_ended = true;
		} else if (!flags_ended && argv[at][0] == '-' && argv[at][1]) {
			enum err err = load_flag(loading, argc, argv, &at);

			if (err != OK)
				return err;
		} else if (!rest) {
			return refuse(loading, SHOWN ": expected a flag (see --help)", argv[at]);
		} else if (n == *n_rest) {
			return refuse(loading, SHOWN ": expected at most %d words", argv[at], n);
		} else {
			rest[n++] = argv[at];
		}
	}
	if (rest)
		*n_rest = n;
	return OK;
}

static bool asks_for_help(int argc, char **argv)
{
	for (int at = 1; at < argc && strcmp(argv[at], "--") != 0; at++)
		if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0)
			return true;
	return false;
}

static void store_values(const struct loading *loading)
{
	for (size_t i = 0; loading->items[i].name; i++) {
		const struct config_item *item = &loading->items[i];
		const struct setting *setting = &loading->settings[i];

		if (item->kind == CONFIG_TEXT)
			*(const char **)item->value = setting->text;
		else if (item->kind == CONFIG_INT)
			*(int64_t *)item->value = setting->number;
		else
			*(bool *)item->value = setting->flag;
	}
}

enum err config_load(const struct config_item *items, const char *file, int argc, char **argv,
                     const char **rest, int *n_rest, char why[256])
{
	struct loading loading = { items, NULL, why, false };
	AUTO_MEM struct setting *settings = NULL;
	size_t n = 0;
	enum err err;

	if (asks_for_help(argc, argv))
		return ERR_AGAIN;
	while (items[n].name)
		n++;
	settings = loading.settings = xcalloc(n, sizeof *settings);
	for (size_t i = 0; i < n; i++)
		set_fallback(&loading, i);
	err = load_file(&loading, file);
	if (err == OK)
		err = load_environment(&loading);
	if (err == OK)
		err = load_words(&loading, argc, argv, rest, n_rest);
	if (err == OK)
		store_values(&loading);
	return err;
}

enum err config_check_file(const struct config_item *items, const char *file, char why[256])
{
	struct loading loading = { items, NULL, why, true };
	AUTO_MEM struct setting *settings = NULL;
	size_t n = 0;

	while (items[n].name)
		n++;
	settings = loading.settings = xcalloc(n, sizeof *settings);
	return load_file(&loading, file);
}

static int print_flag(const struct config_item *item, char *ret, size_t size)
{
	static const char *const values[] = { [CONFIG_TEXT] = " TEXT", [CONFIG_INT] = " N" };

	return snprintf(ret, size, "--%s%s", item->name,
	                item->kind == CONFIG_FLAG ? "" : values[item->kind]);
}

void config_help(const struct config_item *items)
{
	int width = 0;

	for (const struct config_item *item = items; item->name; item++) {
		int len = item->help ? print_flag(item, NULL, 0) : 0;

		width = len > width ? len : width;
	}
	for (const struct config_item *item = items; item->name; item++) {
		char flag[PLACE_BYTES];

		if (!item->help)
			continue;
		(void)print_flag(item, flag, sizeof flag); /* our own names: short */
		(void)printf("  %-*s  %s", width, flag, item->help);
		if (item->kind == CONFIG_INT)
			(void)printf(" (%" PRId64 "-%" PRId64 ", default %s)", item->least,
			             item->most, item->fallback);
		else if (item->kind == CONFIG_TEXT && item->fallback)
			(void)printf(" (default %s)", item->fallback);
		(void)printf("\n");
	}
}
