#include "services/publisher/publisher_count.h"

#include "common/log.h"
#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_BYTES 16

static bool written(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t len = strlen(text);
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, text, len) == (ssize_t)len && fsync(fd) == 0;
	return close(fd) == 0 && ok;
}

/* Written beside and linked into place: publishers that start together agree on one. */
static bool make(const char *path, unsigned publishers)
{
	AUTO_MEM char *beside = xasprintf("%s.%ld", path, (long)getpid());
	char text[TEXT_BYTES];
	bool ok;

	(void)snprintf(text, sizeof text, "%u\n", publishers);
	ok = written(beside, text) && (link(beside, path) == 0 || errno == EEXIST);
	if (!ok)
		log_error("publishers-file", "path=%s why=\"%s\"", path, strerror(errno));
	(void)unlink(beside); /* a file left behind does no harm */
	return ok;
}

/* 0: there is no file yet; -1: it cannot be read, or holds something else. */
static long read_count(const char *path)
{
	char text[TEXT_BYTES] = "", *end;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	long count;

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	n = read(fd, text, sizeof text - 1);
	(void)close(fd); /* only read */
	count = strtol(text, &end, 10);
	return n > 0 && strcmp(end, "\n") == 0 && count >= 1 ? count : -1;
}

bool publisher_count_agrees(const char *data, unsigned publishers)
{
	AUTO_MEM char *path = xasprintf("%s/publishers", data);
	long count = read_count(path);

	if (count == 0) {
		if (!make(path, publishers))
			return false;
		count = read_count(path);
	}
	if (count == (long)publishers)
		return true;
	if (count < 0)
		log_error("publishers-file", "path=%s why=\"expected a number and a line end\"",
		          path);
	else
		log_error(
		        "publishers-changed",
		        "why=\"this data directory was made for %ld publishers, %u were asked for: "
		        "start with --publishers %ld\"",
		        count, publishers, count);
	return false;
}
