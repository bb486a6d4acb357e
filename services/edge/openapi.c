#include "services/edge/openapi.h"

#include "common/json.h"
#include "common/principal.h"
#include "raeh.pb-c.h"
#include "services/edge/openapi_text.h"
#include "services/edge/rest_internal.h"
#include "services/edge/schema.h"

#include <ctype.h>
#include <string.h>

static const struct problem {
	const char *name, *about, *headers;
} problems[] = {
	{"BadRequest",      "A field or parameter: detail names it, what was expected and what came.",
         ""	                                                                                      },
	{ "Unauthorized",   "No valid API key.",
         "\"headers\":{\"WWW-Authenticate\":{\"$ref\":\"#/components/headers/Authenticate\"}},"          },
	{ "Forbidden",      "The API key lacks the scope, or a right that the command needs.",         ""},
	{ "NotFound",       "No such object in this account.",                                         ""},
	{ "Conflict",       "What is there already stands against it.",                                ""},
	{ "LengthRequired", "Content-Length is missing.",                                              ""},
	{ "TooLarge",       "The body is over 256 KiB, or the list over what one answer may hold.",    ""},
	{ "MediaType",      "The body is no application/json.",                                        ""},
	{ "OtherBody",      "The Idempotency-Key was used with another body.",                         ""},
	{ "TooMany",        "Over the rate of the key.",
         "\"headers\":{\"Retry-After\":{\"$ref\":\"#/components/headers/RetryAfter\"}},"                 },
	{ "Unavailable",    "A service behind the edge is away.",
         "\"headers\":{\"Retry-After\":{\"$ref\":\"#/components/headers/RetryAfter\"}},"                 },
	{ "Problem",        "Any other fault.",	                                                ""},
};

/* ---- one operation ---- */

static const ProtobufCMessageDescriptor *result_of(const struct rest_route *route)
{
	const ProtobufCMessageDescriptor *reply = rest_reply_type(route->service);

	if (!reply || !route->result)
		return NULL;
	return protobuf_c_message_descriptor_get_field_by_name(reply, route->result)->descriptor;
}

static void add_lower(struct buf *buf, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		schema_add(buf, "%c",
		           isalnum((unsigned char)text[i]) ? tolower((unsigned char)text[i]) : '_');
}

/* The command's name; two rows of one command are told apart by their path. */
static void add_names(struct buf *buf, const struct rest_route *route)
{
	bool is_v1 = strncmp(route->path, "/v1/", 4) == 0;
	const char *noun = is_v1 ? route->path + 4 : "service";
	unsigned same = 0;

	for (size_t i = 0; route->command && i < rest_route_count; i++)
		same += rest_routes[i].command && rest_routes[i].service == route->service &&
		        strcmp(rest_routes[i].command, route->command) == 0;
	schema_add(buf, "\"operationId\":\"");
	if (same == 1) {
		schema_add(buf, "%s", route->command);
	} else {
		add_lower(buf, route->method, strlen(route->method));
		add_lower(buf, route->path, strlen(route->path));
	}
	schema_add(buf, "\",\"tags\":[\"%.*s\"],\"summary\":", (int)strcspn(noun, "/"), noun);
	json_append_string(buf, route->about);
}

static void add_security(struct buf *buf, const struct rest_route *route)
{
	const char *scope;

	if (route->scope == 0) {
		schema_add(buf, ",\"security\":[]");
	} else if (route->any_key) {
		schema_add(buf,
		           ",\"description\":\"For any API key.\",\"security\":[{\"bearer\":[]},"
		           "{\"query\":[]}]");
	} else if ((route->scope & (route->scope - 1)) != 0) {
		schema_add(buf, ",\"description\":\"For who is logged in to the dashboard.\","
		                "\"security\":[{\"cookie\":[]}]");
	} else {
		scope = scope_name(route->scope);
		schema_add(buf,
		           ",\"description\":\"Needs the scope `%s`.\",\"security\":[{\"bearer\":["
		           "\"%s\"]},{\"query\":[\"%s\"]},{\"cookie\":[]}]",
		           scope, scope, scope);
	}
}

static void add_parameter(struct buf *buf, const char **before,
                          const ProtobufCMessageDescriptor *command,
                          const ProtobufCFieldDescriptor *field, bool of_path)
{
	size_t len = strlen(field->name);
	bool timed = !of_path && field->type == PROTOBUF_C_TYPE_INT64 && len > 3 &&
	             strcmp(field->name + len - 3, "_at") == 0;
	const char *about = schema_about(command, field->name);

	schema_add(buf, "%s{\"name\":\"%.*s\",\"in\":\"%s\",\"required\":%s,", *before,
	           (int)(timed ? len - 3 : len), field->name, of_path ? "path" : "query",
	           of_path ? "true" : "false");
	*before = ",";
	if (about) {
		schema_add(buf, "\"description\":");
		json_append_string(buf, about);
		schema_add(buf, ",");
	}
	schema_add(buf, "\"schema\":");
	schema_of_parameter(buf, command, field);
	schema_add(buf, "}");
}

/* One that comes in chunks is not kept: no ETag, no next page. */
static bool is_cached(const struct rest_route *route)
{
	return strcmp(route->method, "GET") == 0 && !(route->here && route->produces);
}

static void add_parameters(struct buf *buf, const struct rest_route *route)
{
	const ProtobufCMessageDescriptor *command = rest_command_type(route);
	const char *before = "";

	schema_add(buf, ",\"parameters\":[");
	for (unsigned i = 0; command && i < command->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &command->fields[i];
		bool of_path = rest_path_has(route->path, field->name);

		if (!schema_is_shown(field) || field->type == PROTOBUF_C_TYPE_MESSAGE ||
		    (!of_path && rest_has_body(route)))
			continue;
		add_parameter(buf, &before, command, field, of_path);
	}
	if (rest_is_repeatable(route))
		schema_add(buf, "%s{\"$ref\":\"#/components/parameters/IdempotencyKey\"}", before);
	if (is_cached(route))
		schema_add(buf, "%s{\"$ref\":\"#/components/parameters/IfNoneMatch\"}", before);
	schema_add(buf, "]");
}

static void add_request_body(struct schemas *schemas, struct buf *buf,
                             const struct rest_route *route)
{
	const ProtobufCMessageDescriptor *command = rest_command_type(route);

	if (!rest_has_body(route) || !command)
		return;
	schema_add(buf,
	           ",\"requestBody\":{\"required\":%s,\"content\":{\"application/json\":{"
	           "\"schema\":",
	           rest_needs_body(route) ? "true" : "false");
	schema_ref(schemas, buf, command, true);
	schema_add(buf, "}}}");
}

/* ---- its answers ---- */

/* JSON, but for a handler that says what it produces; a service's answer may be both. */
static void add_content(struct schemas *schemas, struct buf *buf, const struct rest_route *route)
{
	const ProtobufCMessageDescriptor *result = result_of(route);
	bool json = !route->produces || !route->here;

	if (json) {
		schema_add(buf, "\"application/json\":{\"schema\":");
		if (result)
			schema_ref(schemas, buf, result, false);
		else
			schema_add(buf, "{\"type\":\"object\"}");
		schema_add(buf, "}");
	}
	if (route->produces)
		schema_add(buf, "%s%s", json ? "," : "", route->produces);
}

static void add_header(struct buf *buf, bool may_be, const char **before, const char *name,
                       const char *of)
{
	if (!may_be)
		return;
	schema_add(buf, "%s\"%s\":{\"$ref\":\"#/components/headers/%s\"}", *before, name, of);
	*before = ",";
}

static void add_headers(struct buf *buf, const struct rest_route *route)
{
	const ProtobufCMessageDescriptor *command = rest_command_type(route);
	bool keyed = route->scope != 0;
	const char *before = "";

	schema_add(buf, ",\"headers\":{");
	add_header(buf, is_cached(route), &before, "ETag", "ETag");
	add_header(buf,
	           is_cached(route) && command &&
	                   protobuf_c_message_descriptor_get_field_by_name(command, "limit"),
	           &before, "Link", "Link");
	add_header(buf, keyed, &before, "RateLimit-Limit", "RateLimitLimit");
	add_header(buf, keyed, &before, "RateLimit-Remaining", "RateLimitRemaining");
	add_header(buf, keyed, &before, "RateLimit-Reset", "RateLimitReset");
	add_header(buf, route->status != 204 && route->here == cookie_here && !keyed, &before,
	           "Set-Cookie", "SetCookie");
	schema_add(buf, "}");
}

static void add_success(struct schemas *schemas, struct buf *buf, const struct rest_route *route)
{
	const ProtobufCMessageDescriptor *command = rest_command_type(route);

	schema_add(buf, ",\"responses\":{\"%d\":{\"description\":\"%s\"", route->status,
	           route->status == 204   ? "Done."
	           : route->status == 201 ? "Made."
	                                  : "The answer.");
	add_headers(buf, route);
	if (route->status != 204) {
		schema_add(buf, ",\"content\":{");
		add_content(schemas, buf, route);
		schema_add(buf, "}");
	}
	schema_add(buf, "}");
	if (command && protobuf_c_message_descriptor_get_field_by_name(command, "respond_async")) {
		schema_add(buf,
		           ",\"202\":{\"description\":\"Durable, and on its way to the edges: for "
		           "Prefer: respond-async.\",\"content\":{");
		add_content(schemas, buf, route);
		schema_add(buf, "}}");
	}
	if (is_cached(route))
		schema_add(buf, ",\"304\":{\"$ref\":\"#/components/responses/NotModified\"}");
}

static void add_fault(struct buf *buf, bool may_be, int status, const char *name)
{
	if (may_be)
		schema_add(buf, ",\"%d\":{\"$ref\":\"#/components/responses/%s\"}", status, name);
}

/* Of rows that ask for no key. */
static const struct {
	const char *command;
	int status;
	const char *name;
} faults_of[] = {
	{"log_in",         401, "Unauthorized"},
        { "log_in",        429, "TooMany"     },
	{ "sign_up",       403, "Forbidden"   },
        { "accept_invite", 403, "Forbidden"   },
	{ "accept_invite", 404, "NotFound"    },
};

static void add_faults(struct buf *buf, const struct rest_route *route)
{
	const ProtobufCMessageDescriptor *command = rest_command_type(route);
	bool keyed = route->scope != 0, body = rest_has_body(route);
	bool writes = strcmp(route->method, "GET") != 0;

	add_fault(buf, keyed || (command && command->n_fields > 0), 400, "BadRequest");
	add_fault(buf, keyed, 401, "Unauthorized");
	add_fault(buf, keyed, 403, "Forbidden");
	add_fault(buf, strchr(route->path, '{') != NULL, 404, "NotFound");
	add_fault(buf, writes, 409, "Conflict");
	add_fault(buf, rest_needs_body(route), 411, "LengthRequired");
	add_fault(buf, body || route->service == REST_PUBLISHER_PAGES, 413, "TooLarge");
	add_fault(buf, body, 415, "MediaType");
	add_fault(buf, rest_is_repeatable(route) && route->scope != 0, 422, "OtherBody");
	add_fault(buf, keyed, 429, "TooMany");
	add_fault(buf, keyed || command, 503, "Unavailable");
	for (size_t i = 0; !keyed && route->command && i < ARRAY_LEN(faults_of); i++)
		add_fault(buf, strcmp(faults_of[i].command, route->command) == 0,
		          faults_of[i].status, faults_of[i].name);
	schema_add(buf, ",\"default\":{\"$ref\":\"#/components/responses/Problem\"}}");
}

static void add_operation(struct schemas *schemas, struct buf *buf, const struct rest_route *route)
{
	schema_add(buf, "\"");
	add_lower(buf, route->method, strlen(route->method));
	schema_add(buf, "\":{");
	add_names(buf, route);
	add_security(buf, route);
	add_parameters(buf, route);
	add_request_body(schemas, buf, route);
	add_success(schemas, buf, route);
	add_faults(buf, route);
	schema_add(buf, "}");
}

/* ---- the document ---- */

static bool is_first_of_path(size_t row)
{
	for (size_t i = 0; i < row; i++)
		if (strcmp(rest_routes[i].path, rest_routes[row].path) == 0)
			return false;
	return true;
}

static void add_path(struct schemas *schemas, struct buf *buf, const char *path)
{
	const char *before = "";

	schema_add(buf, "\"%s\":{", path);
	for (size_t i = 0; i < rest_route_count; i++) {
		if (strcmp(rest_routes[i].path, path) != 0)
			continue;
		schema_add(buf, "%s", before);
		add_operation(schemas, buf, &rest_routes[i]);
		before = ",";
	}
	schema_add(buf, "},");
}

static void add_problems(struct buf *buf)
{
	for (size_t i = 0; i < ARRAY_LEN(problems); i++) {
		schema_add(buf, "%s\"%s\":{\"description\":\"%s\",%s", i > 0 ? "," : "",
		           problems[i].name, problems[i].about, problems[i].headers);
		schema_add(buf, "\"content\":{\"application/problem+json\":{\"schema\":{\"$ref\":"
		                "\"#/components/schemas/Problem\"}}}}");
	}
}

void openapi_document(struct buf *buf)
{
	struct schemas schemas = { 0 };
	struct buf unused = { 0 };

	buf_append(buf, openapi_head, strlen(openapi_head));
	for (size_t i = 0; i < rest_route_count; i++)
		if (is_first_of_path(i))
			add_path(&schemas, buf, rest_routes[i].path);
	buf_append(buf, openapi_pages, strlen(openapi_pages));
	schema_add(buf, "},\"components\":{\"schemas\":{");
	schema_ref(&schemas, &unused, &raeh__problem__descriptor, false);
	schema_definitions(&schemas, buf);
	buf_append(buf, openapi_tail, strlen(openapi_tail));
	add_problems(buf);
	schema_add(buf, "}}}");
	buf_append(buf, "", 1);
	buf_free(&unused);
}

void openapi_here(struct rest *rest)
{
	struct buf buf = { 0 };

	openapi_document(&buf);
	rest_answer(rest, 200, (const char *)buf.data, "");
	buf_free(&buf);
}
