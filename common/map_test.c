#include "common/map.h"

#include <criterion/criterion.h>

#define N 1000

struct thing {
	uint32_t id;
	struct map_node node;
};

static void remove_odd(void *ctx, struct map_node *node)
{
	if (MAP_OWNER(node, struct thing, node)->id % 2)
		map_remove(ctx, node);
}

Test(map, finds_what_was_added_and_nothing_else)
{
	static struct thing things[N];
	struct map map;

	map_init(&map, sizeof(uint32_t));
	for (uint32_t i = 0; i < N; i++) {
		things[i].id = i;
		map_add(&map, &things[i].node, &things[i].id);
	}
	cr_assert_eq(map.count, N);
	map_each(&map, remove_odd, &map);
	cr_assert_eq(map.count, N / 2);
	for (uint32_t i = 0; i < N + 10; i++) {
		struct thing *found = MAP_OWNER(map_find(&map, &i), struct thing, node);

		cr_expect_eq(found, i < N && i % 2 == 0 ? &things[i] : NULL, "%u", i);
	}
	map_done(&map);
}

Test(map, an_empty_one_has_no_node)
{
	struct map map;

	map_init(&map, 4);
	cr_assert_null(map_any(&map));
	map_done(&map);
}
