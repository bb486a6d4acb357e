/*
 * closing - telling the router that a session is over, until it knows.
 *
 * A session leaves the directory only after its publisher has its last item, so that a
 * closed session is closed everywhere.
 */
#ifndef EDGE_CLOSING_H
#define EDGE_CLOSING_H

#include "services/edge/edge.h"

#define CLOSINGS_MOST   65536 /* more are left to the router's reconciliation */
#define CLOSINGS_IN_AIR 64

void closing_start(struct edge *edge, const struct uuid *account, const struct uuid *session,
                   uint64_t epoch, const Publisher__Closing *how);
size_t closing_count(const struct edge *edge);
size_t closing_sessions(struct edge *edge, struct uuid *ret, size_t most);
void closing_free_all(struct edge *edge);

#endif
