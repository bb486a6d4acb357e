/*
 * origin - where a request came from, for the audit trail: kept until its command is sent.
 *
 * Only what is text, and only so much of it; the address is what net says of the peer.
 */
#ifndef EDGE_ORIGIN_H
#define EDGE_ORIGIN_H

#include "raeh.pb-c.h"
#include "services/edge/net.h"

#define ORIGIN_ADDRESS_MAX 45 /* bytes */
#define ORIGIN_AGENT_MAX   160

struct origin;

struct origin *origin_new(const struct net_request *request);
struct origin *origin_copy(const struct origin *origin);
void origin_free(struct origin *origin); /* NULL is allowed */
AUTO_FREE(struct origin, origin_free)
/* NULL equals no origin. */
bool origin_equal(const struct origin *a, const struct origin *b);
/* Borrows origin. */
Raeh__Origin origin_message(const struct origin *origin);

#endif
