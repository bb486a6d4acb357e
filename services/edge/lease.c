#include "services/edge/lease.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/token.h"
#include "common/wire.h"

#include <string.h>

#define LEASE_NAME    "auth.lease"
#define RETRY_MS      200  /* after an answer that gave no lease                      */
#define RENEW_PARTS   8    /* renewals in one lease, so that several may be lost       */
#define RENEW_MOST_MS 3000 /* "every few seconds"                                      */
#define REQUEST_MS    2000
#define DEREGISTER_MS 2000

struct lease {
	struct lease_deps deps;
	struct timer timer;
	bool registered, asking;
	bool hurry;       /* a notice was missed that the renewal under way may not bring */
	int64_t sent_ms;  /* of the request under way */
	int64_t until_ms; /* boot time; 0 = never held */
	uint64_t applied;
	int64_t lease_ms;
	bool has_token_key;
	uint8_t token_key[TOKEN_KEY_BYTES];
	loop_fn *done;
	void *done_ctx;
};

bool lease_held(const struct lease *lease)
{
	return lease->registered && clock_boot_ms() < lease->until_ms;
}

int64_t lease_lost_since_ms(const struct lease *lease)
{
	return lease_held(lease) ? 0 : lease->until_ms;
}

uint64_t lease_applied(const struct lease *lease)
{
	return lease->applied;
}

static void ask(void *ctx);

static void ask_in(struct lease *lease, int64_t delay_ms)
{
	timer_set(lease->deps.loop, &lease->timer, delay_ms, ask, lease);
}

static int64_t renew_period_ms(const struct lease *lease)
{
	int64_t period = lease->lease_ms / RENEW_PARTS;

	return period < RENEW_MOST_MS ? period : RENEW_MOST_MS;
}

const uint8_t *lease_token_key(const struct lease *lease)
{
	return lease->has_token_key ? lease->token_key : NULL;
}

static void take_token_key(struct lease *lease, const Auth__LeaseReply *reply)
{
	lease->has_token_key =
	        reply->has_token_key && reply->token_key.len == sizeof lease->token_key;
	if (lease->has_token_key)
		memcpy(lease->token_key, reply->token_key.data, sizeof lease->token_key);
}

static void extend(struct lease *lease, int64_t lease_ms)
{
	lease->lease_ms = lease_ms;
	lease->until_ms = lease->sent_ms + lease_ms - lease_ms / LEASE_MARGIN_PARTS;
}

void lease_take_notices(struct lease *lease, Auth__Notice *const *notices, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!lease->registered || notices[i]->number <= lease->applied)
			continue;
		if (notices[i]->number > lease->applied + 1) {
			lease->hurry = true; /* one was lost on the way */
			break;
		}
		lease->deps.events.on_notice(lease->deps.ctx, notices[i]);
		lease->applied = notices[i]->number;
	}
	if (lease->hurry && !lease->asking)
		ask_in(lease, 0);
}

static void on_registered(struct lease *lease, const Auth__LeaseReply *reply)
{
	if (!reply->has_lease_ms) {
		ask_in(lease, RETRY_MS);
		return;
	}
	lease->registered = true;
	take_token_key(lease, reply);
	lease->applied = reply->newest;
	extend(lease, reply->lease_ms);
	log_info("lease-registered", "slot=%u lease_ms=%u notice=%llu", lease->deps.slot,
	         reply->lease_ms, (unsigned long long)reply->newest);
	lease->deps.events.on_registered(lease->deps.ctx);
	ask_in(lease, renew_period_ms(lease));
}

static void on_renewed(struct lease *lease, const Auth__LeaseReply *reply)
{
	lease_take_notices(lease, reply->notices, reply->n_notices);
	if (!reply->has_lease_ms) {
		ask_in(lease, reply->n_notices > 0 ? 0 : RETRY_MS);
		return;
	}
	extend(lease, reply->lease_ms);
	ask_in(lease, lease->hurry ? RETRY_MS : renew_period_ms(lease));
}

static void on_reply(void *ctx, enum err err, struct bytes data)
{
	struct lease *lease = ctx;
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	const Auth__LeaseReply *reply;

	lease->asking = false;
	if (lease->done)
		return; /* it has ended: an answer to what was asked before gives nothing back */
	if (err == OK)
		message = wire_unpack(&auth__lease_reply__descriptor, data);
	if (!message) {
		ask_in(lease, RETRY_MS);
		return;
	}
	reply = (const Auth__LeaseReply *)message;
	if (lease->registered && (reply->error || !lease_held(lease))) {
		log_warn("lease-lost", "slot=%u why=\"%s\"", lease->deps.slot,
		         reply->error ? reply->error->detail : "it ran out");
		lease->registered = false;
		ask_in(lease, 0);
	} else if (reply->error) {
		ask_in(lease, RETRY_MS);
	} else if (lease->registered) {
		on_renewed(lease, reply);
	} else {
		on_registered(lease, reply);
	}
}

static void send_request(struct lease *lease, Auth__LeaseRequest *request, int64_t deadline_ms,
                         bus_reply_fn *fn)
{
	struct buf buf = { 0 };

	request->slot = lease->deps.slot;
	request->incarnation = wire_bytes_of(&lease->deps.incarnation);
	bus_request(lease->deps.bus, LEASE_NAME, wire_pack(&buf, &request->base), deadline_ms, fn,
	            lease);
	buf_free(&buf);
}

static void ask(void *ctx)
{
	struct lease *lease = ctx;
	Auth__LeaseRequest request = AUTH__LEASE_REQUEST__INIT;
	Auth__Register fresh = AUTH__REGISTER__INIT;
	Auth__Renew renew = AUTH__RENEW__INIT;

	if (lease->asking || lease->done)
		return;
	if (lease->registered && !lease_held(lease))
		lease->registered = false;
	if (lease->registered) {
		renew.applied = lease->applied;
		request.renew = &renew;
		request.command_case = AUTH__LEASE_REQUEST__COMMAND_RENEW;
	} else {
		fresh.holds_slot_lock = lease->deps.holds_slot_lock;
		request.register_edge = &fresh;
		request.command_case = AUTH__LEASE_REQUEST__COMMAND_REGISTER_EDGE;
	}
	lease->asking = true;
	lease->hurry = false; /* a hole that is seen from now on may be newer than the answer */
	lease->sent_ms = clock_boot_ms();
	send_request(lease, &request, REQUEST_MS, on_reply);
}

static void on_deregistered(void *ctx, enum err err, struct bytes data)
{
	struct lease *lease = ctx;

	(void)err; /* auth away: its own count ends the lease */
	(void)data;
	lease->done(lease->done_ctx);
}

void lease_deregister(struct lease *lease, loop_fn *fn, void *ctx)
{
	Auth__LeaseRequest request = AUTH__LEASE_REQUEST__INIT;
	Raeh__Empty empty = RAEH__EMPTY__INIT;

	lease->done = fn;
	lease->done_ctx = ctx;
	lease->registered = false;
	request.deregister = &empty;
	request.command_case = AUTH__LEASE_REQUEST__COMMAND_DEREGISTER;
	send_request(lease, &request, DEREGISTER_MS, on_deregistered);
}

struct lease *lease_new(const struct lease_deps *deps)
{
	struct lease *lease = xcalloc(1, sizeof *lease);

	lease->deps = *deps;
	ask_in(lease, 0);
	return lease;
}

void lease_free(struct lease *lease)
{
	if (!lease)
		return;
	timer_stop(lease->deps.loop, &lease->timer);
	mem_free(lease);
}
