#include "services/edge/limit_internal.h"

#include "common/clock.h"
#include "common/key_limits.h"
#include "common/wire.h"

#include <stdio.h>
#include <string.h>

#define LONG_MS     3600000        /* any bucket is full after that             */
#define MESSAGE_MAX (1024u * 1024) /* a whole frame fits, however low the rate is */
#define ROOM_LOOKS  64             /* keys looked at for one that may go          */

#define MANY_FRAMES      "rate limit of the API key exceeded: frames per second"
#define MANY_BYTES       "rate limit of the API key exceeded: bytes per second"
#define MANY_SOCKETS     "limit of the API key exceeded: sockets open at once"
#define MANY_CONNECTIONS "rate limit of the API key exceeded: connections per second"

/* ---- buckets ---- */

void bucket_fill(struct bucket *bucket, uint64_t rate, uint64_t depth, int64_t now_ms)
{
	int64_t passed = bucket->at_ms ? now_ms - bucket->at_ms : LONG_MS;

	if (passed > 0)
		bucket->left += (uint64_t)(passed < LONG_MS ? passed : LONG_MS) * rate;
	if (bucket->left > depth * 1000 || passed >= LONG_MS)
		bucket->left = depth * 1000;
	bucket->at_ms = now_ms;
}

bool bucket_take(struct bucket *bucket, uint64_t tokens, uint64_t rate, uint64_t depth,
                 int64_t now_ms)
{
	if (rate == 0)
		return true;
	if (bucket->at_ms != now_ms)
		bucket_fill(bucket, rate, depth, now_ms);
	if (bucket->left < tokens * 1000)
		return false;
	bucket->left -= tokens * 1000;
	return true;
}

uint64_t limit_rate(const struct limit *limit, enum limit_kind kind, int64_t now_ms)
{
	bool told = limit->share_ms[kind] && now_ms - limit->share_ms[kind] < LIMIT_SHARE_MS;

	return told && limit->share[kind] < limit->most[kind] ? limit->share[kind]
	                                                      : limit->most[kind];
}

static uint64_t depth_of(enum limit_kind kind, uint64_t rate)
{
	switch (kind) {
	case LIMIT_BYTES:
		return rate > MESSAGE_MAX ? rate : MESSAGE_MAX;
	case LIMIT_REQUESTS:
		return rate * BUCKET_REQUESTS_S;
	case LIMIT_CONNECTIONS:
		return rate * BUCKET_CONNECTIONS_S;
	case LIMIT_FRAMES:
	case LIMIT_SOCKETS:
	case LIMIT_KINDS:
		break;
	}
	return rate;
}

static bool take(struct limit *limit, enum limit_kind kind, uint64_t tokens, int64_t now_ms)
{
	uint64_t rate = limit_rate(limit, kind, now_ms);

	if (bucket_take(&limit->bucket[kind], tokens, rate, depth_of(kind, rate), now_ms))
		return true;
	limit->refused[kind] += tokens;
	limit->limits->counts.refused++;
	return false;
}

/* ---- a key ---- */

static struct limit *find(const struct limits *limits, const struct uuid *key)
{
	return MAP_OWNER(map_find(&limits->by_key, key), struct limit, by_key);
}

/* A share of what was the limit before is none of this one. */
static void set_most(struct limit *limit, enum limit_kind kind, uint64_t most)
{
	if (limit->most[kind] != most)
		limit->share_ms[kind] = 0;
	limit->most[kind] = most;
}

static void set_rates(struct limit *limit, const Raeh__Principal *principal)
{
	static const enum limit_kind kinds[KEY_LIMIT_KINDS] = {
		[KEY_LIMIT_REQUESTS] = LIMIT_REQUESTS,
		[KEY_LIMIT_BYTES] = LIMIT_BYTES,
		[KEY_LIMIT_CONNECTIONS] = LIMIT_CONNECTIONS,
		[KEY_LIMIT_SOCKETS] = LIMIT_SOCKETS,
	};
	const uint64_t *usual = limit->limits->deps.settings.of_key;
	const struct key_limits own = key_limits_of(principal->limits);

	set_most(limit, LIMIT_FRAMES,
	         principal->has_frames_per_s ? principal->frames_per_s : usual[LIMIT_FRAMES]);
	for (unsigned i = 0; i < KEY_LIMIT_KINDS; i++)
		set_most(limit, kinds[i], own.of[i] ? own.of[i] : usual[kinds[i]]);
}

void limits_learn(struct limits *limits, const Raeh__Principal *principal)
{
	struct limit *limit = NULL;
	struct uuid key;

	if (wire_id(principal->key, &key))
		limit = find(limits, &key);
	if (limit)
		set_rates(limit, principal);
}

static void forget(struct limit *limit)
{
	map_remove(&limit->limits->by_key, &limit->by_key);
	list_remove(&limit->idle);
	mem_free(limit);
}

static bool is_told(const struct limit *limit)
{
	return memcmp(&limit->done, &limit->told, sizeof limit->done) == 0;
}

/* Of too many keys, one goes that nobody uses, however little is left of its limits: nobody is
 * shut out by keys that were. */
static bool make_room(struct limits *limits)
{
	unsigned looked = 0;

	if (limits->by_key.count < LIMIT_KEYS_MOST)
		return true;
	LIST_EACH(link, &limits->idle)
	{
		struct limit *oldest = LIST_OWNER(link, struct limit, idle);

		if (is_told(oldest)) {
			forget(oldest);
			return true;
		}
		if (++looked == ROOM_LOOKS)
			break;
	}
	return false;
}

struct limit *limit_enter(struct limits *limits, const Raeh__Principal *principal)
{
	struct limit *limit;
	struct uuid key;

	MUST(wire_id(principal->key, &key)); /* checked with the verdict */
	limit = find(limits, &key);
	if (!limit) {
		if (!make_room(limits))
			return NULL;
		limit = xcalloc(1, sizeof *limit);
		limit->limits = limits;
		limit->key = key;
		if (principal->has_user)
			(void)wire_id(principal->user, &limit->user);
		map_add(&limits->by_key, &limit->by_key, &limit->key);
	}
	set_rates(limit, principal);
	list_remove(&limit->idle);
	limit->users++;
	return limit;
}

void limit_leave(struct limit *limit)
{
	if (limit && --limit->users == 0) /* it is forgotten by limits_tidy(), or for another */
		list_append(&limit->limits->idle, &limit->idle);
}

const char *limit_take_frame(struct limit *limit, size_t bytes, int64_t now_ms)
{
	if (!take(limit, LIMIT_FRAMES, 1, now_ms))
		return MANY_FRAMES;
	if (!take(limit, LIMIT_BYTES, bytes, now_ms))
		return MANY_BYTES;
	limit->done.frames++;
	limit->done.bytes += bytes;
	return NULL;
}

const char *limit_take_socket(struct limit *limit)
{
	int64_t now_ms = clock_boot_ms();
	uint64_t most = limit_rate(limit, LIMIT_SOCKETS, now_ms);

	if (most > 0 && limit->sockets >= most) {
		limit->refused[LIMIT_SOCKETS]++;
		limit->limits->counts.refused++;
		return MANY_SOCKETS;
	}
	if (!take(limit, LIMIT_CONNECTIONS, 1, now_ms))
		return MANY_CONNECTIONS;
	limit->sockets++;
	limit->done.connections++;
	return NULL;
}

void limit_give_socket(struct limit *limit)
{
	limit->sockets--;
}

bool limit_take_request(struct limit *limit)
{
	if (!take(limit, LIMIT_REQUESTS, 1, clock_boot_ms()))
		return false;
	limit->done.requests++;
	return true;
}

void limit_headers(struct limit *limit, char ret[LIMIT_HEADERS_MAX])
{
	int64_t now_ms = clock_boot_ms();
	uint64_t rate = limit_rate(limit, LIMIT_REQUESTS, now_ms);
	uint64_t depth = depth_of(LIMIT_REQUESTS, rate), left, missing;

	ret[0] = '\0';
	if (rate == 0)
		return;
	bucket_fill(&limit->bucket[LIMIT_REQUESTS], rate, depth, now_ms);
	left = limit->bucket[LIMIT_REQUESTS].left;
	missing = depth * 1000 - left;
	(void)snprintf(ret, LIMIT_HEADERS_MAX,
	               "RateLimit-Limit: %llu\r\nRateLimit-Remaining: %llu\r\n"
	               "RateLimit-Reset: %llu\r\n",
	               (unsigned long long)depth, (unsigned long long)(left / 1000),
	               (unsigned long long)((missing + rate * 1000 - 1) / (rate * 1000)));
}

unsigned limit_retry_after_s(struct limit *limit)
{
	uint64_t rate = limit_rate(limit, LIMIT_REQUESTS, clock_boot_ms());
	uint64_t left = limit->bucket[LIMIT_REQUESTS].left;

	return rate == 0 || left >= 1000 ? 1 : (unsigned)((1000 - left) / (rate * 1000) + 1);
}

void limit_count_insight(struct limit *limit)
{
	limit->done.insights++;
}

/* ---- all of them ---- */

/* Looks alone: a bucket that fills slowly counts as full when it was left for LONG_MS. */
static bool is_full(const struct limit *limit, enum limit_kind kind, int64_t now_ms)
{
	uint64_t rate = limit_rate(limit, kind, now_ms);
	struct bucket bucket = limit->bucket[kind];

	if (rate == 0 || bucket.at_ms == 0)
		return true;
	bucket_fill(&bucket, rate, depth_of(kind, rate), now_ms);
	return bucket.left == depth_of(kind, rate) * 1000;
}

static void tidy(void *ctx, struct map_node *node)
{
	struct limit *limit = MAP_OWNER(node, struct limit, by_key);
	const int64_t *now_ms = ctx;

	if (limit->users > 0 || !is_told(limit))
		return;
	for (int kind = 0; kind < LIMIT_SOCKETS; kind++)
		if (!is_full(limit, (enum limit_kind)kind, *now_ms))
			return;
	forget(limit);
}

void limits_tidy(struct limits *limits)
{
	int64_t now_ms = clock_boot_ms();

	map_each(&limits->by_key, tidy, &now_ms);
	addresses_tidy(limits, now_ms);
}

struct limit_counts limits_counts(const struct limits *limits)
{
	struct limit_counts counts = limits->counts;

	counts.keys = limits->by_key.count;
	counts.addresses = limits->addresses.count;
	return counts;
}

struct limits *limits_new(const struct limits_deps *deps)
{
	struct limits *limits = xcalloc(1, sizeof *limits);

	limits->deps = *deps;
	map_init(&limits->by_key, sizeof(struct uuid));
	list_init(&limits->idle);
	map_init(&limits->addresses, sizeof((struct address *)0)->bytes);
	report_start(limits);
	return limits;
}

static void free_limit(void *ctx, struct map_node *node)
{
	(void)ctx;
	forget(MAP_OWNER(node, struct limit, by_key));
}

void limits_free(struct limits *limits)
{
	if (!limits)
		return;
	report_done(limits);
	map_each(&limits->by_key, free_limit, NULL);
	map_done(&limits->by_key);
	addresses_done(limits);
	mem_free(limits);
}
