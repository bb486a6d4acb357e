/*
 * edges - auth.lease: registrations, renewals, ends, and the view of them.
 */
#ifndef AUTH_EDGES_H
#define AUTH_EDGES_H

#include "services/auth/core.h"

/* The handler of the name auth.lease. */
void on_lease_call(void *auth, struct bus_call *call, struct bytes request);

/* Gives up the leases whose time is over. */
void lease_check(struct auth *auth);

/* apply() of EdgeRow events, in memory. */
void edge_registered_applied(struct auth *auth, const Events__EdgeRow *row);
void edge_gone_applied(struct auth *auth, const Events__EdgeRow *row);

/* Events of edges, for one append. */
struct edge_event;
struct edge_list {
	size_t n;
	struct edge_event *one;
	Events__AuthEvent **event;
};
/* Room for every edge and one more. They borrow the incarnations. */
struct edge_list edge_list_new(const struct auth *auth);
void edge_list_free(struct edge_list *list);
void edge_list_gone(struct edge_list *list, const struct edge *edge);
void edge_list_registered(struct edge_list *list, uint32_t slot, const struct uuid *incarnation,
                          int64_t lease_ms);

/* Every incarnation that was registered is presumed to hold a lease of its longest length. */
CHECKED enum err edges_load(struct auth *auth);
/* Forgets edges that have been away for EDGE_AWAY_MS. */
#define EDGE_AWAY_MS (3600 * 1000)
void edges_sweep(struct auth *auth);

#endif
