/*
 * usage - when each key was last used: in memory, and in the store every now and then.
 *
 * What a crash loses is at most the time between two flushes. Bounded: past USAGE_MOST keys
 * used since the last flush, further ones are not noted.
 */
#ifndef AUTH_USAGE_H
#define AUTH_USAGE_H

#include "common/store.h"
#include "common/uuid.h"

#define USAGE_MOST 65536

struct usage;

/* Borrows store. */
struct usage *usage_new(struct store *store);
void usage_free(struct usage *usage);

/* The later one stays. False: no room, flush first. */
bool usage_note(struct usage *usage, const struct uuid *account, const struct uuid *key,
                int64_t used_ms);
/* 0 = never, or the store cannot say. */
int64_t usage_last(struct usage *usage, const struct uuid *account, const struct uuid *key);
/* ERR_LIMIT, ERR_IO: kept for the next time. */
CHECKED enum err usage_flush(struct usage *usage);

#endif
