/*
 * raeh analyze - the publisher's own session code over a recording. It lives in the
 * publisher, which we become; --help is answered there too.
 */
#include "services/cli/cli.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int analyze_run(const struct command *self, int argc, char **argv)
{
	AUTO_MEM char *directory = cli_own_directory(), *program = NULL;
	char **words = xcalloc((size_t)argc + 2, sizeof(char *));

	(void)self;
	program = xasprintf("%s/raeh-publisher", directory ? directory : ".");
	words[0] = (char *)"raeh-publisher";
	words[1] = (char *)"analyze";
	for (int i = 1; i < argc; i++)
		words[i + 1] = argv[i];
	(void)execv(program, words);
	mem_free((void *)words);
	return cli_fail("%s: %s", program, strerror(errno));
}
