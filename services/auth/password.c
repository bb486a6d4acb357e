#include "services/auth/password.h"

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

struct job {
	TAILQ_ENTRY(job) link; /* in all: the loop's thread alone */
	TAILQ_ENTRY(job) done_link;
	struct hasher *hasher;
	pthread_t thread;
	hasher_fn *fn; /* NULL = forgotten */
	void *ctx;
	bool ok, verify;
	char password[PASSWORD_MOST + 1];
	char hash[PASSWORD_HASH];
};
_Static_assert(PASSWORD_HASH == crypto_pwhash_STRBYTES, "as libsodium says");

/* Made as the others are, of a password that nobody has kept. */
static const char nobody[] = "$argon2id$v=19$m=65536,t=2,p=1$9yK6DHicoPi0rKENO3+bpg$"
                             "vPVkEgIyGpZA3jb5848JFctV4m0ShXoEtWvkmWnOIDQ";
TAILQ_HEAD(jobs, job);

struct hasher {
	struct loop *loop;
	unsigned threads, n;
	int fd; /* of done; -1 without threads */
	struct timer timer;
	struct jobs all;
	pthread_mutex_t lock; /* of done alone */
	struct jobs done;
};

static void compute(struct job *job)
{
	if (job->verify)
		job->ok = crypto_pwhash_str_verify(job->hash, job->password,
		                                   strlen(job->password)) == 0;
	else
		job->ok = crypto_pwhash_str(job->hash, job->password, strlen(job->password),
		                            crypto_pwhash_OPSLIMIT_INTERACTIVE,
		                            crypto_pwhash_MEMLIMIT_INTERACTIVE) == 0;
	sodium_memzero(job->password, sizeof job->password);
}

static void *run(void *self)
{
	struct job *job = self;
	struct hasher *hasher = job->hasher;
	uint64_t one = 1;

	compute(job);
	(void)pthread_mutex_lock(&hasher->lock);
	TAILQ_INSERT_TAIL(&hasher->done, job, done_link);
	(void)pthread_mutex_unlock(&hasher->lock);
	MUST(write(hasher->fd, &one, sizeof one) == (ssize_t)sizeof one);
	return NULL;
}

static void free_job(struct job *job)
{
	sodium_memzero(job, sizeof *job);
	mem_free(job);
}

static struct job *take_done(struct hasher *hasher)
{
	struct job *job;

	(void)pthread_mutex_lock(&hasher->lock);
	job = TAILQ_FIRST(&hasher->done);
	if (job)
		TAILQ_REMOVE(&hasher->done, job, done_link);
	(void)pthread_mutex_unlock(&hasher->lock);
	return job;
}

static void answer(struct hasher *hasher, struct job *job)
{
	hasher->n--;
	TAILQ_REMOVE(&hasher->all, job, link);
	if (job->fn)
		job->fn(job->ctx, job->ok ? job->hash : NULL);
	free_job(job);
}

static void on_done(void *self)
{
	struct hasher *hasher = self;
	uint64_t count;
	struct job *job;

	if (hasher->fd >= 0)
		MUST(read(hasher->fd, &count, sizeof count) == (ssize_t)sizeof count);
	while ((job = take_done(hasher))) {
		if (hasher->threads > 0)
			MUST(pthread_join(job->thread, NULL) == 0);
		answer(hasher, job);
	}
}

struct hasher *hasher_new(struct loop *loop, unsigned threads)
{
	struct hasher *hasher = xcalloc(1, sizeof *hasher);

	hasher->loop = loop;
	hasher->threads = threads;
	hasher->fd = -1;
	TAILQ_INIT(&hasher->all);
	TAILQ_INIT(&hasher->done);
	MUST(pthread_mutex_init(&hasher->lock, NULL) == 0);
	if (threads > 0) {
		hasher->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		MUST(hasher->fd >= 0);
		loop_watch(loop, hasher->fd, 2, on_done, hasher);
	}
	return hasher;
}

static enum err submit(struct hasher *hasher, const char *password, const char *hash, hasher_fn *fn,
                       void *ctx)
{
	struct job *job;

	MUST(strlen(password) <= PASSWORD_MOST);
	if (hasher->n >= (hasher->threads > 0 ? hasher->threads : HASHER_JOBS))
		return ERR_LIMIT;
	job = xcalloc(1, sizeof *job);
	job->hasher = hasher;
	job->fn = fn;
	job->ctx = ctx;
	memcpy(job->password, password, strlen(password));
	job->verify = hash != NULL;
	if (hash)
		(void)snprintf(job->hash, sizeof job->hash, "%s", hash);
	if (hasher->threads == 0) {
		compute(job);
		TAILQ_INSERT_TAIL(&hasher->done, job, done_link);
		timer_set(hasher->loop, &hasher->timer, 0, on_done, hasher);
	} else if (pthread_create(&job->thread, NULL, run, job) != 0) {
		free_job(job);
		return ERR_LIMIT;
	}
	TAILQ_INSERT_TAIL(&hasher->all, job, link);
	hasher->n++;
	return OK;
}

enum err hasher_submit(struct hasher *hasher, const char *password, hasher_fn *fn, void *ctx)
{
	return submit(hasher, password, NULL, fn, ctx);
}

enum err hasher_verify(struct hasher *hasher, const char *password, const char *hash, hasher_fn *fn,
                       void *ctx)
{
	return submit(hasher, password, hash ? hash : nobody, fn, ctx);
}

void hasher_forget(struct hasher *hasher, const void *ctx)
{
	struct job *job;

	TAILQ_FOREACH(job, &hasher->all, link)
	if (job->ctx == ctx)
		job->fn = NULL;
}

void hasher_free(struct hasher *hasher)
{
	struct job *job;

	if (!hasher)
		return;
	while ((job = TAILQ_FIRST(&hasher->all))) {
		if (hasher->threads > 0)
			MUST(pthread_join(job->thread, NULL) == 0);
		TAILQ_REMOVE(&hasher->all, job, link);
		free_job(job);
	}
	timer_stop(hasher->loop, &hasher->timer);
	if (hasher->fd >= 0) {
		loop_unwatch(hasher->loop, hasher->fd);
		(void)close(hasher->fd);
	}
	(void)pthread_mutex_destroy(&hasher->lock);
	mem_free(hasher);
}
