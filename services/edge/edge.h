/*
 * edge - the actor of open sockets: the WebSockets of devices and apps, and the REST layer.
 *
 *     net ──on_open──► ingest    ──stream──► uplink ──Items──► publisher-<n>
 *         │            subscribe ◄──insight── feed  ◄─────────
 *         └─on_request─► rest ──command──► auth, router, publisher-<n>
 *                 every one of them is a user of a grant (the key), under the lease
 *
 * Nothing durable is kept. What may move: a byte of a socket moves only while the lease is
 * held and the socket's key is alive (grant_good).
 *
 * This header is the folder's own: other services see only the messages.
 */
#ifndef EDGE_EDGE_H
#define EDGE_EDGE_H

#include "common/bus.h"
#include "common/list.h"
#include "common/map.h"
#include "common/metrics.h"
#include "common/uuid.h"
#include "services/edge/feed.h"
#include "services/edge/grant.h"
#include "services/edge/lease.h"
#include "services/edge/limit.h"
#include "services/edge/net.h"
#include "services/edge/reads.h"
#include "services/edge/replay.h"
#include "services/edge/uplink.h"

#define EDGE_METRICS(M)                                                                            \
	M(GAUGE, sockets_ingest, "ingest sockets open now")                                        \
	M(GAUGE, sockets_subscribe, "subscribe sockets open now")                                  \
	M(COUNTER, sessions_opened_total, "sessions opened since start")                           \
	M(COUNTER, frames_total, "frames taken from devices")                                      \
	M(COUNTER, frames_refused_total, "frames refused: malformed, unknown slot, over the rate") \
	M(COUNTER, frame_bytes_total, "bytes of frames taken")                                     \
	M(GAUGE, uplink_held_bytes, "bytes held until a publisher has synced them")                \
	M(GAUGE, uplink_streams, "sessions with items not yet acknowledged or open")               \
	M(COUNTER, uplink_batches_total, "batches sent to publishers")                             \
	M(COUNTER, uplink_resent_total, "items sent again")                                        \
	M(COUNTER, backpressure_total, "times that reading a device was stopped")                  \
	M(COUNTER, insights_total, "insights received from publishers")                            \
	M(COUNTER, feed_holes_total, "holes in the feed that were fetched")                        \
	M(COUNTER, feed_away_total, "publishers that the feed stopped waiting for")                \
	M(COUNTER, subscribers_too_slow_total, "subscribers closed with 1013")                     \
	M(COUNTER, subscribers_behind_total, "subscribers that took a hole from the history")      \
	M(COUNTER, replays_total, "subscribers that asked for what was before")                    \
	M(COUNTER, requests_total, "REST requests answered")                                       \
	M(COUNTER, refused_total, "sockets and requests refused for their key")                    \
	M(COUNTER, limited_total, "frames, sockets and requests over the limits of their key")     \
	M(COUNTER, limited_addresses_total, "connections over the limits of their address")        \
	M(GAUGE, limit_keys, "keys of which limits or use are kept")                               \
	M(GAUGE, limit_addresses, "addresses of which limits are kept")                            \
	M(COUNTER, use_reports_lost_total, "reports of use that auth did not take; sent again")    \
	M(COUNTER, reads_lost_total, "reads of health data that the audit trail has not")          \
	M(COUNTER, revoked_sockets_total, "open sockets closed because their key died")            \
	M(GAUGE, bus_unanswered, "requests to services that wait for an answer")                   \
	M(GAUGE, requests_under_way, "REST requests not answered, or not all out")                 \
	M(GAUGE, exports_under_way, "files of raw samples that are being downloaded")              \
	M(GAUGE, closings_waiting, "closed sessions that the router is not yet told of")           \
	M(COUNTER, closings_dropped_total, "of these, left to the router's reconciliation")        \
	M(GAUGE, lease_held, "1 while this edge may move bytes")                                   \
	M(GAUGE, notices_applied, "newest notice in force here")                                   \
	M(GAUGE, net_websockets, "WebSockets, closing ones too")                                   \
	M(COUNTER, net_turned_away_total, "connections over --max-conns")                          \
	M(GAUGE, net_queued_bytes, "bytes that wait to be written, all sockets")                   \
	M(GAUGE, net_gathered_bytes, "bytes of messages and bodies not yet whole")                 \
	M(COUNTER, net_protocol_errors_total, "WebSocket protocol errors of peers")                \
	M(COUNTER, net_peers_gone_total, "peers that answered no ping")                            \
	M(COUNTER, net_bytes_in_total, "bytes read")                                               \
	M(COUNTER, net_bytes_out_total, "bytes written")
METRICS_DECLARE(edge, EDGE_METRICS);

#define NOTICES_REMEMBERED 1024 /* whose closed sockets are still known */

struct edge_settings {
	uint32_t slot;
	unsigned publishers, edges;
	int64_t idle_timeout_ms;
	int64_t pause_most_ms; /* a socket that is not read, or without a lease: then 1013 */
	struct limit_settings limits;
	bool holds_slot_lock;
	bool behind_proxy; /* net believes X-Forwarded-For */
};

struct edge {
	struct edge_settings settings;
	struct loop *loop;
	struct bus *bus;
	struct net *net;
	struct uuid incarnation;
	struct lease *lease;
	struct grants *grants;
	struct limits *limits;
	struct reads *reads;
	struct uplinks *uplinks;
	struct feed *feed;
	struct replays replays;
	struct map events;        /* event streams, by conn */
	struct map held;          /* struct socket: no WebSocket yet, by conn */
	struct socket *upgrading; /* it becomes one just now */
	struct edge_metrics metrics;
	struct list sockets;  /* struct socket: open, not told to close */
	struct list closings; /* sessions that the router must still be told of */
	size_t n_closings, closings_in_air;
	struct timer closings_retry;
	struct list requests;   /* struct rest: REST requests under way           */
	size_t export_runs;     /* held by the exports under way */
	size_t answer_bytes;    /* held by the answers under way: rest_hold() */
	struct list pings;      /* struct readiness: /readyz under way            */
	struct list gatherings; /* struct gathering: /metrics under way         */
	struct list leaving;    /* struct rest: answered, a service still works   */
	struct list unopened;   /* struct socket: gone while the router was asked */
	struct map opening;     /* struct ingest while the router is asked, by session */
	struct {
		uint64_t number;
		struct grant_counts counts;
	} closed_by[NOTICES_REMEMBERED]; /* by number modulo */
	struct timer housekeeping;
	struct timer drain_timer;
	bool draining;
	int64_t drain_started_ms;
	int64_t revived_ms; /* boot time; sockets may be read again since then; 0: never away */
	char process[16];   /* "edge-0" */
};

/* Registers, follows the feed, serves edge-<slot>. Give it a net (edge_net_events) before
 * the loop runs. */
struct edge *edge_new(const struct edge_settings *settings, struct loop *loop, struct bus *bus);
void edge_free(struct edge *edge);
AUTO_FREE(struct edge, edge_free)
extern const struct net_events edge_net_events;
void edge_set_net(struct edge *edge, struct net *net);

/* No new connections; every socket gets 1001; what is held goes to the publishers; then the
 * lease ends and net stops. */
void edge_drain(struct edge *edge);

#endif
