#include "services/auth/fixture.h"

#include "common/principal.h"

static const char *account;
static Auth__Key *backend, *made;
static struct fake_edge *edge;
static Raeh__Principal *asker;

static void given_keys(void)
{
	given_an_auth();
	account = account_id("owner@example.org");
	backend = new_key(account, "ingest,subscribe,read,write,keys");
	made = new_key(account, "ingest,read");
	edge = live_edge(0);
	asker = principal_of(backend->key);
}

TestSuite(change, .init = given_keys, .fini = done);

static Auth__PatchKey patch_of(const Auth__Key *key)
{
	Auth__PatchKey patch = AUTH__PATCH_KEY__INIT;

	patch.id = key->id;
	return patch;
}

/* Verdicts are held while a change is not durable: that of the backend was given before. */
static struct fake_call *ask_patch(const Auth__Key *by, Auth__PatchKey *patch)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;

	request.principal = by == backend ? asker : principal_of(by->key);
	request.has_op_id = true;
	request.op_id = new_op();
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_PATCH_KEY;
	request.patch_key = patch;
	return ask("auth", &request.base);
}

static struct fake_call *ask_disabled(const Auth__Key *key, bool disabled)
{
	Auth__PatchKey patch = patch_of(key);

	patch.has_disabled = true;
	patch.disabled = disabled;
	return ask_patch(backend, &patch);
}

static struct fake_call *ask_scopes(const Auth__Key *by, const Auth__Key *key, const char *scope)
{
	Auth__PatchKey patch = patch_of(key);
	char *scopes[] = { (char *)scope };

	patch.scopes = scopes;
	patch.n_scopes = 1;
	return ask_patch(by, &patch);
}

/* The last notice that was broadcast. */
static const Auth__Notice *heard(void)
{
	static ProtobufCMessage *message;

	if (message)
		wire_free(message);
	message =
	        wire_unpack(&auth__notices__descriptor, BYTES(fx.broadcast.data, fx.broadcast.len));
	cr_assert(message && ((Auth__Notices *)message)->n_notices > 0);
	return ((Auth__Notices *)message)->notices[((Auth__Notices *)message)->n_notices - 1];
}

Test(change, is_answered_when_every_edge_has_it_in_force)
{
	struct fake_call *call;

	edge->delay_ms = 300;
	call = ask_disabled(made, true);
	run_for(200);
	cr_assert_not(call->answered);
	cr_assert_eq(status_of(ask_verify(made->key)), 401, "but nobody new comes in");
	run_for(200);

	cr_assert_eq(status_of(call), 200);
	cr_assert(reply_of(call)->key->disabled);
	cr_assert_null(reply_of(call)->key->key);
	cr_assert_str_eq(heard()->reason, "disabled");
	cr_assert_null(heard()->rights);
}

Test(change, waits_for_an_edge_that_is_cut_off_no_longer_than_its_lease)
{
	struct fake_call *call;

	edge->cut = true;
	call = ask_scopes(backend, made, "read");
	run_for(FAKE_LEASE_MS - 1000);
	cr_assert_not(call->answered);
	run_for(2000);

	cr_assert_eq(status_of(call), 200);
}

Test(change, gives_back_what_it_took)
{
	struct fake_call *call;

	(void)ask_disabled(made, true);
	run_for(100);
	call = ask_disabled(made, false);
	run_for(100);
	cr_assert_eq(status_of(call), 200);
	cr_assert_eq(status_of(ask_verify(made->key)), 200);
}

Test(change, tells_edges_the_rights_that_are_left_and_signs_them)
{
	struct uuid who;
	const Auth__Notice *notice;
	uint8_t secret[SECRET_BYTES];

	memset(secret, 2, sizeof secret);
	(void)ask_scopes(backend, made, "read");
	run_for(100);
	notice = heard();

	cr_assert_str_eq(notice->reason, "changed");
	cr_assert_eq(notice->rights->scopes, SCOPE_READ);
	cr_assert_eq(notice->rights->notice, notice->number);
	cr_assert_eq(principal_check(notice->rights, secret, &who), OK);
	cr_assert_eq(principal_of(made->key)->scopes, SCOPE_READ);
}

Test(change, of_a_label_is_no_notice)
{
	Auth__PatchKey patch = patch_of(made);
	struct fake_call *call;
	unsigned before = fx.broadcasts;

	edge->cut = true;
	patch.label = (char *)"another";
	patch.external_id = (char *)"user 7";
	call = ask_patch(backend, &patch);
	run_for(100);

	cr_assert_eq(status_of(call), 200);
	cr_assert_str_eq(reply_of(call)->key->label, "another");
	cr_assert_eq(reply_of(call)->key->n_scopes, 2, "the rest stays");
	cr_assert_eq(fx.broadcasts, before);
}

Test(change, unsets_what_is_cleared)
{
	Auth__PatchKey patch = patch_of(made);
	char *names[] = { (char *)"external_id", (char *)"rate_limit" };
	char *label[] = { (char *)"label" };
	struct fake_call *call;

	patch.external_id = (char *)"user 7";
	patch.has_rate_limit = true;
	patch.rate_limit = 5;
	(void)ask_patch(backend, &patch);
	run_for(100);
	patch = patch_of(made);
	patch.cleared = names;
	patch.n_cleared = 2;
	call = ask_patch(backend, &patch);
	run_for(100);
	cr_assert_null(reply_of(call)->key->external_id);
	cr_assert_not(reply_of(call)->key->has_rate_limit);

	patch.cleared = label;
	patch.n_cleared = 1;
	cr_assert_eq(status_of(ask_patch(backend, &patch)), 400);
}

static struct fake_call *ask_limits(Auth__PatchLimits *limits)
{
	Auth__PatchKey patch = patch_of(made);
	struct fake_call *call;

	patch.limits = limits;
	call = ask_patch(backend, &patch);
	run_for(100);
	return call;
}

Test(change, of_limits_replaces_those_that_are_given_and_tells_the_edges)
{
	Auth__PatchLimits limits = AUTH__PATCH_LIMITS__INIT;
	char *names[] = { (char *)"open_sockets" };
	unsigned before = fx.broadcasts;
	const Auth__Key *key;

	limits.has_open_sockets = limits.has_requests_per_s = true;
	limits.open_sockets = 7;
	limits.requests_per_s = 3;
	key = reply_of(ask_limits(&limits))->key;
	cr_assert(key->limits->has_open_sockets && key->limits->open_sockets == 7);
	cr_assert_not(key->limits->has_bytes_per_s);
	cr_assert_eq(fx.broadcasts, before + 1);
	cr_assert_eq(principal_of(made->key)->limits->open_sockets, 7);

	limits = (Auth__PatchLimits)AUTH__PATCH_LIMITS__INIT;
	limits.has_bytes_per_s = true;
	limits.bytes_per_s = 1000;
	limits.n_cleared = 1;
	limits.cleared = names;
	key = reply_of(ask_limits(&limits))->key;
	cr_assert_eq(key->limits->bytes_per_s, 1000);
	cr_assert_eq(key->limits->requests_per_s, 3, "the rest stays");
	cr_assert_not(key->limits->has_open_sockets);
}

Test(change, unsets_all_limits_at_once_or_one_by_one)
{
	char *one[] = { (char *)"open_sockets" }, *all[] = { (char *)"limits" };
	Auth__PatchLimits limits = AUTH__PATCH_LIMITS__INIT, none = AUTH__PATCH_LIMITS__INIT;
	Auth__PatchKey patch = patch_of(made);
	struct fake_call *call;

	none.n_cleared = patch.n_cleared = 1;
	none.cleared = one;
	patch.cleared = all;
	limits.has_open_sockets = true;
	cr_assert_eq(status_of(ask_limits(&limits)), 400, "none at all is no limit");
	limits.open_sockets = 7;
	(void)ask_limits(&limits);
	cr_assert_null(reply_of(ask_limits(&none))->key->limits);
	(void)ask_limits(&limits);
	call = ask_patch(backend, &patch);
	run_for(100);
	cr_assert_null(reply_of(call)->key->limits);
	cr_assert_null(principal_of(made->key)->limits);
}

Test(change, needs_the_key_and_the_result_within_the_rights_of_who_asks)
{
	Auth__Key *small = new_key(account, "read,keys");

	cr_assert_eq(status_of(ask_scopes(small, made, "read")), 403, "the key has more");
	cr_assert_eq(status_of(ask_scopes(small, small, "write")), 403, "the result would");
	cr_assert_eq(status_of(ask_scopes(made, made, "read")), 403, "it lacks keys");
	cr_assert_eq(principal_of(small->key)->scopes, SCOPE_READ | SCOPE_KEYS);
}

Test(change, of_a_dead_or_foreign_key_is_404)
{
	Auth__Key *foreign = new_key(account_id("other@example.org"), NULL);

	(void)admin_revoke(made->id);
	run_for(100);
	cr_assert_eq(status_of(ask_disabled(made, true)), 404);
	cr_assert_eq(status_of(ask_disabled(foreign, true)), 404);
	cr_assert_eq(status_of(ask_verify(made->key)), 401);
}

Test(change, of_a_key_whose_revoke_is_under_way_comes_too_late)
{
	struct fake_call *revoke = admin_revoke(made->id);
	struct fake_call *call = ask_disabled(made, false);

	run_for(200);
	cr_assert_eq(status_of(revoke), 200);
	cr_assert_eq(status_of(call), 404);
	cr_assert_eq(status_of(ask_verify(made->key)), 401, "it stays dead");
}

Test(change, and_revoke_take_turns_with_the_numbers)
{
	Auth__Key *other = new_key(account, NULL);
	struct fake_call *call[3];

	journal_set_faults(auth_journal(fx.auth), 20, 3);
	call[0] = ask_disabled(made, true);
	call[1] = admin_revoke(other->id);
	call[2] = ask_scopes(backend, backend, "keys");
	run_for(2000);

	for (size_t i = 0; i < ARRAY_LEN(call); i++)
		cr_assert_eq(status_of(call[i]), 200, "call %zu", i);
	cr_assert_eq(edge->applied, 3);
}

Test(change, survives_a_power_cut_and_a_repeat_waits_for_the_edges_again)
{
	struct fake_call *call;

	edge->cut = true;
	(void)ask_disabled(made, true);
	run_for(100);
	power_cut_and_restart();
	cr_assert_eq(status_of(ask_verify(made->key)), 401);
	call = ask_disabled(made, true);
	run_for(1000);
	cr_assert_not(call->answered);
	edge->cut = false;
	run_for(1000);

	cr_assert_eq(status_of(call), 200);
	cr_assert_eq(edge->applied, 2);
}

Test(change, that_is_not_yet_durable_gives_no_verdict_away)
{
	struct fake_call *call;

	(void)ask_disabled(made, true);
	run_for(100);
	(void)ask_disabled(made, false); /* applied, not synced */
	call = ask_verify(made->key);
	cr_assert_not(call->answered);
	power_cut_and_restart();

	cr_assert_eq(status_of(ask_verify(made->key)), 401);
	cr_assert_not(call->answered);
}

Test(change, of_the_key_that_asks_is_told_to_it_and_then_it_has_the_right_no_more)
{
	struct fake_call *call = ask_scopes(backend, backend, "read");

	run_for(100);
	cr_assert_eq(status_of(call), 200);
	cr_assert_eq(status_of(ask_list(principal_of(backend->key), -1)), 403);
}

/* ---- rotation ---- */

static struct fake_call *ask_rotate(const Auth__Key *key, int64_t overlap_s)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__RotateKey rotate = AUTH__ROTATE_KEY__INIT;

	rotate.id = key->id;
	rotate.has_overlap_s = overlap_s >= 0;
	rotate.overlap_s = (uint32_t)overlap_s;
	request.principal = asker;
	request.has_op_id = true;
	request.op_id = new_op();
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_ROTATE_KEY;
	request.rotate_key = &rotate;
	return ask("auth", &request.base);
}

static const Auth__Key *shown(const Auth__Key *key)
{
	struct fake_call *call = ask_get(asker, key->id);

	run_for(0);
	return reply_of(call)->key;
}

Test(rotation, makes_a_successor_with_the_same_settings, .init = given_keys, .fini = done)
{
	struct fake_call *call = ask_rotate(made, -1);
	const Auth__Key *next;

	run_for(100);
	next = reply_of(call)->key;
	cr_assert_eq(next->n_scopes, made->n_scopes);
	cr_assert_str_eq(next->label, made->label);
	cr_assert_str_neq(next->key, made->key);
	cr_assert_eq(principal_of(next->key)->scopes, SCOPE_INGEST | SCOPE_READ);
	cr_assert_str_eq(shown(made)->rotated_to, next->id);
	cr_assert_not(shown(made)->has_rotates_out_at);
	run_for(1000000);
	cr_assert_eq(status_of(ask_verify(made->key)), 200, "until it is deleted");
}

Test(rotation, lets_the_old_key_live_for_the_overlap, .init = given_keys, .fini = done)
{
	struct fake_call *call = ask_rotate(made, 60);

	run_for(100);
	cr_assert_eq(status_of(call), 200);
	cr_assert_str_eq(heard()->reason, "changed");
	cr_assert_eq(heard()->rights->expires_ms, shown(made)->rotates_out_at);
	run_for(59000);
	cr_assert_eq(status_of(ask_verify(made->key)), 200);
	run_for(2000);
	cr_assert_eq(status_of(ask_verify(made->key)), 401);
	cr_assert_eq(status_of(ask_verify(reply_of(call)->key->key)), 200);
}

Test(rotation, again_gives_the_old_key_no_more_time, .init = given_keys, .fini = done)
{
	struct fake_call *call = ask_rotate(made, 60), *again;
	int64_t end;

	run_for(100);
	cr_assert_eq(status_of(call), 200);
	end = shown(made)->rotates_out_at;
	again = ask_rotate(made, 100000);
	run_for(100);
	cr_assert_eq(status_of(again), 200, "a lost answer is no lost key");
	cr_assert_eq(shown(made)->rotates_out_at, end);
	again = ask_rotate(made, 30);
	run_for(100);
	cr_assert_eq(status_of(again), 200);
	cr_assert_lt(shown(made)->rotates_out_at, end);
	run_for(31000);
	cr_assert_eq(status_of(ask_verify(made->key)), 401);
}

Test(rotation, without_an_overlap_is_answered_when_the_old_key_is_dead_everywhere,
     .init = given_keys, .fini = done)
{
	struct fake_call *call;

	edge->delay_ms = 300;
	call = ask_rotate(made, 0);
	run_for(200);
	cr_assert_not(call->answered);
	cr_assert_eq(status_of(ask_verify(made->key)), 401);
	run_for(300);

	cr_assert_eq(status_of(call), 200);
	cr_assert_eq(status_of(ask_get(asker, made->id)), 404, "it is revoked as any other");
	cr_assert_eq(status_of(ask_verify(reply_of(call)->key->key)), 200);
}

Test(rotation, in_the_middle_of_which_auth_ends_leaves_nothing_hanging, .init = given_keys,
     .fini = done)
{
	struct fake_call *call;

	edge->cut = true;
	call = ask_rotate(made, 0);
	run_for(100);
	restart();

	cr_assert(call->dropped);
	cr_assert_eq(status_of(ask_verify(made->key)), 401);
}

Test(rotation, needs_the_rights_of_the_key, .init = given_keys, .fini = done)
{
	cr_assert_eq(status_of(ask_rotate(made, 0xffffffff)), 400);
	asker = principal_of(new_key(account, "read,keys")->key);
	cr_assert_eq(status_of(ask_rotate(made, -1)), 403);
}
