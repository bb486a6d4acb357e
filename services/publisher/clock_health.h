/*
 * clock_health - how a session's clocks run, as it is asked for (GET /v1/sessions/{id}/clock).
 */
#ifndef PUBLISHER_CLOCK_HEALTH_H
#define PUBLISHER_CLOCK_HEALTH_H

#include "services/publisher/session.h"

/* The packed PublisherReply. The session has an opening. */
void clock_health_pack(const struct session *session, struct buf *ret);

#endif
