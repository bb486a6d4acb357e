#include "services/auth/user_rows.h"

#include "common/journal.h"
#include "services/auth/rows_internal.h"

#include <string.h>

/* ---- events ---- */

static void put_place(struct store_batch *view, struct key key, ProtobufCBinaryData account,
                      ProtobufCBinaryData id)
{
	struct uuid place[2] = { rows_id_of(account), rows_id_of(id) };

	rows_put(view, key, BYTES(place, sizeof place));
}

static void apply_user(const Events__UserRow *row, struct store_batch *view)
{
	struct uuid account = rows_id_of(row->account), id = rows_id_of(row->id);

	rows_put_message(view, rows_id_key('U', &account, &id), &row->base);
	put_place(view, rows_email_key(row->email), row->account, row->id);
}

static void apply_user_gone(const Events__UserGone *gone, struct store_batch *view)
{
	struct uuid account = rows_id_of(gone->account), id = rows_id_of(gone->id);

	rows_delete(view, rows_id_key('U', &account, &id));
	rows_delete(view, rows_email_key(gone->email));
}

static void apply_logged_in(const Events__KeyRow *row, struct store_batch *view)
{
	struct uuid account = rows_id_of(row->account), id;

	MUST(uuid_parse(row->key->id, &id));
	rows_put_message(view, rows_id_key('l', &account, &id), &row->base);
	put_place(view, rows_digest_key(BYTES(row->digest.data, row->digest.len)), row->account,
	          wire_bytes_of(&id));
	rows_put(view, rows_id_key('K', NULL, &id), BYTES(&account, sizeof account));
}

static void apply_forgotten(const Events__LoginForgotten *gone, struct store_batch *view)
{
	struct uuid account = rows_id_of(gone->account), id = rows_id_of(gone->id);

	rows_delete(view, rows_id_key('l', &account, &id));
	rows_delete(view, rows_digest_key(BYTES(gone->digest.data, gone->digest.len)));
	rows_delete(view, rows_id_key('K', NULL, &id));
}

static void apply_invite(const Events__InviteRow *row, struct store_batch *view)
{
	struct uuid account = rows_id_of(row->account), id;

	MUST(uuid_parse(row->invite->id, &id));
	rows_put_message(view, rows_id_key('i', &account, &id), &row->base);
	put_place(view, rows_digest_key(BYTES(row->digest.data, row->digest.len)), row->account,
	          wire_bytes_of(&id));
}

static void apply_invite_gone(const Events__InviteGone *gone, struct store_batch *view)
{
	struct uuid account = rows_id_of(gone->account), id = rows_id_of(gone->id);

	rows_delete(view, rows_id_key('i', &account, &id));
	rows_delete(view, rows_digest_key(BYTES(gone->digest.data, gone->digest.len)));
}

/* All that auth holds of an account but its trail, and what names ids alone. */
static void apply_erased(const Events__AccountGone *gone, struct store_batch *view)
{
	static const char tables[] = "aUlikrsucxh1";
	struct uuid account = rows_id_of(gone->account);
	struct key first, last;

	for (const char *table = tables; *table; table++) {
		struct key from, to;

		key_start(&from, PARTITION_OWN, &account, *table);
		key_end_of(&from, &to);
		batch_delete_range(view, key_bytes(&from), key_bytes(&to));
	}
	rows_delete(view, rows_id_key(ROWS_GOING, NULL, &account));
	/* Also what was redacted of the journal, and the e-mails that were keys. */
	key_start(&first, PARTITION_OWN, &account, 0);
	key_start(&last, PARTITION_OWN, &account, 0x7f);
	batch_give_back(view, key_bytes(&first), key_bytes(&last));
	key_start(&first, PARTITION_OWN, NULL, 'E');
	key_end_of(&first, &last);
	batch_give_back(view, key_bytes(&first), key_bytes(&last));
	journal_give_back(view);
}

static void apply_closing(const Events__AccountGone *gone, struct store_batch *view)
{
	struct uuid account = rows_id_of(gone->account);

	rows_put(view, rows_id_key(ROWS_GOING, NULL, &account), BYTES("", 0));
}

bool user_rows_apply(const Events__AuthEvent *event, struct store_batch *view)
{
	switch (event->event_case) {
	case EVENTS__AUTH_EVENT__EVENT_USER_MADE:
		apply_user(event->user_made, view);
		return true;
	case EVENTS__AUTH_EVENT__EVENT_PASSWORD_CHANGED:
		apply_user(event->password_changed, view);
		return true;
	case EVENTS__AUTH_EVENT__EVENT_USER_SHUT:
		apply_user(event->user_shut, view);
		return true;
	case EVENTS__AUTH_EVENT__EVENT_USER_DELETED:
		apply_user_gone(event->user_deleted, view);
		return true;
	case EVENTS__AUTH_EVENT__EVENT_LOGGED_IN:
		apply_logged_in(event->logged_in, view);
		return true;
	case EVENTS__AUTH_EVENT__EVENT_LOGIN_FORGOTTEN:
		apply_forgotten(event->login_forgotten, view);
		return true;
	case EVENTS__AUTH_EVENT__EVENT_INVITE_MADE:
		apply_invite(event->invite_made, view);
		return true;
	case EVENTS__AUTH_EVENT__EVENT_INVITE_ACCEPTED:
		apply_invite_gone(event->invite_accepted, view);
		return true;
	case EVENTS__AUTH_EVENT__EVENT_INVITE_DELETED:
		apply_invite_gone(event->invite_deleted, view);
		return true;
	case EVENTS__AUTH_EVENT__EVENT_ACCOUNT_CLOSING:
		apply_closing(event->account_closing, view);
		return true;
	case EVENTS__AUTH_EVENT__EVENT_ACCOUNT_ERASED:
		apply_erased(event->account_erased, view);
		return true;
	default:
		return false;
	}
}

/* ---- reading ---- */

enum err rows_user(struct store *store, const struct uuid *account, const struct uuid *id,
                   Events__UserRow **ret)
{
	return rows_get_message(store, rows_id_key('U', account, id), &events__user_row__descriptor,
	                        (ProtobufCMessage **)ret);
}

enum err rows_user_by_email(struct store *store, const char *email, struct uuid *ret_account,
                            struct uuid *ret_user)
{
	struct uuid place[2];
	enum err err = rows_get_ids(store, rows_email_key(email), place, 2);

	if (err == ERR_MALFORMED) { /* written before there were users */
		err = rows_get_ids(store, rows_email_key(email), place, 1);
		place[1] = place[0];
	}
	if (err == OK) {
		*ret_account = place[0];
		*ret_user = place[1];
	}
	return err;
}

enum err rows_credential(struct store *store, const struct uuid *account, const struct uuid *id,
                         Events__KeyRow **ret)
{
	enum err err = rows_key(store, account, id, ret);

	if (err != ERR_NOT_FOUND)
		return err;
	return rows_get_message(store, rows_id_key('l', account, id), &events__key_row__descriptor,
	                        (ProtobufCMessage **)ret);
}

enum err rows_invite(struct store *store, const struct uuid *account, const struct uuid *id,
                     Events__InviteRow **ret)
{
	return rows_get_message(store, rows_id_key('i', account, id),
	                        &events__invite_row__descriptor, (ProtobufCMessage **)ret);
}

bool rows_account_is_going(struct store *store, const struct uuid *account)
{
	struct key key = rows_id_key(ROWS_GOING, NULL, account);
	struct buf value = { 0 };
	enum err err = store_get(store, key_bytes(&key), &value);

	buf_free(&value);
	return err != ERR_NOT_FOUND;
}

struct store_scan *rows_scan_users(struct store *store, const struct uuid *account)
{
	return rows_scan_table(store, account, 'U');
}

struct store_scan *rows_scan_logins(struct store *store, const struct uuid *account)
{
	return rows_scan_table(store, account, 'l');
}

struct store_scan *rows_scan_invites(struct store *store, const struct uuid *account)
{
	return rows_scan_table(store, account, 'i');
}
