/*
 * openapi_text - what of /openapi.json no table knows: openapi.c puts the paths and the schemas
 * between these.
 */
#ifndef EDGE_OPENAPI_TEXT_H
#define EDGE_OPENAPI_TEXT_H

extern const char openapi_head[];  /* up to the first path */
extern const char openapi_pages[]; /* the paths that are no row: no JSON of a service's */
extern const char openapi_tail[];  /* from the end of the schemas into the responses */

#endif
