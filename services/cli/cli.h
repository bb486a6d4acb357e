/*
 * cli - what every subcommand of raeh shares: the table of commands, options, errors.
 *
 * Exit status: 0 done, 1 failed, 2 usage. Data goes to standard output; everything said
 * about it goes to standard error, with keys redacted.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "common/config.h"
#include "common/loop.h"
#include "common/mem.h"

enum cli_exit { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

struct command {
	const char *name;
	const char *words; /* the synopsis: what follows "raeh"                          */
	const char *help;  /* one line; NULL hides the command from the list             */
	const char *more;  /* what --help says beyond the line and the flags; may be NULL */
	/* argv[0] is the command's own name. */
	int (*run)(const struct command *self, int argc, char **argv);
	const struct command *sub; /* instead of run: commands of a second word */
};

/* Finds argv[1] in commands (ended by a zero row) and runs it. program: "raeh", "raeh key". */
int cli_dispatch(const struct command *commands, const char *program, int argc, char **argv);

/* Flags, environment and file into items. -1: go on; else the exit status: the help was
 * printed, or what is wrong. *n_rest comes in as the most words that are taken. */
int cli_options(const struct command *self, const struct config_item *items, const char *file,
                int argc, char **argv, const char **rest, int *n_rest);

/* "raeh: …" on standard error, redacted. */
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same, and the status to return. */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int cli_misused(const struct command *self, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* The name nearest to word, or NULL when none is near. */
const char *cli_nearest(const struct command *commands, const char *word);

/* The directory of the running executable as a new string, or NULL. */
char *cli_own_directory(void);

/* One file each. */
int up_run(const struct command *self, int argc, char **argv);
int edge_run(const struct command *self, int argc, char **argv);
int account_create_run(const struct command *self, int argc, char **argv);
int account_delete_run(const struct command *self, int argc, char **argv);
int account_reset_password_run(const struct command *self, int argc, char **argv);
int key_create_run(const struct command *self, int argc, char **argv);
int key_list_run(const struct command *self, int argc, char **argv);
int key_revoke_run(const struct command *self, int argc, char **argv);
int key_rotate_run(const struct command *self, int argc, char **argv);
int key_impact_run(const struct command *self, int argc, char **argv);
int key_disable_run(const struct command *self, int argc, char **argv);
int key_enable_run(const struct command *self, int argc, char **argv);
int key_lint_run(const struct command *self, int argc, char **argv);
int audit_verify_run(const struct command *self, int argc, char **argv);
int replay_run(const struct command *self, int argc, char **argv);
int load_run(const struct command *self, int argc, char **argv);
int watch_run(const struct command *self, int argc, char **argv);
int analyze_run(const struct command *self, int argc, char **argv);
int doctor_run(const struct command *self, int argc, char **argv);
int health_run(const struct command *self, int argc, char **argv);
int demo_run(const struct command *self, int argc, char **argv);

/* The recording of the demonstration, in the source tree that directory was built in. */
char *demo_recording(const char *directory);
/* Its login to the dashboard; the password is of this installation, and always the same. */
#define DEMO_ACCOUNT  "demo@localhost"
#define DEMO_PASSWORD 22 /* bytes, zero included */
bool demo_password(const char *data, char ret[DEMO_PASSWORD]);

/* SIGTERM; and SIGINT unless whoever started us keeps Ctrl-C for himself, by ignoring it. */
void cli_on_stop(struct loop *loop, loop_fn *fn, void *ctx);

#endif
