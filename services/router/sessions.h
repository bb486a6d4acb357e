/*
 * sessions - the commands about sessions: open with takeover, close, list. See core.h.
 *
 *     OpenSession ─► SessionOpened{supersedes} ─► commit ─┬─► reply
 *                                                         ├─► router.events (may be lost)
 *                                                         └─► the old session's edge (retried)
 */
#ifndef ROUTER_SESSIONS_H
#define ROUTER_SESSIONS_H

#include "services/router/core.h"

#define DEVICE_ID_MAX    128 /* bytes */
#define LIST_LIMIT       50
#define LIST_LIMIT_MAX   200
#define CLOSE_REASON_MAX 123 /* bytes: RFC 6455, section 5.5 */

router_fn on_open_session, on_close_session, on_list_sessions;

/* One uncommitted command of a device at a time. */
struct gate_key sessions_gate(const struct uuid *account, const struct uuid *model,
                              const char *device_id);

/* For resume.c: the answer to an OpenSession. */
void sessions_answer_opened(struct router *router, struct command *command,
                            const Events__SessionRow *row);
/* A connection of a device ends: whoever has it hears. below_epoch 0: for the session is over. */
void sessions_tell_superseded(struct router *router, const struct uuid *session,
                              uint64_t below_epoch);
/* OpenSession with `resume`: the session goes on with another connection (resume.c). */
extern const struct command_ops sessions_resume_ops;

/* True while the opening of a session with this model is not committed. */
bool sessions_opening(struct router *router, const struct uuid *account, const struct uuid *model);

/* How a session ended. */
struct session_end {
	uint32_t code;
	const char *reason;
	int64_t ended_at; /* wall ms */
	uint64_t epoch;   /* as whoever says so knows it: a session resumed since stays open */
};

/* Closes a session in the directory; nothing when it is settled or unknown. call may be NULL:
 * nobody waits. Takes call and request. */
void sessions_close(struct router *router, const struct uuid *account, const struct uuid *session,
                    const struct session_end *end, struct bus_call *call,
                    Router__RouterRequest *request);

#endif
