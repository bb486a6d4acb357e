/*
 * faults - put before a process's libraries (LD_PRELOAD), to make the world misbehave.
 *
 *     FAULTS_DIR/wall        text: milliseconds that CLOCK_REALTIME is off, as "-3600000"
 *     FAULTS_DIR/die.<comm>  there: the process of that name dies right after its next
 *                            successful sync of a file, and the file is gone before it
 *
 * Both are looked at each time, so a test changes them while the processes run. Only the
 * wall clock moves: the boot clock, which leases count on, cannot be set.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const char *path_of(const char *name, char ret[512])
{
	const char *directory = getenv("FAULTS_DIR");

	(void)snprintf(ret, 512, "%s/%s", directory ? directory : "/nonexistent", name);
	return ret;
}

static long long wall_off_ms(void)
{
	char path[512], text[32] = "";
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path_of("wall", path), O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	(void)!syscall(SYS_read, fd, text, sizeof text - 1);
	(void)syscall(SYS_close, fd);
	return atoll(text);
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
	int result = (int)syscall(SYS_clock_gettime, id, ret);
	long long now_ns;

	if (result != 0 || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
		return result;
	now_ns = ret->tv_sec * 1000000000LL + ret->tv_nsec + wall_off_ms() * 1000000;
	ret->tv_sec = now_ns / 1000000000; /* after 1970, whatever the test says */
	ret->tv_nsec = now_ns % 1000000000;
	return 0;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
	struct timespec now;

	(void)zone;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	ret->tv_sec = now.tv_sec;
	ret->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *ret)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (ret)
		*ret = now.tv_sec;
	return now.tv_sec;
}

/* Of the main thread, so that helper threads count as their process. */
static void read_comm(char ret[32])
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/comm", O_RDONLY | O_CLOEXEC);
	long len = fd < 0 ? 0 : syscall(SYS_read, fd, ret, 31);

	if (fd >= 0)
		(void)syscall(SYS_close, fd);
	ret[len > 0 ? len - 1 : 0] = '\0';
}

static int synced(int result)
{
	char comm[32], name[40], path[512];

	read_comm(comm);
	(void)snprintf(name, sizeof name, "die.%s", comm);
	if (result == 0 && unlink(path_of(name, path)) == 0)
		(void)kill(getpid(), SIGKILL);
	return result;
}

int fdatasync(int fd)
{
	return synced((int)syscall(SYS_fdatasync, fd));
}

int fsync(int fd)
{
	return synced((int)syscall(SYS_fsync, fd));
}
