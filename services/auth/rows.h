/*
 * rows - what auth's store holds (keys.h has the layout), read, and written by events.
 *
 * rows_apply() only writes: an event says all that its rows need, so that the view can be
 * made again from the journal in batches of any size.
 *
 * The readers answer ERR_NOT_FOUND for a row that is not there, ERR_IO when the store fails
 * and ERR_MALFORMED for bytes that are no such row.
 */
#ifndef AUTH_ROWS_H
#define AUTH_ROWS_H

#include "common/keys.h"
#include "common/store.h"
#include "events.pb-c.h"

#define DIGEST_BYTES 32

void rows_apply(const Events__AuthEvent *event, struct bytes packed, struct store_batch *view);

/* The indexes of keys, for a store that is older than they are: layout.h. */
#define ROWS_LAYOUT 1
CHECKED enum err rows_fill(struct store *store, const struct uuid *account,
                           struct store_batch *batch);

/* A living key. The row is the caller's (wire_free). */
CHECKED enum err rows_key(struct store *store, const struct uuid *account, const struct uuid *id,
                          Events__KeyRow **ret);
/* Where the key with this digest lives; also when it is revoked. */
CHECKED enum err rows_by_digest(struct store *store, const uint8_t digest[DIGEST_BYTES],
                                struct uuid *ret_account, struct uuid *ret_id);
/* The account of a key, living or revoked. */
CHECKED enum err rows_owner(struct store *store, const struct uuid *id, struct uuid *ret_account);
/* The event that revoked a key (wire_free). */
CHECKED enum err rows_revoked(struct store *store, const struct uuid *account,
                              const struct uuid *id, Events__AuthEvent **ret);
CHECKED enum err rows_receipt(struct store *store, const struct uuid *account,
                              const struct uuid *id, Auth__Receipt **ret);
CHECKED enum err rows_account(struct store *store, const struct uuid *id, Events__AccountRow **ret);
CHECKED enum err rows_account_by_email(struct store *store, const char *email, struct uuid *ret);
/* The number of the newest report of reads by that edge that is journaled; 0: none. */
CHECKED enum err rows_reads_taken(struct store *store, const Auth__AuditReads *reads,
                                  uint64_t *ret);
/* When a key was used last, and from where. Owns its texts. */
struct last_use {
	int64_t ms;            /* wall time; 0: never */
	char *address, *agent; /* NULL: not known */
};
void last_use_done(struct last_use *use);
/* Never used is OK too. */
CHECKED enum err rows_last_use(struct store *store, const struct uuid *account,
                               const struct uuid *id, struct last_use *ret);
void rows_put_last_use(struct store_batch *batch, const struct uuid *account, const struct uuid *id,
                       const struct last_use *use);
void rows_trim_notices(struct store_batch *batch, uint64_t through);

/* Living keys of an account, newest first; before: only those older than it, NULL for all. */
struct store_scan *rows_scan_keys(struct store *store, const struct uuid *account,
                                  const struct uuid *before);

/* The next id of a scan of these two; false: there is none, or scan_err(). Keys that a key has
 * minted, and keys that have or had an external_id: they may be dead, look. */
bool rows_next_id(struct store_scan *scan, struct uuid *ret);
struct store_scan *rows_scan_children(struct store *store, const struct uuid *account,
                                      const struct uuid *id);
struct store_scan *rows_scan_external(struct store *store, const struct uuid *account,
                                      const char *external_id);

/* All rows of a table of the installation, in order. */
struct store_scan *rows_scan_own(struct store *store, char table);
#define ROWS_NOTICES 'n'
#define ROWS_EDGES   'e'

#endif
