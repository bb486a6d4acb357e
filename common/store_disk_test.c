/* What only the engine on disk promises; store_test.c holds what both do. */
#include "common/keys.h"
#include "common/store.h"

#include "common/clock.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_MS 20000

static struct loop *loop;
static struct store *store;
static char directory[64];

static void open_disk(const char *path)
{
	char why[256] = "";

	cr_assert_eq(store_open(path, KEY_RUN_TABLE, loop, why, &store), OK, "%s", why);
}

static void given_a_store(void)
{
	strcpy(directory, "/tmp/store_disk_test.XXXXXX");
	cr_assert(mkdtemp(directory));
	loop = loop_new();
	open_disk(directory);
}

static void done(void)
{
	AUTO_MEM char *remove_all = xasprintf("rm -rf '%s'", directory);

	store_close(store);
	loop_free(loop);
	cr_assert_eq(system(remove_all), 0);
}

TestSuite(store_disk, .init = given_a_store, .fini = done);

static struct bytes text(const char *words)
{
	return BYTES(words, strlen(words));
}

static void put(const char *key, const char *value)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();

	batch_put(batch, text(key), text(value));
	cr_assert_eq(store_write(store, batch), OK);
}

static bool has(const char *key, const char *value)
{
	struct buf got = { 0 };
	enum err err = store_get(store, text(key), &got);
	bool same = err == OK && got.len == strlen(value) &&
	            (got.len == 0 || memcmp(got.data, value, got.len) == 0);

	cr_assert(err == OK || err == ERR_NOT_FOUND, "%s", store_why(store));
	buf_free(&got);
	return same;
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

		cr_assert_lt(clock_boot_ms(), deadline_ms, "no sync came");
		(void)poll(&one, 1, 100);
		loop_dispatch(loop);
	}
}

Test(store_disk, is_found_again_as_it_was_left)
{
	put("a", "1");
	sync_now();
	put("b", "2");
	store_close(store);
	open_disk(directory);

	cr_assert(has("a", "1") && has("b", "2"));
}

Test(store_disk, survives_the_death_of_its_process_without_a_sync)
{
	pid_t child;
	int status;

	store_close(store);
	store = NULL;
	child = fork();
	if (child == 0) {
		open_disk(directory);
		put("a", "1");
		(void)raise(SIGKILL);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFSIGNALED(status));
	open_disk(directory);

	cr_assert(has("a", "1"));
}

Test(store_disk, is_in_conflict_while_another_has_it_open)
{
	struct store *second = NULL;
	char why[256] = "";
	pid_t child;
	int status;

	cr_assert_eq(store_open(directory, KEY_RUN_TABLE, loop, why, &second), ERR_CONFLICT, "%s",
	             why);
	cr_assert_null(second);
	child = fork();
	if (child == 0)
		_exit(store_open(directory, KEY_RUN_TABLE, loop, why, &second) == ERR_CONFLICT ? 0
		                                                                               : 1);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0, "another process is refused too");
}

Test(store_disk, makes_the_directories_above_it)
{
	AUTO_MEM char *deep = xasprintf("%s/one/two/three", directory);
	struct store *second = NULL;
	char why[256] = "";

	cr_assert_eq(store_open(deep, KEY_RUN_TABLE, loop, why, &second), OK, "%s", why);
	store_close(second);
}

Test(store_disk, says_why_it_cannot_be_opened)
{
	struct store *second = NULL;
	char why[256] = "";

	cr_assert_eq(store_open("/proc/nowhere/store", KEY_RUN_TABLE, loop, why, &second), ERR_IO);
	cr_assert(strstr(why, "/proc/nowhere"), "%s", why);
}

/* Every descriptor of the store's log becomes one that cannot be synced. */
static void break_the_log(void)
{
	int64_t broken = 0;
	int ends[2];

	cr_assert_eq(pipe(ends), 0);
	for (int fd = 3; fd < 256; fd++) {
		char link[64], path[256] = "";

		(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		if (readlink(link, path, sizeof path - 1) > 4 && strstr(path, directory) &&
		    strcmp(path + strlen(path) - 4, ".log") == 0)
			broken += dup2(ends[1], fd) == fd;
	}
	cr_assert_geq(broken, 1);
}

Test(store_disk, ends_the_process_when_a_sync_fails)
{
	pid_t child;
	int status;

	store_close(store);
	store = NULL;
	child = fork();
	if (child == 0) {
		open_disk(directory);
		put("a", "1");
		break_the_log();
		sync_now();
		_exit(0);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);

	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE, "status %d", status);
}

/* Whether a thread that carries one of our engine's names takes no signal; -1: another's. */
static int blocks_signals(const char *task)
{
	char path[300], line[256], name[64] = "";
	unsigned long long blocked = 0, term = 1ull << (SIGTERM - 1), child = 1ull << (SIGCHLD - 1);
	FILE *status;

	(void)snprintf(path, sizeof path, "/proc/self/task/%s/status", task);
	status = fopen(path, "r");
	if (!status)
		return -1; /* it has ended, or is "." */
	while (fgets(line, sizeof line, status)) {
		(void)sscanf(line, "Name: %63s", name);
		(void)sscanf(line, "SigBlk: %llx", &blocked);
	}
	(void)fclose(status);
	if (strncmp(name, "store-", 6) != 0 && strncmp(name, "rocksdb:", 8) != 0)
		return -1;
	return (blocked & term) && (blocked & child);
}

/* Or a signalfd of the loop would miss some of them. */
Test(store_disk, leaves_every_signal_to_the_threads_of_others)
{
	DIR *tasks = opendir("/proc/self/task");
	int blocking = 0;

	put("a", "1");
	sync_now();
	cr_assert(tasks);
	for (struct dirent *entry; (entry = readdir(tasks));) {
		int blocks = blocks_signals(entry->d_name);

		cr_assert_neq(blocks, 0, "thread %s takes signals", entry->d_name);
		blocking += blocks == 1;
	}
	(void)closedir(tasks);
	cr_assert_geq(blocking, 2, "both helpers were seen");
}
