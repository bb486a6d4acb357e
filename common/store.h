/*
 * store - ordered byte keys on disk, written in batches, synced in groups.
 *
 * The only includer of RocksDB. store_write() makes a batch visible at once and
 * survives the death of the process; it survives power loss only when a later
 * store_sync() has called back. A sync runs in a helper thread, covers everything
 * written before it was asked for, serves all who wait, and starts at once when none
 * runs. A failed sync ends the process: what the disk holds is then unknown.
 *
 * A full disk is refused before the engine meets it: store_write() says ERR_LIMIT
 * while less than the reserve is free, and recovers by itself. A batch that only
 * deletes passes until a quarter of the reserve is left; what batch_delete_range()
 * removes then is given back to the disk in the background.
 *
 * store_open_memory() is the twin for tests and the simulation: same promises, no
 * disk; store_memory_crash() forgets what was not synced.
 */
#ifndef COMMON_STORE_H
#define COMMON_STORE_H

#include "common/err.h"
#include "common/loop.h"
#include "common/mem.h"

struct store;
struct store_batch;
struct store_scan;

typedef void store_synced_fn(void *ctx);

/* Makes the directory. run_bytes: rows whose keys begin with the same so many bytes are written
 * mostly in the order of their keys; this costs less then. No deleted range may begin with a key
 * of so many bytes. ERR_IO: see why (a line in words, 256
 * bytes). ERR_CONFLICT: another process has it open. */
CHECKED enum err store_open(const char *directory, size_t run_bytes, struct loop *loop,
                            char why[256], struct store **ret);
/* As it stands now, also while another process has it open; what that writes later is not seen.
 * It can be read and scanned, nothing else. ERR_NOT_FOUND: there is no store. */
CHECKED enum err store_open_to_read(const char *directory, char why[256], struct store **ret);
struct store *store_open_memory(struct loop *loop, int64_t sync_delay_ms);
/* Waits for the sync that runs; callbacks not yet made are not made. */
void store_close(struct store *store);
AUTO_FREE(struct store, store_close)

struct store_batch *batch_new(void);
void batch_free(struct store_batch *batch);
AUTO_FREE(struct store_batch, batch_free)
void batch_put(struct store_batch *batch, struct bytes key, struct bytes value);
void batch_delete(struct store_batch *batch, struct bytes key);
/* from <= key < to */
void batch_delete_range(struct store_batch *batch, struct bytes from, struct bytes to);
/* What is deleted or overwritten between these keys, by this batch or before, leaves the disk soon
 * after the batch is written; when the process dies before, after its next start. In the
 * background; costs reading and writing what is left there. */
void batch_give_back(struct store_batch *batch, struct bytes from, struct bytes to);
size_t batch_bytes(const struct store_batch *batch);
/* Empties it, so that one batch serves many writes. */
void batch_clear(struct store_batch *batch);

/* ERR_IO: the engine failed and takes no more writes; end the process, the next one finds
 * everything that was OK. */
CHECKED enum err store_write(struct store *store, const struct store_batch *batch);
/* ERR_LIMIT when the disk is too full for a batch with puts; after OK the next
 * store_write() is not refused for that: ask before work that cannot be taken back. */
CHECKED enum err store_room(struct store *store);
/* fn is always called from a later turn of the loop. */
void store_sync(struct store *store, store_synced_fn *fn, void *ctx);
/* Callbacks not yet made with this ctx are not made. */
void store_forget(struct store *store, const void *ctx);

/* Replaces the content of ret. ERR_NOT_FOUND leaves it empty. */
CHECKED enum err store_get(struct store *store, struct bytes key, struct buf *ret);

/* Keys from <= key < to, as they stand now (later writes are not seen), in order or
 * backwards. Key and value are borrowed until the next call. */
struct store_scan *scan_open(struct store *store, struct bytes from, struct bytes to,
                             bool backwards);
bool scan_next(struct store_scan *scan, struct bytes *ret_key, struct bytes *ret_value);
/* After scan_next() said false: ERR_IO when the disk, not the range, ended the scan. */
CHECKED enum err scan_err(const struct store_scan *scan);
void scan_close(struct store_scan *scan);
AUTO_FREE(struct store_scan, scan_close)

/* The disk space of what was deleted between these keys comes back soon, not only when the engine
 * gets to it. In the background; costs reading what is left there. */
void store_give_back(struct store *store, struct bytes from, struct bytes to);

/* What the last failed call met. Never NULL. */
const char *store_why(const struct store *store);

/* Twin only. kill: the process dies: all that was written stays, nobody is called back, and
 * nothing can be written until revive. crash: a power cut: all that was synced stays; it can
 * be used again at once. Both end with no scan open. */
void store_memory_kill(struct store *store);
void store_memory_revive(struct store *store);
void store_memory_crash(struct store *store);

#endif
