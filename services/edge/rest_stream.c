/* The part of rest that answers in chunks, as fast as the client reads. */
#include "services/edge/rest_internal.h"

void rest_stream_start(struct rest *rest, int status, const char *headers,
                       const struct rest_stream *stream, void *ctx)
{
	rest->stream = stream;
	rest->stream_ctx = ctx;
	rest_hand_over(rest);
	net_stream_start(rest->conn, status, headers);
	if (rest->head)
		rest_stream_end(rest);
}

enum err rest_stream_write(struct rest *rest, struct bytes data)
{
	if (rest->stream_ended)
		return ERR_CONFLICT;
	return net_stream_write(rest->conn, data, REST_STREAM_QUEUE);
}

void rest_stream_end(struct rest *rest)
{
	if (rest->stream_ended)
		return;
	rest->stream_ended = true;
	net_stream_end(rest->conn);
}

void rest_stream_abort(struct rest *rest, const char *why)
{
	rest->stream_ended = true;
	net_close_now(rest->conn, 1006, why);
}

void rest_drained(struct edge *edge, struct conn *conn)
{
	struct rest *rest = conn_user(conn);

	(void)edge;
	if (rest && rest->stream && !rest->stream_ended)
		rest->stream->more(rest, rest->stream_ctx);
}

bool rest_may_move(const struct edge *edge, const struct conn *conn)
{
	const struct rest *rest = conn_user(conn);

	return !rest || !rest->stream || rest->route->scope == 0 ||
	       grant_good(edge->grants, &rest->user);
}
