#include "common/sandbox.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char own[64], foreign[64], path[128];

static const char *in(const char *directory, const char *name)
{
	(void)snprintf(path, sizeof path, "%s/%s", directory, name);
	return path;
}

static void setup(void)
{
	(void)snprintf(own, sizeof own, "/tmp/sandbox-own-XXXXXX");
	(void)snprintf(foreign, sizeof foreign, "/tmp/sandbox-foreign-XXXXXX");
	cr_assert(mkdtemp(own) && mkdtemp(foreign));
	cr_assert_eq(close(open(in(foreign, "store"), O_CREAT | O_WRONLY, 0600)), 0);
}

static void teardown(void)
{
	(void)unlink(in(foreign, "store"));
	(void)unlink(in(own, "file"));
	(void)unlink(in(own, "moved"));
	(void)rmdir(own);
	(void)rmdir(foreign);
}

TestSuite(sandbox, .init = setup, .fini = teardown);

/* What fn answers in a process that is confined to its own directory: 0 is as it should be. */
static int confined(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	cr_assert(pid >= 0);
	if (pid == 0) {
		const char *writable[] = { own };
		struct sandbox sandbox;
		char why[256];

		if (sandbox_enter(writable, 1, &sandbox, why) != OK)
			_exit(99);
		_exit(fn());
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

#define WITHOUT_LANDLOCK()                                                                         \
	do {                                                                                       \
		if (sandbox_landlock() == 0)                                                       \
			cr_skip_test("this kernel has no Landlock");                               \
	} while (0)

static int writes_own(void)
{
	int fd = open(in(own, "file"), O_CREAT | O_RDWR, 0600);
	char moved[128];

	if (fd < 0 || write(fd, "x", 1) != 1 || ftruncate(fd, 0) != 0 || close(fd) != 0)
		return 1;
	(void)snprintf(moved, sizeof moved, "%s/moved", own);
	return rename(path, moved) != 0 || unlink(moved) != 0;
}

Test(sandbox, in_its_own_directory_everything_goes_on)
{
	cr_assert_eq(confined(writes_own), 0);
}

static int writes_foreign(void)
{
	if (open(in(foreign, "store"), O_WRONLY) >= 0)
		return 1;
	if (errno != EACCES)
		return 2;
	if (open(in(foreign, "new"), O_CREAT | O_WRONLY, 0600) >= 0)
		return 3;
	if (unlink(in(foreign, "store")) == 0)
		return 4;
	return mkdir(in(foreign, "directory"), 0700) == 0 ? 5 : 0;
}

Test(sandbox, nothing_is_written_or_removed_elsewhere)
{
	WITHOUT_LANDLOCK();
	cr_assert_eq(confined(writes_foreign), 0);
}

static int reads_foreign(void)
{
	return open(in(foreign, "store"), O_RDONLY) < 0;
}

Test(sandbox, what_others_may_read_is_read)
{
	cr_assert_eq(confined(reads_foreign), 0);
}

static int looks_around(void)
{
	struct timespec now = { 0 };

	if (chroot("/") == 0 || errno != EPERM)
		return 1;
	if (clock_settime(CLOCK_REALTIME, &now) == 0 || errno != EPERM)
		return 2;
	return setuid(12345) == 0 ? 3 : 0;
}

Test(sandbox, the_machine_and_who_it_is_cannot_be_changed)
{
	cr_assert_eq(confined(looks_around), 0);
}

static void *writes_in_a_thread(void *ret)
{
	*(int *)ret = writes_foreign();
	return NULL;
}

static int threads_too(void)
{
	pthread_t thread;
	int result = 1;

	if (pthread_create(&thread, NULL, writes_in_a_thread, &result) != 0)
		return 97;
	(void)pthread_join(thread, NULL);
	return result;
}

Test(sandbox, threads_made_afterwards_are_confined_too)
{
	WITHOUT_LANDLOCK();
	cr_assert_eq(confined(threads_too), 0);
}

Test(sandbox, a_directory_that_is_not_there_is_told)
{
	const char *writable[] = { "/nonexistent/directory" };
	struct sandbox sandbox;
	char why[256];

	WITHOUT_LANDLOCK();
	cr_assert_eq(sandbox_enter(writable, 1, &sandbox, why), ERR_IO);
	cr_assert_str_eq(why, "/nonexistent/directory: No such file or directory");
}
