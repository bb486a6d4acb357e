#include "services/auth/throttle.h"

#include "common/clock.h"
#include "common/map.h"

#include <sodium.h>
#include <string.h>
#include <sys/queue.h>

#define NAME_BYTES 16

struct bucket {
	struct map_node by_name;
	TAILQ_ENTRY(bucket) link; /* the one tried last is the last */
	uint8_t name[NAME_BYTES];
	double left;
	int64_t at_ms;
};

struct throttle {
	unsigned burst;
	int64_t refill_ms;
	size_t most;
	struct map by_name;
	TAILQ_HEAD(, bucket) by_age;
};

struct throttle *throttle_new(unsigned burst, int64_t refill_ms, size_t most)
{
	struct throttle *throttle = xcalloc(1, sizeof *throttle);

	throttle->burst = burst;
	throttle->refill_ms = refill_ms;
	throttle->most = most;
	map_init(&throttle->by_name, NAME_BYTES);
	TAILQ_INIT(&throttle->by_age);
	return throttle;
}

static void forget(struct throttle *throttle, struct bucket *bucket)
{
	TAILQ_REMOVE(&throttle->by_age, bucket, link);
	map_remove(&throttle->by_name, &bucket->by_name);
	mem_free(bucket);
}

void throttle_free(struct throttle *throttle)
{
	if (!throttle)
		return;
	while (!TAILQ_EMPTY(&throttle->by_age))
		forget(throttle, TAILQ_FIRST(&throttle->by_age));
	map_done(&throttle->by_name);
	mem_free(throttle);
}

static void digest(const char *name, uint8_t ret[NAME_BYTES])
{
	(void)crypto_generichash(ret, NAME_BYTES, (const uint8_t *)name, strlen(name), NULL, 0);
}

static struct bucket *find(const struct throttle *throttle, const char *name)
{
	uint8_t key[NAME_BYTES];

	digest(name, key);
	return MAP_OWNER(map_find(&throttle->by_name, key), struct bucket, by_name);
}

static struct bucket *bucket_of(struct throttle *throttle, const char *name)
{
	struct bucket *bucket = find(throttle, name);

	if (bucket) {
		TAILQ_REMOVE(&throttle->by_age, bucket, link);
	} else {
		if (throttle->by_name.count >= throttle->most)
			forget(throttle, TAILQ_FIRST(&throttle->by_age));
		bucket = xcalloc(1, sizeof *bucket);
		digest(name, bucket->name);
		bucket->left = throttle->burst;
		bucket->at_ms = clock_boot_ms();
		map_add(&throttle->by_name, &bucket->by_name, bucket->name);
	}
	TAILQ_INSERT_TAIL(&throttle->by_age, bucket, link);
	return bucket;
}

uint32_t throttle_take(struct throttle *throttle, const char *name)
{
	struct bucket *bucket = bucket_of(throttle, name);
	int64_t now_ms = clock_boot_ms();

	bucket->left += (double)(now_ms - bucket->at_ms) / (double)throttle->refill_ms;
	if (bucket->left > throttle->burst)
		bucket->left = throttle->burst;
	bucket->at_ms = now_ms;
	if (bucket->left < 1)
		return (uint32_t)((1 - bucket->left) * (double)throttle->refill_ms / 1000) + 1;
	bucket->left -= 1;
	return 0;
}

void throttle_give_back(struct throttle *throttle, const char *name)
{
	struct bucket *bucket = find(throttle, name);

	if (bucket && bucket->left + 1 <= throttle->burst)
		bucket->left += 1;
}
