#include "common/layout_fixture.h"
#include "services/auth/fixture.h"

#include "services/auth/group.h"

static const char *account;
static Auth__Key *backend;
static Raeh__Principal *asker;
static struct fake_edge *edge;

static void given_keys(void)
{
	given_an_auth();
	account = account_id("owner@example.org");
	backend = new_key(account, "ingest,subscribe,read,write,keys");
	edge = live_edge(0);
	asker = principal_of(backend->key);
}

TestSuite(group, .init = given_keys, .fini = done);

static Auth__Key *minted_by(Raeh__Principal *parent, const char *external_id)
{
	Auth__MintKey mint;
	struct fake_call *call;

	fill_mint(&mint, "made", "read,keys");
	mint.external_id = (char *)external_id;
	call = ask_mint_op(parent, &mint, new_op());
	run_for(50);
	cr_assert_eq(status_of(call), 200);
	return reply_of(call)->key;
}

static struct fake_call *ask_revoke_with(Raeh__Principal *principal, const char *id, bool cascade,
                                         bool async)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__RevokeKey revoke = AUTH__REVOKE_KEY__INIT;

	revoke.id = (char *)id;
	revoke.has_cascade = revoke.cascade = cascade;
	revoke.has_respond_async = revoke.respond_async = async;
	request.principal = principal;
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_REVOKE_KEY;
	request.revoke_key = &revoke;
	return ask("auth", &request.base);
}

static struct fake_call *ask_revoke_external(const char *external_id)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__RevokeKeys revoke = AUTH__REVOKE_KEYS__INIT;
	char *ids[] = { (char *)external_id };

	revoke.n_external_id = 1;
	revoke.external_id = ids;
	request.principal = asker;
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_REVOKE_KEYS;
	request.revoke_keys = &revoke;
	return ask("auth", &request.base);
}

static Auth__Key *rotated(Raeh__Principal *principal, const char *id)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__RotateKey rotate = AUTH__ROTATE_KEY__INIT;
	struct fake_call *call;

	rotate.id = (char *)id;
	request.principal = principal;
	request.has_op_id = true;
	request.op_id = new_op();
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_ROTATE_KEY;
	request.rotate_key = &rotate;
	call = ask("auth", &request.base);
	run_for(100);
	cr_assert_eq(status_of(call), 200);
	return reply_of(call)->key;
}

Test(group, revokes_the_successors_that_a_key_has_made_of_itself_and_of_others)
{
	Auth__Key *stolen = minted_by(asker, NULL), *other = minted_by(asker, NULL);
	Auth__Key *own = rotated(principal_of(stolen->key), stolen->id);
	Auth__Key *another = rotated(principal_of(own->key), other->id);
	Auth__Key *rightful = rotated(asker, other->id);
	struct fake_call *call;

	cr_assert_str_eq(own->minted_by, backend->id);
	call = ask_revoke_with(asker, stolen->id, true, false);
	run_for(200);
	cr_assert_eq(status_of(call), 200);
	cr_assert_eq(reply_of(call)->receipt->n_children, 2);
	cr_assert_eq(status_of(ask_verify(own->key)), 401);
	cr_assert_eq(status_of(ask_verify(another->key)), 401);
	cr_assert_eq(status_of(ask_verify(other->key)), 200);
	cr_assert_eq(status_of(ask_verify(rightful->key)), 200);
}

Test(group, revokes_all_that_descends_from_a_key_at_once)
{
	Auth__Key *child = minted_by(asker, NULL);
	Auth__Key *grandchild = minted_by(principal_of(child->key), NULL);
	Auth__Key *stranger = new_key(account, NULL);
	struct fake_call *call;

	edge->cut = true;
	call = ask_revoke_with(asker, backend->id, true, false);
	run_for(200);
	cr_assert_not(call->answered, "the edge has not heard it");
	cr_assert_eq(status_of(ask_verify(grandchild->key)), 401, "but it is dead already");
	run_for(FAKE_LEASE_MS + 1000);

	cr_assert_eq(status_of(call), 200);
	cr_assert_str_eq(reply_of(call)->receipt->id, backend->id);
	cr_assert_eq(reply_of(call)->receipt->n_children, 2);
	cr_assert(reply_of(call)->receipt->cascaded);
	cr_assert_eq(status_of(ask_verify(child->key)), 401);
	cr_assert_eq(status_of(ask_verify(stranger->key)), 200);
}

Test(group, misses_no_child_that_was_being_minted)
{
	struct fake_call *minted, *revoked;
	Auth__MintKey mint;

	journal_set_faults(auth_journal(fx.auth), 30, 4);
	fill_mint(&mint, "late", "read");
	minted = ask_mint_op(asker, &mint, new_op()); /* not in the view yet */
	revoked = ask_revoke_with(asker, backend->id, true, false);
	run_for(5000);

	cr_assert_eq(status_of(revoked), 200);
	if (status_of(minted) == 200) {
		cr_assert_eq(reply_of(revoked)->receipt->n_children, 1);
		cr_assert_eq(status_of(ask_verify(reply_of(minted)->key->key)), 401);
	}
}

Test(group, answers_again_as_before_when_it_is_asked_again)
{
	struct fake_call *call[2];

	(void)minted_by(asker, NULL);
	for (int i = 0; i < 2; i++) {
		call[i] = admin_revoke(backend->id);
		run_for(200);
		cr_assert_eq(status_of(call[i]), 200);
	}
	cr_assert_eq(reply_of(call[0])->receipt->n_children, 1, "who lives on is named");
	cr_assert_eq(call[0]->reply.len, call[1]->reply.len);
	cr_assert_arr_eq(call[0]->reply.data, call[1]->reply.data, call[0]->reply.len);
}

Test(group, who_does_not_wait_is_answered_when_it_is_durable)
{
	struct fake_call *call;

	edge->cut = true;
	call = ask_revoke_with(asker, backend->id, false, true);
	cr_assert_not(call->answered);
	run_for(100);

	cr_assert(reply_of(call)->pending);
	cr_assert_eq(reply_of(call)->receipt->edges_acked, 0);
	cr_assert_eq(reply_of(call)->receipt->edges_total, 1);
	power_cut_and_restart();
	cr_assert_eq(status_of(ask_verify(backend->key)), 401);
}

Test(group, revokes_the_keys_of_one_user_and_no_other)
{
	Auth__Key *made[3];
	struct fake_call *call;

	for (int i = 0; i < 3; i++)
		made[i] = minted_by(asker, i < 2 ? "user 7" : "user 70");
	call = ask_revoke_external("user 7");
	run_for(200);

	cr_assert_eq(reply_of(call)->receipts->n_items, 2);
	cr_assert_eq(status_of(ask_verify(made[0]->key)), 401);
	cr_assert_eq(status_of(ask_verify(made[1]->key)), 401);
	cr_assert_eq(status_of(ask_verify(made[2]->key)), 200);
	cr_assert_eq(status_of(ask_revoke_external("")), 400);
}

Test(group, of_a_foreign_key_is_404_and_the_account_is_untouched)
{
	Auth__Key *foreign = new_key(account_id("other@example.org"), NULL);

	cr_assert_eq(status_of(ask_revoke_with(asker, foreign->id, true, false)), 404);
	cr_assert_eq(status_of(ask_verify(foreign->key)), 200);
}

Test(group, ends_with_auth_in_the_middle)
{
	struct fake_call *call;

	(void)minted_by(asker, NULL);
	edge->cut = true;
	call = ask_revoke_with(asker, backend->id, true, false);
	run_for(100);
	restart();

	cr_assert(call->dropped, "who asked asks again");
	edge->cut = false;
	call = admin_revoke(backend->id);
	run_for(1000);
	cr_assert_eq(status_of(call), 200);
}

static struct fake_call *ask_impact(const char *id)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__KeyImpact impact = AUTH__KEY_IMPACT__INIT;

	impact.id = (char *)id;
	request.principal = asker;
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_KEY_IMPACT;
	request.key_impact = &impact;
	return ask("auth", &request.base);
}

Test(group, impact_adds_up_what_the_edges_say_and_counts_the_silent)
{
	struct fake_edge *other = live_edge(1);
	struct fake_call *call, *late;
	Auth__Key *child = minted_by(asker, NULL);

	edge->sockets = 3;
	other->cut = true;
	call = ask_impact(backend->id);
	run_for(3000);
	cr_assert_eq(status_of(call), 200);
	cr_assert_eq(reply_of(call)->impact->sockets->ingest, 3);
	cr_assert_eq(reply_of(call)->impact->n_edges, 1);
	cr_assert_eq(reply_of(call)->impact->edges_silent, 1);
	cr_assert_eq(reply_of(call)->impact->n_children, 1);
	cr_assert_str_eq(reply_of(call)->impact->children[0], child->id);

	late = ask_impact(child->id);
	restart();
	cr_assert(late->dropped);
	cr_assert_eq(status_of(ask_impact("garbage")), 404);
}

Test(group, knows_the_children_and_the_users_keys_that_an_older_version_wrote)
{
	Auth__Key *child = minted_by(asker, "user 7");
	struct fake_call *call;

	(void)minted_by(asker, NULL);
	layout_drop_tables(fx.store, "cxV");
	restart();

	call = ask_revoke_external("user 7");
	run_for(FAKE_LEASE_MS + 1000);
	cr_assert_eq(status_of(call), 200);
	cr_assert_eq(status_of(ask_verify(child->key)), 401);
	call = ask_revoke_with(asker, backend->id, true, false);
	run_for(FAKE_LEASE_MS + 1000);
	cr_assert_eq(status_of(call), 200);
	cr_assert_eq(reply_of(call)->receipt->n_children, 2);
}
