#include "services/auth/fixture.h"
#include "services/auth/user.h"

#define PASSWORD "correct horse battery"
#define OTHER    "another one entirely"

static void given_an_open_door(void)
{
	given_an_auth();
	fx.auth->deps.sign_up = SIGN_UP_OPEN;
}

TestSuite(user_change, .init = given_an_open_door, .fini = done);

static struct fake_call *send_request(Auth__AuthRequest *request)
{
	request->has_op_id = true;
	request->op_id = new_op();
	return ask("auth", &request->base);
}

static struct fake_call *enter(const char *email, const char *password, bool sign_up)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__SignUp wish = AUTH__SIGN_UP__INIT;
	Auth__LogIn login = AUTH__LOG_IN__INIT;
	struct fake_call *call;

	wish.email = login.email = (char *)email;
	wish.password = login.password = (char *)password;
	request.command_case =
	        sign_up ? AUTH__AUTH_REQUEST__COMMAND_SIGN_UP : AUTH__AUTH_REQUEST__COMMAND_LOG_IN;
	if (sign_up)
		request.sign_up = &wish;
	else
		request.log_in = &login;
	call = send_request(&request);
	run_for(100);
	return call;
}

static const char *credential_of(const struct fake_call *call)
{
	static char text[32][SECRET_TEXT];
	static unsigned n;
	char *ret = text[n++ % 32];

	cr_assert_eq(status_of(call), 200);
	memcpy(ret, reply_of(call)->me->credential.data, SECRET_LEN);
	ret[SECRET_LEN] = '\0';
	return ret;
}

static const char *signed_up(const char *email)
{
	return credential_of(enter(email, PASSWORD, true));
}

static const char *logged_in(const char *email, const char *password)
{
	return credential_of(enter(email, password, false));
}

static struct fake_call *change_password(const char *credential, const char *current,
                                         const char *new)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__ChangePassword change = AUTH__CHANGE_PASSWORD__INIT;

	change.current = (char *)current;
	change.new_ = (char *)new;
	request.principal = principal_of(credential);
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_CHANGE_PASSWORD;
	request.change_password = &change;
	return send_request(&request);
}

static struct fake_call *reset_password(const char *email, const char *password)
{
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__ResetPassword reset = AUTH__RESET_PASSWORD__INIT;

	reset.password = (char *)password;
	request.account = (char *)email;
	request.has_op_id = true;
	request.op_id = new_op();
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_RESET_PASSWORD;
	request.reset_password = &reset;
	return ask("auth.admin", &request.base);
}

static struct fake_call *by_id(const char *credential, const char *id,
                               Auth__AuthRequest__CommandCase command)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__DeleteUser user = AUTH__DELETE_USER__INIT;
	Auth__DeleteInvite invite = AUTH__DELETE_INVITE__INIT;
	Raeh__Empty empty = RAEH__EMPTY__INIT;

	user.id = invite.id = (char *)id;
	request.principal = principal_of(credential);
	request.command_case = command;
	if (command == AUTH__AUTH_REQUEST__COMMAND_DELETE_USER)
		request.delete_user = &user;
	else if (command == AUTH__AUTH_REQUEST__COMMAND_DELETE_INVITE)
		request.delete_invite = &invite;
	else
		request.get_me = &empty;
	return send_request(&request);
}

static struct fake_call *invite(const char *credential, const char *email, const char *role)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__CreateInvite wish = AUTH__CREATE_INVITE__INIT;
	struct fake_call *call;

	wish.email = (char *)email;
	wish.role = (char *)role;
	request.principal = principal_of(credential);
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_CREATE_INVITE;
	request.create_invite = &wish;
	call = send_request(&request);
	run_for(100);
	return call;
}

static struct fake_call *accept_invite(const char *url_path, const char *email)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__AcceptInvite wish = AUTH__ACCEPT_INVITE__INIT;

	wish.token = (char *)url_path + strlen("/invite/");
	wish.email = (char *)email;
	wish.password = (char *)PASSWORD;
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_ACCEPT_INVITE;
	request.accept_invite = &wish;
	return send_request(&request);
}

static const char *member(const char *owner, const char *email, const char *role)
{
	struct fake_call *made = invite(owner, NULL, role), *accepted;

	cr_assert_eq(status_of(made), 200);
	accepted = accept_invite(reply_of(made)->invite->url_path, email);
	run_for(100);
	return credential_of(accepted);
}

static const char *id_of(const char *credential)
{
	struct fake_call *me = by_id(credential, "", AUTH__AUTH_REQUEST__COMMAND_GET_ME);

	run_for(100);
	return reply_of(me)->me->user->id;
}

static bool is_in(const char *credential)
{
	struct fake_call *call = ask_verify(credential);

	run_for(100);
	return status_of(call) == 200;
}

/* ---- passwords ---- */

Test(user_change, a_new_password_ends_every_other_login_on_every_edge_before_it_is_answered)
{
	const char *own = signed_up("a@example.org"), *other = logged_in("a@example.org", PASSWORD);
	const char *stranger = signed_up("b@example.org");
	struct fake_edge *edge = live_edge(0);
	struct fake_call *call;

	edge->delay_ms = 50;
	call = change_password(own, PASSWORD, OTHER);
	run_for(40);
	cr_assert(!call->answered, "the edge has not heard yet");
	run_for(200);
	cr_assert_eq(edge->applied, 2);
	cr_assert(is_in(credential_of(call)) && is_in(stranger));
	cr_assert(!is_in(own) && !is_in(other));
	cr_assert_eq(status_of(enter("a@example.org", PASSWORD, false)), 401);
	(void)logged_in("a@example.org", OTHER);
}

Test(user_change, a_wrong_or_unfit_password_changes_nothing)
{
	const char *own = signed_up("a@example.org");
	struct fake_call *wrong = change_password(own, OTHER, OTHER);
	struct fake_call *unfit = change_password(own, PASSWORD, "short");

	run_for(100);
	cr_assert_eq(status_of(wrong), 403);
	cr_assert_eq(status_of(unfit), 400);
	cr_assert(is_in(own));
	(void)logged_in("a@example.org", PASSWORD);
}

Test(user_change, a_login_that_raced_the_change_with_the_old_password_does_not_live)
{
	const char *own = signed_up("a@example.org");
	struct fake_call *change = change_password(own, PASSWORD, OTHER);
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__LogIn login = AUTH__LOG_IN__INIT;
	struct fake_call *race;

	login.email = "a@example.org";
	login.password = PASSWORD;
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_LOG_IN;
	request.log_in = &login;
	race = send_request(&request);
	run_for(300);
	cr_assert_eq(status_of(change), 200);
	cr_assert(status_of(race) == 401 || !is_in(credential_of(race)));
}

Test(user_change, a_change_that_a_restart_cut_short_ends_the_logins_all_the_same)
{
	const char *own = signed_up("a@example.org"), *other = logged_in("a@example.org", PASSWORD);
	struct fake_edge *edge = live_edge(0);
	struct fake_call *call;

	edge->cut = true;
	call = change_password(own, PASSWORD, OTHER);
	run_for(6); /* the new password is synced, the end of the logins is not */
	cr_assert(!call->answered);
	power_cut_and_restart();
	edge->cut = false;
	run_for(2000);
	cr_assert(!is_in(own) && !is_in(other));
}

Test(user_change, the_operator_s_reset_ends_every_login_and_opens_what_was_shut)
{
	const char *own = signed_up("a@example.org");
	struct fake_call *reset, *unknown = reset_password("x@example.org", OTHER);
	struct fake_call *unfit = reset_password("a@example.org", "short");

	(void)account_id("shut@example.org");
	reset = reset_password("A@example.org", OTHER);
	run_for(100);
	cr_assert_eq(status_of(reset), 200);
	cr_assert(!is_in(own));
	(void)logged_in("a@example.org", OTHER);
	cr_assert_eq(status_of(unknown), 404);
	cr_assert_eq(status_of(unfit), 400);
	reset = reset_password("shut@example.org", OTHER);
	run_for(100);
	cr_assert_eq(status_of(reset), 200);
	(void)logged_in("shut@example.org", OTHER);
}

/* ---- users and invitations ---- */

Test(user_change, an_invitation_is_good_once_for_the_account_that_made_it)
{
	const char *owner = signed_up("a@example.org"), *invited;
	struct fake_call *made = invite(owner, NULL, ROLE_MEMBER), *accepted, *again, *users;
	const char *path = reply_of(made)->invite->url_path;
	struct uuid mine, its;

	accepted = accept_invite(path, "b@example.org");
	again = accept_invite(path, "c@example.org");
	run_for(200);
	invited = credential_of(accepted);
	cr_assert_eq(status_of(again), 404);
	cr_assert_str_eq(reply_of(accepted)->me->user->role, ROLE_MEMBER);
	cr_assert(wire_id(principal_of(owner)->account, &mine) &&
	          wire_id(principal_of(invited)->account, &its));
	cr_assert(uuid_equal(&mine, &its));
	users = by_id(invited, "", AUTH__AUTH_REQUEST__COMMAND_LIST_USERS);
	run_for(100);
	cr_assert_eq(reply_of(users)->users->n_items, 2);
}

Test(user_change, an_invitation_ends_with_its_time_with_its_maker_s_wish_or_for_another_address)
{
	const char *owner = signed_up("a@example.org");
	struct fake_call *late = invite(owner, NULL, ROLE_OWNER), *back, *bound, *call[4], *list;

	back = invite(owner, NULL, ROLE_MEMBER);
	bound = invite(owner, "B@example.org", ROLE_MEMBER);
	call[0] = accept_invite(reply_of(bound)->invite->url_path, "c@example.org");
	call[1] =
	        by_id(owner, reply_of(back)->invite->id, AUTH__AUTH_REQUEST__COMMAND_DELETE_INVITE);
	list = by_id(owner, "", AUTH__AUTH_REQUEST__COMMAND_LIST_INVITES);
	run_for(100);
	call[2] = accept_invite(reply_of(back)->invite->url_path, "d@example.org");
	fx.now_us += (INVITE_MS + 1) * 1000;
	call[3] = accept_invite(reply_of(late)->invite->url_path, "e@example.org");
	run_for(100);
	cr_assert_eq(status_of(call[0]), 403);
	cr_assert_eq(status_of(call[1]), 200);
	cr_assert_eq(status_of(call[2]), 404);
	cr_assert_eq(status_of(call[3]), 404);
	cr_assert_geq(reply_of(list)->invites->n_items, 2);
	cr_assert_null(reply_of(list)->invites->items[0]->url_path, "told once");
}

Test(user_change, a_member_manages_nobody)
{
	const char *owner = signed_up("a@example.org");
	const char *other = member(owner, "b@example.org", ROLE_MEMBER);
	struct fake_call *deletes =
	        by_id(other, id_of(owner), AUTH__AUTH_REQUEST__COMMAND_DELETE_USER);
	struct fake_call *lists = by_id(other, "", AUTH__AUTH_REQUEST__COMMAND_LIST_INVITES);

	run_for(100);
	cr_assert_eq(status_of(deletes), 403);
	cr_assert_eq(status_of(lists), 403);
	cr_assert_eq(status_of(invite(other, NULL, ROLE_OWNER)), 403);
}

Test(user_change, a_deleted_user_is_out_everywhere_and_the_address_is_free)
{
	const char *owner = signed_up("a@example.org");
	const char *other = member(owner, "b@example.org", ROLE_MEMBER);
	struct fake_call *call =
	        by_id(owner, id_of(other), AUTH__AUTH_REQUEST__COMMAND_DELETE_USER);

	run_for(200);
	cr_assert_eq(status_of(call), 200);
	cr_assert(!is_in(other) && is_in(owner));
	cr_assert_eq(status_of(enter("b@example.org", PASSWORD, false)), 401);
	(void)signed_up("b@example.org");
}

Test(user_change, with_a_deleted_user_go_the_invitations_that_the_user_has_made)
{
	const char *owner = signed_up("a@example.org");
	const char *other = member(owner, "b@example.org", ROLE_OWNER);
	struct fake_call *theirs = invite(other, NULL, ROLE_OWNER);
	struct fake_call *ours = invite(owner, NULL, ROLE_MEMBER), *call, *list;

	call = by_id(owner, id_of(other), AUTH__AUTH_REQUEST__COMMAND_DELETE_USER);
	run_for(200);
	cr_assert_eq(status_of(call), 200);
	call = accept_invite(reply_of(theirs)->invite->url_path, "b@example.org");
	list = by_id(owner, "", AUTH__AUTH_REQUEST__COMMAND_LIST_INVITES);
	run_for(200);
	cr_assert_eq(status_of(call), 404, "who was shut out does not come back");
	cr_assert_eq(reply_of(list)->invites->n_items, 1);
	call = accept_invite(reply_of(ours)->invite->url_path, "c@example.org");
	run_for(200);
	cr_assert_eq(status_of(call), 200);
}

Test(user_change, the_last_owner_who_can_log_in_stays)
{
	const char *owner = signed_up("a@example.org"), *second, *stranger, *ids[2];
	struct fake_call *alone, *theirs, *both[2];

	(void)member(owner, "b@example.org", ROLE_MEMBER);
	alone = by_id(owner, id_of(owner), AUTH__AUTH_REQUEST__COMMAND_DELETE_USER);
	stranger = signed_up("x@example.org");
	theirs = by_id(stranger, id_of(owner), AUTH__AUTH_REQUEST__COMMAND_DELETE_USER);
	run_for(100);
	cr_assert_eq(status_of(alone), 409);
	cr_assert_eq(status_of(theirs), 404, "of another account");
	second = member(owner, "c@example.org", ROLE_OWNER);
	ids[0] = id_of(owner);
	ids[1] = id_of(second);
	both[0] = by_id(owner, ids[1], AUTH__AUTH_REQUEST__COMMAND_DELETE_USER);
	both[1] = by_id(second, ids[0], AUTH__AUTH_REQUEST__COMMAND_DELETE_USER);
	run_for(300);
	cr_assert_eq(status_of(both[0]), 200);
	cr_assert_neq(status_of(both[1]), 200, "one of them stays");
}
