/* An auth that is told anything, on each of its three names, with a power cut now and then.
 * The first byte chooses the name. */
#include "common/fuzz_bus.h"
#include "services/auth/auth.h"

#include "auth.pb-c.h"

#include <sodium.h>

#define CALLS_A_STORE 300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct auth *auth;
static struct hasher *hasher;

static void start(void)
{
	struct auth_deps deps = {
		.loop = fuzz.loop,
		.bus = &fuzz.bus,
		.store = fuzz.store,
		.process = "auth",
		.lease_ms = LEASE_MS_LEAST,
	};

	fuzz.n_served = 0;
	hasher = hasher_new(fuzz.loop, 0);
	deps.hasher = hasher;
	MUST(auth_new(&deps, &auth) == OK);
	fuzz_run(10);
}

static void stop(void)
{
	fuzz.n_asked = 0; /* their askers go */
	auth_free(TAKE(auth));
	hasher_free(TAKE(hasher));
}

static const struct {
	const char *name;
	const ProtobufCMessageDescriptor *reply;
} faces[] = {
	{"auth",        &auth__auth_reply__descriptor },
	{ "auth.admin", &auth__auth_reply__descriptor },
	{ "auth.lease", &auth__lease_reply__descriptor},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	if (!auth) {
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
	fuzz_call(faces[data[0] % 3].name, faces[data[0] % 3].reply, BYTES(data + 1, len - 1));
	if (fuzz.calls >= CALLS_A_STORE) {
		stop();
		fuzz_close();
	}
	return 0;
}
