#include "services/auth/users.h"

#include <string.h>

struct users *users_new(void)
{
	struct users *users = xcalloc(1, sizeof *users);

	users->by_email = throttle_new(EMAIL_TRIES, EMAIL_REFILL_MS, THROTTLE_NAMES);
	users->by_address = throttle_new(ADDRESS_TRIES, ADDRESS_REFILL_MS, THROTTLE_NAMES);
	TAILQ_INIT(&users->endings);
	TAILQ_INIT(&users->closings);
	return users;
}

void users_free(struct users *users)
{
	if (!users)
		return;
	throttle_free(users->by_email);
	throttle_free(users->by_address);
	mem_free(users);
}

static void on_made(void *ctx, enum err err)
{
	(void)ctx; /* refused: made at the next start */
	if (err != OK)
		log_warn("user-not-made", "err=%s", err_name(err));
}

/* The account is older than users: its first has its id. */
static enum err make_first(struct auth *auth, const struct uuid *account)
{
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	enum err err = rows_account(auth->store, account, (Events__AccountRow **)&message);
	const Events__AccountRow *row = (const Events__AccountRow *)message;
	Events__AuthEvent event = EVENTS__AUTH_EVENT__INIT, *events[] = { &event };
	Events__UserRow user = EVENTS__USER_ROW__INIT;

	if (err != OK)
		return err;
	user.id = row->id;
	user.account = row->id;
	user.email = row->email;
	user.role = ROLE_OWNER;
	user.password_hash = row->password_hash;
	user.created_at = row->created_at;
	event.event_case = EVENTS__AUTH_EVENT__EVENT_USER_MADE;
	event.user_made = &user;
	core_append(auth, events, 1, on_made, auth);
	return OK;
}

static enum err look_at(struct auth *auth, const struct uuid *account, const struct uuid *user)
{
	const struct caller operator= { .is_operator = true, .scopes = SCOPES_ALL };
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	enum err err = rows_user(auth->store, account, user, (Events__UserRow **)&message);
	const Events__UserRow *row = (const Events__UserRow *)message;

	if (err == ERR_NOT_FOUND && uuid_equal(account, user))
		return make_first(auth, account);
	if (err == OK && row->has_password_changed_at)
		logins_end(auth, account, user, row->password_changed_at, &operator, NULL, NULL);
	return err;
}

enum err users_load(struct auth *auth)
{
	struct store_scan *scan = rows_scan_own(auth->store, ROWS_EMAILS);
	struct bytes key, value;
	struct uuid place[2];
	enum err err = OK;

	while (err == OK && scan_next(scan, &key, &value)) {
		if (value.len != sizeof place[0] && value.len != sizeof place) {
			err = ERR_MALFORMED;
			break;
		}
		memcpy(place, value.data, value.len);
		if (value.len == sizeof place[0])
			place[1] = place[0];
		err = look_at(auth, &place[0], &place[1]);
	}
	if (err == OK)
		err = scan_err(scan);
	scan_close(scan);
	return err == OK ? closings_load(auth) : err;
}
