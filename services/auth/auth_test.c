#include "services/auth/fixture.h"

#include "common/principal.h"
#include "services/auth/user_rows.h"

#include <sodium.h>

static const char *account;

static void given_an_account(void)
{
	given_an_auth();
	account = account_id("a@example.org");
}

TestSuite(auth, .init = given_an_account, .fini = done);

/* ---- verdicts ---- */

Test(auth, gives_a_verdict_that_it_has_signed)
{
	Auth__Key *key = new_key(account, "ingest,read");
	Raeh__Principal *principal = principal_of(key->key);
	uint8_t secret[SECRET_BYTES];
	struct uuid owner, expected;

	memset(secret, 2, sizeof secret);
	cr_assert_eq(principal_check(principal, secret, &owner), OK);
	cr_assert(uuid_parse(account, &expected) && uuid_equal(&owner, &expected));
	cr_assert_eq(principal->scopes, SCOPE_INGEST | SCOPE_READ);
	cr_assert_null(principal->device_id);
	cr_assert_eq(principal->notice, 0);
}

Test(auth, puts_the_newest_notice_into_its_verdicts)
{
	Auth__Key *key = new_key(account, NULL);

	(void)admin_revoke(new_key(account, NULL)->id);
	run_for(100);
	cr_assert_eq(principal_of(key->key)->notice, 1);
}

Test(auth, refuses_a_credential_that_is_no_key_without_repeating_it)
{
	const char *bad[] = { "", "raeh_", "raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUF", "raeht_abc",
		              "Raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct fake_call *call = ask_verify(bad[i]);

		cr_assert_eq(status_of(call), 401, "%s", bad[i]);
		cr_assert_eq(reply_of(call)->error->close_code, 4001);
		cr_assert_null(strstr(reply_of(call)->error->detail, "ABCDEF"));
	}
}

Test(auth, holds_a_refusal_until_what_it_saw_is_durable)
{
	Auth__Key *key = new_key(account, NULL);
	struct fake_call *refused, *verdict;
	Auth__Key *other = new_key(account, NULL);

	(void)admin_revoke(key->id);
	run_for(1);
	refused = ask_verify(key->key);
	verdict = ask_verify(other->key);
	run_for(1);
	cr_assert(verdict->answered, "what lives waits for no sync");
	cr_assert(!refused->answered, "a power cut could bring the key back");
	run_for(10);
	cr_assert_eq(status_of(refused), 401);
}

/* ---- minting ---- */

Test(auth, shows_a_new_key_once)
{
	Auth__Key *key = new_key(account, "keys");
	Raeh__Principal *principal = principal_of(key->key);
	struct fake_call *list = ask_list(principal, -1), *get = ask_get(principal, key->id);
	const Auth__Key *shown;

	run_for(100);
	cr_assert_eq(reply_of(list)->keys->n_items, 1);
	shown = reply_of(list)->keys->items[0];
	cr_assert_null(shown->key);
	cr_assert_null(reply_of(get)->key->key);
	cr_assert_str_eq(shown->id, key->id);
	cr_assert_eq(memcmp(shown->hint, key->key + 5, 4), 0);
	cr_assert_eq(shown->created_at, key->created_at);
	cr_assert(!shown->has_last_used_at && !shown->minted_by);
}

Test(auth, answers_a_mint_only_when_it_is_durable)
{
	struct fake_call *call = admin_mint(account, NULL);

	run_for(4);
	cr_assert(!call->answered);
	power_cut_and_restart();
	cr_assert(call->dropped);
	call = admin_mint(account, NULL);
	run_for(5);
	cr_assert(call->answered);
	power_cut_and_restart();
	cr_assert_eq(status_of(ask_verify(reply_of(call)->key->key)), 200);
}

Test(auth, mints_once_however_often_the_request_comes)
{
	Auth__Key *keys = new_key(account, "keys,read");
	Raeh__Principal *principal = principal_of(keys->key);
	uint8_t op[16] = { 7 };
	ProtobufCBinaryData op_id = { sizeof op, op };
	struct fake_call *call[7], *list;
	Auth__MintKey mint;

	fill_mint(&mint, "a label", "read");
	for (size_t i = 0; i < 6; i++)
		call[i] = ask_mint_op(principal, &mint, op_id);
	run_for(100);
	call[6] = ask_mint_op(principal, &mint, op_id);
	cr_assert(call[0]->dropped && call[1]->dropped, "four wait; older ones ask again");
	for (size_t i = 2; i < 7; i++)
		cr_assert_str_eq(reply_of(call[i])->key->key, reply_of(call[6])->key->key);
	cr_assert_str_eq(reply_of(call[6])->key->minted_by, keys->id);
	list = ask_list(principal, -1);
	run_for(100);
	cr_assert_eq(reply_of(list)->keys->n_items, 2);
}

Test(auth, forgets_the_answer_to_a_mint_after_a_minute)
{
	Auth__Key *keys = new_key(account, "keys");
	Raeh__Principal *principal = principal_of(keys->key);
	uint8_t op[16] = { 7 };
	ProtobufCBinaryData op_id = { sizeof op, op };
	struct fake_call *first, *later;
	Auth__MintKey mint;

	fill_mint(&mint, "a label", "keys");
	first = ask_mint_op(principal, &mint, op_id);
	run_for(OPS_KEEP_MS + 20000);
	later = ask_mint_op(principal, &mint, op_id);
	run_for(100);
	cr_assert_str_neq(reply_of(first)->key->key, reply_of(later)->key->key);
}

Test(auth, needs_an_op_id_to_mint)
{
	Auth__Key *keys = new_key(account, "keys");
	Auth__MintKey mint;
	struct fake_call *call;

	fill_mint(&mint, "a label", "keys");
	call = ask_mint_op(principal_of(keys->key), &mint, (ProtobufCBinaryData){ 0 });
	cr_assert_eq(status_of(call), 400);
}

Test(auth, refuses_a_mint_whose_key_has_died_meanwhile)
{
	Auth__Key *keys = new_key(account, "keys,read");
	Raeh__Principal *principal = principal_of(keys->key);
	struct fake_call *before, *after, *list;
	Auth__Key *other = new_key(account, "keys");

	journal_set_faults(auth_journal(fx.auth), 50, 0);
	(void)admin_revoke(keys->id);
	before = ask_mint(principal, "read"); /* the revoke is under way: it waits */
	run_for(20);
	cr_assert(!before->answered);
	run_for(200);
	after = ask_mint(principal, "read");
	run_for(200);
	cr_assert_eq(status_of(before), 401);
	cr_assert_eq(status_of(after), 401);
	list = ask_list(principal_of(other->key), -1);
	run_for(200);
	cr_assert_eq(reply_of(list)->keys->n_items, 1, "nothing was minted by the dead key");
}

Test(auth, refuses_a_mint_in_flight_when_its_key_dies_and_the_journal_is_contended)
{
	Auth__Key *keys = new_key(account, "keys,read"), *other = new_key(account, "keys");
	Raeh__Principal *principal = principal_of(keys->key);
	struct fake_call *mint, *revoked, *list;

	journal_set_faults(auth_journal(fx.auth), 50, 1); /* every append conflicts */
	mint = ask_mint(principal, "read");
	run_for(10);
	revoked = admin_revoke(keys->id);
	run_for(45); /* the mint has had its conflict and waits for the revoke now */
	journal_set_faults(auth_journal(fx.auth), 50, 0);
	run_for(500);
	cr_assert_eq(status_of(revoked), 200);
	cr_assert_eq(status_of(mint), 401);
	list = ask_list(principal_of(other->key), -1);
	run_for(100);
	cr_assert_eq(reply_of(list)->keys->n_items, 1);
}

Test(auth, mints_in_spite_of_conflicts_and_tells_when_there_are_too_many)
{
	struct fake_call *call;

	journal_set_faults(auth_journal(fx.auth), 1, 2);
	for (int i = 0; i < 5; i++) {
		call = admin_mint(account, NULL);
		run_for(100);
		cr_assert_eq(status_of(call), 200);
	}
	journal_set_faults(auth_journal(fx.auth), 1, 1);
	call = admin_mint(account, NULL);
	run_for(10000);
	cr_assert_eq(status_of(call), 503);
	cr_assert_eq(reply_of(call)->error->retry_after_s, 1);
}

/* ---- rights ---- */

Test(auth, lets_only_a_living_key_with_the_scope_keys_manage_keys)
{
	Auth__Key *plain = new_key(account, NULL), *keys = new_key(account, "keys");
	Raeh__Principal *without = principal_of(plain->key), *with = principal_of(keys->key);
	Raeh__Principal forged = *with;
	struct fake_call *call;

	cr_assert_eq(status_of(ask_list(without, -1)), 403);
	cr_assert_eq(status_of(ask_mint(without, "read")), 403);
	cr_assert_eq(status_of(ask_get(without, plain->id)), 403);
	cr_assert_eq(status_of(ask_revoke(without, plain->id)), 403);
	cr_assert_eq(status_of(ask_list(NULL, -1)), 401);
	forged.account.data = forged.key.data;
	cr_assert_eq(status_of(ask_list(&forged, -1)), 401);
	call = ask_revoke(with, keys->id); /* itself */
	run_for(100);
	cr_assert_eq(status_of(call), 200);
	cr_assert_eq(status_of(ask_list(with, -1)), 401);
	cr_assert_eq(status_of(ask_revoke(with, plain->id)), 401);
}

Test(auth, mints_nothing_beyond_the_callers_rights)
{
	Auth__Key *keys = new_key(account, "keys,read");
	Raeh__Principal *principal = principal_of(keys->key);

	cr_assert_eq(status_of(ask_mint(principal, NULL)), 403, "the default is more");
	cr_assert_eq(status_of(ask_mint(principal, "write")), 403);
}

Test(auth, shows_another_accounts_keys_as_keys_that_never_were)
{
	Auth__Key *own = new_key(account, "keys");
	Auth__Key *other = new_key(account_id("b@example.org"), NULL);
	Raeh__Principal *principal = principal_of(own->key);
	struct fake_call *foreign = ask_get(principal, other->id);
	struct fake_call *never = ask_get(principal, "01890a5d-ac96-774b-bcce-b302099a8057");
	struct fake_call *garbage = ask_get(principal, "..");

	cr_assert_eq(status_of(foreign), 404);
	cr_assert_eq(foreign->reply.len, never->reply.len);
	cr_assert_eq(memcmp(foreign->reply.data, never->reply.data, never->reply.len), 0);
	cr_assert_eq(memcmp(garbage->reply.data, never->reply.data, never->reply.len), 0);
}

/* ---- lists and use ---- */

Test(auth, lists_the_living_keys_newest_first)
{
	Auth__Key *first = new_key(account, "keys"), *dead = new_key(account, NULL);
	Auth__Key *last = new_key(account, NULL);
	Raeh__Principal *principal = principal_of(first->key);
	struct fake_call *all, *one;

	(void)admin_revoke(dead->id);
	run_for(100);
	all = ask_list(principal, -1);
	one = ask_list(principal, 1);
	run_for(100);
	cr_assert_eq(reply_of(all)->keys->n_items, 2);
	cr_assert_str_eq(reply_of(all)->keys->items[0]->id, last->id);
	cr_assert_str_eq(reply_of(all)->keys->items[1]->id, first->id);
	cr_assert_eq(reply_of(one)->keys->n_items, 1);
	cr_assert_eq(status_of(ask_list(principal, 0)), 400);
	cr_assert_eq(status_of(ask_get(principal, dead->id)), 404);
}

Test(auth, lists_more_keys_than_one_slice)
{
	Auth__Key *keys = new_key(account, "keys");
	Raeh__Principal *principal = principal_of(keys->key);
	struct fake_call *list;

	for (int i = 0; i < 500; i++) {
		(void)admin_mint(account, NULL);
		run_for(1);
	}
	run_for(100);
	list = ask_list(principal, -1);
	cr_assert(!list->answered);
	run_for(1);
	cr_assert_eq(reply_of(list)->keys->n_items, 501);
}

static void use(const char *id, int64_t used_ms)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__KeysUsed used = AUTH__KEYS_USED__INIT;
	ProtobufCBinaryData key[2];
	int64_t times[2] = { used_ms, used_ms };
	Raeh__Origin nowhere = RAEH__ORIGIN__INIT, somewhere = RAEH__ORIGIN__INIT;
	Raeh__Origin *origins[] = { &nowhere, &somewhere };
	struct uuid uuid, unknown = { { 9 } };
	struct fake_call *call;

	cr_assert(uuid_parse(id, &uuid));
	key[0] = wire_bytes_of(&unknown);
	key[1] = wire_bytes_of(&uuid);
	used.n_key = used.n_used_ms = 2;
	used.key = key;
	used.used_ms = times;
	somewhere.address = (char *)"192.0.2.7";
	somewhere.agent = (char *)"watch/1";
	used.n_origins = 2;
	used.origins = origins;
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_KEYS_USED;
	request.keys_used = &used;
	call = ask("auth", &request.base);
	cr_assert_eq(status_of(call), 200);
}

static int64_t last_use(const Auth__Key *key)
{
	struct fake_call *call = ask_get(principal_of(key->key), key->id);
	const Auth__Key *shown;

	run_for(100);
	shown = reply_of(call)->key;
	if (!shown->has_last_used_at)
		return 0;
	cr_assert_str_eq(shown->last_used_address, "192.0.2.7");
	cr_assert_str_eq(shown->last_used_agent, "watch/1");
	return shown->last_used_at;
}

static Auth__Key *short_key(int64_t expires_at)
{
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	struct fake_call *call;
	Auth__MintKey mint;

	fill_mint(&mint, "short", "ingest,read,keys");
	mint.external_id = (char *)"user 7";
	mint.metadata = (char *)"{\"plan\":\"a\"}";
	mint.has_rate_limit = mint.has_expires_at = true;
	mint.rate_limit = 25;
	mint.expires_at = expires_at;
	request.account = (char *)account;
	request.has_op_id = true;
	request.op_id = new_op();
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_MINT_KEY;
	request.mint_key = &mint;
	call = ask("auth.admin", &request.base);
	run_for(100);
	cr_assert_eq(status_of(call), 200);
	return reply_of(call)->key;
}

Test(auth, tells_edges_when_a_key_ends_and_how_fast_it_may_be)
{
	int64_t end_ms = clock_wall_ms() + 60000;
	const Auth__Key *key = short_key(end_ms);
	const Raeh__Principal *principal = principal_of(key->key);

	cr_assert_str_eq(key->external_id, "user 7");
	cr_assert_str_eq(key->metadata, "{\"plan\":\"a\"}");
	cr_assert_eq(key->expires_at, end_ms);
	cr_assert(principal->has_expires_ms);
	cr_assert_eq(principal->expires_ms, end_ms);
	cr_assert_eq(principal->frames_per_s, 25);
}

Test(auth, answers_a_key_whose_time_is_over_as_one_that_never_was)
{
	const Auth__Key *key = short_key(clock_wall_ms() + 60000);
	Raeh__Principal *principal = principal_of(key->key);
	struct fake_call *verify, *list, *never;

	run_for(60001);
	verify = ask_verify(key->key);
	list = ask_list(principal, 0);
	never = ask_verify("raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE");
	run_for(100);
	cr_assert_eq(status_of(verify), 401);
	cr_assert_str_eq(reply_of(verify)->error->detail, reply_of(never)->error->detail);
	cr_assert_eq(status_of(list), 401);
	restart();
	verify = ask_verify(key->key);
	run_for(100);
	cr_assert_eq(status_of(verify), 401);
	/* It is still listed, and can be revoked. */
	verify = admin_revoke(key->id);
	run_for(100);
	cr_assert_eq(status_of(verify), 200);
}

Test(auth, remembers_when_a_key_was_last_used)
{
	Auth__Key *key = new_key(account, "keys");
	int64_t now_ms = clock_wall_ms();

	cr_assert_eq(last_use(key), 0);
	use(key->id, now_ms - 500);
	cr_assert_eq(last_use(key), now_ms - 500);
	use(key->id, now_ms - 900);
	cr_assert_eq(last_use(key), now_ms - 500, "an older report changes nothing");
	run_for(11000);
	restart();
	cr_assert_eq(last_use(key), now_ms - 500);
	use(key->id, now_ms - 900);
	cr_assert_eq(last_use(key), now_ms - 500);
	use(key->id, INT64_MAX);
	cr_assert_leq(last_use(key), clock_wall_ms(), "not in the future");
}

/* What was done with it, as edges tell it: not from where. */
static void report_traffic(const char *id, int64_t at_ms)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__KeysUsed used = AUTH__KEYS_USED__INIT;
	Auth__KeyUse traffic = AUTH__KEY_USE__INIT, *all[] = { &traffic };
	struct uuid key, incarnation = { { 9 } };

	cr_assert(uuid_parse(id, &key));
	traffic.key = wire_bytes_of(&key);
	traffic.at_ms = at_ms;
	used.has_slot = used.has_incarnation = used.has_number = true;
	used.incarnation = wire_bytes_of(&incarnation);
	used.number = 1;
	used.n_uses = 1;
	used.uses = all;
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_KEYS_USED;
	request.keys_used = &used;
	cr_assert_eq(status_of(ask("auth", &request.base)), 200);
}

Test(auth, knows_from_where_a_key_was_used_also_when_its_traffic_was_told_first)
{
	Auth__Key *key = new_key(account, "keys");
	int64_t now_ms = clock_wall_ms();

	report_traffic(key->id, now_ms - 500);
	use(key->id, now_ms - 900);
	cr_assert_eq(last_use(key), now_ms - 500);
}

/* ---- accounts ---- */

Test(auth, makes_one_account_for_an_address_in_any_case)
{
	struct fake_call *again = ask_create("A@Example.ORG", NULL), *twin[3];
	int made = 0;

	run_for(1000);
	cr_assert_eq(status_of(again), 409);
	journal_set_faults(auth_journal(fx.auth), 20, 3);
	for (size_t i = 0; i < ARRAY_LEN(twin); i++)
		twin[i] = ask_create("twin@example.org", NULL);
	run_for(1000);
	for (size_t i = 0; i < ARRAY_LEN(twin); i++)
		made += status_of(twin[i]) == 200;
	cr_assert_eq(made, 1);
}

Test(auth, refuses_what_is_no_address)
{
	char longest[300];
	const char *bad[] = { "", "@", "a@", "@b", "a@b@c", "a b@c", "a\n@b", longest };

	memset(longest, 'x', sizeof longest);
	longest[1] = '@';
	longest[255] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert_eq(status_of(ask_create(bad[i], NULL)), 400, "%s", bad[i]);
	longest[254] = '\0';
	(void)account_id(longest);
}

Test(auth, stores_passwords_as_argon2id)
{
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	struct fake_call *call = ask_create("p@example.org", "correct horse"), *bad;
	const Events__UserRow *row;
	struct uuid id, user;

	run_for(100);
	cr_assert_eq(status_of(call), 200);
	cr_assert_eq(rows_user_by_email(fx.store, "p@example.org", &id, &user), OK);
	cr_assert_eq(rows_user(fx.store, &id, &user, (Events__UserRow **)&message), OK);
	row = (const Events__UserRow *)message;
	cr_assert_eq(crypto_pwhash_str_verify(row->password_hash, "correct horse", 13), 0);
	cr_assert_eq(strncmp(row->password_hash, "$argon2id$", 10), 0);
	bad = ask_create("q@example.org", "short");
	cr_assert_eq(status_of(bad), 400);
}

Test(auth, finds_accounts_by_id_and_by_address)
{
	char longest[5000];

	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	(void)new_key(account, NULL);
	(void)new_key("A@example.org", NULL);
	cr_assert_eq(status_of(admin_mint("c@example.org", NULL)), 404);
	cr_assert_eq(status_of(admin_mint(longest, NULL)), 404);
	cr_assert_eq(status_of(admin_mint("01890a5d-ac96-774b-bcce-b302099a8057", NULL)), 404);
	cr_assert_eq(status_of(admin_mint(NULL, NULL)), 400);
}

/* ---- what else may come ---- */

static struct fake_call *ask_bytes(const char *name, const void *data, size_t len)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	struct fake_call *call = ask(name, &request.base);

	buf_free(&call->reply);
	call->answered = false;
	for (size_t i = 0; i < fx.n_service; i++)
		if (strcmp(fx.service[i].name, name) == 0)
			fx.service[i].fn(fx.service[i].ctx, &call->base, BYTES(data, len));
	return call;
}

Test(auth, answers_garbage_with_400_and_lives)
{
	const char *names[] = { "auth", "auth.admin", "auth.lease" };
	Auth__Key *key = new_key(account, NULL);
	uint8_t garbage[64];

	for (int round = 0; round < 2000; round++) {
		const char *name = names[round % 3];

		randombytes_buf(garbage, sizeof garbage);
		(void)ask_bytes(name, garbage, randombytes_uniform(sizeof garbage));
		run_for(0);
	}
	cr_assert_eq(status_of(ask_bytes("auth", "\xff", 1)), 400);
	cr_assert_eq(status_of(ask_bytes("auth.admin", "", 0)), 400);
	cr_assert_eq(status_of(ask_verify(key->key)), 200);
}

Test(auth, answers_metrics_as_text)
{
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Raeh__Empty empty = RAEH__EMPTY__INIT;
	struct fake_call *call;

	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_METRICS;
	request.metrics = &empty;
	(void)new_key(account, NULL);
	call = ask("auth.admin", &request.base);
	cr_assert(strstr(reply_of(call)->metrics->text,
	                 "raeh_auth_keys_minted_total{process=\"auth\"} 1\n") != NULL);
}

/* ---- helper threads ---- */

static unsigned hashed;

static void on_hash(void *ctx, const char *hash)
{
	(void)ctx;
	cr_assert_eq(crypto_pwhash_str_verify(hash, "a password", 10), 0);
	hashed++;
}

Test(password, is_hashed_two_at_a_time_beside_the_loop)
{
	struct loop *loop = loop_new();
	struct hasher *hasher = hasher_new(loop, HASHER_THREADS);
	int64_t until_ms = clock_boot_ms() + 20000;

	cr_assert_eq(hasher_submit(hasher, "a password", on_hash, NULL), OK);
	cr_assert_eq(hasher_submit(hasher, "a password", on_hash, NULL), OK);
	cr_assert_eq(hasher_submit(hasher, "a password", on_hash, NULL), ERR_LIMIT);
	while (hashed < 2 && clock_boot_ms() < until_ms)
		loop_dispatch(loop);
	cr_assert_eq(hashed, 2);
	cr_assert_eq(hasher_submit(hasher, "a password", on_hash, &hashed), OK);
	hasher_forget(hasher, &hashed);
	hasher_free(hasher);
	cr_assert_eq(hashed, 2);
	loop_free(loop);
}
