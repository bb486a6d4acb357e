/*
 * store_reclaim - gives deleted ranges back to the disk: when it is short, and when a service asks.
 * Private to the store.
 *
 * A deletion frees nothing until RocksDB merges the tables it lies in, and RocksDB merges
 * when enough was written; a full disk refuses writes, so it would stay full for ever. A
 * thread of its own merges the ranges that were deleted meanwhile (a merge may take
 * minutes; a sync must not wait for it). What must be gone is marked by a row, so that the
 * death of the process puts it off only.
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
/* A row that stands for a range until it was merged: it belongs into the batch that deletes. Rows
 * found at the start are merged then. The caller frees key->data; the value is `to`. */
#define STORE_RECLAIM_MARK     "\xff\xffg" /* then from: behind every key of a service */
#define STORE_RECLAIM_MARK_LEN 3
void store_reclaim_mark(struct bytes from, struct buf *ret_key);

/* Never waits for a merge. whole: the lowest tables too, which may hold nothing but what says that
 * a key was deleted; that costs room for a while. */
void store_reclaim_range(struct store_reclaim *reclaim, struct bytes from, struct bytes to,
                         bool whole);

#endif
