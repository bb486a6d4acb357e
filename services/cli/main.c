/*
 * raeh - the operator's command line. This file is only its table of contents.
 */
#include "common/log.h"
#include "common/version.h"
#include "services/cli/cli.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
static const struct command account_commands[] = {
	{ "create", "account create --email E [--password-stdin] [--data DIR]",
	  "make an account", "Without a password the dashboard stays shut to it.",
	  account_create_run, NULL },
	{ "reset-password", "account reset-password --email E [--password-stdin] [--data DIR]",
	  "give a user of the dashboard another password",
	  "Without --password-stdin one is made up, and printed this one time. Who is logged in as "
	  "this user is logged out.",
	  account_reset_password_run, NULL },
	{ "delete", "account delete ID-or-email --yes [--data DIR]",
	  "delete an account with everything in it",
	  "Its keys and logins are revoked first. Says what was removed.",
	  account_delete_run, NULL },
	{ 0 },
};

static const struct command key_commands[] = {
	{ "create", "key create --account ID-or-email --label L [--scopes a,b] [--device-id D]",
	  "mint an API key and print it, this one time", NULL, key_create_run, NULL },
	{ "list", "key list --account ID-or-email", "the keys of an account", NULL,
	  key_list_run, NULL },
	{ "revoke", "key revoke ID [--cascade]", "revoke a key and wait for the receipt",
	  "When the receipt is printed, the key is refused everywhere and its sockets are closed; with "
	  "--cascade also the keys that it minted.",
	  key_revoke_run, NULL },
	{ "rotate", "key rotate ID [--overlap SECONDS]",
	  "mint a successor of the key and print it, this one time",
	  "The old key lives on for the overlap (0: it is revoked first); without one until it is "
	  "revoked.",
	  key_rotate_run, NULL },
	{ "impact", "key impact ID", "what a revoke of the key would close", NULL, key_impact_run,
	  NULL },
	{ "disable", "key disable ID", "shut a key everywhere, until it is enabled again",
	  "When the key is printed, it is refused everywhere and its sockets are closed.",
	  key_disable_run, NULL },
	{ "enable", "key enable ID", "let a disabled key in again", NULL, key_enable_run, NULL },
	{ "lint", "key lint KEY", "check a key's form and checksum, offline", NULL,
	  key_lint_run, NULL },
	{ 0 },
};

static const struct command audit_commands[] = {
	{ "verify", "audit verify [--data DIR] [--json]",
	  "whether the journals are as they were written",
	  "Follows the hash chain of every journal in DIR; a stack may run on it meanwhile. Status 1\n"
	  "when a record was changed, put in or taken out: its number is printed. A redacted record\n"
	  "was erased because somebody had a right to it; its place in the chain is proven.\n"
	  "Keep the last hash somewhere else: then a journal that was cut short shows too.",
	  audit_verify_run, NULL },
	{ 0 },
};

static const struct command commands[] = {
	{ "up", "up [options]", "run the whole stack in the foreground",
	  "Every flag is also a variable (RAEH_LISTEN) and a line of DIR/raeh.conf (listen = …);\n"
	  "flag before variable before file. Ctrl-C or SIGTERM drains and stops everything.",
	  up_run, NULL },
	{ "edge", "edge [--slot N] [options of up]", "one edge, where the rest runs elsewhere",
	  "It opens the listening socket and becomes raeh-edge: what a container runs.",
	  edge_run, NULL },
	{ "account", NULL, "accounts of a running stack", NULL, NULL, account_commands },
	{ "key", NULL, "API keys of a running stack", NULL, NULL, key_commands },
	{ "audit", NULL, "the trail of who did what", NULL, NULL, audit_commands },
	{ "replay", "replay FILE.csv [options]", "stream a recording as a device would",
	  "Ctrl-C closes cleanly. Status 1 when the server refuses: its code and reason are printed.",
	  replay_run, NULL },
	{ "watch", "watch [options]", "live insights in the terminal", NULL, watch_run, NULL },
	{ "load", "load steady|connect-storm|revoke|subscribers [options]",
	  "a whole fleet at once, and how the stack bears it",
	  "steady: devices stream, one app hears. connect-storm: all connect, and go. revoke: devices\n"
	  "and apps on one key, which is minted (the key given needs the scope keys) and revoked while\n"
	  "they stream. subscribers: many apps that hear all of it. Status 1 when a socket was refused\n"
	  "or closed that should not have been.",
	  load_run, NULL },
	{ "analyze", "analyze FILE.csv [--meta FILE.json]",
	  "the insights of a recording as CSV", NULL, analyze_run, NULL },
	{ "doctor", "doctor [options of up] [--json]",
	  "what is wrong with this installation, and what to do",
	  "Give it the flags that you give to `raeh up`. Status 1 when something is wrong.",
	  doctor_run, NULL },
	{ "health", "health SERVICE", "whether a service answers: auth, router, publisher-0, edge-1",
	  "Status 1 when it does not answer on the bus.", health_run, NULL },
	{ "demo", "demo [--data DIR] [--url U]", NULL, NULL, demo_run, NULL },
	{ 0 },
};
/* clang-format on */

int main(int argc, char **argv)
{
	log_init("raeh", LOG_WARN);
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		(void)printf("raeh %s\n", RAEH_VERSION);
		return CLI_DONE;
	}
	return cli_dispatch(commands, "raeh", argc, argv);
}
