#include "common/err.h"

#include <stddef.h>

const char *err_name(enum err err)
{
	static const char *const names[] = {
		[OK] = "ok",
		[ERR_AGAIN] = "again",
		[ERR_MALFORMED] = "malformed",
		[ERR_NOT_FOUND] = "not-found",
		[ERR_CONFLICT] = "conflict",
		[ERR_LIMIT] = "limit",
		[ERR_DENIED] = "denied",
		[ERR_UNAVAILABLE] = "unavailable",
		[ERR_IO] = "io",
	};

	if ((size_t)err >= sizeof names / sizeof names[0])
		return "unknown";
	return names[err];
}
