#include "services/edge/openapi.h"

#include "common/principal.h"
#include "publisher.pb-c.h"
#include "router.pb-c.h"
#include "services/edge/rest_internal.h"
#include "services/edge/schema.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

static json_t *document(void (*write)(struct buf *buf))
{
	struct buf buf = { 0 };
	json_error_t error;
	json_t *value;

	write(&buf);
	value = json_loads((const char *)buf.data, JSON_REJECT_DUPLICATES, &error);
	cr_assert(value != NULL, "%s at %d: …%.60s", error.text, error.position,
	          (const char *)buf.data + (error.position > 30 ? error.position - 30 : 0));
	buf_free(&buf);
	return value;
}

static json_t *at(json_t *value, const char *first, const char *second, const char *third)
{
	value = json_object_get(value, first);
	value = second ? json_object_get(value, second) : value;
	return third ? json_object_get(value, third) : value;
}

static char *lower(const char *method)
{
	static char text[8];
	size_t n = 0;

	for (; method[n]; n++)
		text[n] = (char)(method[n] | 0x20);
	text[n] = '\0';
	return text;
}

Test(openapi, has_every_row_with_a_sentence_and_a_name_of_its_own)
{
	json_t *whole = document(openapi_document), *seen = json_object();

	for (size_t i = 0; i < rest_route_count; i++) {
		const struct rest_route *route = &rest_routes[i];
		json_t *operation = at(whole, "paths", route->path, lower(route->method));
		const char *id = json_string_value(json_object_get(operation, "operationId"));

		cr_assert(operation != NULL, "%s %s", route->method, route->path);
		cr_assert(strlen(json_string_value(json_object_get(operation, "summary"))) > 10);
		cr_assert(id != NULL && !json_object_get(seen, id), "%s is there twice", id);
		json_object_set_new(seen, id, json_true());
	}
	json_decref(seen);
	json_decref(whole);
}

Test(openapi, says_what_the_services_say_is_required_and_what_may_be_null)
{
	json_t *whole = document(openapi_document);
	json_t *schemas = at(whole, "components", "schemas", NULL);
	json_t *session = at(schemas, "SessionDetail", "properties", "close_code");
	json_t *create = at(schemas, "CreateModel", "required", NULL);
	json_t *path = at(whole, "paths", "/v1/sessions", "get");

	cr_assert_str_eq(json_string_value(json_array_get(json_object_get(session, "type"), 1)),
	                 "null");
	cr_assert_eq(json_array_size(create), 1);
	cr_assert_str_eq(json_string_value(json_array_get(create, 0)), "name");
	cr_assert(at(schemas, "DeviceModel", "properties", "id") != NULL);
	cr_assert_str_eq(
	        json_string_value(json_array_get(
	                json_object_get(json_array_get(json_object_get(path, "security"), 0),
	                                "bearer"),
	                0)),
	        "read");
	json_decref(whole);
}

static void assert_words(json_t *schemas)
{
	const char *name, *field;
	json_t *schema, *property;

	cr_assert_gt(json_object_size(schemas), 0);
	json_object_foreach(schemas, name, schema)
	        json_object_foreach(json_object_get(schema, "properties"), field, property)
	                cr_assert(json_is_string(json_object_get(property, "description")),
	                          "%s.%s has no words", name, field);
}

Test(openapi, has_words_for_every_field)
{
	json_t *whole = document(openapi_document);

	assert_words(at(whole, "components", "schemas", NULL));
	json_decref(whole);
	whole = document(asyncapi_document);
	assert_words(at(whole, "components", "schemas", NULL));
	json_decref(whole);
}

Test(openapi, has_words_for_every_parameter)
{
	json_t *whole = document(openapi_document), *item, *operation, *parameter;
	const char *path, *method;
	size_t i, n = 0;

	json_object_foreach(json_object_get(whole, "paths"), path, item)
	        json_object_foreach(item, method, operation)
	                json_array_foreach(json_object_get(operation, "parameters"), i, parameter)
	{
		cr_assert(json_object_get(parameter, "$ref") ||
		                  json_is_string(json_object_get(parameter, "description")),
		          "%s %s: %s has no words", method, path,
		          json_string_value(json_object_get(parameter, "name")));
		n++;
	}
	cr_assert_gt(n, 20);
	json_decref(whole);
}

Test(asyncapi, has_words_for_every_parameter_of_both_sockets)
{
	static const char *const sockets[] = { "ingest", "subscribe" };
	json_t *whole = document(asyncapi_document), *query, *parameter;
	const char *name;

	for (size_t i = 0; i < ARRAY_LEN(sockets); i++) {
		query = at(at(whole, "channels", sockets[i], "bindings"), "ws", "query",
		           "properties");
		cr_assert(json_object_get(query, "api_key") && json_object_get(query, "reject"));
		json_object_foreach(query, name, parameter) cr_assert(
		        json_is_string(json_object_get(parameter, "description")), "%s", name);
	}
	json_decref(whole);
}

Test(openapi, names_the_types_of_what_is_no_json)
{
	json_t *whole = document(openapi_document);
	static const struct {
		const char *path, *type;
	} streams[] = {
		{"/v1/insights",                "text/csv"                },
		{ "/v1/insights",               "application/json"        },
		{ "/v1/sessions/{id}/insights", "text/csv"                },
		{ "/v1/sessions/{id}/frames",   "text/csv"                },
		{ "/v1/sessions/{id}/frames",   "application/octet-stream"},
		{ "/stream/subscribe",          "text/event-stream"       },
	};

	for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
		json_t *responses =
		        json_object_get(at(whole, "paths", streams[i].path, "get"), "responses");

		cr_assert(at(responses, "200", "content", streams[i].type), "%s: %s",
		          streams[i].path, streams[i].type);
	}
	cr_assert(!json_object_get(
	                  json_object_get(at(whole, "paths", "/v1/sessions/{id}/frames", "get"),
	                                  "responses"),
	                  "304"),
	          "what comes in chunks has no ETag");
	json_decref(whole);
}

Test(openapi, shows_no_field_that_stays_inside)
{
	struct buf buf = { 0 };

	openapi_document(&buf);
	cr_assert(strstr((const char *)buf.data, "op_id") == NULL);
	cr_assert(strstr((const char *)buf.data, "\"mac\"") == NULL);
	buf_free(&buf);
}

Test(asyncapi, has_the_handshake_and_the_insight_as_they_are_sent)
{
	json_t *whole = document(asyncapi_document);
	json_t *insight =
	        at(at(whole, "components", "schemas", NULL), "Insight", "properties", NULL);

	cr_assert_str_eq(json_string_value(json_object_get(whole, "asyncapi")), "3.0.0");
	cr_assert_eq(json_object_size(insight), publisher__insight__descriptor.n_fields);
	cr_assert(at(whole, "channels", "ingest", "messages") != NULL);
	cr_assert(at(at(whole, "components", "schemas", NULL), "Slot", "properties", "slot_id"));
	json_decref(whole);
}
