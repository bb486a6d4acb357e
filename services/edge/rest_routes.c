#include "services/edge/rest.h"

#include "common/principal.h"

#include <string.h>

/* clang-format off */
const struct rest_route rest_routes[] = {
	{ "POST", "/v1/device-models",
	  SCOPE_WRITE, REST_ROUTER, "create_model", "model", 201, 0 },
	{ "GET", "/v1/device-models",
	  SCOPE_READ, REST_ROUTER, "list_models", "models", 200, 0 },
	{ "GET", "/v1/device-models/{id}",
	  SCOPE_READ, REST_ROUTER, "get_model", "model", 200, 0 },
	{ "PUT", "/v1/device-models/{id}",
	  SCOPE_WRITE, REST_ROUTER, "update_model", "model", 200, 0 },
	{ "DELETE", "/v1/device-models/{id}",
	  SCOPE_WRITE, REST_ROUTER, "delete_model", "done", 204, 0 },
	{ "GET", "/v1/device-models/{id}/modalities",
	  SCOPE_READ, REST_ROUTER, "list_channels", "channels", 200, 0 },
	{ "POST", "/v1/device-models/{id}/modalities",
	  SCOPE_WRITE, REST_ROUTER, "add_channel", "channel", 201, 0 },
	{ "PUT", "/v1/device-models/{id}/modalities/{ch_id}",
	  SCOPE_WRITE, REST_ROUTER, "update_channel", "channel", 200, 0 },
	{ "DELETE", "/v1/device-models/{id}/modalities/{ch_id}",
	  SCOPE_WRITE, REST_ROUTER, "delete_channel", "done", 204, 0 },
	{ "GET", "/v1/sessions",
	  SCOPE_READ, REST_ROUTER, "list_sessions", "sessions", 200, 0 },
	{ "GET", "/v1/sessions/{id}",
	  SCOPE_READ, REST_PUBLISHER, "get_session", "session", 200, 0 },
	{ "GET", "/v1/sessions/{id}/insights",
	  SCOPE_READ, REST_PUBLISHER_PAGES, "session_insights", "insights", 200, 0 },
	{ "GET", "/v1/insights",
	  SCOPE_READ, REST_PUBLISHERS, "list_insights", "insights", 200, 0 },
	{ "POST", "/v1/keys",
	  SCOPE_KEYS, REST_AUTH, "mint_key", "key", 201, 0 },
	{ "GET", "/v1/keys",
	  SCOPE_KEYS, REST_AUTH, "list_keys", "keys", 200, 0 },
	{ "GET", "/v1/keys/{id}",
	  SCOPE_KEYS, REST_AUTH, "get_key", "key", 200, 0 },
	{ "DELETE", "/v1/keys/{id}",
	  SCOPE_KEYS, REST_AUTH, "revoke_key", "receipt", 200, REST_REVOKE_MS },
};
/* clang-format on */
const size_t rest_route_count = ARRAY_LEN(rest_routes);

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
