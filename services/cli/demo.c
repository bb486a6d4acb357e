/*
 * raeh demo - the demonstration on a running stack, as a child of `raeh up --demo`.
 *
 * It makes the demo account and a key, and keeps two children running: a simulated watch
 * that streams a real recording without end, and the live insights. The key goes to them
 * in their environment; the keys of earlier demonstrations are revoked.
 */
#include "common/principal.h"
#include "common/wire.h"
#include "services/cli/admin.h"
#include "services/cli/supervisor.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACCOUNT  DEMO_ACCOUNT
#define LABEL    "raeh up --demo"
#define DEVICE   "demo-watch"
#define CONFLICT 409

bool demo_password(const char *data, char ret[DEMO_PASSWORD])
{
	AUTO_MEM char *path = xasprintf("%s/secret/demo.key", data);
	uint8_t secret[SECRET_BYTES];
	char why[256], text[64];

	MUST(sodium_init() >= 0);
	if (secret_load(path, secret, why) != OK) {
		cli_say("%s", why);
		return false;
	}
	(void)sodium_bin2base64(text, sizeof text, secret, sizeof secret,
	                        sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	(void)snprintf(ret, DEMO_PASSWORD, "%s", text);
	sodium_memzero(secret, sizeof secret);
	sodium_memzero(text, sizeof text);
	return true;
}

/* An earlier demonstration's, or one whose password somebody has changed. */
static bool reset_password(const struct admin_place *place, char *password)
{
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__ResetPassword reset = AUTH__RESET_PASSWORD__INIT;
	Auth__AuthReply *reply;
	int status;

	reset.password = password;
	request.account = (char *)ACCOUNT;
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_RESET_PASSWORD;
	request.reset_password = &reset;
	reply = admin_ask(place, &request, ADMIN_REVOKE_MS, &status);
	if (reply)
		wire_free(&reply->base);
	return reply != NULL;
}

static bool make_account(const struct admin_place *place)
{
	char password[DEMO_PASSWORD];
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__CreateAccount create = AUTH__CREATE_ACCOUNT__INIT;
	Auth__AuthReply *reply;
	bool made;
	int status;

	if (!demo_password(place->data, password))
		return false;
	create.email = (char *)ACCOUNT;
	create.password = password;
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_CREATE_ACCOUNT;
	request.create_account = &create;
	reply = admin_ask_quietly(place, &request, ADMIN_ANSWER_MS, &status);
	if (!reply)
		return false;
	made = !reply->error ||
	       (reply->error->status == CONFLICT && reset_password(place, password));
	if (!made)
		cli_say("%s: %s", ACCOUNT, reply->error->detail);
	wire_free(&reply->base);
	return made;
}

static void revoke_one(const struct admin_place *place, char *id)
{
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__RevokeKey revoke_key = AUTH__REVOKE_KEY__INIT;
	Auth__AuthReply *reply;
	int status;

	revoke_key.id = id;
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_REVOKE_KEY;
	request.revoke_key = &revoke_key;
	reply = admin_ask(place, &request, ADMIN_REVOKE_MS, &status);
	if (reply)
		wire_free(&reply->base);
}

/* Nobody holds them any more: each demonstration forgets its key when it ends. */
static void revoke_old_keys(const struct admin_place *place)
{
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__ListKeys list = AUTH__LIST_KEYS__INIT;
	Auth__AuthReply *reply;
	int status;

	request.account = (char *)ACCOUNT;
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_LIST_KEYS;
	request.list_keys = &list;
	reply = admin_ask(place, &request, ADMIN_ANSWER_MS, &status);
	if (!reply)
		return;
	for (size_t i = 0;
	     reply->result_case == AUTH__AUTH_REPLY__RESULT_KEYS && i < reply->keys->n_items; i++)
		if (strcmp(reply->keys->items[i]->label, LABEL) == 0)
			revoke_one(place, reply->keys->items[i]->id);
	wire_free(&reply->base);
}

/* Into the environment, which the children inherit. */
static bool mint_key(const struct admin_place *place)
{
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__MintKey mint = AUTH__MINT_KEY__INIT;
	Auth__AuthReply *reply;
	bool minted;
	int status;

	mint.label = (char *)LABEL;
	request.account = (char *)ACCOUNT;
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_MINT_KEY;
	request.mint_key = &mint;
	reply = admin_ask(place, &request, ADMIN_ANSWER_MS, &status);
	if (!reply)
		return false;
	minted = reply->result_case == AUTH__AUTH_REPLY__RESULT_KEY && reply->key->key &&
	         setenv("RAEH_KEY", reply->key->key, 1) == 0;
	if (minted)
		sodium_memzero(reply->key->key, strlen(reply->key->key));
	wire_free(&reply->base);
	return minted;
}

/* ---- the two children ---- */

static void nothing(void *self)
{
	(void)self; /* nobody looks at their states */
}

static void add(struct supervisor *supervisor, const char *directory, const char *label,
                const char *const *words)
{
	struct child child = {
		.keep_fd = {-1, -1},
                  .output_fd = -1, .log_fd = -1, .front = true
	};
	size_t n = 0;

	while (words[n])
		n++;
	child.label = xstrdup(label);
	child.program = xasprintf("%s/raeh", directory);
	child.argv = xcalloc(n + 1, sizeof(char *));
	for (size_t i = 0; i < n; i++)
		child.argv[i] = xstrdup(words[i]);
	supervisor_add(supervisor, &child);
}

struct demo {
	struct loop *loop;
	struct supervisor *supervisor;
};

static void on_term(void *self)
{
	struct demo *demo = self;

	supervisor_stop(demo->supervisor);
}

static void on_stopped(void *self)
{
	struct demo *demo = self;

	loop_stop(demo->loop);
}

char *demo_recording(const char *directory)
{
	return xasprintf("%s/../../integration/recordings/bidmc_01.csv", directory);
}

static void start(struct supervisor *supervisor, const char *directory, const char *url,
                  const char *ca)
{
	const char *const ca_flag =
	        ca ? "--ca" : NULL; /* also ends the words where there is none */
	AUTO_MEM char *recording = demo_recording(directory);
	const char *const replay[] = { "raeh", "replay", recording, "--url", url, "--device",
		                       DEVICE, "--loop", "--quiet", ca_flag, ca,  NULL };
	const char *const watch[] = { "raeh", "watch", "--url", url, ca_flag, ca, NULL };

	add(supervisor, directory, "simulated watch", replay);
	add(supervisor, directory, "live insights", watch);
}

static int run(const struct admin_place *place, const char *url, const char *ca)
{
	AUTO_MEM char *directory = cli_own_directory();
	AUTO(loop_free) struct loop *loop = loop_new();
	AUTO(supervisor_free) struct supervisor *supervisor = NULL;
	struct demo demo = { .loop = loop };

	if (!directory)
		return cli_fail("/proc/self/exe cannot be read");
	/* Before the bus has threads: they would take the signals, and die of them. */
	loop_on_signal(loop, SIGTERM, on_term, &demo);
	demo.supervisor = supervisor = supervisor_new(loop, nothing, on_stopped, &demo);
	if (!make_account(place))
		return CLI_FAILED;
	revoke_old_keys(place);
	if (!mint_key(place))
		return cli_fail("no key could be minted for %s", ACCOUNT);
	start(supervisor, directory, url, ca);
	loop_run(loop);
	return supervisor_failed(supervisor) ? CLI_FAILED : CLI_DONE;
}

int demo_run(const struct command *self, int argc, char **argv)
{
	struct admin_place place = { 0 };
	const char *url = NULL, *ca = NULL;
	/* clang-format off */
	const struct config_item items[] = {
		{ "url", CONFIG_TEXT, &url, "http://127.0.0.1:8080", 0, 0, "of the stack" },
		{ "ca", CONFIG_TEXT, &ca, NULL, 0, 0, "PEM file of authorities to trust" },
		ADMIN_ITEMS(place),
		{ 0 },
	};
	/* clang-format on */
	int status = cli_options(self, items, NULL, argc, argv, NULL, NULL);

	if (status >= 0)
		return status;
	return run(&place, url, ca);
}
