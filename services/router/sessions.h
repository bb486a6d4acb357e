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

/* True while the opening of a session with this model is not committed. */
bool sessions_opening(struct router *router, const struct uuid *account, const struct uuid *model);

/* How a session ended. */
struct session_end {
	uint32_t code;
	const char *reason;
	int64_t ended_at; /* wall ms */
};

/* Closes a session in the directory; nothing when it is settled or unknown. call may be NULL:
 * nobody waits. Takes call and request. */
void sessions_close(struct router *router, const struct uuid *account, const struct uuid *session,
                    const struct session_end *end, struct bus_call *call,
                    Router__RouterRequest *request);

#endif
