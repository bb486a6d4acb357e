/*
 * store_reclaim - gives deleted ranges back to the disk: when it is short, and when a service asks.
 * Private to the store.
 *
 * A deletion frees nothing until RocksDB merges the tables it lies in, and RocksDB merges
 * when enough was written; a full disk refuses writes, so it would stay full for ever. A
 * thread of its own merges the ranges that were deleted meanwhile (a merge may take
 * minutes; a sync must not wait for it).
 */
#ifndef COMMON_STORE_RECLAIM_H
#define COMMON_STORE_RECLAIM_H

#include "common/mem.h"

#include <rocksdb/c.h>

struct store_reclaim;

/* Borrows db. */
struct store_reclaim *store_reclaim_new(rocksdb_t *db);
/* Breaks off the merge that runs. */
void store_reclaim_free(struct store_reclaim *reclaim);
/* Never waits for a merge. */
void store_reclaim_range(struct store_reclaim *reclaim, struct bytes from, struct bytes to);

#endif
