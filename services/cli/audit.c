/*
 * raeh audit verify - whether the journals of an installation are as they were written.
 *
 * It reads the stores themselves, as they stand, whether or not a stack runs on them.
 */
#include "cli.pb-c.h"
#include "common/audit.h"
#include "common/store.h"
#include "services/cli/admin.h"

#include <sodium.h>
#include <stdio.h>

#define HASH_TEXT (2 * JOURNAL_HASH + 1)

static const struct {
	const char *name;
	const struct audit_source *source;
} journals[] = {
	{"auth",    &audit_of_auth  },
	{ "router", &audit_of_router},
};

struct looked {
	Cli__JournalReport report;
	char last_hash[HASH_TEXT], why[256];
};

/* False: there is no such store, or (why set) it cannot be opened. */
static bool look(const char *data, const char *name, const struct audit_source *source,
                 struct looked *ret)
{
	AUTO_MEM char *directory = xasprintf("%s/%s", data, name);
	AUTO(store_close) struct store *store = NULL;
	struct journal_check check;
	enum err err = store_open_to_read(directory, ret->why, &store);

	if (err == ERR_NOT_FOUND)
		ret->why[0] = '\0';
	if (err != OK)
		return false;
	err = audit_check(source, store, &check);
	cli__journal_report__init(&ret->report);
	ret->report.journal = (char *)name;
	ret->report.whole = err == OK;
	ret->report.records = check.last_seq;
	ret->report.redacted = check.redacted;
	ret->report.last_hash =
	        sodium_bin2hex(ret->last_hash, HASH_TEXT, check.last_hash, JOURNAL_HASH);
	ret->report.has_bad_record = err != OK;
	ret->report.bad_record = check.bad_seq;
	ret->report.why = (char *)check.why;
	return true;
}

static void say(const Cli__JournalReport *report)
{
	if (report->whole)
		(void)printf("%s: whole, %llu records, %llu of them redacted, last %s\n",
		             report->journal, (unsigned long long)report->records,
		             (unsigned long long)report->redacted, report->last_hash);
	else
		(void)printf("%s: record %llu: %s; %llu records before it are sound\n",
		             report->journal, (unsigned long long)report->bad_record, report->why,
		             (unsigned long long)report->records);
}

int audit_verify_run(const struct command *self, int argc, char **argv)
{
	struct admin_place place = { 0 };
	const struct config_item items[] = { ADMIN_ITEMS(place), { 0 } };
	struct looked looked[ARRAY_LEN(journals)] = { 0 };
	Cli__JournalReport *all[ARRAY_LEN(journals)];
	Cli__AuditReport report = CLI__AUDIT_REPORT__INIT;
	int status = cli_options(self, items, NULL, argc, argv, NULL, NULL);

	if (status >= 0)
		return status;
	report.whole = true;
	report.journals = all;
	for (size_t i = 0; i < ARRAY_LEN(journals); i++) {
		if (look(place.data, journals[i].name, journals[i].source, &looked[i])) {
			all[report.n_journals++] = &looked[i].report;
			report.whole = report.whole && looked[i].report.whole;
		} else if (looked[i].why[0]) {
			return cli_fail("%s/%s: %s", place.data, journals[i].name, looked[i].why);
		}
	}
	if (report.n_journals == 0)
		return cli_fail("%s holds no journal: is it the directory of an installation?",
		                place.data);
	if (place.json)
		admin_print(&report.base);
	for (size_t i = 0; !place.json && i < report.n_journals; i++)
		say(all[i]);
	return report.whole ? CLI_DONE : CLI_FAILED;
}
