/*
 * bus_requests - the requests to one name that wait for their answer.
 *
 *     add ──► queue ──► in the air (at most BUS_MAX_IN_AIR) ──► answer, or deadline
 *                        └─ sent again every BUS_RESEND_MS ─┘
 *
 * The half of the bus's promise that every engine shares: the order of the queue, its
 * bounds, resends, deadlines, and that reply_fn is called exactly once. It knows no
 * wire: the engine gives it send() and tells it of answers.
 */
#ifndef COMMON_BUS_REQUESTS_H
#define COMMON_BUS_REQUESTS_H

#include "common/bus.h"

struct bus_requests;

/* Borrows body. The highest bit of id is set. False: not now; it is tried again soon. */
typedef bool bus_send_fn(void *ctx, uint32_t id, struct bytes body);

struct bus_requests *bus_requests_new(struct loop *loop, bus_send_fn *send, void *ctx);
/* Calls nobody back. */
void bus_requests_free(struct bus_requests *requests);
AUTO_FREE(struct bus_requests, bus_requests_free)

void bus_requests_add(struct bus_requests *requests, struct bytes body, int64_t deadline_ms,
                      bus_reply_fn *fn, void *ctx);

/* A new connection: what was in the air is sent again at once. */
void bus_requests_again(struct bus_requests *requests);

/* Of an id that nobody waits for (answered before, or too late) it does nothing. */
void bus_requests_answer(struct bus_requests *requests, uint32_t id, enum err err,
                         struct bytes reply);

#endif
