#include "services/auth/share.h"

#include "common/map.h"

#include <string.h>

#define EDGES_MOST 256 /* slots */

struct part {
	uint32_t slot;
	uint64_t wanted;
	int64_t at_ms;
};

/* One kind of limit of one key. */
struct share {
	struct map_node node;
	uint8_t name[sizeof(struct uuid) + 4];
	size_t n, cap;
	struct part *part; /* one an edge */
};

struct shares {
	struct map by_name;
};

struct shares *shares_new(void)
{
	struct shares *shares = xcalloc(1, sizeof *shares);

	map_init(&shares->by_name, sizeof((struct share *)0)->name);
	return shares;
}

static void forget(struct shares *shares, struct share *share)
{
	map_remove(&shares->by_name, &share->node);
	mem_free(share->part);
	mem_free(share);
}

static void free_one(void *ctx, struct map_node *node)
{
	forget(ctx, MAP_OWNER(node, struct share, node));
}

void shares_free(struct shares *shares)
{
	if (!shares)
		return;
	map_each(&shares->by_name, free_one, shares);
	map_done(&shares->by_name);
	mem_free(shares);
}

static void drop_old(struct share *share, int64_t now_ms)
{
	size_t n = 0;

	for (size_t i = 0; i < share->n; i++)
		if (now_ms - share->part[i].at_ms < SHARE_FRESH_MS)
			share->part[n++] = share->part[i];
	share->n = n;
}

/* NULL: there are too many. */
static struct share *find_or_make(struct shares *shares, const struct share_demand *demand)
{
	uint8_t name[sizeof((struct share *)0)->name];
	struct share *share;

	memcpy(name, demand->key.byte, sizeof demand->key.byte);
	memcpy(name + sizeof demand->key.byte, &demand->kind, sizeof demand->kind);
	share = MAP_OWNER(map_find(&shares->by_name, name), struct share, node);
	if (share || shares->by_name.count >= SHARES_MOST)
		return share;
	share = xcalloc(1, sizeof *share);
	memcpy(share->name, name, sizeof name);
	map_add(&shares->by_name, &share->node, share->name);
	return share;
}

/* False: there are too many edges. */
static bool note(struct share *share, const struct share_demand *demand, int64_t now_ms)
{
	size_t i = 0;

	while (i < share->n && share->part[i].slot != demand->slot)
		i++;
	if (i == EDGES_MOST)
		return false;
	if (i == share->cap) {
		share->cap = share->cap ? 2 * share->cap : 4;
		share->part = xrealloc(share->part, share->cap, sizeof *share->part);
	}
	if (i == share->n)
		share->n++;
	share->part[i] = (struct part){ demand->slot, demand->wanted, now_ms };
	return true;
}

/* Of most: who wants no more than an equal part of what is left is served first, and so on. */
static uint64_t divide(const struct share *share, uint64_t wanted, uint64_t most)
{
	uint64_t left = most, equal, served_to = 0;
	size_t n = share->n, served;

	MUST(n > 0);
	do {
		equal = left / n;
		served = 0;
		for (size_t i = 0; i < share->n; i++) {
			uint64_t his = share->part[i].wanted;

			if (his >= served_to && his <= equal) {
				left -= his;
				served++;
			}
		}
		n -= served;
		served_to = equal + 1;
	} while (served > 0 && n > 0);
	if (n > 0)
		return wanted < served_to ? wanted : left / n;
	return wanted + left / share->n;
}

uint64_t share_ask(struct shares *shares, const struct share_demand *demand, int64_t now_ms)
{
	struct share *share = find_or_make(shares, demand);

	if (!share)
		return demand->most;
	drop_old(share, now_ms);
	if (!note(share, demand, now_ms))
		return demand->most;
	return divide(share, demand->wanted, demand->most);
}

struct tidying {
	struct shares *shares;
	int64_t now_ms;
};

static void tidy(void *ctx, struct map_node *node)
{
	struct tidying *tidying = ctx;
	struct share *share = MAP_OWNER(node, struct share, node);

	drop_old(share, tidying->now_ms);
	if (share->n == 0)
		forget(tidying->shares, share);
}

void shares_tidy(struct shares *shares, int64_t now_ms)
{
	struct tidying tidying = { shares, now_ms };

	map_each(&shares->by_name, tidy, &tidying);
}
