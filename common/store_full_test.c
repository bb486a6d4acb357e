/*
 * A disk that is really full: a small file system in memory, mounted for this process
 * alone. Where mounting is not allowed the tests say so and are skipped.
 */
#include "common/store.h"

#include "common/clock.h"
#include "common/journal.h"
#include "common/keys.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB         ((uint64_t)1 << 20)
#define DISK_BYTES  (64 * MIB)
#define DEADLINE_MS 30000

static char directory[64], store_directory[128], ballast[128];
static bool mounted;
static struct loop *loop;
static struct store *store;
static struct store_batch *batch;

static void open_store(void)
{
	char why[256] = "";

	cr_assert_eq(store_open(store_directory, KEY_RUN_TABLE, loop, why, &store), OK, "%s", why);
}

static void given_a_small_disk(void)
{
	char options[32];

	strcpy(directory, "/tmp/store_full_test.XXXXXX");
	cr_assert(mkdtemp(directory));
	(void)snprintf(options, sizeof options, "size=%llu", (unsigned long long)DISK_BYTES);
	mounted = unshare(CLONE_NEWNS) == 0 &&
	          mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	          mount("tmpfs", directory, "tmpfs", 0, options) == 0;
	if (!mounted)
		cr_skip_test("mounting a file system is not allowed here");
	(void)snprintf(store_directory, sizeof store_directory, "%s/store", directory);
	(void)snprintf(ballast, sizeof ballast, "%s/ballast", directory);
	loop = loop_new();
	batch = batch_new();
	open_store();
}

static void done(void)
{
	store_close(store);
	batch_free(batch);
	loop_free(loop);
	if (mounted)
		(void)umount2(directory, MNT_DETACH);
	(void)rmdir(directory);
}

TestSuite(store_full, .init = given_a_small_disk, .fini = done, .timeout = 120);

static uint64_t free_bytes(void)
{
	struct statvfs fs;

	cr_assert_eq(statvfs(directory, &fs), 0);
	return (uint64_t)fs.f_bavail * fs.f_frsize;
}

/* Something else on the disk takes all but so much of it. */
static void leave_free(uint64_t bytes)
{
	uint64_t have = free_bytes(), take = have > bytes ? have - bytes : 0;
	int fd = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	cr_assert_geq(fd, 0);
	if (take > 0)
		cr_assert_eq(posix_fallocate(fd, lseek(fd, 0, SEEK_END), (off_t)take), 0);
	(void)close(fd);
}

static void wait_until_it_looks(void)
{
	int64_t until_ms = clock_boot_ms() + 101;

	while (clock_boot_ms() < until_ms)
		(void)poll(NULL, 0, 10);
}

static void take_ballast_away(void)
{
	cr_assert_eq(unlink(ballast), 0);
}

static enum err put(uint64_t number, size_t len)
{
	static uint8_t value[MIB];
	unsigned seed = (unsigned)number + 1;
	char key[32];

	for (size_t i = 0; i < len; i++)
		value[i] = (uint8_t)rand_r(&seed);
	(void)snprintf(key, sizeof key, "k%016llu", (unsigned long long)number);
	batch_clear(batch);
	batch_put(batch, BYTES(key, strlen(key)), BYTES(value, len));
	return store_write(store, batch);
}

static bool has(uint64_t number)
{
	struct buf got = { 0 };
	char key[32];
	enum err err;

	(void)snprintf(key, sizeof key, "k%016llu", (unsigned long long)number);
	err = store_get(store, BYTES(key, strlen(key)), &got);
	buf_free(&got);
	return err == OK;
}

static enum err delete_before(uint64_t number)
{
	char end[32];

	(void)snprintf(end, sizeof end, "k%016llu", (unsigned long long)number);
	batch_clear(batch);
	batch_delete_range(batch, BYTES("k", 1), BYTES(end, strlen(end)));
	return store_write(store, batch);
}

static void set_true(void *flag)
{
	*(bool *)flag = true;
}

static void sync_now(void)
{
	int64_t deadline_ms = clock_boot_ms() + DEADLINE_MS;
	bool synced = false;

	store_sync(store, set_true, &synced);
	while (!synced) {
		struct pollfd one = { .fd = loop_fd(loop), .events = POLLIN };

		cr_assert_lt(clock_boot_ms(), deadline_ms);
		(void)poll(&one, 1, 100);
		loop_dispatch(loop);
	}
}

/* Writes until refused; gives how many there are. */
static uint64_t fill(uint64_t from, size_t len)
{
	uint64_t number = from;
	enum err err;

	while ((err = put(number, len)) == OK)
		cr_assert_lt(++number, 1000000);
	cr_assert_eq(err, ERR_LIMIT, "%s", store_why(store));
	return number;
}

Test(store_full, refuses_before_the_disk_is_full_and_says_why)
{
	uint64_t n = fill(0, 20000);

	cr_assert_gt(n, 500, "most of the disk was used: %d", (int)n);
	cr_assert_geq(free_bytes(), 3 * MIB, "the engine has something left to work with");
	cr_assert(strstr(store_why(store), "disk full"), "%s", store_why(store));
	cr_assert_eq(store_room(store), ERR_LIMIT);
	sync_now();
	for (uint64_t number = 0; number < n; number++)
		cr_assert(has(number), "%d was taken and is gone", (int)number);
}

Test(store_full, opens_again_with_everything_on_a_full_disk)
{
	uint64_t n = fill(0, 50000);

	store_close(store);
	store = NULL;
	open_store();

	for (uint64_t number = 0; number < n; number++)
		cr_assert(has(number), "%d was taken and is gone", (int)number);
}

Test(store_full, recovers_by_itself_when_there_is_room_again)
{
	cr_assert_eq(put(0, 100), OK);
	leave_free(DISK_BYTES / 20);
	wait_until_it_looks();
	cr_assert_eq(put(1, 100), ERR_LIMIT);
	cr_assert_eq(put(2, 100), ERR_LIMIT);
	take_ballast_away();
	leave_free(DISK_BYTES / 2);
	wait_until_it_looks();

	cr_assert_eq(put(3, 100), OK, "%s", store_why(store));
	cr_assert(has(0) && !has(1) && !has(2) && has(3));
}

Test(store_full, lets_a_batch_that_only_deletes_pass_until_the_second_reserve)
{
	cr_assert_eq(put(0, 100), OK);
	leave_free(DISK_BYTES / 20);
	wait_until_it_looks();
	cr_assert_eq(put(1, 100), ERR_LIMIT);
	cr_assert_eq(delete_before(1), OK);
	cr_assert_not(has(0));
	do { /* what is given back is taken too */
		leave_free(DISK_BYTES / 100);
		wait_until_it_looks();
	} while (free_bytes() > DISK_BYTES / 100);

	cr_assert_eq(delete_before(2), ERR_LIMIT);
	batch_put(batch, BYTES("k", 1), BYTES("", 0));
	cr_assert_eq(store_write(store, batch), ERR_LIMIT);
}

Test(store_full, can_be_emptied_by_deleting)
{
	uint64_t n = fill(0, 20000);
	int64_t deadline_ms = clock_boot_ms() + DEADLINE_MS;

	cr_assert_eq(delete_before(n), OK, "%s", store_why(store));
	while (put(n, 20000) != OK) {
		cr_assert_lt(clock_boot_ms(), deadline_ms, "nothing became free: %d MiB",
		             (int)(free_bytes() / MIB));
		cr_assert_eq(delete_before(n), OK, "%s", store_why(store));
		(void)poll(NULL, 0, 10);
	}
}

static int64_t frozen_us;

static int64_t read_frozen(void *ctx)
{
	(void)ctx;
	return frozen_us;
}

/* Somebody else eats the reserve faster than the store looks: so that the log, which
 * grows in large steps, meets a disk with nothing left. */
static uint64_t write_until_the_engine_fails(uint64_t number)
{
	int64_t deadline_ms = clock_boot_ms() + DEADLINE_MS;
	enum err err = OK;

	frozen_us = clock_boot_us();
	clock_set_source(read_frozen, NULL, 0);
	while (err == OK) {
		frozen_us += 101000;
		cr_assert_lt(clock_boot_ms(), deadline_ms, "the engine never met a full disk");
		err = put(number, 1000);
		leave_free(0);
		for (int i = 0; i < 25 && err == OK; i++) {
			number++;
			err = put(number, 20000);
		}
		take_ballast_away();
	}
	clock_set_source(NULL, NULL, 0);
	cr_assert_eq(err, ERR_IO);
	cr_assert(strstr(store_why(store), "space"), "%s", store_why(store));
	return number;
}

/* RocksDB does not recover from this in the same process; the next one must. */
Test(store_full, is_found_whole_by_the_next_process_when_the_engine_met_a_full_disk)
{
	uint64_t n = 0;
	int ends[2], status;
	pid_t child;

	store_close(store);
	store = NULL;
	cr_assert_eq(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		open_store();
		n = write_until_the_engine_fails(0);
		cr_assert_eq(put(n, 100), ERR_IO, "one that failed stays so");
		cr_assert_eq(write(ends[1], &n, sizeof n), sizeof n);
		store_close(store);
		_exit(0);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0, "closed in order");
	cr_assert_eq(read(ends[0], &n, sizeof n), sizeof n);
	open_store();

	for (uint64_t number = 0; number < n; number++)
		cr_assert(has(number), "%d is gone", (int)number);
	cr_assert_eq(put(n, 100), OK);
}

/* ---- the journal on such a disk ---- */

struct view {
	uint64_t applied;
	char trace[64];
};

static void apply(void *ctx, uint64_t seq, struct bytes event, struct store_batch *rows)
{
	struct view *view = ctx;
	struct key key;

	cr_assert_eq(seq, ++view->applied, "an event that was refused was applied");
	key_start(&key, 1, NULL, 'V');
	batch_put(rows, key_bytes(&key), event);
}

static void note(void *ctx, enum err err)
{
	struct view *view = ctx;

	(void)snprintf(view->trace + strlen(view->trace), sizeof view->trace - strlen(view->trace),
	               "%s ", err_name(err));
	if (strlen(view->trace) == strlen("ok limit ok "))
		loop_stop(loop);
}

Test(store_full, makes_the_journal_refuse_without_applying_or_numbering)
{
	struct bytes event = BYTES("event", 5);
	struct view view = { 0 };
	struct journal *journal = journal_open(store, loop, apply, &view);
	uint64_t bad;

	journal_append(journal, &event, 1, note, &view);
	leave_free(DISK_BYTES / 20);
	wait_until_it_looks();
	journal_append(journal, &event, 1, note, &view);
	cr_assert_eq(view.applied, 1);
	take_ballast_away();
	leave_free(DISK_BYTES / 2);
	wait_until_it_looks();
	journal_append(journal, &event, 1, note, &view);
	loop_run(loop);

	cr_assert_str_eq(view.trace, "ok limit ok ");
	cr_assert_eq(journal_last_seq(journal), 2);
	cr_assert_eq(journal_verify(journal, &bad), OK);
	journal_close(journal);
}
