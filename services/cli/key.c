/*
 * raeh key - API keys of a running stack.
 */
#include "cli.pb-c.h"
#include "common/apikey.h"
#include "common/wire.h"
#include "services/cli/admin.h"

#include <stdio.h>
#include <string.h>

#define MAX_SCOPES 16

/* Asks, and prints the part of the answer that is due: an Auth__AuthReply's result. */
static int ask_and_print(const struct admin_place *place, Auth__AdminRequest *request,
                         Auth__AuthReply__ResultCase expected)
{
	bool waits = request->command_case == AUTH__ADMIN_REQUEST__COMMAND_REVOKE_KEY ||
	             request->command_case == AUTH__ADMIN_REQUEST__COMMAND_PATCH_KEY ||
	             request->command_case == AUTH__ADMIN_REQUEST__COMMAND_ROTATE_KEY;
	int64_t deadline_ms = waits ? ADMIN_REVOKE_MS : ADMIN_ANSWER_MS;
	int status;
	Auth__AuthReply *reply = admin_ask(place, request, deadline_ms, &status);

	if (!reply)
		return status;
	if (reply->result_case != expected)
		status = cli_fail("auth gave an answer of another kind");
	else
		admin_print(&reply->key->base); /* of a oneof: each is a message's address */
	if (reply->result_case == AUTH__AUTH_REPLY__RESULT_KEY && reply->key->key)
		explicit_bzero(reply->key->key, strlen(reply->key->key));
	wire_free(&reply->base);
	return status;
}

/* Cuts text at its commas, in place. */
static size_t split(char *text, char *ret[MAX_SCOPES])
{
	size_t n = 0;
	char *rest = text, *word;

	while (n < MAX_SCOPES && (word = strsep(&rest, ",")) != NULL)
		ret[n++] = word;
	return n;
}

int key_create_run(const struct command *self, int argc, char **argv)
{
	struct admin_place place = { 0 };
	const char *account = NULL, *label = NULL, *scopes = NULL, *device = NULL;
	/* clang-format off */
	const struct config_item items[] = {
		{ "account", CONFIG_TEXT, &account, NULL, 0, 0, "id or e-mail of the account" },
		{ "label", CONFIG_TEXT, &label, NULL, 0, 0, "what people call it" },
		{ "scopes", CONFIG_TEXT, &scopes, NULL, 0, 0,
		  "what it may do: ingest, subscribe, read, write (the default, write not with "
		  "--device-id), keys" },
		{ "device-id", CONFIG_TEXT, &device, NULL, 0, 0, "it speaks as this device only" },
		ADMIN_ITEMS(place),
		{ 0 },
	};
	/* clang-format on */
	int status = cli_options(self, items, NULL, argc, argv, NULL, NULL);
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__MintKey mint = AUTH__MINT_KEY__INIT;
	AUTO_MEM char *list = NULL;
	char *scope[MAX_SCOPES];

	if (status >= 0)
		return status;
	if (!account || !label)
		return cli_misused(self, "%s: expected a value, got nothing",
		                   account ? "--label" : "--account");
	list = scopes ? xstrdup(scopes) : NULL;
	mint.label = (char *)label;
	mint.scopes = scope;
	mint.n_scopes = list ? split(list, scope) : 0; /* none: auth's default */
	mint.device_id = (char *)device;
	request.account = (char *)account;
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_MINT_KEY;
	request.mint_key = &mint;
	return ask_and_print(&place, &request, AUTH__AUTH_REPLY__RESULT_KEY);
}

int key_list_run(const struct command *self, int argc, char **argv)
{
	struct admin_place place = { 0 };
	const char *account = NULL;
	/* clang-format off */
	const struct config_item items[] = {
		{ "account", CONFIG_TEXT, &account, NULL, 0, 0, "id or e-mail of the account" },
		ADMIN_ITEMS(place),
		{ 0 },
	};
	/* clang-format on */
	int status = cli_options(self, items, NULL, argc, argv, NULL, NULL);
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__ListKeys list = AUTH__LIST_KEYS__INIT;

	if (status >= 0)
		return status;
	if (!account)
		return cli_misused(self, "--account: expected a value, got nothing");
	request.account = (char *)account;
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_LIST_KEYS;
	request.list_keys = &list;
	return ask_and_print(&place, &request, AUTH__AUTH_REPLY__RESULT_KEYS);
}

/* The id of a key, the one word of the command; status < 0: go on. */
static int read_id_with(const struct command *self, const struct config_item *items, int argc,
                        char **argv, char **ret)
{
	const char *id[1];
	int n = 1, status = cli_options(self, items, NULL, argc, argv, id, &n);

	if (status >= 0)
		return status;
	if (n != 1)
		return cli_misused(self, "expected the id of a key, got nothing");
	if (strncmp(id[0], "raeh_", 5) == 0)
		return cli_misused(self,
		                   "expected the id of a key (see `raeh key list`), got a key");
	*ret = (char *)id[0];
	return -1;
}

static int read_id(const struct command *self, struct admin_place *place, int argc, char **argv,
                   char **ret)
{
	/* clang-format off */
	const struct config_item items[] = {
		ADMIN_ITEMS(*place),
		{ 0 },
	};
	/* clang-format on */

	return read_id_with(self, items, argc, argv, ret);
}

int key_revoke_run(const struct command *self, int argc, char **argv)
{
	struct admin_place place = { 0 };
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__RevokeKey revoke = AUTH__REVOKE_KEY__INIT;
	bool cascade = false;
	/* clang-format off */
	const struct config_item items[] = {
		{ "cascade", CONFIG_FLAG, &cascade, NULL, 0, 0, "the keys that it minted, too" },
		ADMIN_ITEMS(place),
		{ 0 },
	};
	/* clang-format on */
	int status = read_id_with(self, items, argc, argv, &revoke.id);

	if (status >= 0)
		return status;
	revoke.has_cascade = revoke.cascade = cascade;
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_REVOKE_KEY;
	request.revoke_key = &revoke;
	return ask_and_print(&place, &request, AUTH__AUTH_REPLY__RESULT_RECEIPT);
}

int key_rotate_run(const struct command *self, int argc, char **argv)
{
	struct admin_place place = { 0 };
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__RotateKey rotate = AUTH__ROTATE_KEY__INIT;
	int64_t overlap_s = -1;
	/* clang-format off */
	const struct config_item items[] = {
		{ "overlap", CONFIG_INT, &overlap_s, "-1", -1, 315360000,
		  "seconds for which the old key lives on" },
		ADMIN_ITEMS(place),
		{ 0 },
	};
	/* clang-format on */
	int status = read_id_with(self, items, argc, argv, &rotate.id);

	if (status >= 0)
		return status;
	rotate.has_overlap_s = overlap_s >= 0;
	rotate.overlap_s = overlap_s >= 0 ? (uint32_t)overlap_s : 0;
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_ROTATE_KEY;
	request.rotate_key = &rotate;
	return ask_and_print(&place, &request, AUTH__AUTH_REPLY__RESULT_KEY);
}

int key_impact_run(const struct command *self, int argc, char **argv)
{
	struct admin_place place = { 0 };
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__KeyImpact impact = AUTH__KEY_IMPACT__INIT;
	int status = read_id(self, &place, argc, argv, &impact.id);

	if (status >= 0)
		return status;
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_KEY_IMPACT;
	request.key_impact = &impact;
	return ask_and_print(&place, &request, AUTH__AUTH_REPLY__RESULT_IMPACT);
}

static int set_disabled(const struct command *self, int argc, char **argv, bool disabled)
{
	struct admin_place place = { 0 };
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__PatchKey patch = AUTH__PATCH_KEY__INIT;
	int status = read_id(self, &place, argc, argv, &patch.id);

	if (status >= 0)
		return status;
	patch.has_disabled = true;
	patch.disabled = disabled;
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_PATCH_KEY;
	request.patch_key = &patch;
	return ask_and_print(&place, &request, AUTH__AUTH_REPLY__RESULT_KEY);
}

int key_disable_run(const struct command *self, int argc, char **argv)
{
	return set_disabled(self, argc, argv, true);
}

int key_enable_run(const struct command *self, int argc, char **argv)
{
	return set_disabled(self, argc, argv, false);
}

int key_lint_run(const struct command *self, int argc, char **argv)
{
	bool json = false;
	/* clang-format off */
	const struct config_item items[] = {
		{ "json", CONFIG_FLAG, &json, NULL, 0, 0, "one JSON document on one line" },
		{ 0 },
	};
	/* clang-format on */
	const char *key[1];
	int n = 1, status = cli_options(self, items, NULL, argc, argv, key, &n);
	Cli__KeyLint lint = CLI__KEY_LINT__INIT;
	enum apikey_fault fault;

	if (status >= 0)
		return status;
	if (n != 1)
		return cli_misused(self, "expected a key, got nothing");
	fault = apikey_check(key[0], strlen(key[0]));
	lint.valid = fault == APIKEY_GOOD;
	lint.fault = lint.valid ? NULL : (char *)apikey_fault_text(fault);
	if (json)
		admin_print(&lint.base);
	else if (lint.valid)
		(void)printf("good: form and checksum are right\n");
	else
		(void)printf("bad: %s\n", lint.fault);
	return lint.valid ? CLI_DONE : CLI_FAILED;
}
