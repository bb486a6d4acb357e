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

/* The lock's file says who holds it, and what installation_announce() added. */
static struct installation_state read_state(int fd)
{
	struct installation_state state = { 0 };
	char text[256];
	ssize_t n = pread(fd, text, sizeof text - 1, 0);

	if (n <= 0)
		return state;
	text[n] = '\0';
	(void)sscanf(text, "%d %127s %d %d", &state.holder, state.url, &state.edges,
	             &state.publishers); /* fewer is fine: it has just begun */
	return state;
}

static enum err write_state(int fd, const char *data, const char *text, char why[256])
{
	if (ftruncate(fd, 0) == 0 && pwrite(fd, text, strlen(text), 0) == (ssize_t)strlen(text))
		return OK;
	(void)snprintf(why, 256, "%.150s/run/up.lock: %s", data, strerror(errno));
	return ERR_IO;
}

enum err installation_lock(const char *data, char why[256])
{
	int fd = open_lock(data, O_RDWR | O_CREAT);
	char text[16];

	if (fd < 0) {
		(void)snprintf(why, 256, "%.150s/run/up.lock: %s", data, strerror(errno));
		return ERR_IO;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		(void)snprintf(
		        why, 256,
		        "a stack is running on %.150s already (process %d); stop it, or give "
		        "this one a directory of its own with --data",
		        data, (int)read_state(fd).holder);
		(void)close(fd);
		return ERR_CONFLICT;
	}
	(void)snprintf(text, sizeof text, "%d\n", (int)getpid());
	return write_state(fd, data, text, why); /* fd stays open as long as we live */
}

enum err installation_announce(const char *data, const char *url, int edges, int publishers,
                               char why[256])
{
	AUTO_MEM char *text = xasprintf("%d\n%s\n%d\n%d\n", (int)getpid(), url, edges, publishers);
	int fd = open_lock(data, O_RDWR);
	enum err err;

	if (fd < 0) {
		(void)snprintf(why, 256, "%.150s/run/up.lock: %s", data, strerror(errno));
		return ERR_IO;
	}
	err = write_state(fd, data, text, why);
	(void)close(fd);
	return err;
}

struct installation_state installation_look(const char *data)
{
	struct installation_state state = { 0 };
	int fd = open_lock(data, O_RDONLY);

	if (fd < 0)
		return state;
	if (flock(fd, LOCK_SH | LOCK_NB) != 0)
		state = read_state(fd);
	(void)close(fd);
	return state;
}
