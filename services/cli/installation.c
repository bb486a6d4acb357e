#include "services/cli/installation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum err installation_make(const char *data, char why[256])
{
	static const char *const names[] = { "", "/run", "/secret" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		AUTO_MEM char *path = xasprintf("%s%s", data, names[i]);
		struct stat st;

		if ((mkdir(path, 0700) != 0 && errno != EEXIST) || stat(path, &st) != 0) {
			(void)snprintf(why, 256, "%.150s: cannot be made: %s", path,
			               strerror(errno));
			return ERR_IO;
		}
		if (!S_ISDIR(st.st_mode)) {
			(void)snprintf(why, 256, "%.150s: expected a directory", path);
			return ERR_IO;
		}
		if ((st.st_mode & 077) != 0 && chmod(path, 0700) != 0) {
			(void)snprintf(why, 256,
			               "%.150s: others may enter it, and that cannot be "
			               "changed: %s",
			               path, strerror(errno));
			return ERR_IO;
		}
	}
	return OK;
}

static int open_lock(const char *data, int flags)
{
	AUTO_MEM char *path = xasprintf("%s/run/up.lock", data);

	return open(path, flags | O_CLOEXEC, 0600);
}

/* The lock's file says who holds it, for people. */
static pid_t read_pid(int fd)
{
	char text[16];
	ssize_t n = pread(fd, text, sizeof text - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	return (pid_t)atoi(text);
}

enum err installation_lock(const char *data, char why[256])
{
	int fd = open_lock(data, O_RDWR | O_CREAT);
	char text[16];
	int n = snprintf(text, sizeof text, "%d\n", (int)getpid());

	if (fd < 0) {
		(void)snprintf(why, 256, "%.150s/run/up.lock: %s", data, strerror(errno));
		return ERR_IO;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		(void)snprintf(
		        why, 256,
		        "a stack is running on %.150s already (process %d); stop it, or give "
		        "this one a directory of its own with --data",
		        data, (int)read_pid(fd));
		(void)close(fd);
		return ERR_CONFLICT;
	}
	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) {
		(void)snprintf(why, 256, "%.150s/run/up.lock: %s", data, strerror(errno));
		(void)close(fd);
		return ERR_IO;
	}
	return OK; /* fd stays open as long as we live */
}

pid_t installation_holder(const char *data)
{
	int fd = open_lock(data, O_RDONLY);
	pid_t ret = 0;

	if (fd < 0)
		return 0;
	if (flock(fd, LOCK_SH | LOCK_NB) != 0)
		ret = read_pid(fd);
	(void)close(fd);
	return ret;
}
