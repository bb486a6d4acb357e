/*
 * problem - the answers of the HTTP side that are no result: application/problem+json.
 */
#ifndef EDGE_PROBLEM_H
#define EDGE_PROBLEM_H

#include "services/edge/net.h"

/* Headers every answer carries, each ended by \r\n. */
#define HTTP_HEADERS                                                                               \
	"Access-Control-Allow-Origin: *\r\n"                                                       \
	"Access-Control-Expose-Headers: Link, ETag, Location, Retry-After, RateLimit-Limit, "      \
	"RateLimit-Remaining, RateLimit-Reset, WWW-Authenticate\r\n"                               \
	"Cache-Control: no-store\r\n"                                                              \
	"Referrer-Policy: no-referrer\r\n"                                                         \
	"X-Content-Type-Options: nosniff\r\n"

/* detail: a sentence, redacted here. extra: further headers or "". */
void problem_respond(struct conn *conn, int status, const char *detail, const char *extra);

/* made_id: what an earlier request with the same Idempotency-Key has made; NULL: none. */
void problem_respond_made(struct conn *conn, int status, const char *detail, const char *extra,
                          const char *made_id);

void json_respond(struct conn *conn, int status, const char *json, const char *extra);

#endif
