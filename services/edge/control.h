/*
 * control - what others ask of this edge on edge-<slot>: notices to apply, sockets of a key,
 * its sessions, its metrics. Also the broadcasts it listens to.
 */
#ifndef EDGE_CONTROL_H
#define EDGE_CONTROL_H

#include "services/edge/edge.h"

/* Serves and subscribes. ERR_IO: the bus refused, logged. */
CHECKED enum err control_start(struct edge *edge);
/* The lease calls it: the key of the notice is dead when it returns. */
void control_notice(struct edge *edge, const Auth__Notice *notice);
void control_metrics(struct edge *edge, struct buf *ret);

#endif
