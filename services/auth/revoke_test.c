#include "services/auth/fixture.h"

static const char *account;

static void given_an_account(void)
{
	given_an_auth();
	account = account_id("a@example.org");
}

TestSuite(revoke, .init = given_an_account, .fini = done);

Test(revoke, makes_the_key_unknown_for_ever)
{
	Auth__Key *key = new_key(account, NULL), *sibling = new_key(account, NULL);
	struct fake_call *call = admin_revoke(key->id), *after, *never;

	run_for(100);
	cr_assert_eq(status_of(call), 200);
	after = ask_verify(key->key);
	never = ask_verify("raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE");
	run_for(0);
	cr_assert_eq(after->reply.len, never->reply.len);
	cr_assert_eq(memcmp(after->reply.data, never->reply.data, after->reply.len), 0);
	cr_assert_eq(status_of(after), 401);
	cr_assert_eq(reply_of(after)->error->close_code, 4001);
	power_cut_and_restart();
	cr_assert_eq(status_of(ask_verify(key->key)), 401);
	cr_assert_eq(status_of(ask_verify(sibling->key)), 200, "siblings are untouched");
}

Test(revoke, is_answered_only_when_every_edge_has_applied_it)
{
	Auth__Key *key = new_key(account, NULL);
	struct fake_edge *fast = live_edge(0), *slow = live_edge(1);
	struct fake_call *call;
	const Auth__Receipt *receipt;

	fast->sockets = 3;
	slow->sockets = 4;
	slow->cut = true;
	call = admin_revoke(key->id);
	run_for(1000);
	cr_assert(!call->answered);
	cr_assert_eq(fast->applied, 1);
	slow->cut = false;
	run_for(100);
	receipt = reply_of(call)->receipt;
	cr_assert_eq(receipt->edges_total, 2);
	cr_assert_eq(receipt->edges_acked, 2);
	cr_assert_eq(receipt->sockets_closed->ingest, 7);
	cr_assert_eq(receipt->sockets_closed->subscribe, 2);
	cr_assert_geq(receipt->elapsed_ms, 1000);
	cr_assert_lt(receipt->elapsed_ms, 1100);
	cr_assert_eq(receipt->revoked_at, clock_wall_ms() - 1100);
}

Test(revoke, is_broadcast_when_it_is_committed_and_not_before)
{
	Auth__Key *key = new_key(account, NULL);

	(void)live_edge(0);
	(void)admin_revoke(key->id);
	run_for(4);
	cr_assert_eq(fx.broadcasts, 0, "the sync takes 5 ms");
	cr_assert_eq(fx.edge[0].heard, 0);
	run_for(1);
	cr_assert_eq(fx.broadcasts, 1);
	cr_assert_eq(fx.edge[0].heard, 1);
	run_for(100);
}

Test(revoke, is_delayed_by_an_edge_that_is_cut_off_no_longer_than_its_lease)
{
	Auth__Key *key = new_key(account, NULL);
	struct fake_edge *edge = live_edge(0);
	int64_t granted_ms = clock_boot_ms() - 95; /* the registration's sync took 5 of 100 */
	struct fake_call *call;

	edge->cut = true;
	run_for(10000);
	call = admin_revoke(key->id);
	run_for(granted_ms + FAKE_LEASE_MS - clock_boot_ms() - 1);
	cr_assert(!call->answered);
	run_for(20);
	cr_assert_eq(reply_of(call)->receipt->edges_acked, 0);
	cr_assert_eq(reply_of(call)->receipt->edges_total, 1);
}

Test(revoke, repeated_gets_the_same_receipt_also_after_a_restart)
{
	Auth__Key *key = new_key(account, NULL);
	struct fake_edge *edge = live_edge(0);
	struct fake_call *first, *joined, *late;

	edge->delay_ms = 200;
	edge->sockets = 5;
	first = admin_revoke(key->id);
	run_for(50);
	joined = admin_revoke(key->id);
	run_for(500);
	cr_assert_eq(first->reply.len, joined->reply.len);
	cr_assert_eq(memcmp(first->reply.data, joined->reply.data, first->reply.len), 0);
	restart();
	late = admin_revoke(key->id);
	cr_assert_eq(first->reply.len, late->reply.len);
	cr_assert_eq(memcmp(first->reply.data, late->reply.data, first->reply.len), 0);
	cr_assert_eq(reply_of(late)->receipt->sockets_closed->ingest, 5);
}

Test(revoke, of_a_key_that_is_not_the_accounts_own_finds_nothing)
{
	Auth__Key *own = new_key(account, "keys"), *other;
	const char *ids[] = { "", "garbage", "01890a5d-ac96-774b-bcce-b302099a8057", NULL };
	Raeh__Principal *principal = principal_of(own->key);

	other = new_key(account_id("b@example.org"), NULL);
	ids[3] = other->id;
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		struct fake_call *call = ask_revoke(principal, ids[i]);

		run_for(100);
		cr_assert_eq(status_of(call), 404, "%s", ids[i]);
		cr_assert_str_eq(reply_of(call)->error->detail, "no such key");
	}
	cr_assert_eq(status_of(ask_verify(other->key)), 200);
}

Test(revoke, survives_a_crash_before_its_broadcast)
{
	Auth__Key *key = new_key(account, NULL);
	struct fake_edge *edge = live_edge(0);
	struct fake_call *call = admin_revoke(key->id), *again;

	run_for(4); /* written; synced and broadcast in 1 ms more */
	cr_assert_eq(fx.broadcasts, 0);
	restart(); /* the process died, the machine did not */
	cr_assert(call->dropped);
	cr_assert_eq(fx.broadcasts, 1);
	again = admin_revoke(key->id);
	run_for(100);
	cr_assert_eq(edge->applied, 1);
	cr_assert_eq(reply_of(again)->receipt->edges_acked, 1);
}

Test(revoke, that_was_lost_with_the_power_was_never_answered)
{
	Auth__Key *key = new_key(account, NULL);
	struct fake_call *call = admin_revoke(key->id);

	run_for(4);
	power_cut_and_restart();
	cr_assert(call->dropped && fx.broadcasts == 0);
	cr_assert_eq(status_of(ask_verify(key->key)), 200);
	call = admin_revoke(key->id);
	run_for(100);
	cr_assert_eq(status_of(call), 200);
	cr_assert_eq(status_of(ask_verify(key->key)), 401);
}

Test(revoke, waits_after_a_restart_for_every_registered_edge)
{
	Auth__Key *key = new_key(account, NULL);
	struct fake_edge *edge = live_edge(0);
	struct fake_call *call;

	edge->cut = true;
	run_for(20000);
	restart();
	call = admin_revoke(key->id);
	run_for(FAKE_LEASE_MS - 1);
	cr_assert(!call->answered);
	run_for(20);
	cr_assert_eq(reply_of(call)->receipt->edges_total, 1);
}

Test(revoke, counts_a_renewal_as_acknowledgement)
{
	Auth__Key *key = new_key(account, NULL);
	struct fake_edge *edge = live_edge(0);
	struct fake_call *call, *renewal;
	AUTO(wire_free) ProtobufCMessage *message = NULL;

	edge->cut = true; /* its own name hears nothing, but it asks */
	call = admin_revoke(key->id);
	run_for(100);
	renewal = ask_renew(edge, 0);
	message = &lease_reply_of(renewal)->base;
	cr_assert(!((Auth__LeaseReply *)message)->has_lease_ms, "it has not applied what waits");
	cr_assert_eq(((Auth__LeaseReply *)message)->n_notices, 1);
	(void)ask_renew(edge, 1);
	run_for(500);
	cr_assert_eq(reply_of(call)->receipt->edges_acked, 1);
}

Test(revoke, gets_its_socket_counts_though_answers_are_lost)
{
	Auth__Key *key = new_key(account, NULL);
	struct fake_edge *edge = live_edge(0);
	struct fake_call *call;

	edge->sockets = 9;
	edge->lose = 3;
	call = admin_revoke(key->id);
	run_for(5 + 50 * 3 + 20);
	cr_assert_eq(reply_of(call)->receipt->sockets_closed->ingest, 9);
}

Test(revoke, of_many_keys_at_once_numbers_them_without_holes)
{
	struct fake_edge *edge = live_edge(0);
	struct fake_call *call[40];

	for (size_t i = 0; i < ARRAY_LEN(call); i++)
		call[i] = admin_revoke(new_key(account, NULL)->id);
	run_for(500);
	for (size_t i = 0; i < ARRAY_LEN(call); i++)
		cr_assert_eq(reply_of(call[i])->receipt->edges_acked, 1);
	cr_assert_eq(edge->applied, ARRAY_LEN(call));
}

Test(revoke, is_tried_again_when_another_writer_was_first)
{
	Auth__Key *key[6];
	struct fake_call *call[6];
	struct fake_edge *edge = live_edge(0);

	for (size_t i = 0; i < ARRAY_LEN(key); i++)
		key[i] = new_key(account, NULL);
	journal_set_faults(auth_journal(fx.auth), 30, 2);
	for (size_t i = 0; i < ARRAY_LEN(key); i++) {
		call[i] = admin_revoke(key[i]->id);
		run_for(10);
	}
	run_for(2000);
	for (size_t i = 0; i < ARRAY_LEN(key); i++)
		cr_assert_eq(status_of(call[i]), 200);
	cr_assert_eq(edge->applied, ARRAY_LEN(key));
	cr_assert_gt(fx.auth->metrics.conflicts_total, 0);
}

Test(revoke, keeps_few_notices_when_every_edge_has_applied_them)
{
	struct fake_edge *edge = live_edge(0);

	fx.lease_ms = LEASE_MS_MOST;
	for (size_t i = 0; i < NOTICES_KEPT + 50; i++) {
		struct fake_call *mint = admin_mint(account, NULL);
		AUTO(wire_free) ProtobufCMessage *message = NULL;

		run_for(5);
		message = wire_unpack(&auth__auth_reply__descriptor,
		                      BYTES(mint->reply.data, mint->reply.len));
		(void)admin_revoke(((Auth__AuthReply *)message)->key->id);
		run_for(20);
		(void)ask_renew(edge, edge->applied);
	}
	run_for(11000);
	cr_assert_eq(fx.auth->notices.newest, NOTICES_KEPT + 50);
	cr_assert_eq(fx.auth->notices.floor, 50);
	restart();
	cr_assert_eq(fx.auth->notices.newest, NOTICES_KEPT + 50);
	cr_assert_eq(fx.auth->notices.floor, 50);
}
