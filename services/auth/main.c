/*
 * raeh-auth - one process: settings, store, secrets, the actor, the loop. What it does is in
 * auth.c and the files beside it.
 */
#include "common/log.h"
#include "common/process.h"
#include "services/auth/auth.h"

#include <sodium.h>
#include <stdlib.h>

static int run(struct process *process, int64_t lease_ms)
{
	AUTO(store_close) struct store *store = process_store(process, "auth");
	AUTO(hasher_free) struct hasher *hasher = hasher_new(process->loop, HASHER_THREADS);
	AUTO(auth_free) struct auth *auth = NULL;
	struct auth_deps deps = { .loop = process->loop,
		                  .bus = process->bus,
		                  .store = store,
		                  .hasher = hasher,
		                  .process = process->name,
		                  .lease_ms = lease_ms };
	bool ready = store && process_secret(process, "digest.key", deps.digest_secret) &&
	             process_secret(process, "bus.key", deps.bus_secret) &&
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
	const struct config_item settings[] = {
		{"lease-ms", CONFIG_INT, &lease_ms, "30000", LEASE_MS_LEAST, LEASE_MS_MOST,
                 "how long an edge that is cut off may go on; what a revoke waits at most" },
		{ 0},
	};
	struct process process = { 0 };
	int status = process_start(&process, "auth", settings, argc, argv);

	if (status < 0)
		status = run(&process, lease_ms);
	process_done(&process);
	return status;
}
