/*
 * model_cache - device models that sessions were opened with lately, as the view has them, so that
 * an opening neither reads nor unpacks its model each time.
 *
 * Whatever may have changed a model forgets all of them. A fixed number of rows is kept.
 */
#ifndef ROUTER_MODEL_CACHE_H
#define ROUTER_MODEL_CACHE_H

#include "common/store.h"
#include "common/uuid.h"
#include "events.pb-c.h"

struct model_cache;

struct model_cache *model_cache_new(struct store *store); /* borrows the store */
void model_cache_free(struct model_cache *cache);

/* As view_model(), but the row is borrowed: until the next call here. */
CHECKED enum err model_cache_get(struct model_cache *cache, const struct uuid *account,
                                 const struct uuid *id, const Events__ModelRow **ret);
/* Before the event is in the view. */
void model_cache_note(struct model_cache *cache, const Events__RouterEvent *event);

#endif
