/*
 * fuzz_bus - a bus with nobody on it, for fuzz targets of a whole service.
 *
 * What the service serves can be called with any bytes; its answers must be messages of the
 * reply type; its own requests are never answered (their deadline does it); its broadcasts
 * go nowhere. Time is the target's own. Included by *_fuzz.c alone.
 */
#ifndef COMMON_FUZZ_BUS_H
#define COMMON_FUZZ_BUS_H

#include "common/bus.h"
#include "common/clock.h"
#include "common/store.h"
#include "common/wire.h"

#include <stdio.h>
#include <string.h>

#define FUZZ_NAMES    8
#define FUZZ_REQUESTS 256

static struct fuzz_world {
	struct bus bus;
	struct loop *loop;
	struct store *store;
	int64_t now_us;
	struct {
		char name[BUS_NAME_MAX];
		bus_call_fn *fn;
		void *ctx;
	} served[FUZZ_NAMES];
	size_t n_served;
	struct {
		char name[BUS_NAME_MAX];
		bus_event_fn *fn;
		void *ctx;
	} heard[FUZZ_NAMES];
	size_t n_heard;
	struct {
		bus_reply_fn *fn;
		void *ctx;
	} asked[FUZZ_REQUESTS];
	size_t n_asked;
	const ProtobufCMessageDescriptor *reply_type;
	unsigned calls;
} fuzz;

static enum err fuzz_serve(struct bus *bus, const char *name, int priority, bus_call_fn *fn,
                           void *ctx)
{
	(void)bus;
	(void)priority;
	MUST(fuzz.n_served < FUZZ_NAMES);
	(void)snprintf(fuzz.served[fuzz.n_served].name, BUS_NAME_MAX, "%s", name);
	fuzz.served[fuzz.n_served].fn = fn;
	fuzz.served[fuzz.n_served++].ctx = ctx;
	return OK;
}

static void fuzz_reply(struct bus_call *call, struct bytes reply)
{
	ProtobufCMessage *message = wire_unpack(fuzz.reply_type, reply);

	MUST(message && reply.len <= BUS_MAX_BYTES);
	wire_free(message);
	mem_free(call);
}

static void fuzz_drop(struct bus_call *call)
{
	mem_free(call);
}

static void fuzz_request(struct bus *bus, const char *name, struct bytes data, int64_t deadline_ms,
                         bus_reply_fn *fn, void *ctx)
{
	(void)bus;
	(void)name;
	(void)data;
	(void)deadline_ms;
	MUST(fuzz.n_asked < FUZZ_REQUESTS);
	fuzz.asked[fuzz.n_asked].fn = fn;
	fuzz.asked[fuzz.n_asked++].ctx = ctx;
}

static enum err fuzz_publish(struct bus *bus, const char *name, struct bytes event)
{
	(void)bus;
	(void)name;
	(void)event;
	return OK;
}

static enum err fuzz_subscribe(struct bus *bus, const char *name, int priority, bus_event_fn *fn,
                               void *ctx)
{
	(void)bus;
	(void)priority;
	MUST(fuzz.n_heard < FUZZ_NAMES);
	(void)snprintf(fuzz.heard[fuzz.n_heard].name, BUS_NAME_MAX, "%s", name);
	fuzz.heard[fuzz.n_heard].fn = fn;
	fuzz.heard[fuzz.n_heard++].ctx = ctx;
	return OK;
}

static const char *fuzz_why(const struct bus *bus)
{
	(void)bus;
	return "";
}

static int64_t fuzz_now_us(void *ctx)
{
	(void)ctx;
	return fuzz.now_us;
}

/* Moves time on; every request meets its deadline. */
static void fuzz_run(int ms)
{
	for (; ms > 0; ms -= 5) {
		size_t n = fuzz.n_asked;

		fuzz.n_asked = 0;
		for (size_t i = 0; i < n; i++)
			fuzz.asked[i].fn(fuzz.asked[i].ctx, ERR_UNAVAILABLE, BYTES(NULL, 0));
		fuzz.now_us += 5000;
		loop_dispatch(fuzz.loop);
	}
}

static void fuzz_open(void)
{
	static const struct bus_ops ops = {
		.serve = fuzz_serve,
		.subscribe = fuzz_subscribe,
		.reply = fuzz_reply,
		.drop = fuzz_drop,
		.request = fuzz_request,
		.publish = fuzz_publish,
		.why = fuzz_why,
	};

	fuzz.bus.ops = &ops;
	fuzz.now_us = 1000000;
	fuzz.n_served = fuzz.n_heard = fuzz.n_asked = 0;
	fuzz.calls = 0;
	clock_set_source(fuzz_now_us, NULL, 1700000000000);
	fuzz.loop = loop_new_virtual();
	fuzz.store = store_open_memory(fuzz.loop, 1);
}

static void fuzz_close(void)
{
	store_close(fuzz.store);
	loop_free(fuzz.loop);
	fuzz.loop = NULL;
}

/* What the name is asked, as it comes. */
static void fuzz_call(const char *name, const ProtobufCMessageDescriptor *reply_type,
                      struct bytes request)
{
	struct bus_call *call = xcalloc(1, sizeof *call);

	call->ops = fuzz.bus.ops;
	fuzz.reply_type = reply_type;
	fuzz.calls++;
	for (size_t i = 0; i < fuzz.n_served; i++)
		if (strcmp(fuzz.served[i].name, name) == 0) {
			fuzz.served[i].fn(fuzz.served[i].ctx, call, request);
			fuzz_run(20);
			return;
		}
	MUST(!"the service does not serve that name");
}

#endif
