/*
 * query - the parameters of a URL, percent-decoded ('+' is a space).
 *
 * Pure; bounded by the caller's buffer; a broken escape or an embedded zero byte makes the
 * value malformed.
 */
#ifndef EDGE_QUERY_H
#define EDGE_QUERY_H

#include "common/err.h"

#include <stddef.h>

/* The first value of name. ERR_NOT_FOUND, ERR_MALFORMED, ERR_LIMIT (longer than size - 1). */
CHECKED enum err query_get(const char *query, const char *name, char *ret, size_t size);

/* Decodes len bytes of text; the same errors. */
CHECKED enum err query_decode(const char *text, size_t len, char *ret, size_t size);

/* The n-th value of name (0 = first): for a parameter that must not be given twice. */
CHECKED enum err query_get_nth(const char *query, const char *name, size_t n, char *ret,
                               size_t size);

#endif
