#include "services/cli/client_options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The first line of the file. */
static bool read_key(const char *path, char ret[TOKEN_MAX + 1])
{
	FILE *stream = fopen(path, "re");
	bool read = stream && fgets(ret, TOKEN_MAX + 1, stream);

	if (stream)
		(void)fclose(stream); /* only read */
	if (read)
		ret[strcspn(ret, " \t\r\n")] = '\0';
	return read;
}

int client_options_check(const struct command *self, struct client_options *options)
{
	enum apikey_fault fault;
	char why[256];

	if (!url_parse(options->url_text, &options->url, why))
		return cli_misused(self, "--url: %s", why);
	errno = 0;
	if (options->key_file && !read_key(options->key_file, options->key))
		return cli_misused(self, "--key-file %s: %s", options->key_file,
		                   errno ? strerror(errno) : "it is empty");
	if (!options->key_file && options->key_text)
		(void)snprintf(options->key, sizeof options->key, "%s", options->key_text);
	fault = apikey_check(options->key, strlen(options->key));
	if (fault == APIKEY_MISSING)
		return cli_misused(self,
		                   "expected an API key in RAEH_KEY, --key-file or --key, got "
		                   "nothing");
	if (fault != APIKEY_GOOD && !apikey_is_token_form(options->key, strlen(options->key)))
		return cli_misused(self, "the API key is no good: %s", apikey_fault_text(fault));
	return -1;
}

void client_options_wipe(struct client_options *options)
{
	explicit_bzero(options->key, sizeof options->key);
}
