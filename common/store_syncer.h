/*
 * store_syncer - the helper thread that waits for the disk. Private to the store.
 *
 * It touches nothing but its own fields behind its lock and rocksdb_flush_wal(), and
 * says through an eventfd in the loop up to whom it has served. A failed sync is one
 * line in the log and the end of the process.
 */
#ifndef COMMON_STORE_SYNCER_H
#define COMMON_STORE_SYNCER_H

#include "common/store_engine.h"

#include <rocksdb/c.h>

struct store_syncer;

/* Borrows everything. Calls store_served() from the loop. */
struct store_syncer *store_syncer_new(rocksdb_t *db, const char *directory, struct store *store);
/* Waits for the sync that runs; those that were not begun are not. */
void store_syncer_free(struct store_syncer *syncer);
/* Covers the first so many of all who ever waited. */
void store_syncer_ask(struct store_syncer *syncer, uint64_t count);

#endif
