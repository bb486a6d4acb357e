/*
 * raeh - the operator's command line. This file is only its table of contents.
 */
#include "common/log.h"
#include "services/cli/cli.h"

/* clang-format off */
static const struct command commands[] = {
	{ "up", "up [options]", "run the whole stack in the foreground",
	  "Every flag is also a variable (RAEH_LISTEN) and a line of DIR/raeh.conf (listen = …);\n"
	  "flag before variable before file. Ctrl-C or SIGTERM drains and stops everything.",
	  up_run, NULL },
	{ 0 },
};
/* clang-format on */

int main(int argc, char **argv)
{
	log_init("raeh", LOG_WARN);
	return cli_dispatch(commands, "raeh", argc, argv);
}
