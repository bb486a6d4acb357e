/*
 * user - the people of an account, who log in to the dashboard.
 *
 *     log_in ──► throttle ──► Argon2id (helper thread) ──► logged_in journaled ──► Me, cookie
 *
 * A login is a key of another kind: a KeyRow with a user, found by the digest of a random
 * credential that only the browser's cookie holds. Verify answers a Principal with every scope;
 * it ends through the one revoke, or when LOGIN_MS are over.
 *
 * Commands of this family that touch the same account or e-mail are executed one after the
 * other, each against what the one before has committed.
 */
#ifndef AUTH_USER_H
#define AUTH_USER_H

#include "common/apikey.h"
#include "services/auth/commands.h"
#include "services/auth/password.h"
#include "services/auth/throttle.h"
#include "services/auth/user_rows.h"

#define EMAIL_BYTES  254                       /* RFC 5321 */
#define LOGIN_MS     (30LL * 24 * 3600 * 1000) /* then log in again */
#define LOGINS_MOST  16                        /* of one user: the oldest ends for one more */
#define USERS_MOST   1024                      /* of one account */
#define INVITE_MS    (7LL * 24 * 3600 * 1000)
#define INVITES_MOST 256 /* open, of one account */
#define ROLE_OWNER   "owner"
#define ROLE_MEMBER  "member"

/* Wrong passwords: by e-mail, whether anybody has it or not, and by address, loopback spared. */
#define EMAIL_TRIES       8
#define EMAIL_REFILL_MS   30000
#define ADDRESS_TRIES     30
#define ADDRESS_REFILL_MS 10000
#define THROTTLE_NAMES    65536

struct users;
struct users *users_new(void);
void users_free(struct users *users);
/* Once the view is loaded: ends of logins that a restart has cut short go on, and accounts from
 * before there were users get their first. ERR_IO, ERR_MALFORMED. */
CHECKED enum err users_load(struct auth *auth);

/* ---- what a command of the family carries ---- */

struct user_work {
	char email[EMAIL_BYTES + 1];
	struct uuid account, user;    /* nil until known */
	char expected[PASSWORD_HASH]; /* the password was held against this; "": nobody's */
	char hash[PASSWORD_HASH];     /* of the new password; "": none */
	char credential[SECRET_TEXT]; /* of the new login; "": none */
	int64_t over_before_ms;       /* logins made before this are over */
	bool last_step;               /* of a deletion: the user is shut */
	struct uuid once;             /* the request's name; nil: it has none */
};
struct user_work *user_work_of(struct command *command);

/* Takes the call; NULL: it was answered, or has joined. The request is copied. letter: of the
 * op. */
struct command *user_command(struct auth *auth, const struct command_kind *kind,
                             struct bus_call *call, ProtobufCBinaryData op_id, int letter,
                             const ProtobufCMessage *request);
/* .done of every kind of the family. */
void user_done(struct command *command);
/* True: parked until what another of the family has appended is committed, or refused because
 * the account is being deleted. */
bool user_must_wait(struct command *command);

/* Makes the work's hash of the password, then executes; or 429. Wipes the password. */
void user_hash(struct command *command, char *password);
/* Holds it against the work's expected one; fn gets NULL for no. Wipes the password. */
void user_check(struct command *command, char *password, hasher_fn *fn);

/* ---- rules ---- */

/* In lower case. False and why: 400. */
bool user_email_take(const char *email, char ret[EMAIL_BYTES + 1], struct refusal *ret_why);
bool user_password_allowed(const char *field, const char *password, struct refusal *ret_why);
/* False and why: 429. Either may be NULL: not counted. */
bool user_may_try(struct auth *auth, const char *email, const char *address,
                  struct refusal *ret_why);
void user_try_was_good(struct auth *auth, const char *email, const char *address);
bool sign_up_is_open(struct auth *auth);
void wipe_text(char *text);

/* Who asks, by a login that lives; else the call is answered. */
bool user_asks(struct auth *auth, struct bus_call *call, const Raeh__Principal *principal,
               struct caller *ret);
/* The caller of a command again, of that role at least. False: the command is refused. */
bool user_may_still(struct command *command, const char *role);
bool user_is_owner(struct auth *auth, const struct caller *caller);

/* ---- new users, new logins ---- */

/* An event with its maker and its row, in one piece. */
struct user_event {
	Events__AuthEvent event;
	Events__UserRow row;
	struct uuid by;
};
/* The work's user, as it will be. Borrows the work and, of old (NULL: a new one), the texts. */
void user_event_fill(struct user_event *event, struct user_work *work, const char *role,
                     const Events__UserRow *old);

#define LOGIN_EVENTS (1 + LOGINS_MOST)
/* A new login of the work's user, and an end to those whose time is over. */
struct login_events {
	Events__AuthEvent event[LOGIN_EVENTS];
	Events__LoginForgotten forgotten[LOGINS_MOST];
	Events__KeyRow *expired[LOGINS_MOST];
	struct uuid expired_id[LOGINS_MOST];
	Events__KeyRow row;
	Auth__Key key;
	char id[UUID_TEXT];
	uint8_t digest[DIGEST_BYTES];
	size_t n, n_expired;
};
/* Makes the work's credential. Borrows the work; login_events_free() after the append. */
void login_events_make(struct command *command, struct login_events *ret);
void login_events_free(struct login_events *events);
/* Appends them behind the n others. */
void login_append(struct command *command, Events__AuthEvent *const *others, size_t n);

/* Nobody is known yet who could keep the answer: the new user is known by the request's name. */
void sign_up_name(struct command *command, const Raeh__Once *once);
/* True: a request of this name has made the e-mail's user: the command is refused, 409. */
bool sign_up_was_made(struct command *command);
/* False: it is taken (409, in these words), or unknown whether: the command is refused. */
bool sign_up_email_is_free(struct command *command, const char *taken);

/* Appends the event, and behind it the end of every invitation that the work's user has made: who
 * is shut out does not let himself in again. */
void invites_end_with(struct command *command, Events__AuthEvent *first);

/* USERS_MOST when it cannot be said. */
size_t users_count(struct auth *auth, const struct uuid *account);

/* The answers, once all is committed. */
void user_answer_me(struct command *command);
void user_answer_done(struct command *command);
/* Me, of a login. False: not found, and *ret_why. */
bool me_reply(struct auth *auth, const struct uuid *account, const struct uuid *user,
              const char *credential, struct buf *ret, struct refusal *ret_why);

/* ---- the end of logins ---- */

/* Revokes every login of the user that was made before; fn (may be NULL) once all are dead on
 * every edge, perhaps from inside. by: whom the events name; its own login may be among them. */
void logins_end(struct auth *auth, const struct uuid *account, const struct uuid *user,
                int64_t before_ms, const struct caller *by, void (*fn)(void *ctx), void *ctx);
/* The same for every login and every key of an account that is going; *ret_keys grows by the
 * number of keys, and lives as long as ctx. */
void account_end_all(struct auth *auth, const struct uuid *account, const struct caller *by,
                     uint64_t *ret_keys, void (*fn)(void *ctx), void *ctx);
/* fn is not called for this ctx any more. */
void logins_forget(struct auth *auth, const void *ctx);
/* Before the revokes go. */
void logins_stop(struct auth *auth);

/* ---- the end of an account: account_end.c ---- */

/* The command goes; the end goes on. */
void closings_forget(struct command *command);
/* Goes on with those that were being deleted. */
CHECKED enum err closings_load(struct auth *auth);
/* After the commands and endings. */
void closings_stop(struct auth *auth);

/* ---- the commands, by their names in proto/auth.proto ---- */

void on_sign_up(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request);
void on_log_in(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request);
void on_log_out(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request);
void on_get_me(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request);
void on_change_password(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request);
void on_list_users(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request);
void on_delete_user(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request);
void on_create_invite(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request);
void on_list_invites(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request);
void on_delete_invite(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request);
void on_accept_invite(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request);
void on_sign_up_state(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request);
void on_delete_account(struct auth *auth, struct bus_call *call, const Auth__AuthRequest *request);
/* caller: the operator; account: named and there. */
void delete_account_wanted(struct auth *auth, struct bus_call *call, const struct caller *caller,
                           const Auth__AdminRequest *request);
void on_create_account(struct auth *auth, struct bus_call *call, const Auth__AdminRequest *request);
void on_reset_password(struct auth *auth, struct bus_call *call, const Auth__AdminRequest *request);

#endif
