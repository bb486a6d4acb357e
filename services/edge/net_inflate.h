/*
 * net_inflate - permessage-deflate (RFC 7692), the receiving half: the only includer of zlib
 * in the edge.
 *
 * Agreed on is always "no context takeover", so that an idle socket keeps no window and one
 * inflater serves all of them; what we send goes uncompressed, which the extension allows.
 */
#ifndef EDGE_NET_INFLATE_H
#define EDGE_NET_INFLATE_H

#include "common/err.h"
#include "common/mem.h"

/* What to answer to a client's Sec-WebSocket-Extensions; "" = nothing of it is acceptable. */
void inflate_negotiate(const char *offers, char ret[128]);

struct inflater;
struct inflater *inflater_new(void);
void inflater_free(struct inflater *inflater);
/* One whole message. *ret is borrowed until the next call. ERR_LIMIT: it would become longer
 * than max; ERR_MALFORMED. Never holds more than max. */
CHECKED enum err inflater_message(struct inflater *inflater, struct bytes message, size_t max,
                                  struct bytes *ret);
/* Gives the memory of the last message back. */
void inflater_done(struct inflater *inflater);

#endif
