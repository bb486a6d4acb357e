/*
 * What a power cut leaves. A child writes to a store and says in shared memory what has
 * been synced; the parent stops it at any moment (every thread at once), copies the
 * directory, takes from each log some or all of what was not synced, and opens the copy.
 */
#include "common/keys.h"
#include "common/store.h"

#include "common/clock.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOGS_MOST   16
#define BATCH_KEYS  3 /* all or none of them may be there */
#define DEADLINE_MS 30000

struct log_file {
	char name[32];
	off_t len;
};

/* The logs as they were when a sync was done, and the last batch that it covered. */
struct synced {
	uint64_t batches;
	int n_logs;
	struct log_file logs[LOGS_MOST];
};

/* The child fills the slot that is not the current one, then switches. */
struct shared {
	atomic_uint current;
	struct synced slots[2];
};

static char directory[64], copy[64];
static struct shared *shared;
static unsigned seed = 11;

static void run(const char *format, const char *from, const char *to)
{
	char command[256];

	(void)snprintf(command, sizeof command, format, from, to);
	cr_assert_eq(system(command), 0, "%s", command);
}

static void given_directories(void)
{
	strcpy(directory, "/tmp/store_power_test.XXXXXX");
	strcpy(copy, "/tmp/store_power_copy.XXXXXX");
	cr_assert(mkdtemp(directory));
	cr_assert(mkdtemp(copy));
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	              0);
	cr_assert_neq(shared, MAP_FAILED);
}

static void done(void)
{
	run("rm -rf '%s' '%s'", directory, copy);
	(void)munmap(shared, sizeof *shared);
}

TestSuite(store_power, .init = given_directories, .fini = done, .timeout = 120);

static int list_logs(const char *path, struct log_file ret[LOGS_MOST])
{
	DIR *listing = opendir(path);
	int n = 0;

	MUST(listing);
	for (struct dirent *entry; (entry = readdir(listing));) {
		size_t len = strlen(entry->d_name);
		char name[400];
		struct stat status;

		if (len < 5 || len > 30 || strcmp(entry->d_name + len - 4, ".log") != 0)
			continue;
		(void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
		if (stat(name, &status) != 0)
			continue; /* just deleted */
		MUST(n < LOGS_MOST);
		strcpy(ret[n].name, entry->d_name);
		ret[n++].len = status.st_size;
	}
	(void)closedir(listing);
	return n;
}

/* ---- the child ---- */

/* Of different lengths, and never the same bytes for two batches. */
static size_t value_of(uint64_t number, size_t most, uint8_t *ret)
{
	size_t len = 8 + (size_t)(number * 7919 % (most - 8));
	uint64_t state = number * 0x9e3779b97f4a7c15 + 1;

	for (size_t i = 0; i < len; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		ret[i] = (uint8_t)state;
	}
	return len;
}

static void key_of(uint64_t number, int part, char ret[32])
{
	(void)snprintf(ret, 32, "%d/%016llu", part, (unsigned long long)number);
}

static void write_one(struct store *store, uint64_t number, size_t value_most)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();
	AUTO_MEM uint8_t *value = xcalloc(1, value_most);
	size_t len = value_of(number, value_most, value);
	char key[32];

	for (int part = 0; part < BATCH_KEYS; part++) {
		key_of(number, part, key);
		batch_put(batch, BYTES(key, strlen(key)), BYTES(value, len));
	}
	MUST(store_write(store, batch) == OK);
}

static void stop(void *loop)
{
	loop_stop(loop);
}

static void sync_one(struct store *store, struct loop *loop, uint64_t number)
{
	unsigned other = 1 - atomic_load(&shared->current);

	store_sync(store, stop, loop);
	loop_run(loop);
	shared->slots[other].n_logs = list_logs(directory, shared->slots[other].logs);
	shared->slots[other].batches = number;
	atomic_store(&shared->current, other);
}

static void write_for_ever(size_t value_most)
{
	struct loop *loop = loop_new();
	struct store *store;
	char why[256];

	MUST(store_open(directory, KEY_RUN_TABLE, loop, why, &store) == OK);
	for (uint64_t number = 1;; number++) {
		write_one(store, number, value_most);
		if (rand_r(&seed) % 8 == 0)
			sync_one(store, loop, number);
	}
}

/* ---- the parent ---- */

enum tear { CUT_AT_THE_SYNC, CUT_ANYWHERE, GARBAGE, ZEROS, TEARS };

static off_t synced_length(const struct synced *synced, const char *name)
{
	for (int i = 0; i < synced->n_logs; i++)
		if (strcmp(synced->logs[i].name, name) == 0)
			return synced->logs[i].len;
	return 0;
}

static void tear_log(const struct log_file *log, off_t synced, enum tear tear)
{
	off_t open_bytes = log->len - synced, at = synced;
	char name[128];
	int fd;

	cr_assert_geq(open_bytes, 0);
	if (tear != CUT_AT_THE_SYNC)
		at += (off_t)rand_r(&seed) % (open_bytes + 1);
	(void)snprintf(name, sizeof name, "%s/%s", copy, log->name);
	fd = open(name, O_WRONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, at), 0);
	if (tear == ZEROS)
		cr_assert_eq(ftruncate(fd, log->len), 0);
	for (off_t i = at; tear == GARBAGE && i < log->len && i < at + 4096; i++) {
		uint8_t byte = (uint8_t)rand_r(&seed);

		cr_assert_eq(pwrite(fd, &byte, 1, i), 1);
	}
	(void)close(fd);
}

static void tear_copy(const struct synced *synced, enum tear tear)
{
	struct log_file logs[LOGS_MOST];
	int n;

	run("rm -rf '%s'", copy, "");
	run("cp -r '%s' '%s'", directory, copy);
	n = list_logs(copy, logs);
	for (int i = 0; i < n; i++)
		tear_log(&logs[i], synced_length(synced, logs[i].name), tear);
}

static bool is_there(struct store *store, uint64_t number, size_t value_most)
{
	AUTO_MEM uint8_t *value = xcalloc(1, value_most);
	size_t len = value_of(number, value_most, value);
	struct buf got = { 0 };
	int there = 0;
	char key[32];

	for (int part = 0; part < BATCH_KEYS; part++) {
		enum err err;

		key_of(number, part, key);
		err = store_get(store, BYTES(key, strlen(key)), &got);
		cr_assert(err == OK || err == ERR_NOT_FOUND, "%s", store_why(store));
		cr_assert(err != OK || (got.len == len && memcmp(got.data, value, len) == 0),
		          "batch %d is corrupt", (int)number);
		there += err == OK;
	}
	buf_free(&got);
	cr_assert(there == 0 || there == BATCH_KEYS, "half of batch %d", (int)number);
	return there > 0;
}

/* Everything synced is there, and of the rest a beginning without a hole. Gives its end. */
static uint64_t check_copy(const struct synced *synced, size_t value_most, enum tear tear)
{
	AUTO(loop_free) struct loop *loop = loop_new();
	AUTO(store_close) struct store *store = NULL;
	uint64_t end = 1;
	char why[256] = "";

	cr_assert_eq(store_open(copy, KEY_RUN_TABLE, loop, why, &store), OK, "tear %d: %s",
	             (int)tear, why);
	while (is_there(store, end, value_most))
		end++;
	cr_assert_gt(end, synced->batches, "tear %d: batch %d of %d synced is gone", (int)tear,
	             (int)end, (int)synced->batches);
	for (uint64_t number = end; number < end + 200; number++)
		cr_assert_not(is_there(store, number, value_most), "tear %d: a hole at %d",
		              (int)tear, (int)end);
	return end - 1;
}

static void wait_for_synced(uint64_t batches)
{
	int64_t deadline_ms = clock_boot_ms() + DEADLINE_MS;

	while (shared->slots[atomic_load(&shared->current)].batches < batches) {
		cr_assert_lt(clock_boot_ms(), deadline_ms, "the child does not get on");
		(void)poll(NULL, 0, 1);
	}
}

/* Gives how often more was found than was synced, so that a test knows it tore something. */
static int cut_power(int cuts, uint64_t batches_between, size_t value_most)
{
	pid_t child = fork();
	int more = 0, status;

	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		write_for_ever(value_most);
	}
	for (int i = 0; i < cuts; i++) {
		struct synced synced;

		wait_for_synced(batches_between * (uint64_t)(i + 1));
		(void)poll(NULL, 0, rand_r(&seed) % 4);
		cr_assert_eq(kill(child, SIGSTOP), 0);
		cr_assert_eq(waitpid(child, &status, WUNTRACED), child);
		cr_assert(WIFSTOPPED(status), "the child has ended: %d", status);
		synced = shared->slots[atomic_load(&shared->current)];
		for (enum tear tear = 0; tear < TEARS; tear++) {
			tear_copy(&synced, tear);
			more += check_copy(&synced, value_most, tear) > synced.batches;
		}
		cr_assert_eq(kill(child, SIGCONT), 0);
	}
	cr_assert_eq(kill(child, SIGKILL), 0);
	cr_assert_eq(waitpid(child, &status, 0), child);
	return more;
}

Test(store_power, keeps_what_was_synced_when_the_log_is_torn_behind_it)
{
	cr_assert_gt(cut_power(25, 20, 500), 0, "nothing unsynced was ever found");
}

/* 3 x 30 kB a batch: the write buffer changes every few hundred batches, so cuts fall into
 * times when two logs are open and tables are being written. */
Test(store_power, keeps_what_was_synced_while_buffers_are_written_out)
{
	cr_assert_gt(cut_power(12, 90, 60000), 0, "nothing unsynced was ever found");
}
