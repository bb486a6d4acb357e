/*
 * reject - upgrades with ?reject=http: refused with a status instead of a close code.
 *
 *     upgrade ─► socket, held ─┬─ its first message ──► net_upgrade(): a WebSocket as any other
 *                              └─ closed before that ─► 401, 403, 404, 429, 503, and a problem
 *
 * The socket is the same from its first moment on, so whatever it may be closed for before it
 * has said something is told so, and judged once. Nothing is read from it meanwhile.
 */
#ifndef EDGE_REJECT_H
#define EDGE_REJECT_H

#include "services/edge/socket.h"

/* True: it was asked for, and the socket is open and held, or the upgrade refused. */
bool reject_upgrade(struct edge *edge, struct conn *conn, const struct net_request *request);

/* Before its first message: it is a WebSocket from now on. False: its client is gone. */
CHECKED bool reject_over(struct socket *socket);

/* ---- from socket and edge ---- */

void reject_hold(struct socket *socket);
void reject_close(struct socket *socket, int code, const char *reason, bool now);
/* NULL unless the upgrade under way is of one that was held. */
struct socket *reject_upgraded(struct edge *edge);
/* False: not one of ours. */
bool reject_gone(struct edge *edge, struct conn *conn, int code, const char *reason);

#endif
