#include "services/auth/idmap.h"

#include "common/mem.h"

#include <string.h>

#define CAP_LEAST 64 /* a power of two, as every capacity */

static size_t home_of(const struct idmap *map, const struct uuid *id)
{
	uint64_t hash;

	memcpy(&hash, id->byte + 8, sizeof hash);
	hash *= 0x9e3779b97f4a7c15u; /* a version 7 uuid's variant bits are constant */
	return (size_t)(hash >> 20) & (map->cap - 1);
}

/* The slot of id, or the free one where it would go. */
static struct idmap_slot *find(const struct idmap *map, const struct uuid *id)
{
	size_t i = home_of(map, id);

	while (map->at[i].value && !uuid_equal(&map->at[i].id, id))
		i = (i + 1) & (map->cap - 1);
	return &map->at[i];
}

void *idmap_get(const struct idmap *map, const struct uuid *id)
{
	return map->cap > 0 ? find(map, id)->value : NULL;
}

static void grow(struct idmap *map)
{
	struct idmap old = *map;
	struct idmap_slot *slot;

	map->cap = old.cap ? 2 * old.cap : CAP_LEAST;
	map->at = xcalloc(map->cap, sizeof *map->at);
	for (size_t i = 0; (slot = idmap_next(&old, &i));)
		*find(map, &slot->id) = *slot;
	mem_free(old.at);
}

void idmap_put(struct idmap *map, const struct uuid *id, void *value)
{
	struct idmap_slot *slot;

	MUST(value != NULL);
	if (4 * (map->n + 1) > 3 * map->cap)
		grow(map);
	slot = find(map, id);
	if (!slot->value)
		map->n++;
	*slot = (struct idmap_slot){ *id, value };
}

void idmap_remove(struct idmap *map, const struct uuid *id)
{
	struct idmap_slot *slot = map->cap > 0 ? find(map, id) : NULL;
	size_t i;

	if (!slot || !slot->value)
		return;
	slot->value = NULL;
	map->n--;
	/* Those behind it in the run move up, so that a search never meets a hole. */
	for (i = (size_t)(slot - map->at + 1) & (map->cap - 1); map->at[i].value;
	     i = (i + 1) & (map->cap - 1)) {
		struct idmap_slot moved = map->at[i];

		map->at[i].value = NULL;
		*find(map, &moved.id) = moved;
	}
}

void idmap_done(struct idmap *map)
{
	mem_free(map->at);
	*map = (struct idmap){ 0 };
}

struct idmap_slot *idmap_next(const struct idmap *map, size_t *place)
{
	while (*place < map->cap) {
		struct idmap_slot *slot = &map->at[(*place)++];

		if (slot->value)
			return slot;
	}
	return NULL;
}
