/*
 * rest_handler - what a handler of the edge's own (rest_route.here) may use.
 *
 * The handler is called once, with the command filled in and the principal beside it. It ends
 * the request with exactly one of rest_answer, rest_refuse, rest_stream_start … rest_stream_end:
 * at once, or from the answer to a question it asked. When the client goes or its key dies first,
 * nothing of the handler is called again but its stream's gone(); what it asked is let go.
 */
#ifndef EDGE_REST_HANDLER_H
#define EDGE_REST_HANDLER_H

#include "services/edge/rest.h"

#define REST_STREAM_QUEUE (256u * 1024) /* bytes a stream may have queued */

struct edge *rest_edge(const struct rest *rest);
/* The chosen command, owned by the request; NULL: the row names none. */
ProtobufCMessage *rest_command(struct rest *rest);
/* NULL: the row asks for no key. Borrowed until the next turn. */
const Raeh__Principal *rest_principal(const struct rest *rest);
/* The id in the path. All zero: garbage, or there is none. */
const struct uuid *rest_subject(const struct rest *rest);
/* As it came; "" after a POST, PUT, PATCH. */
const char *rest_query(const struct rest *rest);

/* Which publisher has the session. */
void rest_publisher_of(const struct rest *rest, const struct uuid *session, char ret[BUS_NAME_MAX]);
/* The request message of the row's service with command and principal, packed into buf. */
struct bytes rest_pack(struct rest *rest, struct buf *buf);

/* Asks a service. err: OK, or it did not answer in time (deadline_ms 0: REST_SERVICE_MS). */
typedef void rest_reply_fn(struct rest *rest, const char *name, enum err err, struct bytes data);
void rest_ask(struct rest *rest, const char *name, struct bytes request, int64_t deadline_ms,
              rest_reply_fn *fn);

/* extra: further headers, each ended by \r\n, or "". */
void rest_answer(struct rest *rest, int status, const char *json, const char *extra);
/* As problem+json. */
void rest_refuse(struct rest *rest, int status, const char *detail, const char *extra);
void rest_refuse_as_told(struct rest *rest, const Raeh__Error *error);

/* A chunked answer, for what is long. more() is called when all that was written has left for
 * the kernel: write the next part then, or ask a service for it first; so a slow reader is
 * paced by its own socket and holds up nobody. gone() is called once, however it ends: it
 * frees ctx, and nothing may be written after it. */
struct rest_stream {
	void (*more)(struct rest *rest, void *ctx);
	void (*gone)(struct rest *rest, void *ctx);
};
void rest_stream_start(struct rest *rest, int status, const char *headers,
                       const struct rest_stream *stream, void *ctx);
/* ERR_LIMIT: REST_STREAM_QUEUE would be passed; nothing was queued: wait for more(). */
CHECKED enum err rest_stream_write(struct rest *rest, struct bytes data);
void rest_stream_end(struct rest *rest);
/* What was begun cannot be ended: the connection breaks off, so that the client knows. */
void rest_stream_abort(struct rest *rest, const char *why);

#endif
