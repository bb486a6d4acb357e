/*
 * The bus over unix sockets, without a thread: connections are descriptors of the loop.
 *
 *     serve, publish         listen at DIR/<name>.ipc
 *     request, subscribe     connect to it, and again whenever the connection is lost
 *
 * A frame, in the machine's byte order (both ends are on it):
 *
 *     | length (4) | err (4) | id (4) | body |        id 0: an event
 *
 * What cannot be written at once waits in memory, in bounds: a client gives nothing more
 * to a server that does not read (the request waits in bus_requests), an answer or event
 * over the bound is dropped (and asked for again, or lost, as the bus's promise says).
 */
#include "common/bus_engines.h"
#include "common/bus_requests.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_BYTES       65536               /* a wake, so that no peer starves the others */
#define KEEP_BYTES       (4 * READ_BYTES)    /* of a buffer that was larger once */
#define MAX_UNSENT_BYTES (16u * 1024 * 1024) /* to one peer */
#define BACKLOG          1024
#define RETRY_MIN_MS     10
#define RETRY_MAX_MS     200

enum kind { SERVER, CLIENT, CHANNEL, SUBSCRIBER };

struct unix_bus {
	struct bus base;
	struct loop *loop;
	char *directory;
	struct end *ends;
	bool calling;
	char why[256];
};

/* One name in one role. */
struct end {
	struct end *next;
	struct unix_bus *bus;
	enum kind kind;
	int priority;
	char *name;
	struct sockaddr_un address;
	int listen_fd;      /* SERVER, CHANNEL; -1 else */
	struct link *links; /* of CLIENT and SUBSCRIBER: the one connection, or none */
	struct timer retry; /* to connect, or to accept when descriptors were short */
	int64_t retry_ms;

	struct bus_requests *requests; /* CLIENT */
	bus_call_fn *on_call;          /* SERVER */
	bus_event_fn *on_event;        /* SUBSCRIBER */
	void *ctx;
};

/* One connection. */
struct link {
	struct link *next, **place;
	struct end *end;
	int fd;
	int writable_fd; /* an epoll that is readable when fd is writable; -1 = all is sent */
	struct buf in, out;
	size_t sent; /* of out */
	struct call *calls;
};

struct call {
	struct bus_call base;
	struct call *next, **place;
	struct link *link; /* NULL: the peer is gone */
	uint32_t id;
};

struct frame {
	uint32_t len, err, id;
};

static const struct bus_ops ops;

static struct unix_bus *of(struct bus *bus)
{
	return (struct unix_bus *)bus;
}

static enum err failed(struct unix_bus *bus, const char *what, const char *name, int number)
{
	(void)snprintf(bus->why, sizeof bus->why, "%s %s: %s", what, name, strerror(number));
	switch (number) {
	case EADDRINUSE:
		return ERR_CONFLICT;
	case EACCES:
		return ERR_DENIED;
	case ENAMETOOLONG:
		return ERR_LIMIT;
	default:
		return ERR_IO;
	}
}

/* ---- writing ---- */

static void stop_waiting(struct link *link)
{
	if (link->writable_fd < 0)
		return;
	loop_unwatch(link->end->bus->loop, link->writable_fd);
	(void)close(link->writable_fd);
	link->writable_fd = -1;
}

static void trim(struct buf *buf)
{
	buf->len = 0;
	if (buf->cap > KEEP_BYTES)
		buf_free(buf);
}

/* A connection that cannot be written is noticed when it is read: here its bytes are lost. */
static void on_writable(void *self)
{
	struct link *link = self;
	ssize_t n = send(link->fd, link->out.data + link->sent, link->out.len - link->sent,
	                 MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	link->sent = n < 0 ? link->out.len : link->sent + (size_t)n;
	if (link->sent < link->out.len)
		return;
	stop_waiting(link);
	link->sent = 0;
	trim(&link->out);
}

static void wait_until_writable(struct link *link)
{
	struct epoll_event event = { .events = EPOLLOUT };

	link->writable_fd = epoll_create1(EPOLL_CLOEXEC);
	if (link->writable_fd < 0) { /* no descriptor left: as a connection that broke */
		trim(&link->out);
		(void)shutdown(link->fd, SHUT_RDWR);
		return;
	}
	MUST(epoll_ctl(link->writable_fd, EPOLL_CTL_ADD, link->fd, &event) == 0);
	loop_watch(link->end->bus->loop, link->writable_fd, link->end->priority, on_writable, link);
}

static size_t unsent(const struct link *link)
{
	return link->out.len - link->sent;
}

/* False: there was no room for it. */
static bool link_send(struct link *link, struct frame frame, const void *body)
{
	struct iovec part[2] = {
		{&frame,        sizeof frame},
                { (void *)body, frame.len   }
	};
	struct msghdr message = { .msg_iov = part, .msg_iovlen = frame.len > 0 ? 2 : 1 };
	size_t size = sizeof frame + frame.len, done = 0;
	ssize_t n;

	if (unsent(link) + size > MAX_UNSENT_BYTES)
		return false;
	if (link->writable_fd < 0) {
		n = sendmsg(link->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return true; /* broken: reading will tell */
		done = n < 0 ? 0 : (size_t)n;
		if (done == size)
			return true;
	}
	if (done < sizeof frame) {
		buf_append(&link->out, (uint8_t *)&frame + done, sizeof frame - done);
		buf_append(&link->out, body, frame.len);
	} else {
		done -= sizeof frame;
		buf_append(&link->out, (const uint8_t *)body + done, frame.len - done);
	}
	if (link->writable_fd < 0)
		wait_until_writable(link);
	return true;
}

/* ---- calls ---- */

static void call_free(struct call *call)
{
	if (call->link) {
		*call->place = call->next;
		if (call->next)
			call->next->place = call->place;
	}
	mem_free(call);
}

/* A copy of a request that still waits for its answer is not a second call. */
static void take_call(struct link *link, uint32_t id, struct bytes body)
{
	struct call *call;

	for (call = link->calls; call; call = call->next)
		if (call->id == id)
			return;
	call = xcalloc(1, sizeof *call);
	call->base.ops = &ops;
	call->link = link;
	call->id = id;
	call->next = link->calls;
	call->place = &link->calls;
	if (call->next)
		call->next->place = &call->next;
	link->calls = call;
	link->end->on_call(link->end->ctx, &call->base, body);
}

static void reply(struct bus_call *base, struct bytes body)
{
	struct call *call = (struct call *)base;
	bool fits = body.len <= BUS_MAX_BYTES;
	struct frame frame = { fits ? (uint32_t)body.len : 0, fits ? OK : ERR_LIMIT, call->id };

	if (call->link)
		(void)link_send(call->link, frame, body.data); /* no room: it is asked again */
	call_free(call);
}

static void drop(struct bus_call *base)
{
	call_free((struct call *)base);
}

/* ---- connections ---- */

static void connect_end(void *self);

static void retry_later(struct end *end)
{
	end->retry_ms = end->retry_ms * 2 < RETRY_MAX_MS ? end->retry_ms * 2 : RETRY_MAX_MS;
	timer_set(end->bus->loop, &end->retry, end->retry_ms, connect_end, end);
}

static void link_free(struct link *link)
{
	stop_waiting(link);
	loop_unwatch(link->end->bus->loop, link->fd);
	(void)close(link->fd);
	*link->place = link->next;
	if (link->next)
		link->next->place = link->place;
	while (link->calls) {
		struct call *call = link->calls;

		link->calls = call->next;
		call->link = NULL; /* its owner still answers or drops it */
	}
	buf_free(&link->in);
	buf_free(&link->out);
	mem_free(link);
}

static void link_lost(struct link *link)
{
	struct end *end = link->end;

	link_free(link);
	if (end->listen_fd < 0)
		retry_later(end);
}

static void take_frame(struct link *link, struct frame frame, const void *data)
{
	struct bytes body = BYTES(data, frame.len);
	struct end *end = link->end;

	if (end->kind == SERVER)
		take_call(link, frame.id, body);
	else if (end->kind == CLIENT)
		bus_requests_answer(end->requests, frame.id, frame.err ? ERR_LIMIT : OK, body);
	else if (end->kind == SUBSCRIBER)
		end->on_event(end->ctx, body);
}

/* Serves the whole frames in the buffer. False: the peer does not speak our language. */
static bool take_frames(struct link *link)
{
	struct frame frame;
	size_t at = 0;

	while (link->in.len - at >= sizeof frame) {
		memcpy(&frame, link->in.data + at, sizeof frame);
		if (frame.len > BUS_MAX_BYTES)
			return false;
		if (link->in.len - at - sizeof frame < frame.len)
			break;
		take_frame(link, frame, link->in.data + at + sizeof frame);
		at += sizeof frame + frame.len;
	}
	if (at == link->in.len)
		trim(&link->in);
	else if (at > 0)
		memmove(link->in.data, link->in.data + at, link->in.len -= at);
	return true;
}

static void on_readable(void *self)
{
	struct link *link = self;
	struct unix_bus *bus = link->end->bus;
	bool sane;
	ssize_t n;

	buf_reserve(&link->in, READ_BYTES);
	n = recv(link->fd, link->in.data + link->in.len, link->in.cap - link->in.len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		link_lost(link);
		return;
	}
	link->in.len += (size_t)n;
	bus->calling = true;
	sane = take_frames(link);
	bus->calling = false;
	if (!sane)
		link_lost(link);
}

static void link_new(struct end *end, int fd)
{
	struct link *link = xcalloc(1, sizeof *link);

	link->end = end;
	link->fd = fd;
	link->writable_fd = -1;
	link->next = end->links;
	link->place = &end->links;
	if (link->next)
		link->next->place = &link->next;
	end->links = link;
	loop_watch(end->bus->loop, fd, end->priority, on_readable, link);
}

static int new_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static bool connect_to(int fd, const struct end *end)
{
	return connect(fd, (const struct sockaddr *)&end->address, sizeof end->address) == 0;
}

static void connect_end(void *self)
{
	struct end *end = self;
	int fd = new_socket();

	if (fd < 0 || !connect_to(fd, end)) {
		if (fd >= 0)
			(void)close(fd);
		retry_later(end);
		return;
	}
	end->retry_ms = RETRY_MIN_MS;
	link_new(end, fd);
	if (end->requests)
		bus_requests_again(end->requests);
}

static void on_listening(void *self);

static void accept_again(void *self)
{
	struct end *end = self;

	loop_watch(end->bus->loop, end->listen_fd, end->priority, on_listening, end);
}

static void on_listening(void *self)
{
	struct end *end = self;
	int fd = accept4(end->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		link_new(end, fd);
	} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		loop_unwatch(end->bus->loop, end->listen_fd); /* no descriptors: not spin */
		timer_set(end->bus->loop, &end->retry, RETRY_MAX_MS, accept_again, end);
	}
}

/* What a process that was killed left behind is removed; a living one is left alone. */
static int bind_end(int fd, const struct end *end)
{
	const struct sockaddr *address = (const struct sockaddr *)&end->address;
	int other;
	bool stale;

	if (bind(fd, address, sizeof end->address) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return errno;
	other = new_socket();
	if (other < 0)
		return errno;
	stale = !connect_to(other, end) && errno == ECONNREFUSED;
	(void)close(other);
	if (!stale)
		return EADDRINUSE;
	(void)unlink(end->address.sun_path); /* bind() says whether it worked */
	return bind(fd, address, sizeof end->address) == 0 ? 0 : errno;
}

static enum err listen_end(struct end *end)
{
	int fd = new_socket(), number;

	if (fd < 0)
		return failed(end->bus, "listen as", end->name, errno);
	number = end->address.sun_path[0] ? bind_end(fd, end) : ENAMETOOLONG;
	if (number == 0 && listen(fd, BACKLOG) != 0)
		number = errno;
	if (number != 0) {
		(void)close(fd);
		return failed(end->bus, "listen as", end->name, number);
	}
	end->listen_fd = fd;
	accept_again(end);
	return OK;
}

/* ---- ends ---- */

static void end_free(struct end *end)
{
	while (end->links)
		link_free(end->links);
	if (end->listen_fd >= 0) {
		if (end->retry.place == 0)
			loop_unwatch(end->bus->loop, end->listen_fd);
		(void)unlink(end->address.sun_path); /* gone already is as good */
		(void)close(end->listen_fd);
	}
	timer_stop(end->bus->loop, &end->retry);
	bus_requests_free(end->requests);
	mem_free(end->name);
	mem_free(end);
}

static struct end *end_new(struct unix_bus *bus, enum kind kind, const char *name, int priority)
{
	struct end *end = xcalloc(1, sizeof *end);
	size_t size = sizeof end->address.sun_path;
	int len;

	*end = (struct end){ .bus = bus, .kind = kind, .priority = priority, .listen_fd = -1 };
	end->name = xstrdup(name);
	end->retry_ms = RETRY_MIN_MS;
	end->address.sun_family = AF_UNIX;
	len = snprintf(end->address.sun_path, size, "%s/%s.ipc", bus->directory, name);
	if (len < 0 || (size_t)len >= size) /* no address: it cannot listen, nobody is there */
		end->address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	end->next = bus->ends;
	bus->ends = end;
	return end;
}

static struct end *find_end(const struct unix_bus *bus, enum kind kind, const char *name)
{
	struct end *end = bus->ends;

	while (end && (end->kind != kind || strcmp(end->name, name) != 0))
		end = end->next;
	return end;
}

/* Of the newest end. */
static enum err listen_or_free(struct end *end)
{
	enum err err = listen_end(end);

	if (err != OK) {
		MUST(end->bus->ends == end);
		end->bus->ends = end->next;
		end_free(end);
	}
	return err;
}

/* ---- the operations ---- */

static enum err serve(struct bus *base, const char *name, int priority, bus_call_fn *fn, void *ctx)
{
	struct end *end;

	MUST(!find_end(of(base), SERVER, name));
	end = end_new(of(base), SERVER, name, priority);
	end->on_call = fn;
	end->ctx = ctx;
	return listen_or_free(end);
}

/* A server that does not read gets no more, and no copies. */
static bool send_request(void *self, uint32_t id, struct bytes body)
{
	struct link *link = ((struct end *)self)->links;
	struct frame frame = { (uint32_t)body.len, OK, id };

	return link && link->writable_fd < 0 && link_send(link, frame, body.data);
}

static void request(struct bus *base, const char *name, struct bytes body, int64_t deadline_ms,
                    bus_reply_fn *fn, void *ctx)
{
	struct end *end = find_end(of(base), CLIENT, name);

	if (!end) {
		end = end_new(of(base), CLIENT, name, 0);
		end->requests = bus_requests_new(of(base)->loop, send_request, end);
		connect_end(end);
	}
	bus_requests_add(end->requests, body, deadline_ms, fn, ctx);
}

static enum err publish(struct bus *base, const char *name, struct bytes event)
{
	struct end *end = find_end(of(base), CHANNEL, name);
	struct frame frame = { (uint32_t)event.len, OK, 0 };
	enum err err = OK;

	if (event.len > BUS_MAX_BYTES)
		return ERR_LIMIT;
	if (!end) {
		end = end_new(of(base), CHANNEL, name, 1);
		err = listen_or_free(end);
	}
	if (err != OK)
		return err;
	for (struct link *link = end->links; link; link = link->next)
		(void)link_send(link, frame, event.data); /* too slow: it loses this one */
	return OK;
}

static enum err subscribe(struct bus *base, const char *name, int priority, bus_event_fn *fn,
                          void *ctx)
{
	struct end *end = end_new(of(base), SUBSCRIBER, name, priority);

	end->on_event = fn;
	end->ctx = ctx;
	connect_end(end);
	return end->address.sun_path[0] ? OK : failed(of(base), "hear", name, ENAMETOOLONG);
}

static const char *why(const struct bus *base)
{
	return ((const struct unix_bus *)base)->why;
}

static void close_bus(struct bus *base)
{
	struct unix_bus *bus = of(base);
	struct end *next;

	MUST(!bus->calling);
	for (struct end *end = bus->ends; end; end = next) {
		next = end->next;
		end_free(end);
	}
	mem_free(bus->directory);
	mem_free(bus);
}

static const struct bus_ops ops = {
	close_bus, serve, reply, drop, request, publish, subscribe, why
};

enum err bus_unix_open(struct loop *loop, const struct bus_config *config, struct bus **ret)
{
	enum err err = bus_own_directory(config->directory);
	struct unix_bus *bus;

	if (err != OK)
		return err;
	bus = xcalloc(1, sizeof *bus);
	bus->base.ops = &ops;
	bus->loop = loop;
	bus->directory = xstrdup(config->directory);
	*ret = &bus->base;
	return OK;
}
