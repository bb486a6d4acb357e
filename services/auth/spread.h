/*
 * spread - a notice on its way to every edge that may hold a lease.
 *
 *     committed ──spread_start()──► every edge acknowledges or loses its lease ──► everywhere()
 *
 * What asks for it (a revoke, a change of rights) is answered after everywhere().
 */
#ifndef AUTH_SPREAD_H
#define AUTH_SPREAD_H

#include "services/auth/core.h"

struct spread {
	struct auth *auth;
	uint64_t number;                /* of the notice, which points back here */
	uint32_t waiting, acked, total; /* edges */
	uint32_t ingest, subscribe;     /* sockets closed for it */
	/* In force wherever a lease is held; called once, perhaps from spread_start(). The notice
	 * is kept until it points to no spread any more. */
	void (*everywhere)(struct spread *spread);
};

/* The notice of this number is committed and added to the list. */
void spread_start(struct spread *spread);

/* A new edge holds no verdict: it stands at the newest. A loaded one at the floor. */
void edge_joined(struct auth *auth, struct edge *edge);
/* The edge has all up to applied in force. More than newest is ignored. */
void edge_applied(struct auth *auth, struct edge *edge, uint64_t applied);
/* What it closed for notices first, first + 1 …: counted with those it now discharges. */
void edge_discharged(struct auth *auth, struct edge *edge, uint64_t first,
                     Auth__SocketsClosed *const *closed, size_t n_closed);
/* It holds no lease any more: nothing waits for it. */
void edge_over(struct auth *auth, struct edge *edge);

#endif
