/*
 * gzip - an answer made smaller, for a client that says it can read that.
 *
 * Only for answers that hold no secret: the length of a compressed body says something of
 * what stands in it.
 */
#ifndef EDGE_GZIP_H
#define EDGE_GZIP_H

#include "common/mem.h"

#define GZIP_LEAST 1024               /* bytes; below, it is not worth the headers       */
#define GZIP_MOST  (2u * 1024 * 1024) /* bytes; above, it would hold up the loop: ~20 ms */

/* An Accept-Encoding (NULL: absent) that takes the coding, by its name or by "*", and not with
 * q=0. */
bool coding_wanted(const char *accept_encoding, const char *coding);
bool gzip_wanted(const char *accept_encoding);
/* Replaces the content of ret. False: it is out of the bounds, or did not get smaller. */
bool gzip_pack(struct bytes plain, struct buf *ret);

#endif
