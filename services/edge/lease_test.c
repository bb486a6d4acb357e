#include "services/edge/fake_bus.h"
#include "services/edge/lease.h"

static struct lease *lease;
static uint64_t applied[16];
static size_t n_applied;
static unsigned registrations, ended;

static void on_notice(void *ctx, const Auth__Notice *notice)
{
	(void)ctx;
	applied[n_applied++ % ARRAY_LEN(applied)] = notice->number;
}

static void on_registered(void *ctx)
{
	(void)ctx;
	registrations++;
}

static void on_ended(void *ctx)
{
	(void)ctx;
	ended++;
}

static void open_lease(void)
{
	world_open();
	n_applied = registrations = ended = 0;
	lease = lease_new(&(struct lease_deps){
	        .loop = world.loop,
	        .bus = &world.bus,
	        .slot = 3,
	        .incarnation = id_of(7),
	        .holds_slot_lock = true,
	        .events = {on_notice, on_registered},
	});
	turn();
}

static void close_lease(void)
{
	lease_free(lease);
	world_close();
}

TestSuite(lease, .init = open_lease, .fini = close_lease);

static int command_asked(void)
{
	AUTO(wire_free)
	ProtobufCMessage *message =
	        question_as(asked("auth.lease"), &auth__lease_request__descriptor);

	return (int)((Auth__LeaseRequest *)message)->command_case;
}

static void hear(const uint64_t *numbers, size_t n)
{
	struct notice_of space[8];
	Auth__Notice *notices[8];

	for (size_t i = 0; i < n; i++)
		notices[i] = notice_fill(&space[i], numbers[i], 1);
	lease_take_notices(lease, notices, n);
}

#define HEAR(...)                                                                                  \
	hear((const uint64_t[]){ __VA_ARGS__ }, ARRAY_LEN(((const uint64_t[]){ __VA_ARGS__ })))

/* To a renewal: notices to apply, and no lease before they are. */
static void answer_with_notices(const uint64_t *numbers, size_t n, bool with_lease)
{
	struct notice_of space[8];
	Auth__Notice *notices[8];
	Auth__LeaseReply reply = AUTH__LEASE_REPLY__INIT;

	for (size_t i = 0; i < n; i++)
		notices[i] = notice_fill(&space[i], numbers[i], 1);
	reply.n_notices = n;
	reply.notices = notices;
	reply.newest = n ? numbers[n - 1] : 0;
	reply.has_lease_ms = with_lease;
	reply.lease_ms = FAKE_LEASE_MS;
	world_answer(asked("auth.lease"), &reply.base);
}

Test(lease, registers_at_once_as_its_slot_and_incarnation)
{
	AUTO(wire_free)
	ProtobufCMessage *message =
	        question_as(asked("auth.lease"), &auth__lease_request__descriptor);
	const Auth__LeaseRequest *request = (Auth__LeaseRequest *)message;
	struct uuid id, ours = id_of(7);

	cr_assert_eq(request->command_case, AUTH__LEASE_REQUEST__COMMAND_REGISTER_EDGE);
	cr_assert_eq(request->slot, 3);
	cr_assert(wire_id(request->incarnation, &id) && uuid_equal(&id, &ours));
	cr_assert(request->register_edge->holds_slot_lock);
	cr_assert_not(lease_held(lease));
}

Test(lease, is_held_from_the_answer_and_stands_at_its_newest_notice)
{
	give_lease(41);

	cr_assert(lease_held(lease));
	cr_assert_eq(lease_lost_since_ms(lease), 0);
	cr_assert_eq(lease_applied(lease), 41);
	cr_assert_eq(registrations, 1);
}

Test(lease, counts_from_the_sending_less_a_margin)
{
	int64_t sent = clock_boot_ms();
	int64_t end = sent + FAKE_LEASE_MS - FAKE_LEASE_MS / LEASE_MARGIN_PARTS;

	pass(1500); /* the answer is slow */
	give_lease(0);
	world.now_us = (end - 1) * 1000;
	cr_assert(lease_held(lease));
	world.now_us = end * 1000;

	cr_assert_not(lease_held(lease));
	cr_assert_eq(lease_lost_since_ms(lease), end);
}

Test(lease, is_not_held_when_its_answer_came_too_late)
{
	world.now_us += (int64_t)FAKE_LEASE_MS * 1000;
	give_lease(0);

	cr_assert_not(lease_held(lease));
}

Test(lease, is_renewed_often_enough_that_several_renewals_may_be_lost)
{
	give_lease(0);
	pass(3000);
	for (int lost = 0; lost < 8; lost++) {
		cr_assert_eq(command_asked(), AUTH__LEASE_REQUEST__COMMAND_RENEW, "after %d", lost);
		pass(2000); /* unanswered: lost */
		cr_assert(asked("auth.lease") == NULL);
		pass(200);
	}
	cr_assert(lease_held(lease));
	give_lease(0);
	pass(FAKE_LEASE_MS - 2000);
	cr_assert(lease_held(lease));
	cr_assert_eq(registrations, 1);
}

Test(lease, tells_with_each_renewal_what_it_has_applied)
{
	AUTO(wire_free) ProtobufCMessage *message = NULL;

	give_lease(5);
	HEAR(6, 7);
	pass(3000);
	message = question_as(asked("auth.lease"), &auth__lease_request__descriptor);
	cr_assert_eq(((Auth__LeaseRequest *)message)->command_case,
	             AUTH__LEASE_REQUEST__COMMAND_RENEW);
	cr_assert_eq(((Auth__LeaseRequest *)message)->renew->applied, 7);
}

Test(lease, that_ran_out_is_registered_anew_not_renewed)
{
	give_lease(5);
	pass(3000);
	cr_assert_eq(command_asked(), AUTH__LEASE_REQUEST__COMMAND_RENEW);
	world.now_us += (int64_t)FAKE_LEASE_MS * 1000; /* the process stood still */
	give_lease(5);

	cr_assert_not(lease_held(lease), "the answer to a renewal sent before gives nothing");
	turn();
	cr_assert_eq(command_asked(), AUTH__LEASE_REQUEST__COMMAND_REGISTER_EDGE);
	give_lease(9);
	cr_assert(lease_held(lease));
	cr_assert_eq(registrations, 2);
	cr_assert_eq(lease_applied(lease), 9);
}

Test(lease, that_auth_has_forgotten_is_given_up_at_once)
{
	give_lease(5);
	pass(3000);
	refuse_lease(409);

	cr_assert_not(lease_held(lease));
	turn();
	cr_assert_eq(command_asked(), AUTH__LEASE_REQUEST__COMMAND_REGISTER_EDGE);
}

Test(lease, asks_again_when_its_registration_is_refused_lost_or_unreadable)
{
	refuse_lease(503);
	cr_assert_eq(asked_count("auth.lease"), 0);
	pass(200);
	world_lose(asked("auth.lease"));
	pass(200);
	world_answer_bytes(asked("auth.lease"), OK, BYTES("\xff\xff", 2));
	pass(200);
	answer_with_notices(NULL, 0, false);
	pass(200);
	cr_assert_eq(command_asked(), AUTH__LEASE_REQUEST__COMMAND_REGISTER_EDGE);
	cr_assert_eq(registrations, 0);
}

Test(lease, applies_notices_in_order_and_each_once)
{
	give_lease(5);
	HEAR(4, 5, 6, 7, 7, 6, 8);

	cr_assert_eq(n_applied, 3);
	cr_assert_eq(applied[0], 6);
	cr_assert_eq(applied[1], 7);
	cr_assert_eq(applied[2], 8);
	cr_assert_eq(lease_applied(lease), 8);
}

Test(lease, takes_no_notice_before_it_is_registered)
{
	HEAR(1);

	cr_assert_eq(n_applied, 0);
	give_lease(1); /* the registration covers it */
	cr_assert_eq(lease_applied(lease), 1);
}

Test(lease, hurries_a_renewal_when_a_notice_is_missing)
{
	give_lease(5);
	HEAR(7);
	turn();

	cr_assert_eq(n_applied, 0, "not before the one that is missing");
	cr_assert_eq(command_asked(), AUTH__LEASE_REQUEST__COMMAND_RENEW);
	answer_with_notices((const uint64_t[]){ 6, 7 }, 2, true);
	cr_assert_eq(lease_applied(lease), 7);
}

Test(lease, hurries_another_renewal_when_a_notice_is_missed_while_one_is_under_way)
{
	give_lease(5);
	pass(3000);
	HEAR(8); /* auth has answered the renewal before it knew of the 6th */
	give_lease(5);

	pass(250);
	cr_assert_eq(asked_count("auth.lease"), 1);
	answer_with_notices((const uint64_t[]){ 6, 7, 8 }, 3, true);
	cr_assert_eq(lease_applied(lease), 8);
}

Test(lease, renews_at_once_behind_notices_that_came_in_place_of_a_lease)
{
	int64_t until;

	give_lease(5);
	pass(20000);
	while (asked("auth.lease"))
		world_lose(asked("auth.lease"));
	pass(200);
	answer_with_notices((const uint64_t[]){ 6 }, 1, false);
	until = clock_boot_ms();
	turn();
	cr_assert_eq(command_asked(), AUTH__LEASE_REQUEST__COMMAND_RENEW);
	give_lease(6);
	world.now_us = (until + FAKE_LEASE_MS - FAKE_LEASE_MS / LEASE_MARGIN_PARTS - 1) * 1000;
	cr_assert(lease_held(lease));
}

Test(lease, that_is_not_extended_ends_when_it_said)
{
	give_lease(5);
	for (int i = 0; i < 8; i++) {
		pass(3000);
		if (asked("auth.lease"))
			answer_with_notices(NULL, 0, false);
	}
	cr_assert(lease_held(lease));
	pass(FAKE_LEASE_MS - FAKE_LEASE_MS / LEASE_MARGIN_PARTS - 24000);
	cr_assert_not(lease_held(lease));
}

Test(lease, ends_with_its_deregistration_and_says_when_auth_knows)
{
	Auth__LeaseReply reply = AUTH__LEASE_REPLY__INIT;

	give_lease(5);
	lease_deregister(lease, on_ended, NULL);
	cr_assert_not(lease_held(lease));
	cr_assert_eq(command_asked(), AUTH__LEASE_REQUEST__COMMAND_DEREGISTER);
	cr_assert_eq(ended, 0);
	world_answer(asked("auth.lease"), &reply.base);

	cr_assert_eq(ended, 1);
	pass(10000);
	cr_assert_eq(asked_count("auth.lease"), 0, "nothing is asked any more");
}

Test(lease, ends_without_auth_within_two_seconds)
{
	give_lease(5);
	lease_deregister(lease, on_ended, NULL);
	pass(2000);

	cr_assert_eq(ended, 1);
}

Test(lease, that_was_deregistered_is_not_revived_by_a_late_answer)
{
	struct question *renewal;

	give_lease(5);
	pass(3000);
	renewal = asked("auth.lease");
	lease_deregister(lease, on_ended, NULL);
	give_lease(5);

	cr_assert(asked("auth.lease") != renewal);
	cr_assert_not(lease_held(lease));
	cr_assert_eq(registrations, 1);
}
