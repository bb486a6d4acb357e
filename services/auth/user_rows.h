/*
 * user_rows - the dashboard's users, their logins and invitations in auth's store.
 *
 * The readers answer as those of rows.h.
 */
#ifndef AUTH_USER_ROWS_H
#define AUTH_USER_ROWS_H

#include "services/auth/rows.h"

/* False: the event is none of these. */
bool user_rows_apply(const Events__AuthEvent *event, struct store_batch *view);

CHECKED enum err rows_user(struct store *store, const struct uuid *account, const struct uuid *id,
                           Events__UserRow **ret);
/* An account from before there were users: its id for both. */
CHECKED enum err rows_user_by_email(struct store *store, const char *email,
                                    struct uuid *ret_account, struct uuid *ret_user);
/* What may ask: a living key or dashboard login. */
CHECKED enum err rows_credential(struct store *store, const struct uuid *account,
                                 const struct uuid *id, Events__KeyRow **ret);
CHECKED enum err rows_invite(struct store *store, const struct uuid *account, const struct uuid *id,
                             Events__InviteRow **ret);

/* Whether the account is being deleted; a store that cannot be read says yes. */
bool rows_account_is_going(struct store *store, const struct uuid *account);

/* Those of an account, newest first. */
struct store_scan *rows_scan_users(struct store *store, const struct uuid *account);
struct store_scan *rows_scan_logins(struct store *store, const struct uuid *account);
struct store_scan *rows_scan_invites(struct store *store, const struct uuid *account);

/* Of rows_scan_own(): every user's e-mail, to account id + user id. */
#define ROWS_EMAILS 'E'
/* And the accounts that are being deleted: the id is the key's row. */
#define ROWS_GOING 'X'

#endif
