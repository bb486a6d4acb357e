#include "services/auth/fixture.h"
#include "services/auth/user.h"

#include "router.pb-c.h"

#define PASSWORD "correct horse battery"

/* The router's part is played by the test: its answer, or none. */
static struct {
	unsigned asked;
	bool away;
	struct uuid account;
} router;

static const struct bus_ops *edges_ops;

static void answer_router(void *self)
{
	struct fake_request *request = self;

	request->fn(request->ctx, request->err, BYTES(request->reply.data, request->reply.len));
	forget_request(request);
}

static void request_of(struct bus *bus, const char *name, struct bytes bytes, int64_t deadline_ms,
                       bus_reply_fn *fn, void *ctx)
{
	Router__RouterReply reply = ROUTER__ROUTER_REPLY__INIT;
	Router__Removed removed = ROUTER__REMOVED__INIT;
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	struct fake_request *request;

	if (strcmp(name, "router") != 0) {
		edges_ops->request(bus, name, bytes, deadline_ms, fn, ctx);
		return;
	}
	message = wire_unpack(&router__router_request__descriptor, bytes);
	cr_assert_eq(((Router__RouterRequest *)message)->command_case,
	             ROUTER__ROUTER_REQUEST__COMMAND_ERASE_ACCOUNT);
	cr_assert(wire_id(((Router__RouterRequest *)message)->erase_account->account,
	                  &router.account));
	router.asked++;
	request = xcalloc(1, sizeof *request);
	request->fn = fn;
	request->ctx = ctx;
	request->next = fx.requests;
	fx.requests = request;
	request->err = router.away ? ERR_UNAVAILABLE : OK;
	removed.sessions = 3;
	removed.frames = 1000;
	removed.insights = 70;
	reply.result_case = ROUTER__ROUTER_REPLY__RESULT_REMOVED;
	reply.removed = &removed;
	(void)wire_pack(&request->reply, &reply.base);
	timer_set(fx.loop, &request->timer, 10, answer_router, request);
}

static void given_a_router(void)
{
	static struct bus_ops ops;

	given_an_auth();
	edges_ops = &fake_ops;
	ops = fake_ops;
	ops.request = request_of;
	fx.bus.ops = &ops;
	fx.auth->deps.sign_up = SIGN_UP_OPEN;
	memset(&router, 0, sizeof router);
}

TestSuite(account_end, .init = given_a_router, .fini = done);

static struct fake_call *enter(const char *email, bool sign_up)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__SignUp wish = AUTH__SIGN_UP__INIT;
	Auth__LogIn login = AUTH__LOG_IN__INIT;
	struct fake_call *call;

	wish.email = login.email = (char *)email;
	wish.password = login.password = (char *)PASSWORD;
	request.has_op_id = true;
	request.op_id = new_op();
	request.command_case =
	        sign_up ? AUTH__AUTH_REQUEST__COMMAND_SIGN_UP : AUTH__AUTH_REQUEST__COMMAND_LOG_IN;
	if (sign_up)
		request.sign_up = &wish;
	else
		request.log_in = &login;
	call = ask("auth", &request.base);
	run_for(100);
	return call;
}

static const char *signed_up(const char *email)
{
	static char text[8][SECRET_TEXT];
	static unsigned n;
	char *ret = text[n++ % 8];
	const struct fake_call *call = enter(email, true);

	cr_assert_eq(status_of(call), 200);
	memcpy(ret, reply_of(call)->me->credential.data, SECRET_LEN);
	ret[SECRET_LEN] = '\0';
	return ret;
}

static struct fake_call *delete_account(const char *credential, const char *password)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__DeleteAccount wish = AUTH__DELETE_ACCOUNT__INIT;

	wish.password = (char *)password;
	request.principal = principal_of(credential);
	request.has_op_id = true;
	request.op_id = new_op();
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_DELETE_ACCOUNT;
	request.delete_account = &wish;
	return ask("auth", &request.base);
}

static struct fake_call *operator_deletes(const char *account)
{
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Raeh__Empty empty = RAEH__EMPTY__INIT;

	request.account = (char *)account;
	request.has_op_id = true;
	request.op_id = new_op();
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_DELETE_ACCOUNT;
	request.delete_account = &empty;
	return ask("auth.admin", &request.base);
}

static bool lives(const char *credential)
{
	struct fake_call *call = ask_verify(credential);

	run_for(100);
	return status_of(call) == 200;
}

struct needle {
	const char *text;
	bool found;
};

static bool look(void *ctx, uint64_t seq, struct bytes event)
{
	struct needle *needle = ctx;

	(void)seq;
	needle->found = needle->found ||
	                memmem(event.data, event.len, needle->text, strlen(needle->text)) != NULL;
	return true;
}

static bool journal_says(const char *text)
{
	struct needle needle = { text, false };

	journal_read(auth_journal(fx.auth), 1, look, &needle);
	return needle.found;
}

Test(account_end, says_what_it_removed_when_nothing_of_it_is_left)
{
	const char *owner = signed_up("gone@example.org"), *other = signed_up("b@example.org");
	Auth__Key *key = new_key("gone@example.org", NULL), *stays = new_key("b@example.org", NULL);
	struct fake_edge *edge = live_edge(0);
	struct fake_call *call = delete_account(owner, PASSWORD);
	const Auth__AccountDeleted *removed;

	run_for(1000);
	cr_assert_eq(status_of(call), 200);
	removed = reply_of(call)->account_deleted;
	cr_assert_eq(removed->users, 1);
	cr_assert_eq(removed->keys, 1);
	cr_assert_eq(removed->sessions, 3);
	cr_assert_eq(removed->frames, 1000);
	cr_assert_eq(removed->insights, 70);
	cr_assert_eq(edge->applied, 2);
	cr_assert(!lives(owner) && !lives(key->key));
	cr_assert(lives(other) && lives(stays->key));
	cr_assert_not(journal_says("gone@example.org"));
	cr_assert(journal_says("b@example.org"));
	cr_assert_eq(status_of(enter("gone@example.org", false)), 401);
	(void)signed_up("gone@example.org");
}

Test(account_end, wants_the_password_of_an_owner)
{
	const char *owner = signed_up("a@example.org");
	struct fake_call *wrong = delete_account(owner, "not the password");

	run_for(100);
	cr_assert_eq(status_of(wrong), 403);
	cr_assert(lives(owner));
	cr_assert_eq(router.asked, 0);
}

Test(account_end, goes_on_until_the_router_answers_and_lets_nobody_in_meanwhile)
{
	const char *owner = signed_up("a@example.org");
	struct fake_call *call, *mint;

	router.away = true;
	call = operator_deletes("a@example.org");
	run_for(3000);
	cr_assert(!call->answered);
	cr_assert_geq(router.asked, 2);
	cr_assert(!lives(owner));
	cr_assert_eq(status_of(enter("a@example.org", false)), 409);
	mint = admin_mint("a@example.org", NULL);
	run_for(100);
	cr_assert_eq(status_of(mint), 401);
	router.away = false;
	run_for(3000);
	cr_assert_eq(status_of(call), 200);
}

Test(account_end, goes_on_after_a_restart)
{
	const char *owner = signed_up("a@example.org");
	Auth__Key *key = new_key("a@example.org", NULL);
	struct fake_call *call;

	router.away = true;
	call = operator_deletes("a@example.org");
	run_for(50);
	cr_assert(!call->answered);
	power_cut_and_restart();
	fx.auth->deps.sign_up = SIGN_UP_OPEN;
	router.away = false;
	run_for(5000);
	cr_assert(!lives(owner) && !lives(key->key));
	cr_assert_not(journal_says("a@example.org"));
	(void)signed_up("a@example.org");
}

Test(account_end, of_one_that_is_not_there_is_not_found)
{
	struct fake_call *call = operator_deletes("nobody@example.org");

	run_for(100);
	cr_assert_eq(status_of(call), 404);
}
