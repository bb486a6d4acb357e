/*
 * reject - upgrades with ?reject=http: refused with a status instead of a close code.
 *
 *     upgrade ─► held ─► the key's verdict ─┬─► net_upgrade(): a WebSocket as any other
 *                                           └─► 401, 403, 404, 503 and a problem document
 *
 * What only a service behind can know of the query (a device model that was never made) is still
 * told with a close code.
 */
#ifndef EDGE_REJECT_H
#define EDGE_REJECT_H

#include "services/edge/edge.h"

/* True: it is held here. */
bool reject_upgrade(struct edge *edge, struct conn *conn, const struct net_request *request);
/* False: not one of ours. */
bool reject_gone(struct edge *edge, struct conn *conn);
void reject_free_all(struct edge *edge);

#endif
