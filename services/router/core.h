/*
 * core - what the parts of the router share; nobody outside this folder includes it.
 */
#ifndef ROUTER_CORE_H
#define ROUTER_CORE_H

#include "common/journal.h"
#include "common/metrics.h"
#include "common/once.h"
#include "common/principal.h"
#include "common/wire.h"
#include "events.pb-c.h"
#include "router.pb-c.h"
#include "services/router/command.h"
#include "services/router/router.h"

#define ROUTER_METRICS(M)                                                                          \
	M(COUNTER, requests_total, "requests that arrived")                                        \
	M(COUNTER, refused_total, "requests answered with an error")                               \
	M(COUNTER, sessions_opened_total, "sessions opened since start")                           \
	M(COUNTER, sessions_closed_total, "sessions closed since start")                           \
	M(COUNTER, sessions_resumed_total, "sessions that went on over a new connection")          \
	M(COUNTER, takeovers_total, "sessions superseded by a newer connection")                   \
	M(COUNTER, orphans_closed_total, "sessions closed because their edge lost them")           \
	M(COUNTER, conflicts_total, "journal appends that had to be validated again")              \
	M(COUNTER, rounds_total, "reconciliation rounds that reached auth")                        \
	M(COUNTER, closings_dropped_total, "closings given up: their publisher does not answer")   \
	M(COUNTER, sessions_erased_total, "sessions of devices and accounts that were deleted")    \
	M(GAUGE, sessions_open, "sessions open now")                                               \
	M(GAUGE, commands_in_flight, "commands that wait or are not committed yet")                \
	M(GAUGE, closings_in_flight, "closings a publisher has not confirmed yet")
METRICS_DECLARE(router, ROUTER_METRICS);

struct reconcile;
struct answers;
struct erasings;
struct model_cache;

/* Who asks, as the principal proves it. */
struct asker {
	struct uuid account, key;
	uint32_t scopes;
	const char *device_id; /* NULL: any; borrowed from the request */
};

struct router {
	struct router_deps deps;
	uint8_t secret[SECRET_BYTES];
	struct journal *journal;
	struct commands *commands;
	struct answers *answers;
	struct reconcile *reconcile;
	struct erasings *erasings;
	struct ended *ended;
	struct model_cache *models; /* for opening sessions */
	struct once *once;
	struct router_metrics metrics;
};

/* The table's handlers. Each takes call and request; asker borrows from request. */
typedef void router_fn(struct router *router, const struct asker *asker, struct bus_call *call,
                       Router__RouterRequest *request);

/* ---- answers ---- */

#define ANSWER_BAD_CURSOR "cursor: expected one from a Link header"

/* close_code 0: none. */
void answer_error(struct router *router, struct bus_call *call, uint32_t status,
                  uint32_t close_code, const char *format, ...)
        __attribute__((format(printf, 5, 6)));
/* 503: the disk is full, a conflict that does not end, too many commands … */
void answer_failure(struct router *router, struct bus_call *call, enum err err);
void answer(struct bus_call *call, const Router__RouterReply *reply);
void answer_done(struct bus_call *call);

/* How many bytes of text, at most most, are whole characters: for "%.*s". */
int text_cut(const char *text, size_t most);

/* Recent answers to commands with an op_id, so that a repeat gets the first one. */
struct answers *answers_new(void);
void answers_free(struct answers *answers);
/* Answers and keeps. */
void answer_once(struct router *router, const struct command *command,
                 const Router__RouterReply *reply);
/* True: this was a repeat and is answered. */
bool answered_before(struct router *router, const struct command *command);

#endif
