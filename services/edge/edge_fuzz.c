/*
 * What auth, the router and the publishers say to an edge, from bytes: requests to its name,
 * broadcasts, and answers to what it asks (registration, verdicts, the feed's baseline).
 * Input: kind, length (2), bytes … Nothing may crash, leak, or hold the lease beyond its end.
 */
#include "common/fuzz_bus.h"
#include "edge.pb-c.h"
#include "services/edge/edge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define STEPS 32

static struct grant_user user;
static unsigned answers;

static void on_answer(struct grant_user *told, enum err err, const char *why)
{
	MUST(told == &user && (err == OK || *why) && answers++ == 0);
}

static void on_dead(struct grant_user *told, const char *why)
{
	MUST(told == &user && *why && answers == 1);
}

/* The oldest question is answered so; which is left to the bytes. */
static void answer(unsigned which, struct bytes reply)
{
	size_t at = fuzz.n_asked ? which % fuzz.n_asked : 0;
	bus_reply_fn *fn;
	void *ctx;

	if (fuzz.n_asked == 0)
		return;
	fn = fuzz.asked[at].fn;
	ctx = fuzz.asked[at].ctx;
	fuzz.asked[at] = fuzz.asked[--fuzz.n_asked];
	fn(ctx, OK, reply);
}

static void step(uint8_t kind, struct bytes bytes)
{
	switch (kind % 4) {
	case 0:
		fuzz_call("edge-1", &edge__edge_reply__descriptor, bytes);
		break;
	case 1:
		answer(kind / 4, bytes);
		break;
	case 2:
		fuzz.heard[kind / 4 % fuzz.n_heard].fn(fuzz.heard[kind / 4 % fuzz.n_heard].ctx,
		                                       bytes);
		break;
	default:
		fuzz_run((kind / 4) * 20);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct edge *edge;

	fuzz_open();
	answers = 0;
	user = (struct grant_user){ .kind = NET_SUBSCRIBE,
		                    .on_answer = on_answer,
		                    .on_dead = on_dead };
	edge = edge_new(&(struct edge_settings){ .slot = 1, .publishers = 1, .edges = 1 },
	                fuzz.loop, &fuzz.bus);
	MUST(edge != NULL);
	grant_enter(edge->grants, "raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE", &user);
	loop_dispatch(fuzz.loop);
	for (int i = 0; i < STEPS && len >= 3; i++) {
		size_t n = (size_t)data[1] << 8 | data[2];

		n = n < len - 3 ? n : len - 3;
		step(data[0], BYTES(data + 3, n));
		data += 3 + n;
		len -= 3 + n;
	}
	MUST(!grant_good(edge->grants, &user) || lease_held(edge->lease));
	edge_free(edge);
	fuzz_close();
	return 0;
}
