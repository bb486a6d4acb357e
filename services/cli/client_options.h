/*
 * client_options - where a client command connects and with which key.
 */
#ifndef CLI_CLIENT_OPTIONS_H
#define CLI_CLIENT_OPTIONS_H

#include "common/apikey.h"
#include "services/cli/cli.h"
#include "services/cli/url.h"

struct client_options {
	const char *url_text, *key_text, *key_file, *ca_file;
	struct url url;
	char key[TOKEN_MAX + 1];
};
/* clang-format off */
#define CLIENT_ITEMS(options)                                                                      \
	{ "url", CONFIG_TEXT, &(options).url_text, "http://127.0.0.1:8080", 0, 0,                  \
	  "of the stack: http, https, ws or wss" },                                                \
	{ "key-file", CONFIG_TEXT, &(options).key_file, NULL, 0, 0,                                \
	  "file that holds the API key" },                                                         \
	{ "key", CONFIG_TEXT, &(options).key_text, NULL, 0, 0,                                     \
	  "the API key; better by RAEH_KEY: others see a flag" },                                  \
	{ "ca", CONFIG_TEXT, &(options).ca_file, NULL, 0, 0,                                       \
	  "PEM file of authorities to trust instead of the system's" }
/* clang-format on */

/* URL and key, checked. -1: go on; else the exit status, and everything has been said. */
int client_options_check(const struct command *self, struct client_options *options);
void client_options_wipe(struct client_options *options);

#endif
