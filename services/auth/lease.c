#include "services/auth/lease.h"

#include "common/mem.h"

struct grave {
	TAILQ_ENTRY(grave) link;
	struct map_node by_incarnation;
	uint32_t slot;
	struct uuid incarnation;
	int64_t at_wall_ms;
};

void leases_start(struct leases *leases)
{
	TAILQ_INIT(&leases->edges);
	TAILQ_INIT(&leases->graves);
	map_init(&leases->buried, sizeof(struct uuid));
}

static void free_grave(struct leases *leases, struct grave *grave)
{
	TAILQ_REMOVE(&leases->graves, grave, link);
	map_remove(&leases->buried, &grave->by_incarnation);
	mem_free(grave);
}

void leases_done(struct leases *leases)
{
	struct edge *edge;
	struct grave *grave;

	while ((edge = TAILQ_FIRST(&leases->edges)))
		leases_remove(leases, edge);
	while ((grave = TAILQ_FIRST(&leases->graves)))
		free_grave(leases, grave);
	map_done(&leases->buried);
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

void leases_bury(struct leases *leases, uint32_t slot, const struct uuid *incarnation,
                 int64_t at_wall_ms)
{
	struct grave *grave;

	if (leases_is_buried(leases, incarnation))
		return;
	if (leases->buried.count >= BURIED_MOST)
		free_grave(leases, TAILQ_FIRST(&leases->graves));
	grave = xcalloc(1, sizeof *grave);
	grave->slot = slot;
	grave->incarnation = *incarnation;
	grave->at_wall_ms = at_wall_ms;
	map_add(&leases->buried, &grave->by_incarnation, &grave->incarnation);
	TAILQ_INSERT_TAIL(&leases->graves, grave, link);
}

bool leases_is_buried(const struct leases *leases, const struct uuid *incarnation)
{
	return map_find(&leases->buried, incarnation) != NULL;
}

bool leases_exhume(struct leases *leases, int64_t before_wall_ms, uint32_t *ret_slot,
                   struct uuid *ret_incarnation)
{
	struct grave *grave;

	TAILQ_FOREACH(grave, &leases->graves, link)
	{
		if (grave->at_wall_ms >= before_wall_ms)
			continue;
		*ret_slot = grave->slot;
		*ret_incarnation = grave->incarnation;
		free_grave(leases, grave);
		return true;
	}
	return false;
}
