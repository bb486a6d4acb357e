/*
 * publisher - the fence and the store of frames, the sessions and their insights.
 *
 *     edge, router ──► publisher-<number>   publisher-<number>.insights ──► edges
 *
 * This file only assembles. `raeh-publisher analyze FILE …` is the same session code over
 * a recording.
 */
#include "common/log.h"
#include "common/principal.h"
#include "common/keys.h"
#include "common/process.h"
#include "common/store.h"
#include "services/publisher/analyze.h"
#include "services/publisher/publisher.h"
#include "services/publisher/publisher_count.h"

#include <stdlib.h>
#include <string.h>

#define STATUS_SETTINGS 2 /* no restart heals it: `raeh up` gives up */

/* Sets all of the publisher's own but what the process has. */
static int serve(struct process *process, struct publisher_deps deps)
{
	AUTO_MEM char *name = xasprintf("publisher-%u", deps.number);
	AUTO(store_close) struct store *store = NULL;
	AUTO(publisher_free) struct publisher *publisher = NULL;
	uint8_t secret[SECRET_BYTES];

	process->name = name;
	if (!publisher_count_agrees(process->data, deps.publishers))
		return STATUS_SETTINGS;
	if (!process_enter(process, name) || !process_secret(process, "bus.key", secret))
		return EXIT_FAILURE;
	store = process_store(process, name, KEY_RUN_SESSION);
	if (!store)
		return EXIT_FAILURE;
	deps.loop = process->loop;
	deps.bus = process->bus;
	deps.store = store;
	deps.secret = secret;
	publisher = publisher_new(&deps);
	if (!publisher)
		return EXIT_FAILURE;
	log_info("started", "name=%s publishers=%u", name, deps.publishers);
	loop_run(process->loop);
	log_info("stopped", "name=%s", name);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	int64_t number, publishers, retain_frames_s, retain_insights_s;
	const struct config_item settings[] = {
		{"number",                   CONFIG_INT, &number, "0", 0, 63, "which publisher this is" },
		{ "publishers",                   CONFIG_INT, &publishers, "1", 1, 64, "how many there are in all" },
		{ "retain-frames-s",                         CONFIG_INT, &retain_frames_s, "0", 0, INT32_MAX,
                 "frames that came longer ago are removed; 0: kept for ever" },
		{ "retain-insights-s", CONFIG_INT, &retain_insights_s, "0", 0, INT32_MAX,
                 "insights published longer ago are removed; 0: kept for ever" },
		{ 0             },
	};
	struct process process = { 0 };
	int status;

	if (argc > 1 && strcmp(argv[1], "analyze") == 0)
		return analyze_main(argc - 1, argv + 1);
	status = process_start(&process, "publisher", settings, argc, argv);
	if (status >= 0)
		return status;
	if (number >= publishers) {
		log_error("settings", "why=\"number: expected less than publishers (%d), got %d\"",
		          (int)publishers, (int)number);
		status = 2;
	} else {
		status = serve(&process, (struct publisher_deps){
		                                 .number = (unsigned)number,
		                                 .publishers = (unsigned)publishers,
		                                 .retain_frames_ms = retain_frames_s * 1000,
		                                 .retain_insights_ms = retain_insights_s * 1000,
		                         });
	}
	process_done(&process);
	return status;
}
