/* A router that is told anything, with a power cut now and then. A principal in the request is
 * signed, so that commands behind it are reached. */
#include "common/fuzz_bus.h"
#include "common/principal.h"
#include "services/router/router.h"

#include "router.pb-c.h"

#include <sodium.h>

#define CALLS_A_STORE 300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct router *router;
static const uint8_t secret[SECRET_BYTES] = { 5 };
static const struct uuid account = { { 1 } }, key = { { 2 } };

static void start(void)
{
	const struct router_deps deps = {
		.loop = fuzz.loop,
		.bus = &fuzz.bus,
		.store = fuzz.store,
		.secret = secret,
		.publishers = 2,
	};

	fuzz.n_served = 0;
	MUST(router_new(&deps, &router) == OK);
	fuzz_run(10);
}

static void stop(void)
{
	fuzz.n_asked = 0;
	router_free(TAKE(router));
}

/* As auth would have signed it. */
static void call_signed(const uint8_t *data, size_t len)
{
	ProtobufCMessage *message =
	        wire_unpack(&router__router_request__descriptor, BYTES(data, len));
	Router__RouterRequest *request = (Router__RouterRequest *)message;
	Raeh__Principal principal = RAEH__PRINCIPAL__INIT, *was;
	struct buf buf = { 0 };
	uint8_t mac[32];

	if (!request) {
		fuzz_call("router", &router__router_reply__descriptor, BYTES(data, len));
		return;
	}
	was = request->principal;
	principal.account = wire_bytes_of(&account);
	principal.key = wire_bytes_of(&key);
	principal.scopes = SCOPES_ALL;
	principal_sign(&principal, secret, mac);
	request->principal = &principal;
	fuzz_call("router", &router__router_reply__descriptor, wire_pack(&buf, message));
	request->principal = was;
	buf_free(&buf);
	wire_free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	if (!router) {
		MUST(sodium_init() >= 0);
		fuzz_open();
		start();
	}
	if (data[0] == 0xff) {
		stop();
		store_memory_crash(fuzz.store);
		start();
		return 0;
	}
	if (data[0] % 4 == 0)
		fuzz_call("router", &router__router_reply__descriptor, BYTES(data + 1, len - 1));
	else
		call_signed(data + 1, len - 1);
	if (fuzz.calls >= CALLS_A_STORE) {
		stop();
		fuzz_close();
	}
	return 0;
}
