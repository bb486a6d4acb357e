/*
 * subscribe - one app's socket, /stream/subscribe (CONTRACT §4), and /echo.
 *
 * The queue of a subscriber is bounded; one that does not drain it is closed with 1013.
 */
#ifndef EDGE_SUBSCRIBE_H
#define EDGE_SUBSCRIBE_H

#include "services/edge/edge.h"

#define SUBSCRIBE_QUEUE_BYTES  (512u * 1024) /* about half an hour of one device */
#define SUBSCRIBE_KERNEL_BYTES (32 * 1024)   /* SO_SNDBUF: what a revoke cannot take back */

void subscribe_open(struct edge *edge, struct conn *conn, const struct net_request *request);
/* Sends every message back; for protocol test suites. Any live key may. */
void echo_open(struct edge *edge, struct conn *conn, const struct net_request *request);

#endif
