/*
 * idmap - a hash table from 16-byte identifiers to pointers.
 *
 * The hash is the identifier's own last 8 bytes: right for identifiers that we make at random
 * (uuid_new, BLAKE2b), and for no others. Borrows the values; NULL is no value.
 */
#ifndef AUTH_IDMAP_H
#define AUTH_IDMAP_H

#include "common/uuid.h"

#include <stddef.h>

struct idmap_slot {
	struct uuid id;
	void *value; /* NULL = free */
};

/* Zero it to start. */
struct idmap {
	struct idmap_slot *at;
	size_t n, cap;
};

void *idmap_get(const struct idmap *map, const struct uuid *id);
/* Replaces; value is not NULL. */
void idmap_put(struct idmap *map, const struct uuid *id, void *value);
void idmap_remove(struct idmap *map, const struct uuid *id);
/* Frees the table, not the values. */
void idmap_done(struct idmap *map);

/* for (size_t i = 0; (slot = idmap_next(&map, &i));) */
struct idmap_slot *idmap_next(const struct idmap *map, size_t *place);

#endif
