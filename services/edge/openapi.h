/*
 * openapi - the machine-readable contract: /openapi.json of the rows, /asyncapi.json of the
 * sockets.
 *
 * Made anew for each request, from rest_routes and the descriptors of the messages: it cannot
 * differ from what the edge does. ETag and gzip make a repeat cheap.
 */
#ifndef EDGE_OPENAPI_H
#define EDGE_OPENAPI_H

#include "services/edge/rest_handler.h"

void openapi_here(struct rest *rest);
void asyncapi_here(struct rest *rest);

/* The documents, ended by a zero. */
void openapi_document(struct buf *buf);
void asyncapi_document(struct buf *buf);

#endif
