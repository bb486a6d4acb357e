#include "common/bus_probe.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HANDSHAKE_BYTES 8

/* A verdict takes five ticks, not one deadline: a process that was stopped for a while
 * finds one tick overdue, not the listener dead. */
#define TICK_MS   50
#define MAX_TICKS 5

static void finish(struct bus_probe *probe, bool alive)
{
	bus_probe_stop(probe);
	probe->fn(probe->ctx, alive);
}

static void on_readable(void *self)
{
	struct bus_probe *probe = self;
	char data[512];
	ssize_t n = recv(probe->fd, data, sizeof data, MSG_DONTWAIT);

	if (n > 0)
		probe->got += (size_t)n; /* a PUB's events may follow its handshake */
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		finish(probe, probe->got >= HANDSHAKE_BYTES);
}

/* 17 bytes always fit a new socket's buffer. */
static bool say_hello(const struct bus_probe *probe)
{
	uint8_t hello[HANDSHAKE_BYTES + 9] = { 0, 'S', 'P' };

	hello[4] = (uint8_t)(probe->protocol >> 8);
	hello[5] = (uint8_t)probe->protocol;
	hello[HANDSHAKE_BYTES] = 1; /* a message, of 0 bytes */
	return send(probe->fd, hello, sizeof hello, MSG_NOSIGNAL) == (ssize_t)sizeof hello;
}

/* Of EAGAIN (the backlog is full just now) a later tick makes the best. */
static void try_connect(struct bus_probe *probe)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool connected;

	if (fd < 0) {
		finish(probe, true);
		return;
	}
	MUST(strlen(probe->path) < sizeof address.sun_path);
	(void)strcpy(address.sun_path, probe->path);
	connected = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
	if (!connected) {
		bool busy = errno == EAGAIN || errno == EINTR;

		(void)close(fd);
		if (!busy)
			finish(probe, false);
		return;
	}
	probe->fd = fd;
	loop_watch(probe->loop, fd, 1, on_readable, probe);
	if (!say_hello(probe))
		finish(probe, false);
}

static void on_tick(void *self)
{
	struct bus_probe *probe = self;

	if (probe->ticks++ == MAX_TICKS) {
		finish(probe, false);
		return;
	}
	timer_set(probe->loop, &probe->tick, TICK_MS, on_tick, probe);
	if (probe->fd < 0)
		try_connect(probe);
}

void bus_probe_start(struct bus_probe *probe, struct loop *loop, const char *path,
                     uint16_t protocol, bus_probe_fn *fn, void *ctx)
{
	MUST(!probe->loop);
	*probe = (struct bus_probe){
		.loop = loop, .path = path, .protocol = protocol, .fn = fn, .ctx = ctx, .fd = -1
	};
	timer_set(loop, &probe->tick, 0, on_tick, probe);
}

void bus_probe_stop(struct bus_probe *probe)
{
	if (!probe->loop)
		return;
	timer_stop(probe->loop, &probe->tick);
	if (probe->fd >= 0) {
		loop_unwatch(probe->loop, probe->fd);
		(void)close(probe->fd);
	}
	probe->fd = -1;
	probe->loop = NULL;
}
