/*
 * core - what auth's parts share: the journal's ends, answers, commands.
 *
 * Nothing is answered before what it may have seen is durable:
 *   - a command that changed something is answered when its own events are committed;
 *   - core_answer() (reads, refusals) is held while an append that was made before it is not.
 *
 * A command is one request that changes the view. Its execute() validates against the view as
 * it stands and then calls auth_command_append(), command_refuse() or command_park() (wait for an
 * append of somebody else and execute again). A conflict executes it again too.
 */
#ifndef AUTH_CORE_H
#define AUTH_CORE_H

#include "common/key_limits.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/once.h"
#include "common/wire.h"
#include "services/auth/auth.h"
#include "services/auth/lease.h"
#include "services/auth/notices.h"
#include "services/auth/op.h"
#include "services/auth/rows.h"
#include "services/auth/share.h"
#include "services/auth/usage.h"

#include "auth.pb-c.h"
#include "edge.pb-c.h"

#include <sys/queue.h>

#define AUTH_METRICS(M)                                                                            \
	M(COUNTER, verify_total, "credentials asked about")                                        \
	M(COUNTER, verify_refused_total, "of these, unknown or revoked")                           \
	M(COUNTER, logins_total, "logins to the dashboard since start")                            \
	M(COUNTER, logins_refused_total, "wrong passwords, and e-mails that nobody has")           \
	M(COUNTER, tries_throttled_total, "tries refused because there were too many before")      \
	M(COUNTER, keys_minted_total, "keys minted since start")                                   \
	M(COUNTER, keys_revoked_total, "keys revoked since start")                                 \
	M(COUNTER, tokens_minted_total, "tokens made since start")                                 \
	M(COUNTER, keys_changed_total, "keys changed since start")                                 \
	M(GAUGE, changes_waiting, "changes of rights not yet in force on every edge")              \
	M(GAUGE, revokes_waiting, "revokes not yet in force on every edge")                        \
	M(COUNTER, revoke_ms_total, "time from each revoke's request to its receipt")              \
	M(COUNTER, edges_lost_total, "leases that ran out while a revoke waited")                  \
	M(GAUGE, edges_live, "edge incarnations that may hold a lease")                            \
	M(COUNTER, leases_extended_total, "renewals granted")                                      \
	M(COUNTER, leases_behind_total, "renewals answered with notices instead")                  \
	M(COUNTER, conflicts_total, "appends that another writer was faster than")                 \
	M(COUNTER, malformed_total, "requests that were no such message")                          \
	M(COUNTER, dropped_total, "calls dropped because too many wait; they ask again")
METRICS_DECLARE(auth, AUTH_METRICS);

#define DETAIL_NOT_A_KEY   "the API key is unknown or was revoked"
#define DETAIL_NO_SUCH_KEY "no such key"
#define CLOSE_UNAUTHORIZED 4001

struct revokes;
struct users;
struct delivery;
struct listing;
struct hours_list;
struct group;
struct impact;
struct append;
struct command;
TAILQ_HEAD(commands, command);
TAILQ_HEAD(appends, append);
TAILQ_HEAD(held_answers, held);
TAILQ_HEAD(deliveries, delivery);
TAILQ_HEAD(listings, listing);
TAILQ_HEAD(hours_lists, hours_list);
TAILQ_HEAD(groups, group);
TAILQ_HEAD(impacts, impact);

struct auth {
	struct auth_deps deps;
	struct loop *loop;
	struct bus *bus;
	struct store *store;
	struct journal *journal;
	bool loaded; /* what apply() changes in memory is there to be changed */

	uint64_t appended, completed; /* appends made, and those that have had their callback */
	struct appends appends;
	struct held_answers held;
	size_t n_held, held_bytes;
	struct commands commands, parked;
	size_t n_commands;

	struct leases leases;
	struct notices notices;
	struct timer reap, deliver_tick;
	struct deliveries deliveries;
	struct listings lists;
	size_t n_lists;
	struct hours_lists hours_lists;
	size_t n_hours_lists;
	struct groups groups;
	size_t n_groups;
	struct impacts impacts;
	size_t n_impacts;
	struct revokes *revokes;
	struct ops *ops;
	struct once *once;
	struct usage *usage;
	const Raeh__Origin *origin; /* of the request that is being taken; NULL: none is known */
	struct shares *shares;
	struct users *users;
	struct timer housekeeping;
	struct auth_metrics metrics;
};

/* Who asks, as the view knows the key now. */
struct caller {
	bool is_operator;         /* all rights; account is nil */
	bool is_token;            /* of the key; scopes are its own */
	bool vouched;             /* it was allowed when it asked: what it began goes on */
	bool is_user;             /* a dashboard login: key is its id */
	struct uuid user;         /* when is_user */
	struct uuid account, key; /* key is nil for the operator */
	uint32_t scopes;
	char device_id[129]; /* "" = any */
	int64_t expires_at;  /* wall ms; 0 = never */
	uint32_t rate_limit; /* frames a second; 0 = the default */
	struct key_limits limits;
};

/* ERR_DENIED: not signed by auth, or its key does not live any more. Else as rows_key(). */
CHECKED enum err core_caller(struct auth *auth, const Raeh__Principal *principal,
                             struct caller *ret);
/* The same caller again, when its command executes later. */
CHECKED enum err core_caller_again(struct auth *auth, struct caller *caller);

/* Whom an event names as its maker: a user, else a key; false: the operator. */
bool caller_by(const struct caller *caller, struct uuid *ret);

/* Where the request that is being taken came from: a copy (wire_free), or NULL. */
Raeh__Origin *core_origin(const struct auth *auth);

/* Stamps at_ms. fn as journal_committed_fn, never with ERR_IO. */
typedef void core_committed_fn(void *ctx, enum err err);
void core_append(struct auth *auth, Events__AuthEvent *const *events, size_t n,
                 core_committed_fn *fn, void *ctx);

/* ---- answers ---- */

struct refusal {
	uint32_t status, close_code, retry_after_s; /* 0 = unset */
	char detail[320];
	char made_id[UUID_TEXT]; /* "" = unset */
};
/* Redacted: detail may hold a client's words. */
struct refusal refusal(uint32_t status, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
#define REFUSAL_AWAY(what) ((struct refusal){ .status = 503, .retry_after_s = 1, .detail = (what) })
struct refusal refusal_unauthorized(void);
/* For what a row reader answered, ERR_NOT_FOUND as given. */
struct refusal refusal_of(enum err err, struct refusal not_found);

void core_answer(struct auth *auth, struct bus_call *call, const Auth__AuthReply *reply);
void core_refuse(struct auth *auth, struct bus_call *call, const struct refusal *why);
/* Bytes, held like these. */
void core_answer_bytes(struct auth *auth, struct bus_call *call, struct bytes reply);
void refusal_pack(const struct refusal *why, struct buf *ret);
/* Frees a buffer that held a credential. */
void buf_wipe(struct buf *buf);

/* ---- commands ---- */

#define COMMANDS_MOST 4096
#define COMMAND_TRIES 64

struct command {
	TAILQ_ENTRY(command) link;
	struct auth *auth;
	const struct command_kind *kind;
	struct op *op;         /* who waits: an op, or */
	struct bus_call *call; /* a call */
	struct caller caller;
	ProtobufCMessage *request;
	struct buf reply;     /* made by execute, given at commit */
	void *detail;         /* the kind's own; freed by mem_free */
	Raeh__Origin *origin; /* NULL: unknown; stamped on its events */
	unsigned tries;
	bool parked;
};
struct command_kind {
	void (*execute)(struct command *command);
	/* NULL: command->reply is the answer. */
	void (*committed)(struct command *command);
	/* NULL: an AuthReply. */
	void (*refuse)(struct command *command, const struct refusal *why);
	/* NULL: nothing besides. */
	void (*done)(struct command *command);
};

/* NULL: too many, call and op were dropped. Takes over op, call and request. */
struct command *auth_command_new(struct auth *auth, const struct command_kind *kind, struct op *op,
                                 struct bus_call *call, ProtobufCMessage *request);
void auth_command_append(struct command *command, Events__AuthEvent *const *events, size_t n);
void command_refuse(struct command *command, const struct refusal *why);
/* With the bytes; keep: a repeat with the same op_id gets them too. */
void auth_command_finish(struct command *command, struct bytes reply, bool keep);
void command_park(struct command *command);

void core_start(struct auth *auth);
void core_done(struct auth *auth);

#endif
