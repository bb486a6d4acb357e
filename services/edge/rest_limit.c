/* The part of rest that keeps a key to its rate, and tells it how much of it is left. */
#include "services/edge/rest_internal.h"

#include <stdio.h>

bool rest_within_limits(struct rest *rest, const Raeh__Principal *principal)
{
	struct limit *limit = limit_enter(rest->edge->limits, principal);
	char headers[LIMIT_HEADERS_MAX], extra[48];
	bool is_within;

	if (!limit) {
		rest_refuse(rest, 503, "too many API keys are in use at once", "");
		return false;
	}
	is_within = limit_take_request(limit);
	limit_headers(limit, headers);
	net_set_headers(rest->conn, headers);
	if (!is_within) {
		(void)snprintf(extra, sizeof extra, "Retry-After: %u\r\n",
		               limit_retry_after_s(limit));
		rest_refuse(rest, 429, "rate limit of the API key exceeded: requests per second",
		            extra);
	}
	limit_leave(limit);
	return is_within;
}
