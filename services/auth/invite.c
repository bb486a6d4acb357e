/*
 * Invitations: a link, good once and for INVITE_MS, with which somebody becomes a user of the
 * account. The token in it is kept as its digest alone.
 */
#include "services/auth/user.h"

#include "common/clock.h"
#include "services/auth/key.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define DETAIL_NO_INVITE "no such invitation"
#define DETAIL_NOT_OPEN  "the invitation is unknown, was used, was taken back, or is over"

static bool is_over(const Auth__Invite *invite)
{
	return invite->expires_at <= clock_wall_ms();
}

static void gone_fill(Events__AuthEvent *event, Events__InviteGone *gone,
                      const Events__InviteRow *row, const struct uuid *id)
{
	events__auth_event__init(event);
	events__invite_gone__init(gone);
	gone->account = row->account;
	gone->id = wire_bytes_of(id);
	gone->digest = row->digest;
}

/* ---- ListInvites ---- */

struct invite_list {
	Events__InviteRow *row[INVITES_MOST];
	Auth__Invite *item[INVITES_MOST];
	size_t n, open;
};

static enum err read_invites(struct auth *auth, const struct uuid *account, struct invite_list *ret)
{
	struct store_scan *scan = rows_scan_invites(auth->store, account);
	struct bytes key, value;
	enum err err;

	while (ret->n < INVITES_MOST && scan_next(scan, &key, &value)) {
		Events__InviteRow *row =
		        (Events__InviteRow *)wire_unpack(&events__invite_row__descriptor, value);

		if (!row)
			continue;
		ret->row[ret->n++] = row;
		if (!is_over(row->invite))
			ret->item[ret->open++] = row->invite;
	}
	err = scan_err(scan);
	scan_close(scan);
	return err;
}

static void clear_invites(struct invite_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		wire_free(&list->row[i]->base);
}

static void free_invites(struct invite_list *list)
{
	clear_invites(list);
	mem_free(list);
}

void on_list_invites(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Auth__InviteList invites = AUTH__INVITE_LIST__INIT;
	struct refusal why = refusal(403, "only an owner of the account may do this");
	struct invite_list *list;
	struct caller caller;
	enum err err = ERR_DENIED;

	if (!user_asks(auth, call, request->principal, &caller))
		return;
	list = xcalloc(1, sizeof *list);
	if (user_is_owner(auth, &caller)) {
		err = read_invites(auth, &caller.account, list);
		why = refusal_of(err == OK ? ERR_NOT_FOUND : err, why);
	}
	if (err == OK) {
		invites.n_items = list->open;
		invites.items = list->item;
		reply.result_case = AUTH__AUTH_REPLY__RESULT_INVITES;
		reply.invites = &invites;
		core_answer(auth, call, &reply);
	} else {
		core_refuse(auth, call, &why);
	}
	free_invites(list);
}

/* ---- CreateInvite ---- */

/* The oldest that is over, for one more than may be kept; NULL: there is none. */
static Events__InviteRow *over_one(const struct invite_list *list)
{
	for (size_t i = list->n; i > 0; i--)
		if (is_over(list->row[i - 1]->invite))
			return list->row[i - 1];
	return NULL;
}

struct new_invite {
	Events__AuthEvent event, gone_event;
	Events__InviteRow row;
	Events__InviteGone gone;
	Auth__Invite invite;
	char id[UUID_TEXT], token[SECRET_TEXT], url_path[SECRET_TEXT + 16];
	uint8_t digest[DIGEST_BYTES];
	struct uuid over;
	Events__AuthEvent *all[2];
	size_t n;
};

static void invite_make(struct command *command, struct new_invite *ret)
{
	const Auth__CreateInvite *wish = (const Auth__CreateInvite *)command->request;
	struct user_work *work = user_work_of(command);
	int64_t now_ms = clock_wall_ms();
	struct uuid id = uuid_new(now_ms);

	uuid_text(&id, ret->id);
	apikey_make_secret(SECRET_INVITE, ret->token);
	key_digest(ret->token, command->auth->deps.digest_secret, ret->digest);
	(void)snprintf(ret->url_path, sizeof ret->url_path, "/invite/%s", ret->token);
	auth__invite__init(&ret->invite);
	ret->invite.id = ret->id;
	ret->invite.email = work->email[0] ? work->email : NULL;
	ret->invite.role = wish->role;
	ret->invite.created_at = now_ms;
	ret->invite.expires_at = now_ms + INVITE_MS;
	events__invite_row__init(&ret->row);
	ret->row.account = wire_bytes_of(&work->account);
	ret->row.digest = wire_bytes(BYTES(ret->digest, DIGEST_BYTES));
	ret->row.invite = &ret->invite;
	ret->row.has_by = true;
	ret->row.by = wire_bytes_of(&command->caller.user);
	events__auth_event__init(&ret->event);
	ret->event.event_case = EVENTS__AUTH_EVENT__EVENT_INVITE_MADE;
	ret->event.invite_made = &ret->row;
	ret->event.has_by = true;
	ret->event.by = wire_bytes_of(&command->caller.user);
	ret->all[ret->n++] = &ret->event;
}

static void invite_append(struct command *command, const struct invite_list *list)
{
	struct new_invite made = { .n = 0 };
	Events__InviteRow *over = over_one(list);
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;

	invite_make(command, &made);
	if (over) { /* each new one lets one go that is over */
		MUST(uuid_parse(over->invite->id, &made.over));
		gone_fill(&made.gone_event, &made.gone, over, &made.over);
		made.gone_event.event_case = EVENTS__AUTH_EVENT__EVENT_INVITE_DELETED;
		made.gone_event.invite_deleted = &made.gone;
		made.all[made.n++] = &made.gone_event;
	}
	made.invite.url_path = made.url_path; /* in the answer, and not in the event */
	reply.result_case = AUTH__AUTH_REPLY__RESULT_INVITE;
	reply.invite = &made.invite;
	buf_wipe(&command->reply);
	(void)wire_pack(&command->reply, &reply.base);
	made.invite.url_path = NULL;
	auth_command_append(command, made.all, made.n);
	sodium_memzero(&made, sizeof made);
}

static void create_execute(struct command *command)
{
	struct user_work *work = user_work_of(command);
	struct refusal why = refusal(409, "too many open invitations: at most %d", INVITES_MOST);
	struct invite_list *list;
	enum err err;

	if (user_must_wait(command) || !user_may_still(command, ROLE_OWNER))
		return;
	list = xcalloc(1, sizeof *list);
	err = read_invites(command->auth, &work->account, list);
	if (err == OK && list->open < INVITES_MOST) {
		invite_append(command, list);
	} else {
		why = refusal_of(err == OK ? ERR_NOT_FOUND : err, why);
		command_refuse(command, &why);
	}
	free_invites(list);
}

static const struct command_kind create_kind = {
	.execute = create_execute,
	.done = user_done,
};

void on_create_invite(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request)
{
	const Auth__CreateInvite *wish = request->create_invite;
	struct refusal why = refusal(400, "role: expected owner or member");
	struct command *command;
	struct caller caller;

	if (!user_asks(auth, call, request->principal, &caller))
		return;
	command = user_command(auth, &create_kind, call, request->op_id, 'i', &wish->base);
	if (!command)
		return;
	command->caller = caller;
	user_work_of(command)->account = caller.account;
	if ((strcmp(wish->role, ROLE_OWNER) != 0 && strcmp(wish->role, ROLE_MEMBER) != 0) ||
	    (wish->email && !user_email_take(wish->email, user_work_of(command)->email, &why)))
		command_refuse(command, &why);
	else
		create_execute(command);
}

/* ---- DeleteInvite ---- */

static void delete_execute(struct command *command)
{
	struct user_work *work = user_work_of(command);
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	Events__AuthEvent event, *events[] = { &event };
	Events__InviteGone gone;
	struct refusal why;
	enum err err;

	if (user_must_wait(command) || !user_may_still(command, ROLE_OWNER))
		return;
	err = rows_invite(command->auth->store, &work->account, &work->user,
	                  (Events__InviteRow **)&message);
	if (err != OK) {
		why = refusal_of(err, refusal(404, DETAIL_NO_INVITE));
		command_refuse(command, &why);
		return;
	}
	gone_fill(&event, &gone, (const Events__InviteRow *)message, &work->user);
	event.event_case = EVENTS__AUTH_EVENT__EVENT_INVITE_DELETED;
	event.invite_deleted = &gone;
	event.has_by = true;
	event.by = wire_bytes_of(&command->caller.user);
	auth_command_append(command, events, 1);
}

static const struct command_kind delete_kind = {
	.execute = delete_execute,
	.committed = user_answer_done,
	.done = user_done,
};

void on_delete_invite(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request)
{
	struct refusal why = refusal(404, DETAIL_NO_INVITE);
	struct command *command;
	struct caller caller;

	if (!user_asks(auth, call, request->principal, &caller))
		return;
	command = user_command(auth, &delete_kind, call, request->op_id, 'j',
	                       &request->delete_invite->base);
	if (!command)
		return;
	command->caller = caller;
	user_work_of(command)->account = caller.account;
	/* The place of a user's id holds the invitation's. */
	if (uuid_parse(request->delete_invite->id, &user_work_of(command)->user))
		delete_execute(command);
	else
		command_refuse(command, &why);
}

/* ---- with a user who is deleted ---- */

struct invites_gone {
	struct invite_list list;
	Events__InviteGone gone[INVITES_MOST];
	Events__AuthEvent event[INVITES_MOST], *all[1 + INVITES_MOST];
	struct uuid id[INVITES_MOST], by;
	size_t n;
};

static void add_gone(struct invites_gone *gone, const Events__InviteRow *row,
                     const struct uuid *user)
{
	Events__AuthEvent *event = &gone->event[gone->n - 1];
	struct uuid maker, *id = &gone->id[gone->n - 1];

	if (!row->has_by || !wire_id(row->by, &maker) || !uuid_equal(&maker, user))
		return;
	MUST(uuid_parse(row->invite->id, id));
	gone_fill(event, &gone->gone[gone->n - 1], row, id);
	event->event_case = EVENTS__AUTH_EVENT__EVENT_INVITE_DELETED;
	event->invite_deleted = &gone->gone[gone->n - 1];
	event->has_by = true;
	event->by = wire_bytes_of(&gone->by);
	gone->all[gone->n++] = event;
}

void invites_end_with(struct command *command, Events__AuthEvent *first)
{
	struct user_work *work = user_work_of(command);
	struct invites_gone *gone = xcalloc(1, sizeof *gone);
	struct refusal why;
	enum err err = read_invites(command->auth, &work->account, &gone->list);

	gone->by = command->caller.user;
	gone->all[gone->n++] = first;
	for (size_t i = 0; err == OK && i < gone->list.n; i++)
		add_gone(gone, gone->list.row[i], &work->user);
	if (err == OK) {
		auth_command_append(command, gone->all, gone->n);
	} else {
		why = refusal_of(err, REFUSAL_AWAY("the invitations cannot be read"));
		command_refuse(command, &why);
	}
	clear_invites(&gone->list);
	mem_free(gone);
}

/* ---- AcceptInvite ---- */

/* The open invitation of the token, or the command is refused. */
static bool find_invite(struct command *command, struct uuid *ret_id, Events__InviteRow **ret)
{
	const Auth__AcceptInvite *wish = (const Auth__AcceptInvite *)command->request;
	struct user_work *work = user_work_of(command);
	struct auth *auth = command->auth;
	struct refusal why = refusal(404, DETAIL_NOT_OPEN);
	uint8_t digest[DIGEST_BYTES];
	Events__InviteRow *row = NULL;
	enum err err = ERR_NOT_FOUND;

	if (apikey_is_secret(SECRET_INVITE, wish->token, strlen(wish->token))) {
		key_digest(wish->token, auth->deps.digest_secret, digest);
		err = rows_by_digest(auth->store, digest, &work->account, ret_id);
	}
	if (err == OK)
		err = rows_invite(auth->store, &work->account, ret_id, &row);
	if (err == OK && is_over(row->invite))
		err = ERR_NOT_FOUND;
	if (err == OK && row->invite->email && strcmp(row->invite->email, work->email) != 0) {
		err = ERR_NOT_FOUND;
		why = refusal(403, "email: the invitation is for another address");
	}
	if (err == OK) {
		*ret = row;
		return true;
	}
	if (row)
		wire_free(&row->base);
	why = refusal_of(err, why);
	command_refuse(command, &why);
	return false;
}

static void append_accepted(struct command *command, const Events__InviteRow *invite,
                            const struct uuid *id)
{
	struct user_work *work = user_work_of(command);
	Events__AuthEvent accepted, *events[2];
	Events__InviteGone gone;
	struct user_event made;

	work->user = uuid_new(clock_wall_ms());
	user_event_fill(&made, work, invite->invite->role, NULL);
	gone_fill(&accepted, &gone, invite, id);
	accepted.event_case = EVENTS__AUTH_EVENT__EVENT_INVITE_ACCEPTED;
	accepted.invite_accepted = &gone;
	accepted.has_by = true;
	accepted.by = wire_bytes_of(&work->user);
	events[0] = &made.event;
	events[1] = &accepted;
	login_append(command, events, 2);
}

static void accept_execute(struct command *command)
{
	struct user_work *work = user_work_of(command);
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	struct refusal why = refusal(409, "the account has %d users already", USERS_MOST);
	struct uuid id;

	if (user_must_wait(command) || sign_up_was_made(command) ||
	    !find_invite(command, &id, (Events__InviteRow **)&message) ||
	    !sign_up_email_is_free(command, "this e-mail address cannot be used"))
		return;
	if (users_count(command->auth, &work->account) >= USERS_MOST)
		command_refuse(command, &why);
	else
		append_accepted(command, (const Events__InviteRow *)message, &id);
}

static const struct command_kind accept_kind = {
	.execute = accept_execute,
	.committed = user_answer_me,
	.done = user_done,
};

void on_accept_invite(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request)
{
	struct command *command = user_command(auth, &accept_kind, call, request->op_id, 'v',
	                                       &request->accept_invite->base);
	AUTO(wire_free) ProtobufCMessage *invite = NULL;
	Auth__AcceptInvite *wish;
	struct refusal why;
	struct uuid id;

	wipe_text(request->accept_invite->password);
	if (!command)
		return;
	wish = (Auth__AcceptInvite *)command->request;
	sign_up_name(command, request->once);
	if (!user_email_take(wish->email, user_work_of(command)->email, &why) ||
	    !user_password_allowed("password", wish->password, &why) ||
	    !user_may_try(auth, NULL, wish->address, &why)) {
		command_refuse(command, &why);
		return;
	}
	/* Before the hash: who has no token costs nothing. */
	if (!sign_up_was_made(command) && find_invite(command, &id, (Events__InviteRow **)&invite))
		user_hash(command, wish->password);
}
