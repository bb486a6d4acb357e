#include "common/store_reclaim.h"

#include <pthread.h>
#include <string.h>

/* rocksdb::BottommostLevelCompaction */
#define MERGE_NOT_LOWEST  1 /* the default: there is no filter */
#define MERGE_LOWEST_ONCE 3

#define RANGES_MOST 64 /* waiting; when there are more, the last one grows over the new one */

struct range {
	struct bytes from, to; /* owned */
	bool whole;            /* down to the lowest tables */
};

struct store_reclaim {
	rocksdb_t *db;
	rocksdb_compactoptions_t *options;
	rocksdb_readoptions_t *read_options;
	rocksdb_writeoptions_t *write_options;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct range ranges[RANGES_MOST];
	size_t n;
	bool stop;
};

static struct bytes copy(struct bytes bytes)
{
	return BYTES(xmemdup(bytes.data, bytes.len), bytes.len);
}

static void free_bytes(struct bytes bytes)
{
	mem_free((void *)bytes.data);
}

static bool is_before(struct bytes a, struct bytes b)
{
	int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);

	return order < 0 || (order == 0 && a.len < b.len);
}

static bool is_waiting(const struct store_reclaim *reclaim, struct bytes from, struct bytes to,
                       bool whole)
{
	for (size_t i = 0; i < reclaim->n; i++)
		if ((reclaim->ranges[i].whole || !whole) &&
		    !is_before(from, reclaim->ranges[i].from) &&
		    !is_before(reclaim->ranges[i].to, to))
			return true;
	return false;
}

static void add_range(struct store_reclaim *reclaim, struct bytes from, struct bytes to,
                      bool whole);

/* ---- marks ---- */

void store_reclaim_mark(struct bytes from, struct buf *ret_key)
{
	ret_key->len = 0;
	buf_append(ret_key, STORE_RECLAIM_MARK, STORE_RECLAIM_MARK_LEN);
	buf_append(ret_key, from.data, from.len);
}

/* A mark's range, borrowed; false: there is none any more. */
static bool read_mark(const rocksdb_iterator_t *marks, struct bytes *ret_from, struct bytes *ret_to)
{
	struct bytes key, to;

	if (!rocksdb_iter_valid(marks))
		return false;
	key.data = rocksdb_iter_key(marks, &key.len);
	to.data = rocksdb_iter_value(marks, &to.len);
	if (key.len < STORE_RECLAIM_MARK_LEN ||
	    memcmp(key.data, STORE_RECLAIM_MARK, STORE_RECLAIM_MARK_LEN) != 0)
		return false;
	*ret_from = BYTES((const uint8_t *)key.data + STORE_RECLAIM_MARK_LEN,
	                  key.len - STORE_RECLAIM_MARK_LEN);
	*ret_to = to;
	return true;
}

static rocksdb_iterator_t *marks_of(struct store_reclaim *reclaim)
{
	rocksdb_iterator_t *marks = rocksdb_create_iterator(reclaim->db, reclaim->read_options);

	rocksdb_iter_seek(marks, STORE_RECLAIM_MARK, STORE_RECLAIM_MARK_LEN);
	return marks;
}

static void take_marks(struct store_reclaim *reclaim)
{
	rocksdb_iterator_t *marks = marks_of(reclaim);
	struct bytes from, to;

	for (; read_mark(marks, &from, &to); rocksdb_iter_next(marks))
		add_range(reclaim, from, to, true);
	rocksdb_iter_destroy(marks);
}

/* One that cannot be taken off stays: the range is merged again at the next start. */
static void take_off(struct store_reclaim *reclaim, struct bytes from)
{
	struct buf key = { 0 };
	char *error = NULL;

	store_reclaim_mark(from, &key);
	rocksdb_delete(reclaim->db, reclaim->write_options, (const char *)key.data, key.len,
	               &error);
	rocksdb_free(error);
	buf_free(&key);
}

/* The marks within a range that was merged, unless they were made meanwhile. */
static void take_off_marks(struct store_reclaim *reclaim, struct range range)
{
	rocksdb_iterator_t *marks = marks_of(reclaim);
	struct bytes from, to;

	for (; read_mark(marks, &from, &to); rocksdb_iter_next(marks))
		if (!is_before(from, range.from) && !is_before(range.to, to) &&
		    !is_waiting(reclaim, from, to, true))
			take_off(reclaim, from);
	rocksdb_iter_destroy(marks);
}

static void merge(struct store_reclaim *reclaim, struct range range)
{
	rocksdb_compactoptions_set_bottommost_level_compaction(
	        reclaim->options, range.whole ? MERGE_LOWEST_ONCE : MERGE_NOT_LOWEST);
	rocksdb_compact_range_opt(reclaim->db, reclaim->options, range.from.data, range.from.len,
	                          range.to.data, range.to.len);
}

static void *run(void *self)
{
	struct store_reclaim *reclaim = self;

	(void)pthread_mutex_lock(&reclaim->lock);
	while (!reclaim->stop) {
		struct range first = reclaim->ranges[0];

		if (reclaim->n == 0) {
			(void)pthread_cond_wait(&reclaim->changed, &reclaim->lock);
			continue;
		}
		reclaim->n--;
		memmove(reclaim->ranges, reclaim->ranges + 1, reclaim->n * sizeof first);
		(void)pthread_mutex_unlock(&reclaim->lock);
		merge(reclaim, first);
		(void)pthread_mutex_lock(&reclaim->lock);
		if (!reclaim->stop && first.whole)
			take_off_marks(reclaim, first);
		free_bytes(first.from);
		free_bytes(first.to);
	}
	(void)pthread_mutex_unlock(&reclaim->lock);
	return NULL;
}

struct store_reclaim *store_reclaim_new(rocksdb_t *db)
{
	struct store_reclaim *reclaim = xcalloc(1, sizeof *reclaim);

	reclaim->db = db;
	reclaim->options = rocksdb_compactoptions_create();
	/* The merges that writing needs go on meanwhile. */
	rocksdb_compactoptions_set_exclusive_manual_compaction(reclaim->options, 0);
	reclaim->read_options = rocksdb_readoptions_create();
	reclaim->write_options = rocksdb_writeoptions_create();
	take_marks(reclaim);
	MUST(pthread_mutex_init(&reclaim->lock, NULL) == 0);
	MUST(pthread_cond_init(&reclaim->changed, NULL) == 0);
	MUST(pthread_create(&reclaim->thread, NULL, run, reclaim) == 0);
	(void)pthread_setname_np(reclaim->thread, "store-reclaim"); /* only for those who look */
	return reclaim;
}

void store_reclaim_free(struct store_reclaim *reclaim)
{
	if (!reclaim)
		return;
	rocksdb_disable_manual_compaction(reclaim->db);
	(void)pthread_mutex_lock(&reclaim->lock);
	reclaim->stop = true;
	(void)pthread_cond_signal(&reclaim->changed);
	(void)pthread_mutex_unlock(&reclaim->lock);
	MUST(pthread_join(reclaim->thread, NULL) == 0);
	for (size_t i = 0; i < reclaim->n; i++) {
		free_bytes(reclaim->ranges[i].from);
		free_bytes(reclaim->ranges[i].to);
	}
	(void)pthread_cond_destroy(&reclaim->changed);
	(void)pthread_mutex_destroy(&reclaim->lock);
	rocksdb_compactoptions_destroy(reclaim->options);
	rocksdb_readoptions_destroy(reclaim->read_options);
	rocksdb_writeoptions_destroy(reclaim->write_options);
	mem_free(reclaim);
}

static void widen(struct range *range, struct bytes from, struct bytes to)
{
	if (is_before(from, range->from)) {
		free_bytes(range->from);
		range->from = copy(from);
	}
	if (is_before(range->to, to)) {
		free_bytes(range->to);
		range->to = copy(to);
	}
}

static void add_range(struct store_reclaim *reclaim, struct bytes from, struct bytes to, bool whole)
{
	struct range *last = &reclaim->ranges[RANGES_MOST - 1];

	if (is_waiting(reclaim, from, to, whole))
		return;
	if (reclaim->n == RANGES_MOST) {
		widen(last, from, to);
		last->whole = last->whole || whole;
	} else {
		reclaim->ranges[reclaim->n++] = (struct range){ copy(from), copy(to), whole };
	}
}

void store_reclaim_range(struct store_reclaim *reclaim, struct bytes from, struct bytes to,
                         bool whole)
{
	(void)pthread_mutex_lock(&reclaim->lock);
	add_range(reclaim, from, to, whole);
	(void)pthread_cond_signal(&reclaim->changed);
	(void)pthread_mutex_unlock(&reclaim->lock);
}
