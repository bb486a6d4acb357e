/*
 * map - a hash table of things that live elsewhere, keyed by a fixed number of bytes.
 *
 * A thing holds a struct map_node and its key; the map never owns or copies. Hashing is
 * SipHash with a key of the process, so that no client can choose collisions.
 *
 *     struct grant *grant = MAP_OWNER(map_find(&map, id), struct grant, by_key);
 */
#ifndef COMMON_MAP_H
#define COMMON_MAP_H

#include "common/mem.h"

struct map_node {
	struct map_node *next;
	uint64_t hash;
	const void *key; /* inside the thing, constant while it is in the map */
};

struct map {
	struct map_node **bucket;
	size_t buckets, count, key_len;
};

void map_init(struct map *map, size_t key_len);
void map_done(struct map *map); /* the things stay */
struct map_node *map_find(const struct map *map, const void *key);
/* The key must not be in the map. */
void map_add(struct map *map, struct map_node *node, const void *key);
void map_remove(struct map *map, struct map_node *node);
/* Any node, or NULL when it is empty. */
struct map_node *map_any(const struct map *map);

/* fn may remove the node it is given, and no other. */
typedef void map_fn(void *ctx, struct map_node *node);
void map_each(struct map *map, map_fn *fn, void *ctx);

#define MAP_OWNER(node, type, member)                                                              \
	({                                                                                         \
		struct map_node *node_ = (node);                                                   \
		node_ ? (type *)((char *)node_ - offsetof(type, member)) : NULL;                   \
	})

#endif
