#include "services/auth/lease.h"

#include "common/mem.h"

void leases_start(struct leases *leases)
{
	TAILQ_INIT(&leases->edges);
}

void leases_done(struct leases *leases)
{
	struct edge *edge;

	while ((edge = TAILQ_FIRST(&leases->edges)))
		leases_remove(leases, edge);
}

struct edge *leases_find(const struct leases *leases, uint32_t slot, const struct uuid *incarnation)
{
	struct edge *edge;

	TAILQ_FOREACH(edge, &leases->edges, link)
	if (!edge->ended && edge->slot == slot && uuid_equal(&edge->incarnation, incarnation))
		return edge;
	return NULL;
}

struct edge *leases_add(struct leases *leases, uint32_t slot, const struct uuid *incarnation,
                        int64_t longest_ms, int64_t until_ms)
{
	struct edge *edge = xcalloc(1, sizeof *edge);

	*edge = (struct edge){ .slot = slot,
		               .incarnation = *incarnation,
		               .longest_ms = longest_ms,
		               .until_ms = until_ms,
		               .live = true };
	TAILQ_INSERT_TAIL(&leases->edges, edge, link);
	leases->n++;
	return edge;
}

void leases_remove(struct leases *leases, struct edge *edge)
{
	TAILQ_REMOVE(&leases->edges, edge, link);
	leases->n--;
	mem_free(edge);
}

int64_t lease_extend(struct edge *edge, int64_t now_ms, int64_t lease_ms)
{
	int64_t granted = lease_ms < edge->longest_ms ? lease_ms : edge->longest_ms;

	/* A shorter lease does not take back the longer one that was granted before. */
	if (!edge->live || now_ms + granted > edge->until_ms)
		edge->until_ms = now_ms + granted;
	edge->live = true;
	return granted;
}

void leases_expire(struct leases *leases, int64_t now_ms, lease_over_fn *fn, void *ctx)
{
	struct edge *edge;

	TAILQ_FOREACH(edge, &leases->edges, link)
	if (edge->live && edge->until_ms <= now_ms) {
		edge->live = false;
		fn(ctx, edge);
	}
}

int64_t leases_next_over_ms(const struct leases *leases)
{
	int64_t next = INT64_MAX;
	struct edge *edge;

	TAILQ_FOREACH(edge, &leases->edges, link)
	if (edge->live && edge->until_ms < next)
		next = edge->until_ms;
	return next;
}

size_t leases_live(const struct leases *leases)
{
	size_t n = 0;
	struct edge *edge;

	TAILQ_FOREACH(edge, &leases->edges, link)
	n += edge->live;
	return n;
}
