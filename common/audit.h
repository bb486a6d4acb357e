/*
 * audit - who did what: the events of a journal, by account.
 *
 *     apply() ─audit_apply()─► one row an event in the index of its account
 *     ListAudit ─audit_list()─► rows, newest first, with what the journal holds of each
 *
 * Any event that names an account is a part of the trail, unless its service keeps it out; its
 * name is the action. What it is about is the first id in it. So a new event needs no word here.
 *
 * The row holds nothing personal: where somebody did it from is read from the journal's record,
 * and goes when that is redacted.
 */
#ifndef COMMON_AUDIT_H
#define COMMON_AUDIT_H

#include "common/journal.h"
#include "common/uuid.h"
#include "raeh.pb-c.h"

#define AUDIT_LIMIT      50
#define AUDIT_LIMIT_MOST 200
#define AUDIT_SCAN_MOST  2000 /* rows looked at for one page */
#define AUDIT_WHY        128

/* What a service's events are, and what makes its part of a cursor and of ids: 'a', 'r'. */
struct audit_source {
	const ProtobufCMessageDescriptor *event;
	const char *const *silent; /* names of events that are no part of it; NULL ends them */
	const char *const *hidden; /* … that have rows, to be erased by, and are not shown */
	char letter;
	const char *const *erasures; /* names of those after which records are redacted */
	bool erases_all;             /* and then all of the account's, what comes behind too */
};
extern const struct audit_source audit_of_auth, audit_of_router;

/* From the journal's apply(). */
void audit_apply(const struct audit_source *source, const ProtobufCMessage *event, uint64_t seq,
                 struct store_batch *view);

/* The index of a journal that is older than its index: once, at start. */
CHECKED enum err audit_fill(const struct audit_source *source, struct store *store,
                            struct journal *journal);

/* ERR_MALFORMED: why says which field is wrong. The page is the caller's: wire_free(). */
CHECKED enum err audit_list(const struct audit_source *source, struct store *store,
                            struct journal *journal, const struct uuid *account,
                            const Raeh__ListAudit *wanted, char why[AUDIT_WHY],
                            Raeh__AuditPage **ret);

/* Erases what the account's records hold, some a call, into the batch; the index stays. *after:
 * where to go on, 0 at first. ERR_NOT_FOUND: nothing is left to look at. wanted: which of them, by
 * the event; NULL: all. */
typedef bool audit_wanted_fn(void *ctx, struct bytes event);
CHECKED enum err audit_redact(struct store *store, struct journal *journal,
                              const struct uuid *account, uint64_t *after,
                              struct store_batch *batch, audit_wanted_fn *wanted, void *ctx);

/* ---- raeh audit verify ---- */

/*
 * The chain of the journal (journal_check()), and besides: every record that is a part of the trail
 * has its row, which says the same; there is no other row; and a record is redacted only where its
 * account has seen a later event that erases; whose it was may be forgotten, then anybody has.
 *
 * What it cannot find: whoever may write the store can write all of it anew, or cut off its end
 * with the rows and the position. Against that helps a note of last_hash, kept elsewhere.
 */
CHECKED enum err audit_check(const struct audit_source *source, struct store *store,
                             struct journal_check *ret);

#endif
