/*
 * config - settings by flag, then RAEH_* environment, then file, then default.
 *
 *     { "lease-ms", CONFIG_INT, &lease_ms, "30000", 1000, 600000, "how long …" }
 *
 * is --lease-ms, RAEH_LEASE_MS and `lease-ms = 30000` in the file. A bad value is an
 * error that names its place, what was expected and what came. Flags are --x value or
 * --x=value, and "--" ends them; the last of several counts. In the file, # begins a
 * comment at the start of a line or after a space. The file is shared by all programs of an
 * installation, so names in it that are none of ours are passed over.
 */
#ifndef COMMON_CONFIG_H
#define COMMON_CONFIG_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

enum config_kind { CONFIG_TEXT, CONFIG_INT, CONFIG_FLAG /* --x, RAEH_X=1, x = true */ };

struct config_item {
	const char *name;
	enum config_kind kind;
	void *value;          /* const char **, int64_t *, bool * */
	const char *fallback; /* NULL for text: unset stays NULL */
	int64_t least, most;  /* CONFIG_INT */
	const char *help;     /* one line; NULL hides it from --help */
};

/* items end with a row whose name is NULL. file may be NULL or missing. Words that are no
 * flag (argv[0] left out) are gathered in rest (at most *n_rest, its number on return;
 * NULL = refused).
 * Text values are borrowed from argv and environ or live as long as the process.
 * ERR_MALFORMED: why holds the sentence. --help and -h: ERR_AGAIN. */
CHECKED enum err config_load(const struct config_item *items, const char *file, int argc,
                             char **argv, const char **rest, int *n_rest, char why[256]);

/* Refuses what config_load() passes over: names in the file that are none of items. For the
 * one program that knows the settings of all who share the file. A missing file is good. */
CHECKED enum err config_check_file(const struct config_item *items, const char *file,
                                   char why[256]);

/* One aligned line an item, on standard output. */
void config_help(const struct config_item *items);

#endif
