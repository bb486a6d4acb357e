/*
 * The engine on disk: one RocksDB, the default column family, its log on and never
 * synced by a write. Syncing (store_syncer.c) and the giving back of deleted ranges
 * (store_reclaim.c) have a thread each.
 */
#include "common/log.h"
#include "common/store_engine.h"
#include "common/store_reclaim.h"
#include "common/store_space.h"
#include "common/store_syncer.h"

#include <errno.h>
#include <rocksdb/c.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MIB ((size_t)1 << 20)

/* Several stores share a host: a store's memory is at most about 4 x 16 + 16 MiB. */
#define WRITE_BUFFER_MOST   (16 * MIB)
#define WRITE_BUFFER_LEAST  (1 * MIB)
#define WRITE_BUFFERS       4 /* three may wait for the disk before writing does */
#define BLOCK_CACHE_BYTES   (16 * MIB)
#define LEVEL_BASE_BYTES    (64 * MIB)
#define BUFFER_FILTER_SHARE 0.05     /* of a write buffer */
#define BLOOM_BITS          10       /* one in a hundred lookups of an absent key reads the disk */
#define OPEN_FILES          256      /* the sockets of the process need the rest */
#define NO_RUNS             SIZE_MAX /* no key is so long */

struct rocksdb_store {
	struct store store;
	size_t run_bytes;
	char *directory;
	rocksdb_t *db;
	rocksdb_options_t *options;
	rocksdb_cache_t *cache;
	rocksdb_writeoptions_t *write_options;
	rocksdb_readoptions_t *read_options;
	rocksdb_writebatch_t *batch; /* used by each write in turn */
	struct store_space space;
	struct store_reclaim *reclaim;
	struct store_syncer *syncer;
};

struct rocksdb_scan {
	struct store_scan scan;
	rocksdb_readoptions_t *options; /* borrows from and to */
	rocksdb_iterator_t *iterator;
	char *from, *to;
	bool backwards, started;
};

/* The one place where RocksDB's errors become ours; takes the text. */
static enum err failed(struct store *store, const char *doing, char *error)
{
	store_set_why(store, "%s: %s", doing, error);
	rocksdb_free(error);
	return ERR_IO;
}

static enum err room(struct store *base, size_t bytes, bool only_deletes)
{
	struct rocksdb_store *store = (struct rocksdb_store *)base;

	if (store_space_has_room(&store->space, bytes, only_deletes))
		return OK;
	store_set_why(base, "disk full: %llu MiB free, %llu MiB held in reserve",
	              (unsigned long long)(store->space.free_bytes / MIB),
	              (unsigned long long)(store->space.reserve_bytes / MIB));
	return ERR_LIMIT;
}

static void reclaim_ranges(struct rocksdb_store *store, const struct store_batch *batch,
                           bool is_short)
{
	struct op op;

	for (size_t place = 0; batch_next(batch, &place, &op);)
		if (op.kind == OP_GIVE_BACK || (op.kind == OP_DELETE_RANGE && is_short))
			store_reclaim_range(store->reclaim, op.key, op.value,
			                    op.kind == OP_GIVE_BACK);
}

/* RocksDB keeps ranges in a list of their own, but a run's last place is one for both lists: a
 * range that was a part of a run would be put behind a row of the other, and end the process. */
static void translate_range(struct rocksdb_store *store, const struct op *op)
{
	MUST(op->key.len < store->run_bytes);
	rocksdb_writebatch_delete_range(store->batch, op->key.data, op->key.len, op->value.data,
	                                op->value.len);
}

static void put_mark(struct rocksdb_store *store, const struct op *op)
{
	struct buf key = { 0 };

	store_reclaim_mark(op->key, &key);
	rocksdb_writebatch_put(store->batch, (const char *)key.data, key.len, op->value.data,
	                       op->value.len);
	buf_free(&key);
}

/* True: it gives something back. */
static bool translate(struct rocksdb_store *store, const struct store_batch *batch)
{
	bool gives_back = false;
	struct op op;

	rocksdb_writebatch_clear(store->batch);
	for (size_t place = 0; batch_next(batch, &place, &op);) {
		if (op.kind == OP_PUT)
			rocksdb_writebatch_put(store->batch, op.key.data, op.key.len, op.value.data,
			                       op.value.len);
		else if (op.kind == OP_DELETE)
			rocksdb_writebatch_delete(store->batch, op.key.data, op.key.len);
		else if (op.kind == OP_DELETE_RANGE)
			translate_range(store, &op);
		else
			put_mark(store, &op);
		gives_back = gives_back || op.kind == OP_GIVE_BACK;
	}
	return gives_back;
}

static enum err write_batch(struct store *base, const struct store_batch *batch)
{
	struct rocksdb_store *store = (struct rocksdb_store *)base;
	bool is_short = store_space_is_short(&store->space);
	bool gives_back = translate(store, batch);
	char *error = NULL;

	rocksdb_write(store->db, store->write_options, store->batch, &error);
	if (error)
		return failed(base, "write", error);
	if (gives_back || is_short)
		reclaim_ranges(store, batch, is_short);
	return OK;
}

static enum err get(struct store *base, struct bytes key, struct buf *ret)
{
	struct rocksdb_store *store = (struct rocksdb_store *)base;
	rocksdb_pinnableslice_t *pinned;
	char *error = NULL;
	const char *value;
	size_t len;

	pinned = rocksdb_get_pinned(store->db, store->read_options, key.data, key.len, &error);
	if (error)
		return failed(base, "read", error);
	if (!pinned)
		return ERR_NOT_FOUND;
	value = rocksdb_pinnableslice_value(pinned, &len);
	buf_append(ret, value, len);
	rocksdb_pinnableslice_destroy(pinned);
	return OK;
}

static struct store_scan *open_scan(struct store *base, struct bytes from, struct bytes to,
                                    bool backwards)
{
	struct rocksdb_store *store = (struct rocksdb_store *)base;
	struct rocksdb_scan *scan = xcalloc(1, sizeof *scan);

	scan->from = xmemdup(from.data, from.len);
	scan->to = xmemdup(to.data, to.len);
	scan->backwards = backwards;
	scan->options = rocksdb_readoptions_create();
	rocksdb_readoptions_set_iterate_lower_bound(scan->options, scan->from, from.len);
	rocksdb_readoptions_set_iterate_upper_bound(scan->options, scan->to, to.len);
	rocksdb_readoptions_set_background_purge_on_iterator_cleanup(scan->options, 1);
	scan->iterator = rocksdb_create_iterator(store->db, scan->options);
	return &scan->scan;
}

static void step(struct rocksdb_scan *scan)
{
	if (!scan->started && scan->backwards)
		rocksdb_iter_seek_to_last(scan->iterator);
	else if (!scan->started)
		rocksdb_iter_seek_to_first(scan->iterator);
	else if (scan->backwards)
		rocksdb_iter_prev(scan->iterator);
	else
		rocksdb_iter_next(scan->iterator);
	scan->started = true;
}

static bool next(struct store_scan *base, struct bytes *ret_key, struct bytes *ret_value)
{
	struct rocksdb_scan *scan = (struct rocksdb_scan *)base;
	char *error = NULL;

	step(scan);
	if (rocksdb_iter_valid(scan->iterator)) {
		ret_key->data = rocksdb_iter_key(scan->iterator, &ret_key->len);
		ret_value->data = rocksdb_iter_value(scan->iterator, &ret_value->len);
		return true;
	}
	rocksdb_iter_get_error(scan->iterator, &error);
	if (error) {
		base->err = failed(base->store, "scan", error);
		log_error("store-scan-failed", "why=\"%s\"", store_why(base->store));
	}
	return false;
}

static void close_scan(struct store_scan *base)
{
	struct rocksdb_scan *scan = (struct rocksdb_scan *)base;

	rocksdb_iter_destroy(scan->iterator);
	rocksdb_readoptions_destroy(scan->options);
	mem_free(scan->from);
	mem_free(scan->to);
	mem_free(scan);
}

static void ask_for_sync(struct store *base)
{
	store_syncer_ask(((struct rocksdb_store *)base)->syncer, base->asked);
}

/* In this order: Debian's RocksDB asserts that nothing outlives the database but what
 * it was made with. */
static void free_store(struct rocksdb_store *store)
{
	rocksdb_writebatch_destroy(store->batch);
	if (store->db)
		rocksdb_close(store->db);
	rocksdb_readoptions_destroy(store->read_options);
	rocksdb_writeoptions_destroy(store->write_options);
	rocksdb_options_destroy(store->options);
	rocksdb_cache_destroy(store->cache);
	mem_free(store->directory);
	mem_free(store);
}

static void close_engine(struct store *base)
{
	struct rocksdb_store *store = (struct rocksdb_store *)base;

	store_syncer_free(store->syncer);
	store_reclaim_free(store->reclaim);
	free_store(store);
}

static void give_back(struct store *base, struct bytes from, struct bytes to)
{
	store_reclaim_range(((struct rocksdb_store *)base)->reclaim, from, to, false);
}

static const struct store_engine rocksdb_engine = {
	.close = close_engine,
	.room = room,
	.write = write_batch,
	.sync = ask_for_sync,
	.get = get,
	.scan_open = open_scan,
	.scan_next = next,
	.scan_close = close_scan,
	.give_back = give_back,
};

static void set_table_options(struct rocksdb_store *store)
{
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();

	store->cache = rocksdb_cache_create_lru(BLOCK_CACHE_BYTES);
	rocksdb_block_based_options_set_block_cache(table, store->cache);
	rocksdb_block_based_options_set_filter_policy(
	        table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
	/* Index and filter in the cache, so that memory is bounded, and in small parts: a whole
	 * filter of well compressed rows is larger than a shard of a small cache, and was read
	 * again for each lookup (measured: 160 us instead of 15). */
	rocksdb_block_based_options_set_index_type(
	        table, rocksdb_block_based_table_index_type_two_level_index_search);
	rocksdb_block_based_options_set_partition_filters(table, 1);
	rocksdb_block_based_options_set_pin_top_level_index_and_filter(table, 1);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
	rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
	rocksdb_options_set_block_based_table_factory(store->options, table);
	rocksdb_block_based_options_destroy(table);
}

/* A buffer is written out while the disk may be at its reserve: it must fit there. */
static size_t write_buffer_bytes(uint64_t reserve_bytes)
{
	if (reserve_bytes == 0 || reserve_bytes / 4 > WRITE_BUFFER_MOST)
		return WRITE_BUFFER_MOST;
	return reserve_bytes / 4 > WRITE_BUFFER_LEAST ? reserve_bytes / 4 : WRITE_BUFFER_LEAST;
}

/* A new row is looked for from the last one of its run on, not from the top of the whole buffer
 * (measured with 1,000 sessions; in a profile the insert fell from 41 % to 17 % of the publisher).
 * And a key that the buffer does not have is mostly known without looking. */
static void set_buffer_options(rocksdb_options_t *options, size_t run_bytes)
{
	char *text = xasprintf("memtable_insert_with_hint_prefix_extractor=rocksdb.FixedPrefix.%zu;"
	                       "memtable_whole_key_filtering=true;"
	                       "memtable_prefix_bloom_size_ratio=%g",
	                       run_bytes, BUFFER_FILTER_SHARE);
	char *error = NULL;

	rocksdb_get_options_from_string(options, text, options, &error);
	mem_free(text);
	MUST(!error);
}

static void set_options(struct rocksdb_store *store, size_t run_bytes)
{
	rocksdb_options_t *options = rocksdb_options_create();
	size_t write_buffer = write_buffer_bytes(store->space.reserve_bytes);

	store->options = options;
	rocksdb_options_set_create_if_missing(options, 1);
	rocksdb_options_set_write_buffer_size(options, write_buffer);
	rocksdb_options_set_max_write_buffer_number(options, WRITE_BUFFERS);
	rocksdb_options_set_target_file_size_base(options, write_buffer);
	rocksdb_options_set_max_bytes_for_level_base(options, LEVEL_BASE_BYTES);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
	rocksdb_options_set_manifest_preallocation_size(options, MIB / 16);
	rocksdb_options_set_max_open_files(options, OPEN_FILES);
	/* The kernel begins early, so that a sync finds little left to do. */
	rocksdb_options_set_bytes_per_sync(options, MIB);
	rocksdb_options_set_wal_bytes_per_sync(options, MIB / 2);
	/* After a power cut the log's end may be torn: keep all before the tear. */
	rocksdb_options_set_wal_recovery_mode(options, rocksdb_point_in_time_recovery);
	/* No thread that wakes to write statistics, no growing log of its own. */
	rocksdb_options_set_stats_dump_period_sec(options, 0);
	rocksdb_options_set_stats_persist_period_sec(options, 0);
	rocksdb_options_set_info_log_level(options, 2); /* warnings */
	rocksdb_options_set_max_log_file_size(options, MIB);
	rocksdb_options_set_keep_log_file_num(options, 2);
	set_table_options(store);
	set_buffer_options(options, run_bytes);
	store->write_options = rocksdb_writeoptions_create();
	store->read_options = rocksdb_readoptions_create();
	store->batch = rocksdb_writebatch_create();
}

/* With every parent, as mkdir -p. */
static bool make_directory(const char *directory)
{
	AUTO_MEM char *path = xstrdup(directory);

	for (char *slash = path + 1; *path && (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdir(path, 0700) != 0 && errno != EEXIST)
			return false;
		*slash = '/';
	}
	return mkdir(path, 0700) == 0 || errno == EEXIST;
}

/* Gives RocksDB's text, NULL when all is well. */
static char *open_database(struct rocksdb_store *store)
{
	char *error = NULL;

	rocksdb_options_set_compression(store->options, rocksdb_lz4_compression);
	store->db = rocksdb_open(store->options, store->directory, &error);
	if (!error || !strstr(error, "not linked"))
		return error;
	rocksdb_free(error);
	error = NULL;
	rocksdb_options_set_compression(store->options, rocksdb_no_compression);
	store->db = rocksdb_open(store->options, store->directory, &error);
	return error;
}

static enum err open_failed(char *error, char why[256])
{
	bool is_locked = strstr(error, "While lock file") || strstr(error, "lock hold by");

	(void)snprintf(why, 256, "%s", error);
	rocksdb_free(error);
	return is_locked ? ERR_CONFLICT : ERR_IO;
}

enum err store_open(const char *directory, size_t run_bytes, struct loop *loop, char why[256],
                    struct store **ret)
{
	struct rocksdb_store *store;
	sigset_t every, before;
	char *error;

	if (!make_directory(directory)) {
		(void)snprintf(why, 256, "cannot make %s: %s", directory, strerror(errno));
		return ERR_IO;
	}
	store = xcalloc(1, sizeof *store);
	store->directory = xstrdup(directory);
	store_init(&store->store, &rocksdb_engine, loop);
	store_space_init(&store->space, store->directory);
	store->run_bytes = run_bytes;
	set_options(store, run_bytes);

	/* The threads made here, RocksDB's and ours, never take the process's signals. */
	(void)sigfillset(&every);
	(void)pthread_sigmask(SIG_SETMASK, &every, &before);
	error = open_database(store);
	if (!error) {
		store->reclaim = store_reclaim_new(store->db);
		store->syncer = store_syncer_new(store->db, store->directory, &store->store);
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error) {
		free_store(store);
		return open_failed(error, why);
	}
	*ret = &store->store;
	return OK;
}

/* ---- to read ---- */

static enum err refuse_room(struct store *store, size_t bytes, bool only_deletes)
{
	(void)bytes;
	(void)only_deletes;
	store_set_why(store, "it is open to be read alone");
	return ERR_IO;
}

static enum err refuse_write(struct store *store, const struct store_batch *batch)
{
	(void)batch;
	return refuse_room(store, 0, false);
}

static void refuse_sync(struct store *store)
{
	(void)store;
	MUST(!"a store that is open to be read has nothing to sync");
}

static void close_reader(struct store *base)
{
	free_store((struct rocksdb_store *)base);
}

static const struct store_engine reader_engine = {
	.close = close_reader,
	.room = refuse_room,
	.write = refuse_write,
	.sync = refuse_sync,
	.get = get,
	.scan_open = open_scan,
	.scan_next = next,
	.scan_close = close_scan,
};

enum err store_open_to_read(const char *directory, char why[256], struct store **ret)
{
	AUTO_MEM char *current = xasprintf("%s/CURRENT", directory);
	struct rocksdb_store *store;
	struct stat st;
	char *error = NULL;

	if (stat(current, &st) != 0) {
		(void)snprintf(why, 256, "%s: %s", directory, strerror(errno));
		return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
	}
	store = xcalloc(1, sizeof *store);
	store->directory = xstrdup(directory);
	store_init(&store->store, &reader_engine, NULL);
	set_options(store, NO_RUNS);
	rocksdb_options_set_create_if_missing(store->options, 0);
	rocksdb_options_set_max_open_files(store->options, -1); /* the owner may delete them */
	/* What its owner would do without (a log's broken part) is to be known here; the end may be
	 * being written. */
	rocksdb_options_set_wal_recovery_mode(store->options,
	                                      rocksdb_tolerate_corrupted_tail_records_recovery);
	store->db = rocksdb_open_for_read_only(store->options, store->directory, 0, &error);
	if (error) {
		free_store(store);
		return open_failed(error, why);
	}
	*ret = &store->store;
	return OK;
}
