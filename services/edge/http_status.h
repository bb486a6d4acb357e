/*
 * http_status - the words of a status (RFC 9110, 6585): those of an answer's first line, and the
 * title of a problem document.
 */
#ifndef EDGE_HTTP_STATUS_H
#define EDGE_HTTP_STATUS_H

/* "Unnamed" for one that this server never answers. */
const char *http_reason(int status);

#endif
