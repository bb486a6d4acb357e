#include "common/store_reclaim.h"

#include <pthread.h>
#include <string.h>

#define RANGES_MOST 64 /* waiting; when there are more, the last one grows over the new one */

struct range {
	struct bytes from, to; /* owned */
};

struct store_reclaim {
	rocksdb_t *db;
	rocksdb_compactoptions_t *options;
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

static void merge(struct store_reclaim *reclaim, struct range range)
{
	rocksdb_compact_range_opt(reclaim->db, reclaim->options, range.from.data, range.from.len,
	                          range.to.data, range.to.len);
	free_bytes(range.from);
	free_bytes(range.to);
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

static bool is_waiting(const struct store_reclaim *reclaim, struct bytes from, struct bytes to)
{
	for (size_t i = 0; i < reclaim->n; i++)
		if (!is_before(from, reclaim->ranges[i].from) &&
		    !is_before(reclaim->ranges[i].to, to))
			return true;
	return false;
}

void store_reclaim_range(struct store_reclaim *reclaim, struct bytes from, struct bytes to)
{
	(void)pthread_mutex_lock(&reclaim->lock);
	if (!is_waiting(reclaim, from, to)) {
		if (reclaim->n == RANGES_MOST)
			widen(&reclaim->ranges[RANGES_MOST - 1], from, to);
		else
			reclaim->ranges[reclaim->n++] = (struct range){ copy(from), copy(to) };
		(void)pthread_cond_signal(&reclaim->changed);
	}
	(void)pthread_mutex_unlock(&reclaim->lock);
}
