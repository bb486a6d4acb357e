/*
 * events - GET /stream/subscribe as Server-Sent Events: the feed of a WebSocket, over HTTP.
 *
 *     data: {"status":"subscribed"}             then, one a message:
 *     id: <insight id>
 *     data: {"type":"hr", …}
 *
 * Asked for with `Accept: text/event-stream`; `Last-Event-ID` is after=. What a WebSocket is told
 * with a close code before it begins is a status here (401, 403, 400, 503), with a problem
 * document; once the stream has begun it is an event `close` with {"code","reason"}, and the end.
 * A revoke ends the stream at once. A comment every EVENTS_BEAT_MS keeps proxies awake.
 * What else HTTP asks of the two paths under /stream/ is refused here too: 405, 406, 426.
 */
#ifndef EDGE_EVENTS_H
#define EDGE_EVENTS_H

#include "services/edge/edge.h"

#define EVENTS_BEAT_MS    15000
#define EVENTS_SILENCE_MS 25000 /* a beat unacknowledged: who vanishes is noticed within 40 s */

/* False: the request is not for here. */
bool events_request(struct edge *edge, struct conn *conn, const struct net_request *request);

/* From net, for HTTP: false: not one of ours. */
bool events_gone(struct edge *edge, struct conn *conn, int code, const char *reason);
bool events_drained(struct edge *edge, struct conn *conn);
/* NULL: not one of ours. */
const struct socket *events_socket(const struct edge *edge, const struct conn *conn);

#endif
