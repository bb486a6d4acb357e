/*
 * The bus over nng: one socket for each name that this process serves, asks, publishes
 * or hears. Raw REQ and REP, so that any number of requests may be in the air and be
 * answered in any order; ids, resends and deadlines are bus_requests'.
 *
 * A request carries its id in nng's header; an answer that is an error carries the enum
 * err as one more word before the id (whose high bit is clear, so that nng takes it for
 * a hop). A REP socket puts the connection's number before both.
 *
 *     request   | id |  body               answer   | id |  body
 *                                          error    | err | id |
 */
#include "common/bus_engines.h"
#include "common/bus_requests.h"
#include "common/bus_sockets.h"

#include <string.h>

#define HEADER_BYTES 64 /* nng's own bound: 15 hops and the id */
#define PER_WAKE     64 /* messages, before other descriptors have their turn */
#define CALL_CHAINS  256

struct nng_bus {
	struct bus base;
	struct bus_sockets sockets;
	struct end *ends;
	bool calling;
};

/* A socket and who is called for its messages. */
struct end {
	struct bus_socket socket;
	struct end *next;
	struct nng_bus *bus;
	int fd; /* readable when there are messages; -1: a BUS_CHANNEL, or not open */
	void *ctx;
	bus_call_fn *on_call;            /* BUS_SERVER */
	struct call *calls[CALL_CHAINS]; /* BUS_SERVER: the unanswered, by header */
	bus_event_fn *on_event;          /* BUS_SUBSCRIBER */
	struct bus_requests *requests;   /* BUS_CLIENT */
	char *name;                      /* BUS_CLIENT, BUS_CHANNEL: looked up by it */
	enum bus_socket_kind kind;
};

struct call {
	struct bus_call base;
	struct end *end;
	struct call *next, **place;
	size_t header_len;
	uint8_t header[HEADER_BYTES];
};

static const struct bus_ops ops;

static struct nng_bus *of(struct bus *bus)
{
	return (struct nng_bus *)bus;
}

static nng_msg *make_message(struct bytes body)
{
	nng_msg *message = NULL;

	MUST(nng_msg_alloc(&message, body.len) == 0); /* as xcalloc() */
	if (body.len > 0)
		memcpy(nng_msg_body(message), body.data, body.len);
	return message;
}

/* Never blocks. False: there is no room. */
static bool send_message(const struct end *end, nng_msg *message)
{
	if (nng_sendmsg(end->socket.nng, message, NNG_FLAG_NONBLOCK) == 0)
		return true;
	nng_msg_free(message);
	return false;
}

/* ---- calls: the requests that others sent us ---- */

static struct call **chain_of(struct end *end, const uint8_t *header, size_t len)
{
	uint32_t hash = 0;

	for (size_t i = 0; i < len; i++)
		hash = hash * 31 + header[i];
	return &end->calls[hash % CALL_CHAINS];
}

static bool is_open(struct call *const *chain, const uint8_t *header, size_t len)
{
	for (const struct call *call = *chain; call; call = call->next)
		if (call->header_len == len && memcmp(call->header, header, len) == 0)
			return true;
	return false;
}

static void call_free(struct call *call)
{
	*call->place = call->next;
	if (call->next)
		call->next->place = call->place;
	mem_free(call);
}

/* A copy of a request that still waits for its answer is not a second call. */
static void take_call(struct end *end, nng_msg *message)
{
	const uint8_t *header = nng_msg_header(message);
	size_t len = nng_msg_header_len(message);
	struct call **chain = chain_of(end, header, len);
	struct call *call;

	if (len < 2 * sizeof(uint32_t) || len > HEADER_BYTES || is_open(chain, header, len))
		return;
	call = xcalloc(1, sizeof *call);
	call->base.ops = &ops;
	call->end = end;
	call->header_len = len;
	memcpy(call->header, header, len);
	call->next = *chain;
	call->place = chain;
	if (call->next)
		call->next->place = &call->next;
	*chain = call;
	end->on_call(end->ctx, &call->base, BYTES(nng_msg_body(message), nng_msg_len(message)));
}

/* What does not reach the peer is asked for again. */
static void reply(struct bus_call *base, struct bytes body)
{
	struct call *call = (struct call *)base;
	size_t first = sizeof(uint32_t); /* the connection's number */
	bool fits = body.len <= BUS_MAX_BYTES;
	nng_msg *message = make_message(fits ? body : BYTES(NULL, 0));

	MUST(nng_msg_header_append(message, call->header, first) == 0);
	if (!fits)
		MUST(nng_msg_header_append_u32(message, ERR_LIMIT) == 0);
	MUST(nng_msg_header_append(message, call->header + first, call->header_len - first) == 0);
	(void)send_message(call->end, message);
	call_free(call);
}

static void drop(struct bus_call *base)
{
	call_free((struct call *)base);
}

/* ---- requests: what we ask of others ---- */

static bool send_request(void *self, uint32_t id, struct bytes body)
{
	struct end *end = self;
	nng_msg *message;

	if (end->fd < 0)
		return false;
	message = make_message(body);
	MUST(nng_msg_header_append_u32(message, id) == 0);
	return send_message(end, message);
}

static void take_answer(struct end *end, nng_msg *message)
{
	struct bytes body = BYTES(nng_msg_body(message), nng_msg_len(message));
	uint32_t words[2] = { 0, 0 }; /* err, id */
	size_t len = nng_msg_header_len(message);

	if (len == sizeof words[1])
		(void)nng_msg_header_trim_u32(message, &words[1]); /* len says that it is there */
	else if (len == sizeof words)
		for (size_t i = 0; i < 2; i++)
			(void)nng_msg_header_trim_u32(message, &words[i]);
	bus_requests_answer(end->requests, words[1], words[0] ? ERR_LIMIT : OK, body);
}

/* ---- from the loop ---- */

static void take_message(struct end *end, nng_msg *message)
{
	switch (end->kind) {
	case BUS_SERVER:
		take_call(end, message);
		break;
	case BUS_CLIENT:
		take_answer(end, message);
		break;
	case BUS_SUBSCRIBER:
		end->on_event(end->ctx, BYTES(nng_msg_body(message), nng_msg_len(message)));
		break;
	case BUS_CHANNEL:
		MUST(false);
	}
}

/* nng keeps the descriptor readable while messages are left. */
static void on_readable(void *self)
{
	struct end *end = self;
	nng_msg *message;

	end->bus->calling = true;
	for (int i = 0; i < PER_WAKE; i++) {
		if (nng_recvmsg(end->socket.nng, &message, NNG_FLAG_NONBLOCK) != 0)
			break;
		take_message(end, message);
		nng_msg_free(message);
	}
	end->bus->calling = false;
}

/* ---- ends ---- */

static void end_free(struct end *end)
{
	if (end->fd >= 0)
		loop_unwatch(end->bus->sockets.loop, end->fd);
	if (end->socket.sockets)
		bus_socket_close(&end->socket);
	for (size_t i = 0; i < CALL_CHAINS; i++)
		while (end->calls[i])
			call_free(end->calls[i]);
	bus_requests_free(end->requests);
	mem_free(end->name);
	mem_free(end);
}

static struct end *end_new(struct nng_bus *bus, enum bus_socket_kind kind, const char *name)
{
	struct end *end = xcalloc(1, sizeof *end);

	end->bus = bus;
	end->kind = kind;
	end->name = xstrdup(name);
	end->fd = -1;
	end->next = bus->ends;
	bus->ends = end;
	return end;
}

static enum err end_open(struct end *end, int priority)
{
	struct bus_sockets *sockets = &end->bus->sockets;
	enum err err = bus_socket_open(&end->socket, sockets, end->kind, end->name);
	int rv;

	if (err != OK || end->kind == BUS_CHANNEL)
		return err;
	rv = nng_socket_get_int(end->socket.nng, NNG_OPT_RECVFD, &end->fd);
	if (rv != 0) {
		end->fd = -1;
		bus_socket_close(&end->socket);
		return bus_sockets_failed(sockets, "watch", end->name, rv);
	}
	loop_watch(sockets->loop, end->fd, priority, on_readable, end);
	return OK;
}

/* Opens the newest end, or takes it away again. */
static enum err open_or_free(struct end *end, int priority)
{
	enum err err = end_open(end, priority);

	if (err == OK)
		return OK;
	MUST(end->bus->ends == end);
	end->bus->ends = end->next;
	end_free(end);
	return err;
}

static struct end *find_end(const struct nng_bus *bus, enum bus_socket_kind kind, const char *name)
{
	struct end *end = bus->ends;

	while (end && (end->kind != kind || strcmp(end->name, name) != 0))
		end = end->next;
	return end;
}

/* ---- the operations ---- */

static enum err serve(struct bus *base, const char *name, int priority, bus_call_fn *fn, void *ctx)
{
	struct end *end;

	MUST(!find_end(of(base), BUS_SERVER, name));
	end = end_new(of(base), BUS_SERVER, name);
	end->on_call = fn;
	end->ctx = ctx;
	return open_or_free(end, priority);
}

/* A name that cannot be dialled is like a service that is away. */
static void request(struct bus *base, const char *name, struct bytes body, int64_t deadline_ms,
                    bus_reply_fn *fn, void *ctx)
{
	struct end *end = find_end(of(base), BUS_CLIENT, name);

	if (!end) {
		end = end_new(of(base), BUS_CLIENT, name);
		end->requests = bus_requests_new(of(base)->sockets.loop, send_request, end);
	}
	if (end->fd < 0)
		(void)end_open(end, 0); /* why says it; the request meets its deadline */
	bus_requests_add(end->requests, body, deadline_ms, fn, ctx);
}

static enum err publish(struct bus *base, const char *name, struct bytes event)
{
	struct nng_bus *bus = of(base);
	struct end *end = find_end(bus, BUS_CHANNEL, name);
	enum err err;

	if (event.len > BUS_MAX_BYTES)
		return ERR_LIMIT;
	if (!end) {
		end = end_new(bus, BUS_CHANNEL, name);
		err = open_or_free(end, 0);
		if (err != OK)
			return err;
	}
	return send_message(end, make_message(event)) ? OK : ERR_AGAIN;
}

static enum err subscribe(struct bus *base, const char *name, int priority, bus_event_fn *fn,
                          void *ctx)
{
	struct end *end = end_new(of(base), BUS_SUBSCRIBER, name);

	end->on_event = fn;
	end->ctx = ctx;
	return open_or_free(end, priority);
}

static const char *why(const struct bus *base)
{
	return ((const struct nng_bus *)base)->sockets.why;
}

static void close_bus(struct bus *base)
{
	struct nng_bus *bus = of(base);
	struct end *next;

	MUST(!bus->calling);
	for (struct end *end = bus->ends; end; end = next) {
		next = end->next;
		end_free(end);
	}
	bus_sockets_done(&bus->sockets);
	mem_free(bus);
}

static const struct bus_ops ops = {
	close_bus, serve, reply, drop, request, publish, subscribe, why
};

enum err bus_nng_open(struct loop *loop, const struct bus_config *config, struct bus **ret)
{
	struct nng_bus *bus = xcalloc(1, sizeof *bus);
	enum err err;

	bus->base.ops = &ops;
	err = bus_sockets_init(&bus->sockets, loop, config);
	if (err != OK) {
		mem_free(bus);
		return err;
	}
	*ret = &bus->base;
	return OK;
}
