/*
 * Addresses: how fast connections come from one, and how many of them have not got as far as a
 * request. What is known of an address is forgotten when it has been quiet for a while.
 */
#include "services/edge/limit_internal.h"

#include "common/address.h"
#include "common/clock.h"

#include <string.h>

#define ADDRESSES_MOST 65536
#define TIDY_MS        1000 /* it looks at all of them */

static struct address *find(const struct limits *limits, const uint8_t bytes[16])
{
	return MAP_OWNER(map_find(&limits->addresses, bytes), struct address, node);
}

/* NULL: spared, or there are too many to tell them apart. */
static struct address *of_text(struct limits *limits, const char *text)
{
	int64_t now_ms = clock_boot_ms();
	struct address *address;
	uint8_t bytes[16];

	if (!address_owner(text, bytes))
		return NULL;
	address = find(limits, bytes);
	if (address)
		return address;
	if (limits->addresses.count >= ADDRESSES_MOST &&
	    now_ms - limits->addresses_tidied_ms >= TIDY_MS)
		addresses_tidy(limits, now_ms);
	if (limits->addresses.count >= ADDRESSES_MOST)
		return NULL;
	address = xcalloc(1, sizeof *address);
	memcpy(address->bytes, bytes, sizeof bytes);
	map_add(&limits->addresses, &address->node, address->bytes);
	return address;
}

static bool take(struct limits *limits, struct address *address)
{
	uint64_t rate = limits->deps.settings.address_connections;

	if (bucket_take(&address->connections, 1, rate, rate * BUCKET_CONNECTIONS_S,
	                clock_boot_ms()))
		return true;
	limits->counts.addresses_refused++;
	return false;
}

bool limit_take_connection(struct limits *limits, const char *text)
{
	struct address *address = of_text(limits, text);

	return !address || take(limits, address);
}

bool limit_take_handshake(struct limits *limits, const char *text)
{
	struct address *address = of_text(limits, text);
	unsigned most = limits->deps.settings.address_handshakes;

	if (!address)
		return true;
	if (most > 0 && address->handshakes >= most) {
		limits->counts.addresses_refused++;
		return false;
	}
	if (!take(limits, address))
		return false;
	address->handshakes++;
	return true;
}

void limit_shaken(struct limits *limits, const char *text)
{
	struct address *address;
	uint8_t bytes[16];

	if (!address_owner(text, bytes))
		return;
	address = find(limits, bytes);
	if (address && address->handshakes > 0) /* it may have begun when there were too many */
		address->handshakes--;
}

static void forget(void *ctx, struct map_node *node)
{
	struct limits *limits = ctx;

	map_remove(&limits->addresses, node);
	mem_free(MAP_OWNER(node, struct address, node));
}

struct tidying {
	struct limits *limits;
	int64_t now_ms;
};

static void tidy(void *ctx, struct map_node *node)
{
	struct tidying *tidying = ctx;
	struct address *address = MAP_OWNER(node, struct address, node);
	uint64_t rate = tidying->limits->deps.settings.address_connections;

	if (address->handshakes > 0)
		return;
	if (rate > 0)
		bucket_fill(&address->connections, rate, rate * BUCKET_CONNECTIONS_S,
		            tidying->now_ms);
	if (address->connections.left >= rate * BUCKET_CONNECTIONS_S * 1000)
		forget(tidying->limits, node);
}

void addresses_tidy(struct limits *limits, int64_t now_ms)
{
	struct tidying tidying = { limits, now_ms };

	limits->addresses_tidied_ms = now_ms;
	map_each(&limits->addresses, tidy, &tidying);
}

void addresses_done(struct limits *limits)
{
	map_each(&limits->addresses, forget, limits);
	map_done(&limits->addresses);
}
