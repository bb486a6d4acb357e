#include "common/map.h"

#include <sodium.h>
#include <string.h>

#define FIRST_BUCKETS 16

static uint64_t hash_of(const struct map *map, const void *key)
{
	static uint8_t secret[crypto_shorthash_KEYBYTES];
	static bool secret_made;
	uint64_t hash;

	if (!secret_made) {
		randombytes_buf(secret, sizeof secret);
		secret_made = true;
	}
	(void)crypto_shorthash((unsigned char *)&hash, key, map->key_len, secret);
	return hash;
}

void map_init(struct map *map, size_t key_len)
{
	*map = (struct map){ .key_len = key_len, .buckets = FIRST_BUCKETS };
	map->bucket = xcalloc(FIRST_BUCKETS, sizeof *map->bucket);
}

void map_done(struct map *map)
{
	mem_free(map->bucket);
	*map = (struct map){ 0 };
}

struct map_node *map_find(const struct map *map, const void *key)
{
	uint64_t hash = hash_of(map, key);
	struct map_node *node = map->bucket[hash & (map->buckets - 1)];

	while (node && (node->hash != hash || memcmp(node->key, key, map->key_len) != 0))
		node = node->next;
	return node;
}

static void grow(struct map *map)
{
	size_t buckets = map->buckets * 2;
	struct map_node **bucket = xcalloc(buckets, sizeof(struct map_node *));

	for (size_t i = 0; i < map->buckets; i++) {
		struct map_node *node = map->bucket[i], *next;

		for (; node; node = next) {
			next = node->next;
			node->next = bucket[node->hash & (buckets - 1)];
			bucket[node->hash & (buckets - 1)] = node;
		}
	}
	mem_free(map->bucket);
	map->bucket = bucket;
	map->buckets = buckets;
}

void map_add(struct map *map, struct map_node *node, const void *key)
{
	struct map_node **place;

	if (map->count >= map->buckets)
		grow(map);
	node->hash = hash_of(map, key);
	node->key = key;
	place = &map->bucket[node->hash & (map->buckets - 1)];
	node->next = *place;
	*place = node;
	map->count++;
}

void map_remove(struct map *map, struct map_node *node)
{
	struct map_node **place = &map->bucket[node->hash & (map->buckets - 1)];

	while (*place != node) {
		MUST(*place != NULL);
		place = &(*place)->next;
	}
	*place = node->next;
	node->next = NULL;
	map->count--;
}

struct map_node *map_any(const struct map *map)
{
	for (size_t i = 0; i < map->buckets; i++)
		if (map->bucket[i])
			return map->bucket[i];
	return NULL;
}

void map_each(struct map *map, map_fn *fn, void *ctx)
{
	for (size_t i = 0; i < map->buckets; i++) {
		struct map_node *node = map->bucket[i], *next;

		for (; node; node = next) {
			next = node->next;
			fn(ctx, node);
		}
	}
}
