#include "services/auth/spread.h"

static void tell_if_all_have(struct spread *spread)
{
	if (spread->waiting == 0)
		spread->everywhere(spread);
}

void edge_joined(struct auth *auth, struct edge *edge)
{
	edge->applied = edge->discharged = auth->notices.newest;
}

void edge_applied(struct auth *auth, struct edge *edge, uint64_t applied)
{
	if (applied > edge->applied && applied <= auth->notices.newest)
		edge->applied = applied;
}

/* Of the edge's answer about notice number; NULL when it says nothing about it. */
static const Auth__SocketsClosed *closed_for(uint64_t number, uint64_t first,
                                             Auth__SocketsClosed *const *closed, size_t n_closed)
{
	return number >= first && number - first < n_closed ? closed[number - first] : NULL;
}

void edge_discharged(struct auth *auth, struct edge *edge, uint64_t first,
                     Auth__SocketsClosed *const *closed, size_t n_closed)
{
	while (edge->discharged < edge->applied) {
		uint64_t number = ++edge->discharged;
		struct spread *spread = notices_row(&auth->notices, number)->spread;
		const Auth__SocketsClosed *sockets = closed_for(number, first, closed, n_closed);

		if (!spread)
			continue;
		spread->waiting--;
		spread->acked++;
		spread->ingest += sockets ? sockets->ingest : 0;
		spread->subscribe += sockets ? sockets->subscribe : 0;
		tell_if_all_have(spread);
	}
}

void edge_over(struct auth *auth, struct edge *edge)
{
	edge_discharged(auth, edge, 0, NULL, 0); /* what it had acknowledged counts */
	while (edge->discharged < auth->notices.newest) {
		struct spread *spread = notices_row(&auth->notices, ++edge->discharged)->spread;

		if (!spread)
			continue;
		spread->waiting--;
		auth->metrics.edges_lost_total++;
		tell_if_all_have(spread);
	}
}

/* It has become true: who must hear it? */
void spread_start(struct spread *spread)
{
	struct auth *auth = spread->auth;
	struct edge *edge;

	notices_row(&auth->notices, spread->number)->spread = spread;
	TAILQ_FOREACH(edge, &auth->leases.edges, link)
	{
		if (!edge->live) {
			edge->discharged = spread->number;
			continue;
		}
		spread->waiting++;
		spread->total++;
	}
	tell_if_all_have(spread);
}
