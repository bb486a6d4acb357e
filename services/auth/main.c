/*
 * raeh-auth - one process: settings, store, secrets, the actor, the loop. What it does is in
 * auth.c and the files beside it.
 */
#include "common/log.h"
#include "common/keys.h"
#include "common/process.h"
#include "services/auth/auth.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_SETTINGS 2 /* no restart heals it: `raeh up` gives up */

static bool sign_up_of(const char *text, enum sign_up *ret)
{
	static const char *const names[] = {
		[SIGN_UP_CLOSED] = "closed", [SIGN_UP_OPEN] = "open", [SIGN_UP_FIRST] = "first"
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(text, names[i]) == 0) {
			*ret = (enum sign_up)i;
			return true;
		}
	log_error("sign-up", "expected=open,closed,first got=%.40s", text);
	return false;
}

static int run(struct process *process, int64_t lease_ms, enum sign_up sign_up)
{
	/* Not by table: ranges of notices, also those of an older log, begin within one. */
	AUTO(store_close) struct store *store = process_store(process, "auth", KEY_RUN_SESSION);
	AUTO(hasher_free) struct hasher *hasher = hasher_new(process->loop, HASHER_THREADS);
	AUTO(auth_free) struct auth *auth = NULL;
	struct auth_deps deps = { .loop = process->loop,
		                  .bus = process->bus,
		                  .store = store,
		                  .hasher = hasher,
		                  .process = process->name,
		                  .lease_ms = lease_ms,
		                  .sign_up = sign_up };
	bool ready = store && process_secret(process, "digest.key", deps.digest_secret) &&
	             process_secret(process, "bus.key", deps.bus_secret) &&
	             process_secret(process, "token.key", deps.token_seed) &&
	             auth_new(&deps, &auth) == OK;

	sodium_memzero(&deps, sizeof deps);
	if (!ready)
		return EXIT_FAILURE;
	log_info("started", "data=%s lease_ms=%lld", process->data, (long long)lease_ms);
	loop_run(process->loop);
	log_info("stopped", "status=0");
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	int64_t lease_ms;
	const char *sign_up_text;
	enum sign_up sign_up;
	const struct config_item settings[] = {
		{"lease-ms",      CONFIG_INT, &lease_ms, "30000", LEASE_MS_LEAST, LEASE_MS_MOST,
                 "how long an edge that is cut off may go on; what a revoke waits at most" },
		{ "sign-up",      CONFIG_TEXT, &sign_up_text, "closed", 0, 0,
                 "who may make an account in the dashboard: open, closed, first (until there is "
		  "one)" },
		{ 0},
	};
	struct process process = { 0 };
	int status = process_start(&process, "auth", settings, argc, argv);

	if (status < 0 && !sign_up_of(sign_up_text, &sign_up))
		status = STATUS_SETTINGS;
	if (status < 0)
		status = process_enter(&process, "auth") ? run(&process, lease_ms, sign_up)
		                                         : EXIT_FAILURE;
	process_done(&process);
	return status;
}
