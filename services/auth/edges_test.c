#include "services/auth/edges.h"
#include "services/auth/fixture.h"

static const char *account;

static void given_an_account(void)
{
	given_an_auth();
	account = account_id("a@example.org");
}

static Auth__LeaseReply *answered(const struct fake_call *call)
{
	static ProtobufCMessage *kept[64];
	static size_t n;

	cr_assert_lt(n, ARRAY_LEN(kept));
	kept[n] = &lease_reply_of(call)->base;
	return (Auth__LeaseReply *)kept[n++];
}

static uint32_t lease_status(const struct fake_call *call)
{
	const Auth__LeaseReply *reply = answered(call);

	return reply->error ? reply->error->status : 200;
}

static size_t live_edges(void)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Raeh__Empty empty = RAEH__EMPTY__INIT;
	struct fake_call *call;

	request.command_case = AUTH__AUTH_REQUEST__COMMAND_LIVE_EDGES;
	request.live_edges = &empty;
	call = ask("auth", &request.base);
	run_for(20);
	return reply_of(call)->live_edges->n_edges;
}

TestSuite(edges, .init = given_an_account, .fini = done);

Test(edges, are_registered_only_when_that_is_durable)
{
	struct fake_edge *edge = new_edge(0);
	struct fake_call *call = ask_register(edge, true), *copy = ask_register(edge, true);

	run_for(4);
	cr_assert(!call->answered && !copy->answered);
	run_for(10);
	cr_assert_eq(answered(call)->lease_ms, FAKE_LEASE_MS);
	cr_assert_eq(answered(copy)->lease_ms, FAKE_LEASE_MS);
	cr_assert_eq(live_edges(), 1);
	power_cut_and_restart();
	cr_assert_eq(live_edges(), 1);
}

Test(edges, that_are_new_start_at_the_newest_notice)
{
	struct fake_call *revoked = admin_revoke(new_key(account, NULL)->id), *call;

	run_for(100);
	cr_assert_eq(status_of(revoked), 200);
	call = ask_register(new_edge(0), true);
	run_for(100);
	cr_assert_eq(answered(call)->newest, 1);
	cr_assert_eq(answered(call)->n_notices, 0);
	cr_assert_eq(fx.edge[0].heard, 0);
}

Test(edges, that_hold_the_slot_lock_end_the_old_lease)
{
	Auth__Key *key = new_key(account, NULL);
	struct fake_edge *old = live_edge(0);
	struct fake_call *call;

	old->cut = true; /* kill -9 */
	call = admin_revoke(key->id);
	run_for(1000);
	cr_assert(!call->answered);
	(void)live_edge(0);
	cr_assert_eq(reply_of(call)->receipt->edges_acked, 0);
	cr_assert_eq(reply_of(call)->receipt->edges_total, 1);
	cr_assert_eq(live_edges(), 1);
	cr_assert_eq(lease_status(ask_renew(old, 1)), 409);
}

Test(edges, without_the_slot_lock_leave_the_old_lease_its_time)
{
	Auth__Key *key = new_key(account, NULL);
	struct fake_edge *old = live_edge(0), *fresh;
	struct fake_call *call;

	old->cut = true;
	fresh = new_edge(0);
	(void)ask_register(fresh, false);
	run_for(100);
	cr_assert_eq(live_edges(), 2);
	call = admin_revoke(key->id);
	run_for(FAKE_LEASE_MS - 1000);
	cr_assert(!call->answered);
	run_for(1000);
	cr_assert_eq(reply_of(call)->receipt->edges_acked, 1);
	cr_assert_eq(reply_of(call)->receipt->edges_total, 2);
}

Test(edges, that_are_dead_cannot_end_their_successor_by_a_late_copy)
{
	struct fake_edge *ended = live_edge(0), *unheard, *fresh;
	struct fake_call *late[2];

	run_for(1);
	unheard = new_edge(0); /* killed before its registration came anywhere */
	run_for(1);
	fresh = live_edge(0);
	late[0] = ask_register(ended, true);
	late[1] = ask_register(unheard, true);
	run_for(100);
	cr_assert(late[0]->answered && late[1]->answered);
	cr_assert_eq(lease_status(ask_renew(fresh, 0)), 200);
	cr_assert_eq(live_edges(), 2, "a ghost costs a revoke the time of a lease, at most");
	run_for(FAKE_LEASE_MS);
	cr_assert_eq(live_edges(), 0);
}

Test(edges, that_register_again_have_not_acknowledged_by_that)
{
	Auth__Key *key = new_key(account, NULL);
	struct fake_edge *edge = live_edge(0);
	struct fake_call *call, *late;

	edge->cut = true;
	call = admin_revoke(key->id);
	run_for(100);
	late = ask_register(edge, true); /* a copy of the first, on the way since */
	run_for(100);
	cr_assert_eq(lease_status(late), 200);
	cr_assert(!call->answered);
	(void)ask_renew(edge, 1);
	run_for(500);
	cr_assert_eq(reply_of(call)->receipt->edges_acked, 1);
}

Test(edges, that_deregister_are_waited_for_no_more)
{
	Auth__Key *key = new_key(account, NULL);
	struct fake_edge *edge = live_edge(0);
	struct fake_call *call, *twice;

	edge->cut = true;
	call = admin_revoke(key->id);
	run_for(100);
	(void)ask_deregister(edge);
	run_for(100);
	cr_assert(call->answered);
	cr_assert_eq(live_edges(), 0);
	twice = ask_deregister(edge);
	cr_assert_eq(lease_status(twice), 200);
}

Test(edges, renew_their_lease_until_they_are_cut_off)
{
	struct fake_edge *edge = live_edge(0);

	for (int i = 0; i < 10; i++) {
		run_for(10000);
		cr_assert_eq(answered(ask_renew(edge, 0))->lease_ms, FAKE_LEASE_MS);
	}
	run_for(FAKE_LEASE_MS - 1);
	cr_assert_eq(fx.auth->leases.edges.tqh_first->live, true);
	run_for(1);
	cr_assert_eq(live_edges(), 0);
	cr_assert_eq(answered(ask_renew(edge, 0))->lease_ms, FAKE_LEASE_MS, "back again");
	cr_assert_eq(live_edges(), 1);
}

Test(edges, that_come_back_late_get_no_lease_before_they_have_applied_all)
{
	Auth__Key *key = new_key(account, NULL);
	struct fake_edge *edge = live_edge(0);
	struct fake_call *call;

	edge->cut = true;
	run_for(FAKE_LEASE_MS);
	call = admin_revoke(key->id);
	run_for(100);
	cr_assert_eq(reply_of(call)->receipt->edges_total, 0);
	cr_assert(!answered(ask_renew(edge, 0))->has_lease_ms);
	cr_assert_eq(live_edges(), 0);
	cr_assert(answered(ask_renew(edge, 1))->has_lease_ms);
	cr_assert_eq(live_edges(), 1);
}

Test(edges, that_know_more_than_auth_must_register_again)
{
	struct fake_edge *edge = live_edge(0);

	cr_assert_eq(lease_status(ask_renew(edge, 1)), 409);
	cr_assert_eq(lease_status(ask_renew(new_edge(1), 0)), 409, "never registered");
}

Test(edges, that_claim_a_notice_to_come_have_not_acknowledged_it)
{
	Auth__Key *key = new_key(account, NULL);
	struct fake_edge *edge = live_edge(0);
	struct fake_call *call;

	edge->applied = 1000; /* what it says to every request */
	call = admin_revoke(key->id);
	run_for(1000);
	cr_assert(!call->answered);
	edge->applied = 1;
	run_for(500);
	cr_assert(call->answered);
}

Test(edges, get_no_longer_lease_than_was_journaled_when_the_setting_grows)
{
	struct fake_edge *edge = live_edge(0);

	fx.lease_ms = 2 * FAKE_LEASE_MS;
	restart();
	cr_assert_eq(answered(ask_renew(edge, 0))->lease_ms, FAKE_LEASE_MS);
	fx.lease_ms = FAKE_LEASE_MS / 2;
	restart();
	cr_assert_eq(answered(ask_renew(edge, 0))->lease_ms, FAKE_LEASE_MS / 2);
}

Test(edges, that_stay_away_are_forgotten_and_may_come_back)
{
	struct fake_edge *edge = live_edge(0);
	struct fake_call *call;

	run_for(FAKE_LEASE_MS + EDGE_AWAY_MS + 20000);
	cr_assert_eq(fx.auth->leases.n, 0);
	cr_assert_eq(lease_status(ask_renew(edge, 0)), 409);
	call = ask_register(edge, true);
	run_for(100);
	cr_assert_eq(lease_status(call), 200);
	cr_assert_eq(live_edges(), 1);
}

Test(edges, are_bounded_in_number)
{
	struct fake_edge edge = { .slot = 9 };
	struct fake_call *call = NULL;

	for (unsigned i = 0; i <= EDGES_MOST; i++) {
		edge.incarnation = uuid_new(clock_wall_ms());
		call = ask_register(&edge, false);
		run_for(10);
	}
	cr_assert_eq(lease_status(call), 503);
	cr_assert_eq(fx.auth->leases.n, EDGES_MOST);
}

Test(edges, that_send_garbage_are_told_so)
{
	Auth__LeaseRequest request = AUTH__LEASE_REQUEST__INIT;
	Raeh__Text text = RAEH__TEXT__INIT;

	text.text = (char *)"not what was expected";
	cr_assert_eq(lease_status(ask("auth.lease", &text.base)), 400);
	cr_assert_eq(lease_status(ask("auth.lease", &request.base)), 400, "no incarnation");
}

Test(edges, register_and_deregister_through_a_contended_journal)
{
	struct fake_edge *edge = new_edge(0);
	struct fake_call *call;

	journal_set_faults(auth_journal(fx.auth), 20, 2);
	for (int i = 0; i < 5; i++) {
		edge->incarnation = uuid_new(clock_wall_ms());
		call = ask_register(edge, true);
		run_for(200);
		cr_assert_eq(lease_status(call), 200);
		cr_assert_eq(live_edges(), 1);
		call = ask_deregister(edge);
		run_for(200);
		cr_assert_eq(lease_status(call), 200);
		cr_assert_eq(live_edges(), 0);
	}
}
