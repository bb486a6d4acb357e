/*
 * gather - the metrics of every process, for /metrics on the admin address.
 *
 * Each process answers with its own Prometheus text over the bus; one that does not answer
 * is left out and counted in raeh_processes_silent.
 */
#ifndef EDGE_GATHER_H
#define EDGE_GATHER_H

#include "services/edge/edge.h"

/* Answers the request now or within GATHER_MS. */
#define GATHER_MS 1500
void gather_metrics(struct edge *edge, struct conn *conn);
/* The client is gone. */
void gather_gone(struct edge *edge, struct conn *conn);
void gather_free_all(struct edge *edge);

#endif
