/*
 * store_engine - what store.c asks of an engine. Private to the store: RocksDB
 * (store_rocksdb.c) and the twin in memory (store_memory.c) stand behind it.
 */
#ifndef COMMON_STORE_ENGINE_H
#define COMMON_STORE_ENGINE_H

#include "common/store.h"

struct store_engine {
	void (*close)(struct store *store); /* frees the whole object */
	enum err (*room)(struct store *store, size_t bytes, bool only_deletes);
	enum err (*write)(struct store *store, const struct store_batch *batch);
	/* One more waits: call store_served(asked) when a sync that began after this has ended. */
	void (*sync)(struct store *store);
	enum err (*get)(struct store *store, struct bytes key, struct buf *ret);
	/* from < to */
	struct store_scan *(*scan_open)(struct store *store, struct bytes from, struct bytes to,
	                                bool backwards);
	bool (*scan_next)(struct store_scan *scan, struct bytes *ret_key, struct bytes *ret_value);
	void (*scan_close)(struct store_scan *scan);
	void (*give_back)(struct store *store, struct bytes from, struct bytes to); /* or NULL */
};

struct waiter {
	struct waiter *next;
	store_synced_fn *fn;
	void *ctx;
};

/* First member of each engine's own struct. */
struct store {
	const struct store_engine *engine;
	struct loop *loop;
	struct waiter *first, **end; /* who waits for a sync, oldest first */
	uint64_t asked, served;      /* waiters so far, and those called back */
	size_t scans;                /* open now */
	bool room_granted;           /* store_room() has promised the next write */
	char why[256];
};

struct store_scan {
	struct store *store;
	bool done;
	enum err err;
};

void store_init(struct store *store, const struct store_engine *engine, struct loop *loop);
void store_set_why(struct store *store, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
/* Calls back the first so many of all who ever waited. */
void store_served(struct store *store, uint64_t count);
void store_forget_all(struct store *store);

enum op_kind { OP_PUT, OP_DELETE, OP_DELETE_RANGE, OP_GIVE_BACK };
struct op {
	enum op_kind kind;
	struct bytes key, value; /* OP_DELETE_RANGE, OP_GIVE_BACK: from, to */
};
/* The operations in order; *place starts at 0. */
bool batch_next(const struct store_batch *batch, size_t *place, struct op *ret);

#endif
