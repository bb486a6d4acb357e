/*
 * gaps - what is missing of a session and why (GET /v1/sessions/{id}/gaps).
 *
 *     received = stored + duplicates + rejected + rate_limited
 *
 * never-sent and late come from the session's ledger; beside them: a slot that has sent nothing,
 * or ended more than 2 s before the others; the frame for which the edge closed the socket; and
 * edge-lost: closed by another than its edge, which has not delivered the rest.
 */
#ifndef PUBLISHER_GAPS_H
#define PUBLISHER_GAPS_H

#include "services/publisher/session.h"

/* The packed PublisherReply. The session has an opening. */
void gaps_pack(const struct session *session, struct buf *ret);

#endif
