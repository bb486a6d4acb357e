/*
 * limit - how much a key, and an address, may do at this edge; and what each key has done.
 *
 *     socket, request ─limit_enter()─► struct limit (one a key) ─limit_take_…()─► go on, or 4029 /
 * 429 auth ◄─KeysUsed: done since, wanted of each limit─ limits ◄─its share of each limit─
 *
 * A rate is a token bucket. Where several edges run, a key's limit is one for all of them: an
 * edge that sees more than a part of it tells auth every second what is wanted, and is told how
 * much of it is its own (LIMIT_SHARE_MS). An edge that was told nothing may use the whole, so a
 * limit may be passed for a second or two when a load begins on many edges at once, and while
 * auth is away; it is never less than what one edge alone may have.
 *
 * An address is that of the peer, or what a trusted proxy says: IPv4 whole, IPv6 by its first
 * 64 bits. Loopback is spared.
 *
 * What was done is counted once: a report is numbered and sent again as it was until auth has
 * taken it. An edge that is killed loses what it had not reported, LIMIT_REPORT_MS at most.
 */
#ifndef EDGE_LIMIT_H
#define EDGE_LIMIT_H

#include "common/bus.h"
#include "common/map.h"
#include "common/uuid.h"
#include "raeh.pb-c.h"

#define LIMIT_REPORT_MS   5000
#define LIMIT_DEMAND_MS   1000
#define LIMIT_SHARE_MS    5000  /* a share that is older is not believed       */
#define LIMIT_KEYS_MOST   65536 /* keys in use at once                         */
#define LIMIT_HEADERS_MAX 128   /* bytes of limit_headers(), with the zero     */

struct limits;
struct limit;

enum limit_kind {
	LIMIT_FRAMES,
	LIMIT_BYTES,
	LIMIT_REQUESTS,
	LIMIT_CONNECTIONS,
	LIMIT_SOCKETS, /* open at once: no rate */
	LIMIT_KINDS,
};

/* Of a key without settings of its own, and of an address; 0: no limit. */
struct limit_settings {
	uint64_t of_key[LIMIT_KINDS]; /* a second; sockets: open */
	unsigned address_connections; /* a second */
	unsigned address_handshakes;  /* open at once */
};

struct limits_deps {
	struct loop *loop;
	struct bus *bus;
	struct limit_settings settings;
	uint32_t slot;
	unsigned edges;
	struct uuid incarnation;
};

struct limits *limits_new(const struct limits_deps *deps);
void limits_free(struct limits *limits); /* after everybody has left */
AUTO_FREE(struct limits, limits_free)

/* ---- a key ---- */

/* The key's, until limit_leave(); NULL: too many keys. The newest principal's limits hold. */
struct limit *limit_enter(struct limits *limits, const Raeh__Principal *principal);
/* These hold from now on for who has entered already. */
void limits_learn(struct limits *limits, const Raeh__Principal *principal);
/* NULL is allowed. */
void limit_leave(struct limit *limit);

/* NULL, or the sentence for the close frame. now_ms: boot time, read once a message. */
const char *limit_take_frame(struct limit *limit, size_t bytes, int64_t now_ms);
/* Likewise; limit_give_socket() when it ends. */
const char *limit_take_socket(struct limit *limit);
void limit_give_socket(struct limit *limit);
/* False: over the rate. */
bool limit_take_request(struct limit *limit);
/* RateLimit-… for the answer to a request, each line ended by \r\n; and in how many seconds
 * there is room for another. */
void limit_headers(struct limit *limit, char ret[LIMIT_HEADERS_MAX]);
unsigned limit_retry_after_s(struct limit *limit);
/* An insight was queued for a subscriber. */
void limit_count_insight(struct limit *limit);

/* ---- an address ---- */

/* A connection has come. True: it may go on with its handshake; limit_shaken() when that is
 * over, however it ends. */
bool limit_take_handshake(struct limits *limits, const char *address);
void limit_shaken(struct limits *limits, const char *address);
/* The same without a handshake: a proxy had that. */
bool limit_take_connection(struct limits *limits, const char *address);

/* ---- for the report ---- */

/* Everything done goes to auth before fn is called, or as much as goes in half a second. */
void limits_flush(struct limits *limits, loop_fn *fn, void *ctx);

struct limit_counts {
	uint64_t refused, addresses_refused, reports_lost;
	size_t keys, addresses;
};
struct limit_counts limits_counts(const struct limits *limits);

#endif
