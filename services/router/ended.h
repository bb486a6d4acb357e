/*
 * ended - slots whose channel was removed: no open session takes more frames on them.
 *
 * A broadcast tells the edges at once and may be lost; so each round of the reconciliation tells
 * them again what stands here. A slot is never used again, so hearing it twice, or late, is
 * harmless. A restart makes it anew of the models that open sessions have.
 */
#ifndef ROUTER_ENDED_H
#define ROUTER_ENDED_H

#include "common/uuid.h"
#include "events.pb-c.h"

#define ENDED_MODELS 256 /* the longest unchanged makes room */
#define ENDED_SLOTS  256

struct ended;

struct ended *ended_new(void);
void ended_free(struct ended *ended);
void ended_add(struct ended *ended, const struct uuid *account, const struct uuid *model,
               const uint32_t *slots, size_t n);
/* Those below next_slot that no channel has. */
void ended_add_missing(struct ended *ended, const struct uuid *account,
                       const Events__ModelRow *row);
/* All of it, borrowed until the next call here. */
size_t ended_all(struct ended *ended, Events__SlotsEnded ***ret);

#endif
