/*
 * limit_internal - what the files of limit share.
 *
 *     limit.c          a key: its buckets, its count of what was done
 *     limit_address.c  an address
 *     limit_report.c   to auth and back
 */
#ifndef EDGE_LIMIT_INTERNAL_H
#define EDGE_LIMIT_INTERNAL_H

#include "common/list.h"
#include "services/edge/limit.h"

/* Tokens are counted in thousandths, so that a millisecond's worth is a whole number. */
struct bucket {
	int64_t at_ms; /* boot time of what is left */
	uint64_t left;
};

/* What was done with a key: only grows. */
struct limit_done {
	uint64_t requests, connections, frames, bytes, insights;
};

struct limit {
	struct limits *limits;
	struct map_node by_key;
	struct list idle;      /* nobody uses it */
	struct uuid key, user; /* user: whose login it is; nil: an API key */
	unsigned users;
	uint32_t sockets;
	struct bucket bucket[LIMIT_SOCKETS];
	uint64_t most[LIMIT_KINDS];     /* of this key over all edges; 0: no limit */
	uint64_t share[LIMIT_KINDS];    /* of these, ours; while share_ms is young */
	int64_t share_ms[LIMIT_KINDS];  /* boot time; 0: never told */
	uint64_t refused[LIMIT_KINDS];  /* only grows */
	uint64_t wanted[LIMIT_SOCKETS]; /* done and refused when demand was looked at last */
	uint64_t refused_sockets;       /* likewise */
	struct limit_done done, told;   /* told: what reports hold already */
};

struct address {
	struct map_node node;
	uint8_t bytes[16];
	struct bucket connections;
	unsigned handshakes;
};

struct report; /* limit_report.c */

struct limits {
	struct limits_deps deps;
	struct map by_key;
	struct list idle; /* struct limit: the one left longest ago first */
	struct map addresses;
	int64_t addresses_tidied_ms;
	struct timer tick;
	int64_t ticked_ms, reported_ms;
	struct report *report; /* under way; NULL: none */
	uint64_t reports;      /* made since start */
	bool demanding;        /* a question about shares is under way */
	size_t demanded; /* of those that are near their limits, so many have had their turn */
	loop_fn *flushed;
	void *flushed_ctx;
	int64_t flush_until_ms;
	struct limit_counts counts;
};

/* What a bucket holds at most: this many seconds' worth. */
#define BUCKET_REQUESTS_S    5
#define BUCKET_CONNECTIONS_S 10

bool bucket_take(struct bucket *bucket, uint64_t tokens, uint64_t rate, uint64_t depth,
                 int64_t now_ms);
void bucket_fill(struct bucket *bucket, uint64_t rate, uint64_t depth, int64_t now_ms);

/* Of what a key may have at this edge now. */
uint64_t limit_rate(const struct limit *limit, enum limit_kind kind, int64_t now_ms);
/* Forgets those keys of which nothing is left to know. */
void limits_tidy(struct limits *limits);

void addresses_tidy(struct limits *limits, int64_t now_ms);
void addresses_done(struct limits *limits);

void report_start(struct limits *limits);
void report_done(struct limits *limits);

#endif
