/* The part of rest that compares paths. */
#include "services/edge/rest.h"

#include <string.h>

bool rest_path_matches(const char *pattern, const char *path, struct rest_param *ret, size_t *ret_n)
{
	size_t n = 0;

	while (*pattern) {
		size_t len;

		if (*pattern != '{') {
			if (*pattern++ != *path++)
				return false;
			continue;
		}
		len = strcspn(path, "/");
		if (len == 0 || n == REST_PATH_PARAMS)
			return false;
		ret[n].name = pattern + 1;
		ret[n].name_len = strcspn(pattern + 1, "}");
		ret[n].value = path;
		ret[n++].len = len;
		pattern += strcspn(pattern, "}") + 1;
		path += len;
	}
	*ret_n = n;
	return *path == '\0';
}

bool rest_path_has(const char *pattern, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = strchr(pattern, '{'); p; p = strchr(p + 1, '{'))
		if (strncmp(p + 1, name, len) == 0 && p[len + 1] == '}')
			return true;
	return false;
}
