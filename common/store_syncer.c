#include "common/store_syncer.h"

#include "common/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PRIORITY 0 /* answers wait for it */

struct store_syncer {
	rocksdb_t *db;
	const char *directory;
	struct store *store;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t asked, done; /* waiters so far, and those whose data is on the disk */
	bool stop;
	int done_fd;
};

/* What was written is in an unknown state, and a second try may succeed without having
 * written it (the kernel forgets a failed page). Only a restart reads the truth. */
static _Noreturn void sync_failed(const struct store_syncer *syncer, const char *error)
{
	log_error("store-sync-failed", "directory=%s why=\"%s\"", syncer->directory, error);
	_exit(EXIT_FAILURE);
}

static void *run(void *self)
{
	struct store_syncer *syncer = self;

	(void)pthread_mutex_lock(&syncer->lock);
	while (!syncer->stop) {
		uint64_t covers = syncer->asked;
		char *error = NULL;

		if (covers == syncer->done) {
			(void)pthread_cond_wait(&syncer->changed, &syncer->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&syncer->lock);
		rocksdb_flush_wal(syncer->db, 1, &error);
		if (error)
			sync_failed(syncer, error);
		(void)pthread_mutex_lock(&syncer->lock);
		syncer->done = covers;
		MUST(eventfd_write(syncer->done_fd, 1) == 0);
	}
	(void)pthread_mutex_unlock(&syncer->lock);
	return NULL;
}

static void on_done(void *self)
{
	struct store_syncer *syncer = self;
	eventfd_t count;
	uint64_t done;

	if (eventfd_read(syncer->done_fd, &count) != 0)
		return; /* level-triggered: nothing is lost */
	(void)pthread_mutex_lock(&syncer->lock);
	done = syncer->done;
	(void)pthread_mutex_unlock(&syncer->lock);
	store_served(syncer->store, done);
}

struct store_syncer *store_syncer_new(rocksdb_t *db, const char *directory, struct store *store)
{
	struct store_syncer *syncer = xcalloc(1, sizeof *syncer);

	syncer->db = db;
	syncer->directory = directory;
	syncer->store = store;
	syncer->done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	MUST(syncer->done_fd >= 0);
	MUST(pthread_mutex_init(&syncer->lock, NULL) == 0);
	MUST(pthread_cond_init(&syncer->changed, NULL) == 0);
	MUST(pthread_create(&syncer->thread, NULL, run, syncer) == 0);
	(void)pthread_setname_np(syncer->thread, "store-sync"); /* only for those who look */
	loop_watch(store->loop, syncer->done_fd, PRIORITY, on_done, syncer);
	return syncer;
}

void store_syncer_free(struct store_syncer *syncer)
{
	if (!syncer)
		return;
	loop_unwatch(syncer->store->loop, syncer->done_fd);
	(void)pthread_mutex_lock(&syncer->lock);
	syncer->stop = true;
	(void)pthread_cond_signal(&syncer->changed);
	(void)pthread_mutex_unlock(&syncer->lock);
	MUST(pthread_join(syncer->thread, NULL) == 0);
	(void)pthread_cond_destroy(&syncer->changed);
	(void)pthread_mutex_destroy(&syncer->lock);
	(void)close(syncer->done_fd);
	mem_free(syncer);
}

void store_syncer_ask(struct store_syncer *syncer, uint64_t count)
{
	(void)pthread_mutex_lock(&syncer->lock);
	syncer->asked = count;
	(void)pthread_cond_signal(&syncer->changed);
	(void)pthread_mutex_unlock(&syncer->lock);
}
