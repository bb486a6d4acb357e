#include "services/edge/query.h"

#include "common/uuid.h"

#include <string.h>

enum err query_decode(const char *text, size_t len, char *ret, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char)text[i];

		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			int high = len - i > 2 ? uuid_hex(text[i + 1]) : -1;
			int low = len - i > 2 ? uuid_hex(text[i + 2]) : -1;

			if (high < 0 || low < 0)
				return ERR_MALFORMED;
			c = high << 4 | low;
			i += 2;
		}
		if (c == '\0')
			return ERR_MALFORMED;
		if (n + 1 >= size)
			return ERR_LIMIT;
		ret[n++] = (char)c;
	}
	ret[n] = '\0';
	return OK;
}

enum err query_get_nth(const char *query, const char *name, size_t nth, char *ret, size_t size)
{
	for (const char *p = query; *p;) {
		size_t len = strcspn(p, "&");
		size_t name_len = strcspn(p, "=&");
		char decoded[64];

		if (query_decode(p, name_len, decoded, sizeof decoded) == OK &&
		    strcmp(decoded, name) == 0 && nth-- == 0) {
			size_t skip = name_len < len ? name_len + 1 : len;

			return query_decode(p + skip, len - skip, ret, size);
		}
		p += len + (p[len] == '&');
	}
	return ERR_NOT_FOUND;
}

enum err query_get(const char *query, const char *name, char *ret, size_t size)
{
	return query_get_nth(query, name, 0, ret, size);
}
