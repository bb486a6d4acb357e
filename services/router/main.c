/*
 * raeh-router - device models, devices, and which session is open for a device.
 *
 *     [router] req/rep ◄── edge      router.events ──► edges      DATA/router: the store
 *
 * This file only assembles. What the service does is in router.c.
 */
#include "common/log.h"
#include "common/principal.h"
#include "common/keys.h"
#include "common/process.h"
#include "common/store.h"
#include "services/router/router.h"

#include <sodium.h>
#include <stdlib.h>

static int serve(struct process *process, struct store *store, int64_t publishers)
{
	AUTO(router_free) struct router *router = NULL;
	uint8_t secret[SECRET_BYTES];
	const struct router_deps deps = { process->loop, process->bus, store, secret,
		                          (unsigned)publishers };
	enum err err;

	if (!process_secret(process, "bus.key", secret))
		return EXIT_FAILURE;
	err = router_new(&deps, &router);
	sodium_memzero(secret, sizeof secret);
	if (err != OK) {
		log_error("start-failed", "err=%s bus=\"%s\" store=\"%s\"", err_name(err),
		          bus_why(process->bus), store_why(store));
		return EXIT_FAILURE;
	}
	log_info("started", "data=%s publishers=%d", process->data, (int)publishers);
	loop_run(process->loop);
	log_info("stopped", "data=%s", process->data);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	int64_t publishers;
	const struct config_item settings[] = {
		{"publishers", CONFIG_INT, &publishers, "1", 1, ROUTER_MAX_PUBLISHERS,
                 "how many publishers there are" },
		{ 0},
	};
	struct process process = { 0 };
	struct store *store;
	int status = process_start(&process, "router", settings, argc, argv);

	if (status >= 0)
		return status;
	store = process_enter(&process, "router") ? process_store(&process, "router", KEY_RUN_TABLE)
	                                          : NULL;
	status = store ? serve(&process, store, publishers) : EXIT_FAILURE;
	store_close(store);
	process_done(&process);
	return status;
}
