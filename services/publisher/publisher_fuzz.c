/* A publisher that is told anything: requests from bytes, signed where they must be, with a
 * power cut now and then. With the real analysis behind it. */
#include "common/clock.h"
#include "common/keys.h"
#include "common/principal.h"
#include "common/wire.h"
#include "services/publisher/publisher.h"
#include "publisher.pb-c.h"

#include <sodium.h>
#include <string.h>

#define REQUESTS_A_STORE 500 /* then everything begins anew */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct {
	struct bus bus;
	struct loop *loop;
	struct store *store;
	struct publisher *publisher;
	bus_call_fn *fn;
	void *ctx;
	int64_t now_us;
	unsigned requests;
	bool answered;
} world;

static const uint8_t secret[SECRET_BYTES] = { 3 };
static const struct uuid account = { { 1 } };

static enum err on_serve(struct bus *bus, const char *name, int priority, bus_call_fn *fn,
                         void *ctx)
{
	(void)bus;
	(void)name;
	(void)priority;
	world.fn = fn;
	world.ctx = ctx;
	return OK;
}

static void on_reply(struct bus_call *call, struct bytes reply)
{
	ProtobufCMessage *message = wire_unpack(&publisher__publisher_reply__descriptor, reply);

	MUST(message && reply.len <= BUS_MAX_BYTES);
	wire_free(message);
	world.answered = true;
	mem_free(call);
}

static void on_drop(struct bus_call *call)
{
	world.answered = true;
	mem_free(call);
}

static enum err on_publish(struct bus *bus, const char *name, struct bytes event)
{
	ProtobufCMessage *message = wire_unpack(&publisher__insights_published__descriptor, event);

	(void)bus;
	(void)name;
	MUST(message != NULL);
	wire_free(message);
	return OK;
}

static const char *on_why(const struct bus *bus)
{
	(void)bus;
	return "";
}

static const struct bus_ops ops = {
	.serve = on_serve, .reply = on_reply, .drop = on_drop, .publish = on_publish, .why = on_why
};

static int64_t now_us(void *ctx)
{
	(void)ctx;
	return world.now_us;
}

static void run(int ms)
{
	for (; ms > 0; ms--) {
		world.now_us += 1000;
		loop_dispatch(world.loop);
	}
}

static void start(void)
{
	world.publisher = publisher_new(&(struct publisher_deps){ .loop = world.loop,
	                                                          .bus = &world.bus,
	                                                          .store = world.store,
	                                                          .secret = secret,
	                                                          .publishers = 1,
	                                                          .sessions_most = 4 });
	MUST(world.publisher != NULL);
	run(2);
}

static void begin_anew(void)
{
	if (world.publisher) {
		publisher_free(world.publisher);
		store_close(world.store);
		loop_free(world.loop);
	}
	MUST(sodium_init() >= 0);
	world.bus.ops = &ops;
	world.now_us = 1000000;
	clock_set_source(now_us, NULL, INT64_C(1760000000000));
	world.loop = loop_new_virtual();
	world.store = store_open_memory(world.loop, 1);
	world.requests = 0;
	start();
}

/* Ids of 16 bytes, few of them, of the right partition. */
static void mend_id(ProtobufCBinaryData *id, uint32_t partition)
{
	struct uuid mended = { { 0 } };

	if (id->len == sizeof mended && id->data) {
		mended =
		        uuid_numbered(1, (uint64_t)(id->data[0] % 8) << 6 | partition % PARTITIONS);
		memcpy(id->data, &mended, sizeof mended);
	}
}

/* In place: the message keeps owning its bytes. */
static void sign(Raeh__Principal *principal)
{
	uint8_t mac[32], *room;

	if (!principal || principal->account.len != sizeof account ||
	    principal->mac.len != sizeof mac)
		return;
	memcpy(principal->account.data, &account, sizeof account);
	room = principal->mac.data;
	principal_sign(principal, secret, mac);
	memcpy(room, mac, sizeof mac);
	principal->mac.data = room;
}

/* As an edge would have said it: what a fuzzer cannot find by itself. */
static void mend(Publisher__PublisherRequest *request)
{
	sign(request->principal);
	if (request->command_case != PUBLISHER__PUBLISHER_REQUEST__COMMAND_ITEMS)
		return;
	for (size_t i = 0; i < request->items->n_sessions; i++) {
		Publisher__SessionItems *run_of = request->items->sessions[i];

		if (run_of->account.len == sizeof account)
			memcpy(run_of->account.data, &account, sizeof account);
		mend_id(&run_of->session, run_of->partition);
		if (!run_of->opening)
			continue;
		sign(run_of->opening->principal);
		for (size_t j = 0; j < run_of->opening->n_supersedes; j++)
			mend_id(&run_of->opening->supersedes[j], run_of->partition);
	}
}

static void send(struct bytes bytes)
{
	struct bus_call *call = xcalloc(1, sizeof *call);

	call->ops = &ops;
	world.answered = false;
	world.fn(world.ctx, call, bytes);
	run(8);
	MUST(world.answered);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	ProtobufCMessage *message = NULL;
	struct buf packed = { 0 };

	if (!world.publisher || world.requests++ == REQUESTS_A_STORE)
		begin_anew();
	if (len > 0 && data[0] == 0xff && data[len - 1] == 0xff) {
		publisher_free(world.publisher);
		store_memory_crash(world.store);
		start();
	}
	message = wire_unpack(&publisher__publisher_request__descriptor, BYTES(data, len));
	if (!message) {
		send(BYTES(data, len));
		return 0;
	}
	mend((Publisher__PublisherRequest *)message);
	send(wire_pack(&packed, message));
	buf_free(&packed);
	wire_free(message);
	return 0;
}
