/*
 * url - where a stack is reached: http, https, ws or wss, a host, a port, a path.
 *
 * Pure. A user, a query and a fragment are refused: a key in them would end up in logs.
 */
#ifndef CLI_URL_H
#define CLI_URL_H

#include "common/mem.h"

#define URL_HOST_MOST 254
#define URL_PATH_MOST 1024

struct url {
	bool tls;
	bool literal_v6; /* the host stands in brackets in a Host header; here without */
	char host[URL_HOST_MOST];
	int port;
	char path[URL_PATH_MOST]; /* without a slash at its end: "" or "/raeh" */
};

/* False: why holds the sentence. */
bool url_parse(const char *text, struct url *ret, char why[256]);

/* Appends text percent-encoded as the value of a query parameter. */
void url_append_encoded(struct buf *buf, const char *text);

#endif
