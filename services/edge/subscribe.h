/*
 * subscribe - one app's socket, /stream/subscribe (CONTRACT §4), and /echo.
 *
 * The queue of a subscriber is bounded; one that does not drain it hears no more. What waits
 * for it is dropped, and it is told 1013 behind what the kernel has; it has SUBSCRIBE_TELL_MS to
 * read that far. Until then it is a socket of its key: a revoke resets it.
 */
#ifndef EDGE_SUBSCRIBE_H
#define EDGE_SUBSCRIBE_H

#include "services/edge/edge.h"

struct socket;

#define SUBSCRIBE_QUEUE_BYTES  (512u * 1024) /* about half an hour of one device */
#define SUBSCRIBE_TELL_MS      10000
#define SUBSCRIBE_KERNEL_BYTES (32 * 1024) /* SO_SNDBUF: what a revoke cannot take back */

void subscribe_open(struct edge *edge, struct conn *conn, const struct net_request *request);
/* Everything queued on it has been handed to the kernel. */
void subscribe_drained(struct socket *socket);
/* Sends every message back; for protocol test suites. Any live key may. */
void echo_open(struct edge *edge, struct conn *conn, const struct net_request *request);

#endif
