#include "services/edge/problem.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/uuid.h"
#include "raeh.pb-c.h"
#include "services/edge/http_status.h"

#include <stdio.h>
#include <string.h>

static const char *headers_for(int status)
{
	if (status == 401)
		return "WWW-Authenticate: Bearer\r\n";
	if (status == 503 || status == 429)
		return "Retry-After: 1\r\n";
	return "";
}

static void respond(struct conn *conn, int status, const char *type, const char *body,
                    const char *extra)
{
	char *headers = xasprintf(HTTP_HEADERS "Content-Type: %s\r\n%s", type, extra);

	net_respond(conn, status, headers, BYTES(body, strlen(body)));
	mem_free(headers);
}

void problem_respond(struct conn *conn, int status, const char *detail, const char *extra)
{
	problem_respond_made(conn, status, detail, extra, NULL);
}

void problem_respond_made(struct conn *conn, int status, const char *detail, const char *extra,
                          const char *made_id)
{
	Raeh__Problem problem = RAEH__PROBLEM__INIT;
	struct uuid id = uuid_new(clock_wall_ms());
	char request_id[UUID_TEXT];
	char *clean = xstrdup(detail), *json, *headers;

	log_redact(clean);
	uuid_text(&id, request_id);
	problem.type = (char *)"about:blank";
	problem.title = (char *)http_reason(status);
	problem.status = (uint32_t)status;
	problem.detail = clean;
	problem.request_id = request_id;
	problem.made_id = (char *)made_id;
	json = json_of_message(&problem.base);
	headers = xasprintf("%s%s", extra[0] ? "" : headers_for(status), extra);
	respond(conn, status, "application/problem+json", json, headers);
	mem_free(headers);
	mem_free(json);
	mem_free(clean);
}

void json_respond(struct conn *conn, int status, const char *json, const char *extra)
{
	respond(conn, status, "application/json", json, extra);
}
