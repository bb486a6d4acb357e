#include "services/router/model_cache.h"

#include "common/wire.h"
#include "services/router/view.h"

#define ROWS 64 /* a power of two */

struct cached {
	struct uuid account, id;
	Events__ModelRow *row; /* NULL: none */
};

struct model_cache {
	struct store *store;
	struct cached cached[ROWS];
};

struct model_cache *model_cache_new(struct store *store)
{
	struct model_cache *cache = xcalloc(1, sizeof *cache);

	cache->store = store;
	return cache;
}

static void forget(struct cached *cached)
{
	if (cached->row)
		wire_free(&cached->row->base);
	cached->row = NULL;
}

static void forget_all(struct model_cache *cache)
{
	for (size_t i = 0; i < ROWS; i++)
		forget(&cache->cached[i]);
}

void model_cache_free(struct model_cache *cache)
{
	if (!cache)
		return;
	forget_all(cache);
	mem_free(cache);
}

enum err model_cache_get(struct model_cache *cache, const struct uuid *account,
                         const struct uuid *id, const Events__ModelRow **ret)
{
	struct cached *cached = &cache->cached[id->byte[15] % ROWS]; /* a random byte */
	enum err err = OK;

	if (!cached->row || !uuid_equal(&cached->id, id) ||
	    !uuid_equal(&cached->account, account)) {
		forget(cached);
		cached->account = *account;
		cached->id = *id;
		err = view_model(cache->store, account, id, &cached->row);
	}
	if (err == OK)
		*ret = cached->row;
	return err;
}

void model_cache_note(struct model_cache *cache, const Events__RouterEvent *event)
{
	switch (event->event_case) {
	case EVENTS__ROUTER_EVENT__EVENT_SESSION_OPENED:
	case EVENTS__ROUTER_EVENT__EVENT_SESSION_RESUMED:
	case EVENTS__ROUTER_EVENT__EVENT_SESSION_CLOSED:
	case EVENTS__ROUTER_EVENT__EVENT_KEPT:
		break; /* these leave the models as they are */
	default:
		forget_all(cache);
	}
}
