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
#include "services/auth/rows.h"

#define USAGE_MOST 65536

struct usage;

/* Borrows store. */
struct usage *usage_new(struct store *store);
void usage_free(struct usage *usage);

/* The later one stays, of those that say from where the later one of them. from: NULL, or empty:
 * not known. False: no room, flush first. */
bool usage_note(struct usage *usage, const struct uuid *account, const struct uuid *key,
                int64_t used_ms, const Raeh__Origin *from);
/* Never, too, when the store cannot say. last_use_done() it. */
void usage_last(struct usage *usage, const struct uuid *account, const struct uuid *key,
                struct last_use *ret);
/* ERR_LIMIT, ERR_IO: kept for the next time. */
CHECKED enum err usage_flush(struct usage *usage);

#endif
