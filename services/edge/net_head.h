/*
 * net_head - one HTTP/1.1 request head, and the chunks of a body.
 *
 * Strict where two readers could disagree (RFC 9112): no folded lines, no space before a
 * colon, one Host, one Content-Length, never with Transfer-Encoding. Lenient where all
 * readers agree: bare LF ends a line, empty lines before a request are skipped.
 *
 * Pure: works in the text it is given, allocates nothing.
 */
#ifndef EDGE_NET_HEAD_H
#define EDGE_NET_HEAD_H

#include "common/mem.h"

#include <sys/types.h>

#define HEAD_MAX_BYTES   (16u * 1024)
#define HEAD_MAX_HEADERS 100

/* The fields that anybody here asks for. Those given twice are joined with ", " (cookies
 * with "; "). */
enum head_field {
	HEAD_ACCEPT,
	HEAD_ACCEPT_ENCODING,
	HEAD_AUTHORIZATION,
	HEAD_CONNECTION,
	HEAD_CONTENT_LENGTH,
	HEAD_CONTENT_TYPE,
	HEAD_COOKIE,
	HEAD_CSRF_TOKEN,
	HEAD_EXPECT,
	HEAD_FORWARDED_FOR,
	HEAD_FORWARDED_PROTO,
	HEAD_HOST,
	HEAD_IDEMPOTENCY_KEY,
	HEAD_IF_NONE_MATCH,
	HEAD_LAST_EVENT_ID,
	HEAD_ORIGIN,
	HEAD_PREFER,
	HEAD_TRANSFER_ENCODING,
	HEAD_UPGRADE,
	HEAD_USER_AGENT,
	HEAD_WS_EXTENSIONS,
	HEAD_WS_KEY,
	HEAD_WS_PROTOCOL,
	HEAD_WS_VERSION,
	HEAD_FIELDS,
};

struct head {
	const char *method;
	const char *path;               /* as net_request.path; "*" for OPTIONS * */
	const char *query;              /* after '?', as sent; "" = none       */
	const char *field[HEAD_FIELDS]; /* NULL = absent          */
	uint64_t content_length;
	bool version_1_0, keep_alive, chunked;
};

/* Bytes up to and with the empty line that ends the head; 0 = not there yet. Bytes before
 * *seen were looked at by an earlier call. */
size_t head_find_end(const uint8_t *data, size_t len, size_t *seen);

/* What head_parse() needs for a head of len bytes. */
#define HEAD_TEXT_BYTES(len) (2 * (len) + 2)

/* text holds the head (len bytes, then scratch); what *ret points to lives in it. 0, or the
 * HTTP status to refuse it with: 400, 431, 501, 505. */
int head_parse(char *text, size_t len, struct head *ret);

/* Is word one of the comma-separated words of value (any case)? NULL has none. */
bool head_has_word(const char *value, const char *word);

/* A chunked body. Zero it to start. */
struct chunked {
	uint64_t left; /* of this chunk */
	uint32_t extra_bytes;
	uint8_t state, digits;
	bool done;
};
/* Takes from data what it can; the part that is body is *ret (in data, maybe empty). Bytes
 * taken, or -1 when it is not well-formed. Call again while it takes some and is not
 * done. */
ssize_t chunked_next(struct chunked *chunked, const uint8_t *data, size_t len, struct bytes *ret);

#endif
