#include "services/auth/fixture.h"
#include "services/auth/user.h"

#define PASSWORD "correct horse battery"

static void given_an_open_door(void)
{
	given_an_auth();
	fx.auth->deps.sign_up = SIGN_UP_OPEN;
}

TestSuite(login, .init = given_an_open_door, .fini = done);

/* With an Idempotency-Key of this name; 0: without. */
static struct fake_call *ask_named_sign_up(const char *email, const char *password, uint8_t name)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__SignUp wish = AUTH__SIGN_UP__INIT;
	Raeh__Once once = RAEH__ONCE__INIT;
	struct uuid id = { { name } };

	wish.email = (char *)email;
	wish.password = (char *)password;
	once.name = once.body = wire_bytes_of(&id);
	request.once = name ? &once : NULL;
	request.has_op_id = true;
	request.op_id = new_op();
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_SIGN_UP;
	request.sign_up = &wish;
	return ask("auth", &request.base);
}

static struct fake_call *ask_sign_up(const char *email, const char *password)
{
	return ask_named_sign_up(email, password, 0);
}

static struct fake_call *ask_log_in_op(const char *email, const char *password, const char *address,
                                       ProtobufCBinaryData op_id)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__LogIn wish = AUTH__LOG_IN__INIT;

	wish.email = (char *)email;
	wish.password = (char *)password;
	wish.address = (char *)address;
	request.has_op_id = true;
	request.op_id = op_id;
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_LOG_IN;
	request.log_in = &wish;
	return ask("auth", &request.base);
}

static struct fake_call *ask_log_in(const char *email, const char *password)
{
	return ask_log_in_op(email, password, NULL, new_op());
}

static struct fake_call *ask_empty(Raeh__Principal *principal,
                                   Auth__AuthRequest__CommandCase command)
{
	static Raeh__Empty empty = RAEH__EMPTY__INIT;
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;

	request.principal = principal;
	request.command_case = command;
	request.get_me = &empty; /* all of them are this */
	return ask("auth", &request.base);
}

/* The cookie's credential of a good answer. */
static const char *credential_of(const struct fake_call *call)
{
	const Auth__Me *me;
	static char text[32][SECRET_TEXT];
	static unsigned n;
	char *ret = text[n++ % 32];

	cr_assert_eq(status_of(call), 200);
	me = reply_of(call)->me;
	cr_assert_eq(me->credential.len, SECRET_LEN);
	memcpy(ret, me->credential.data, SECRET_LEN);
	ret[SECRET_LEN] = '\0';
	return ret;
}

static const char *signed_up(const char *email)
{
	struct fake_call *call = ask_sign_up(email, PASSWORD);

	run_for(100);
	return credential_of(call);
}

static const char *logged_in(const char *email)
{
	struct fake_call *call = ask_log_in(email, PASSWORD);

	run_for(100);
	return credential_of(call);
}

Test(login, gives_a_principal_with_every_scope_and_the_user)
{
	struct fake_call *call = ask_sign_up("A@Example.org", PASSWORD);
	Raeh__Principal *principal;
	struct uuid user;
	char text[UUID_TEXT];

	run_for(100);
	principal = principal_of(credential_of(call));
	cr_assert_eq(principal->scopes, SCOPES_ALL);
	cr_assert(wire_id(principal->user, &user));
	uuid_text(&user, text);
	cr_assert_str_eq(text, reply_of(call)->me->user->id);
	cr_assert_str_eq(reply_of(call)->me->user->email, "a@example.org");
	cr_assert_str_eq(reply_of(call)->me->user->role, ROLE_OWNER);
}

Test(login, is_answered_only_when_it_is_durable)
{
	const char *credential;
	struct fake_call *call = ask_sign_up("a@example.org", PASSWORD);

	run_for(4);
	cr_assert(!call->answered);
	run_for(100);
	credential = credential_of(call);
	power_cut_and_restart();
	cr_assert_eq(status_of(ask_verify(credential)), 200);
}

Test(login, answers_a_wrong_password_and_an_unknown_user_with_the_same_bytes)
{
	struct fake_call *wrong, *unknown, *shut;

	(void)signed_up("a@example.org");
	(void)account_id("shut@example.org");
	wrong = ask_log_in("a@example.org", "wrong password");
	unknown = ask_log_in("nobody@example.org", "wrong password");
	shut = ask_log_in("shut@example.org", "wrong password");
	run_for(100);
	cr_assert_eq(status_of(wrong), 401);
	cr_assert_eq(wrong->reply.len, unknown->reply.len);
	cr_assert_arr_eq(wrong->reply.data, unknown->reply.data, wrong->reply.len);
	cr_assert_arr_eq(wrong->reply.data, shut->reply.data, wrong->reply.len);
}

Test(login, counts_wrong_passwords_of_an_e_mail_that_nobody_has_too)
{
	const char *emails[] = { "a@example.org", "nobody@example.org" };

	(void)signed_up("a@example.org");
	for (size_t e = 0; e < ARRAY_LEN(emails); e++) {
		for (int i = 0; i < EMAIL_TRIES; i++) {
			struct fake_call *call = ask_log_in(emails[e], "wrong password");

			run_for(1);
			cr_assert_eq(status_of(call), 401);
		}
		cr_assert_eq(status_of(ask_log_in(emails[e], PASSWORD)), 429);
		cr_assert_geq(reply_of(ask_log_in(emails[e], PASSWORD))->error->retry_after_s, 1);
	}
	run_for(EMAIL_REFILL_MS);
	(void)logged_in("a@example.org");
}

Test(login, does_not_count_a_password_that_is_right)
{
	(void)signed_up("a@example.org");
	for (int i = 0; i < 2 * EMAIL_TRIES; i++)
		(void)logged_in("a@example.org");
}

Test(login, counts_the_tries_of_an_address_but_loopback_s)
{
	char email[64];
	struct fake_call *call;

	for (int i = 0; i < ADDRESS_TRIES; i++) {
		(void)snprintf(email, sizeof email, "%d@example.org", i);
		call = ask_log_in_op(email, "wrong password", "198.51.100.7", new_op());
		run_for(1);
		cr_assert_eq(status_of(call), 401);
	}
	call = ask_log_in_op("x@example.org", "wrong password", "198.51.100.7", new_op());
	cr_assert_eq(status_of(call), 429);
	call = ask_log_in_op("x@example.org", "wrong password", "127.0.0.1", new_op());
	run_for(1);
	cr_assert_eq(status_of(call), 401);
}

Test(login, is_one_login_however_often_the_request_comes)
{
	uint8_t op[16] = { 9 };
	ProtobufCBinaryData op_id = { sizeof op, op };
	struct fake_call *first, *second, *late;

	(void)signed_up("a@example.org");
	first = ask_log_in_op("a@example.org", PASSWORD, NULL, op_id);
	second = ask_log_in_op("a@example.org", PASSWORD, NULL, op_id);
	run_for(100);
	late = ask_log_in_op("a@example.org", PASSWORD, NULL, op_id);
	cr_assert_str_eq(credential_of(first), credential_of(second));
	cr_assert_str_eq(credential_of(first), credential_of(late));
}

Test(login, ends_with_its_log_out_as_a_key_does)
{
	const char *credential = signed_up("a@example.org"), *other = logged_in("a@example.org");
	struct fake_edge *edge = live_edge(0);
	struct fake_call *call;

	call = ask_empty(principal_of(credential), AUTH__AUTH_REQUEST__COMMAND_LOG_OUT);
	run_for(100);
	cr_assert_eq(reply_of(call)->receipt->edges_acked, 1);
	cr_assert_eq(edge->applied, 1);
	cr_assert_eq(status_of(ask_verify(credential)), 401);
	cr_assert_eq(status_of(ask_verify(other)), 200);
	power_cut_and_restart();
	cr_assert_eq(status_of(ask_verify(credential)), 401);
}

Test(login, ends_when_its_time_is_over_and_its_row_goes_with_the_next)
{
	const char *credential = signed_up("a@example.org");
	struct fake_call *call;

	fx.now_us += (LOGIN_MS + 1) * 1000;
	run_for(1);
	call = ask_verify(credential);
	run_for(100);
	cr_assert_eq(status_of(call), 401);
	(void)logged_in("a@example.org");
	call = ask_verify(credential);
	run_for(100);
	cr_assert_eq(status_of(call), 401);
}

Test(login, lets_the_oldest_go_when_a_user_has_too_many)
{
	const char *first = signed_up("a@example.org");

	for (int i = 1; i < LOGINS_MOST; i++)
		(void)logged_in("a@example.org");
	cr_assert_eq(status_of(ask_verify(first)), 200);
	(void)logged_in("a@example.org");
	run_for(100);
	cr_assert_eq(status_of(ask_verify(first)), 401);
}

Test(login, is_no_key_to_list_get_or_revoke)
{
	Raeh__Principal *principal = principal_of(signed_up("a@example.org"));
	struct fake_call *list = ask_list(principal, -1), *get, *revoke;
	char id[UUID_TEXT];
	struct uuid login;

	cr_assert(wire_id(principal->key, &login));
	uuid_text(&login, id);
	get = ask_get(principal, id);
	revoke = ask_revoke(principal, id);
	run_for(100);
	cr_assert_eq(reply_of(list)->keys->n_items, 0);
	cr_assert_eq(status_of(get), 404);
	cr_assert_eq(status_of(revoke), 404);
}

Test(login, mints_keys_that_name_the_user_and_do_not_end_with_the_login)
{
	struct fake_call *sign_up = ask_sign_up("a@example.org", PASSWORD), *mint;
	Raeh__Principal *principal;

	run_for(100);
	principal = principal_of(credential_of(sign_up));
	mint = ask_mint(principal, "ingest,read");
	run_for(100);
	cr_assert_eq(status_of(mint), 200);
	cr_assert_str_eq(reply_of(mint)->key->minted_by, reply_of(sign_up)->me->user->id);
	(void)ask_empty(principal, AUTH__AUTH_REQUEST__COMMAND_LOG_OUT);
	run_for(100);
	cr_assert_eq(status_of(ask_verify(reply_of(mint)->key->key)), 200);
}

Test(login, is_what_a_key_is_not)
{
	Auth__Key *key = new_key(account_id("a@example.org"), NULL);
	struct fake_call *call =
	        ask_empty(principal_of(key->key), AUTH__AUTH_REQUEST__COMMAND_GET_ME);

	cr_assert_eq(status_of(call), 403);
	call = ask_empty(NULL, AUTH__AUTH_REQUEST__COMMAND_GET_ME);
	cr_assert_eq(status_of(call), 401);
}

static const char *made_by(struct fake_call *call)
{
	run_for(100);
	cr_assert_eq(status_of(call), 409);
	return reply_of(call)->error->made_id;
}

Test(login, of_a_sign_up_that_was_named_is_repeated_with_the_id_of_the_user)
{
	struct fake_call *first = ask_named_sign_up("a@example.org", PASSWORD, 1);
	const char *user, *again;

	run_for(100);
	user = reply_of(first)->me->user->id;
	fx.auth->deps.sign_up = SIGN_UP_FIRST; /* closed from now on */
	again = made_by(ask_named_sign_up("A@example.org", "another " PASSWORD, 1));
	cr_assert_str_eq(again, user);
	restart();
	fx.auth->deps.sign_up = SIGN_UP_OPEN;
	cr_assert_str_eq(made_by(ask_named_sign_up("a@example.org", PASSWORD, 1)), user);

	cr_assert_null(made_by(ask_named_sign_up("a@example.org", PASSWORD, 2)));
	cr_assert_null(made_by(ask_sign_up("a@example.org", PASSWORD)));
	first = ask_named_sign_up("b@example.org", PASSWORD, 1);
	run_for(100);
	cr_assert_eq(status_of(first), 200, "a name is one of its address");
	run_for(ONCE_KEEP_MS);
	cr_assert_null(made_by(ask_named_sign_up("a@example.org", PASSWORD, 1)));
}

Test(login, of_two_sign_ups_of_one_name_at_once_is_made_once)
{
	struct fake_call *first = ask_named_sign_up("a@example.org", PASSWORD, 1);
	struct fake_call *second = ask_named_sign_up("a@example.org", PASSWORD, 1);
	bool is_first;

	run_for(1000);
	is_first = status_of(first) == 200;
	cr_assert_eq(status_of(is_first ? first : second), 200);
	cr_assert_not_null(made_by(is_first ? second : first));
}

Test(login, refuses_a_sign_up_that_is_closed_or_taken_or_badly_written)
{
	const struct {
		const char *email, *password;
		uint32_t status;
	} cases[] = {
		{"a@example.org",  PASSWORD,    409},
                { "A@EXAMPLE.ORG", PASSWORD,    409},
		{ "b@example.org", "too short", 400},
                { "no address",    PASSWORD,    400},
		{ "@example.org",  PASSWORD,    400},
	};

	(void)signed_up("a@example.org");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fake_call *call = ask_sign_up(cases[i].email, cases[i].password);

		run_for(100);
		cr_assert_eq(status_of(call), cases[i].status, "%s", cases[i].email);
	}
	fx.auth->deps.sign_up = SIGN_UP_CLOSED;
	cr_assert_eq(status_of(ask_sign_up("c@example.org", PASSWORD)), 403);
	fx.auth->deps.sign_up = SIGN_UP_FIRST;
	cr_assert_eq(status_of(ask_sign_up("c@example.org", PASSWORD)), 403);
}

Test(login, lets_one_of_two_have_an_address_that_both_want_at_once)
{
	struct fake_call *first = ask_sign_up("a@example.org", PASSWORD);
	struct fake_call *second = ask_sign_up("a@example.org", PASSWORD);

	run_for(200);
	cr_assert_eq(status_of(first) + status_of(second), 200 + 409);
}

Test(login, lets_only_one_be_the_first_of_two_at_once)
{
	struct fake_call *first, *second;

	fx.auth->deps.sign_up = SIGN_UP_FIRST;
	first = ask_sign_up("a@example.org", PASSWORD);
	second = ask_sign_up("b@example.org", PASSWORD);
	run_for(200);
	cr_assert_eq(status_of(first) + status_of(second), 200 + 403);
}

/* As it was written before there were users: the account's row holds the hash, and its e-mail
 * leads to the account alone. */
Test(login, gives_an_account_from_before_there_were_users_its_first)
{
	struct store_batch *batch = batch_new();
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	Events__AuthEvent event = EVENTS__AUTH_EVENT__INIT;
	Events__AccountRow row = EVENTS__ACCOUNT_ROW__INIT;
	struct uuid id = uuid_new(1), account, user;
	struct fake_call *call;

	(void)signed_up("new@example.org");
	cr_assert_eq(rows_user_by_email(fx.store, "new@example.org", &account, &user), OK);
	cr_assert_eq(rows_user(fx.store, &account, &user, (Events__UserRow **)&message), OK);
	row.id = wire_bytes_of(&id);
	row.email = "old@example.org";
	row.password_hash = ((Events__UserRow *)message)->password_hash;
	event.event_case = EVENTS__AUTH_EVENT__EVENT_ACCOUNT_CREATED;
	event.account_created = &row;
	rows_apply(&event, BYTES("", 0), batch);
	cr_assert_eq(store_write(fx.store, batch), OK);
	batch_free(batch);
	restart();
	run_for(100);
	call = ask_log_in("old@example.org", PASSWORD);
	run_for(100);
	cr_assert_eq(status_of(call), 200);
	cr_assert_str_eq(reply_of(call)->me->user->role, ROLE_OWNER);
}
