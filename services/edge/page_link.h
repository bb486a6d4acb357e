/*
 * page_link - the Link header of a list that was cut short. Pure.
 *
 *     /v1/sessions?limit=2&api_key=…  ─►  Link: </v1/sessions?limit=2&cursor=…>; rel="next"
 *
 * Only parameters that the command knows are repeated, so that no key gets into it.
 */
#ifndef EDGE_PAGE_LINK_H
#define EDGE_PAGE_LINK_H

#include <protobuf-c/protobuf-c.h>

/* A new string, ended by \r\n: mem_free(). param: the parameter that takes the cursor. */
char *page_link(const char *path, const char *query, const ProtobufCMessageDescriptor *command,
                const char *param, const char *cursor);

#endif
