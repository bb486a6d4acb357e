/* The seam: what every engine may take for granted is checked here. */
#include "common/bus_engines.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Names become file names, subjects and keys of the hosts map. */
static bool is_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
	size_t len = strnlen(name, BUS_NAME_MAX + 1);

	return len > 0 && len <= BUS_NAME_MAX && strspn(name, allowed) == len && name[0] != '.';
}

enum err bus_own_directory(const char *path)
{
	struct stat stat;
	enum err err = OK;
	int fd;

	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return errno == EACCES ? ERR_DENIED : ERR_IO;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES ? ERR_DENIED : ERR_IO;
	if (fstat(fd, &stat) != 0)
		err = ERR_IO;
	else if (stat.st_uid != geteuid())
		err = ERR_DENIED;
	else if ((stat.st_mode & 077) != 0 && fchmod(fd, 0700) != 0)
		err = ERR_IO;
	(void)close(fd);
	return err;
}

enum err bus_open(struct loop *loop, const struct bus_config *config, struct bus **ret)
{
	if (config->hosts)
		return bus_nng_open(loop, config, ret);
	return config->directory ? bus_unix_open(loop, config, ret) : ERR_MALFORMED;
}

void bus_close(struct bus *bus)
{
	if (bus)
		bus->ops->close(bus);
}

enum err bus_serve(struct bus *bus, const char *name, int priority, bus_call_fn *fn, void *ctx)
{
	MUST(is_name(name) && fn);
	return bus->ops->serve(bus, name, priority, fn, ctx);
}

void bus_reply(struct bus_call *call, struct bytes reply)
{
	call->ops->reply(call, reply);
}

void bus_drop(struct bus_call *call)
{
	call->ops->drop(call);
}

void bus_request(struct bus *bus, const char *name, struct bytes request, int64_t deadline_ms,
                 bus_reply_fn *fn, void *ctx)
{
	MUST(is_name(name) && fn);
	bus->ops->request(bus, name, request, deadline_ms, fn, ctx);
}

enum err bus_publish(struct bus *bus, const char *name, struct bytes event)
{
	MUST(is_name(name));
	return bus->ops->publish(bus, name, event);
}

enum err bus_subscribe(struct bus *bus, const char *name, int priority, bus_event_fn *fn, void *ctx)
{
	MUST(is_name(name) && fn);
	return bus->ops->subscribe(bus, name, priority, fn, ctx);
}

const char *bus_why(const struct bus *bus)
{
	return bus->ops->why(bus);
}
