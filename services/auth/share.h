/*
 * share - a key's limit, divided among the edges that want of it.
 *
 * Each edge says every second what it wants. Who wants less than an equal part gets what it
 * wants, the others divide the rest equally, and what nobody wants is divided equally among all:
 * so one edge alone may have the whole, and all together never more than the limit. A demand
 * that is older than SHARE_FRESH_MS counts no more. In memory alone; pure but for that.
 */
#ifndef AUTH_SHARE_H
#define AUTH_SHARE_H

#include "common/uuid.h"

#define SHARE_FRESH_MS 3000
#define SHARES_MOST    65536 /* keys and kinds at once; further ones are not divided */

struct shares;

struct shares *shares_new(void);
void shares_free(struct shares *shares);

struct share_demand {
	struct uuid key;
	uint32_t kind, slot; /* of limit; of the edge */
	uint64_t wanted, most;
};
/* What that edge may have of most. now_ms: boot time. */
uint64_t share_ask(struct shares *shares, const struct share_demand *demand, int64_t now_ms);
/* Forgets what is old. */
void shares_tidy(struct shares *shares, int64_t now_ms);

#endif
