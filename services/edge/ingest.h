/*
 * ingest - one device's socket, /stream/ingest (CONTRACT §3).
 *
 *     key asked ──► query checked ──► router: OpenSession ──► publisher: item 0 durable
 *        4001          4004              4004, 1013              handshake, then frames
 *
 * With resume=<session_id> an open or just closed session of the device goes on: the router gives
 * it a new epoch, the publisher the number of the next frame, and the handshake says it. An older
 * connection of the session gets 4009, what it held is dropped: the device sends it again.
 *
 * Reading is stopped until the handshake message is out, so that eager firmware is not
 * rejected, and while what is unacknowledged is at its bound (backpressure); after
 * pause_most_ms of that the device is told 1013.
 */
#ifndef EDGE_INGEST_H
#define EDGE_INGEST_H

#include "services/edge/edge.h"

#define INGEST_SUPERSEDED "superseded by a newer connection of this device"
#define INGEST_OPEN_MS    9000 /* from the upgrade to the handshake message */

void ingest_open(struct edge *edge, struct conn *conn, const struct net_request *request);

/* Devices that stream with this key, some perhaps twice: borrowed until the next turn. */
size_t ingest_devices(struct edge *edge, const struct uuid *key, const char **ret, size_t most);
/* By the router's word: a newer connection took over, the device was deleted. Unknown: nothing. */
void ingest_end(struct edge *edge, const struct uuid *session, int code, const char *reason);
/* A newer connection took over; or goes on with this session: those of it that were resumed less
 * often. */
void ingest_superseded(struct edge *edge, const struct uuid *session, uint64_t below_epoch);

/* From net: what was queued has gone. */
void ingest_drained(struct edge *edge, struct conn *conn);

/* Modality channels of a device model were removed: a frame on one of these slots is refused
 * (4004) from now on, in sessions that are open or being opened. */
void ingest_slots_ended(struct edge *edge, const struct uuid *account, const struct uuid *model,
                        const uint32_t *slots, size_t n);

/* Those whose socket went while the router was asked. */
void ingest_free_unopened(struct edge *edge);

#endif
