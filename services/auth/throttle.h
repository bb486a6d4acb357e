/*
 * throttle - so many tries at once, then one each while.
 *
 * A bucket a name, of what an attacker could be: an address, an e-mail (whether anybody has it
 * or not). In memory: a restart fills every bucket. Bounded: the one that was not tried for
 * longest makes room, full again by then.
 */
#ifndef AUTH_THROTTLE_H
#define AUTH_THROTTLE_H

#include <stddef.h>
#include <stdint.h>

struct throttle;

struct throttle *throttle_new(unsigned burst, int64_t refill_ms, size_t most);
void throttle_free(struct throttle *throttle);

/* Takes one try. 0, or the seconds until there is one. */
uint32_t throttle_take(struct throttle *throttle, const char *name);
/* That try was none of an attacker. */
void throttle_give_back(struct throttle *throttle, const char *name);

#endif
