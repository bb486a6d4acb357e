#include "services/edge/rest.h"

#include "common/principal.h"

/* What a row does not name is 0. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* clang-format off */
const struct rest_route rest_routes[] = {
	{ "POST", "/v1/device-models",
	  SCOPE_WRITE, REST_ROUTER, "create_model", "model", 201,
	  "Register a device model." },
	{ "GET", "/v1/device-models",
	  SCOPE_READ, REST_ROUTER, "list_models", "models", 200,
	  "List the device models, newest first." },
	{ "GET", "/v1/device-models/{id}",
	  SCOPE_READ, REST_ROUTER, "get_model", "model", 200,
	  "Get a device model." },
	{ "PUT", "/v1/device-models/{id}",
	  SCOPE_WRITE, REST_ROUTER, "update_model", "model", 200,
	  "Change a device model: what is given replaces, a modality channel "
	  "without an id is added." },
	{ "DELETE", "/v1/device-models/{id}",
	  SCOPE_WRITE, REST_ROUTER, "delete_model", "done", 204,
	  "Delete a device model that no device refers to." },
	{ "GET", "/v1/device-models/{id}/modalities",
	  SCOPE_READ, REST_ROUTER, "list_channels", "channels", 200,
	  "List the modality channels of a device model." },
	{ "POST", "/v1/device-models/{id}/modalities",
	  SCOPE_WRITE, REST_ROUTER, "add_channel", "channel", 201,
	  "Add a modality channel to a device model." },
	{ "PUT", "/v1/device-models/{id}/modalities/{ch_id}",
	  SCOPE_WRITE, REST_ROUTER, "update_channel", "channel", 200,
	  "Change a modality channel." },
	{ "DELETE", "/v1/device-models/{id}/modalities/{ch_id}",
	  SCOPE_WRITE, REST_ROUTER, "delete_channel", "done", 204,
	  "Remove a modality channel; its slot is never used again." },
	{ "GET", "/v1/sessions",
	  SCOPE_READ, REST_ROUTER, "list_sessions", "sessions", 200,
	  "List the sessions, newest first." },
	{ "GET", "/v1/sessions/{id}",
	  SCOPE_READ, REST_PUBLISHER, "get_session", "session", 200,
	  "Get a session with what it has stored." },
	{ "GET", "/v1/sessions/{id}/insights",
	  SCOPE_READ, REST_PUBLISHER_PAGES, "session_insights", "insights", 200,
	  "List the insights of a session, oldest first." },
	{ "GET", "/v1/insights",
	  SCOPE_READ, REST_PUBLISHERS, "list_insights", "insights", 200,
	  "List the insights of all sessions, newest first." },
	{ "POST", "/v1/keys",
	  SCOPE_KEYS, REST_AUTH, "mint_key", "key", 201,
	  "Mint an API key; it is told in this answer alone." },
	{ "GET", "/v1/keys",
	  SCOPE_KEYS, REST_AUTH, "list_keys", "keys", 200,
	  "List the API keys, newest first." },
	{ "GET", "/v1/keys/{id}",
	  SCOPE_KEYS, REST_AUTH, "get_key", "key", 200,
	  "Get an API key, without the key itself." },
	{ "DELETE", "/v1/keys/{id}",
	  SCOPE_KEYS, REST_AUTH, "revoke_key", "receipt", 200,
	  "Revoke an API key at once and close its sockets; answers with the "
	  "receipt.", .deadline_ms = REST_REVOKE_MS },
};
/* clang-format on */
const size_t rest_route_count = ARRAY_LEN(rest_routes);
