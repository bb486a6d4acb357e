/* The half of json.h that reads. */
#include "common/json.h"

#include "common/clock.h"
#include "common/json_field.h"
#include "common/log.h"

#include <float.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define QUOTED_MAX  64                 /* bytes of a client's words in a fault */
#define EXACT_BELOW 9007199254740992.0 /* 2^53: doubles up to here are exact integers */

static size_t place_text(const struct place *place, char *ret, size_t room)
{
	size_t n = 0;

	if (place->up) {
		n = place_text(place->up, ret, room);
		n += (size_t)snprintf(ret + n, room - n, ".");
	}
	n += (size_t)snprintf(ret + n, room - n, "%s", place->name);
	if (place->index >= 0)
		n += (size_t)snprintf(ret + n, room - n, "[%ld]", place->index);
	MUST(n < room); /* our own names, nested JSON_MAX_DEPTH deep at most */
	return n;
}

/* Writes the sentence; always false. */
bool json_fault(const struct place *place, char *why, const char *format, ...)
{
	size_t n = place_text(place, why, JSON_WHY);
	va_list args;

	n += (size_t)snprintf(why + n, JSON_WHY - n, ": ");
	MUST(n < JSON_WHY);
	va_start(args, format);
	(void)vsnprintf(why + n, JSON_WHY - n, format, args);
	va_end(args);
	log_redact(why);
	return false;
}

/* "a string", "16.5" … what came, for a fault. */
static const char *described(const json_t *value, char ret[48])
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		(void)snprintf(ret, 48, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		return ret;
	case JSON_REAL:
		(void)snprintf(ret, 48, "%.10g", json_real_value(value));
		return ret;
	case JSON_TRUE:
		return "true";
	case JSON_FALSE:
		return "false";
	default:
		return "null";
	}
}

static bool expected(const struct place *place, char *why, const char *what, const json_t *value)
{
	char text[48];

	return json_fault(place, why, "expected %s, got %s", what, described(value, text));
}

int json_quoted_len(const char *text)
{
	size_t n = strnlen(text, QUOTED_MAX + 1);

	if (n > QUOTED_MAX)
		for (n = QUOTED_MAX; n > 0 && ((uint8_t)text[n] & 0xc0) == 0x80;)
			n--;
	return (int)n;
}

/* 16.0 is an integer to every JSON writer that has only doubles. */
bool json_whole(const json_t *value, int64_t *ret)
{
	double real;

	if (json_is_integer(value)) {
		*ret = json_integer_value(value);
		return true;
	}
	if (!json_is_real(value))
		return false;
	real = json_real_value(value);
	if (real != floor(real) || fabs(real) > EXACT_BELOW)
		return false;
	*ret = (int64_t)real;
	return true;
}

static bool read_integer(const struct place *place, char *why, const json_t *value, int64_t least,
                         int64_t most, int64_t *ret)
{
	int64_t number;

	if (!json_whole(value, &number))
		return expected(place, why, "an integer", value);
	if (number < least || number > most)
		return json_fault(place, why, "expected %" PRId64 " to %" PRId64 ", got %" PRId64,
		                  least, most, number);
	*ret = number;
	return true;
}

static bool read_time(const struct place *place, char *why, const json_t *value, int64_t *ret)
{
	static const char form[] = "a time such as 2026-04-14T16:41:05.000Z";

	if (!json_is_string(value))
		return expected(place, why, form, value);
	if (strlen(json_string_value(value)) != json_string_length(value) ||
	    clock_parse_iso8601(json_string_value(value), ret) != 0)
		return json_fault(place, why, "expected %s, got \"%.*s\"", form,
		                  json_quoted_len(json_string_value(value)),
		                  json_string_value(value));
	return true;
}

static bool read_real(const struct place *place, char *why, const json_t *value, double most,
                      double *ret)
{
	if (!json_is_number(value))
		return expected(place, why, "a number", value);
	if (fabs(json_number_value(value)) > most)
		return json_fault(place, why, "expected a number up to %.3g, got %.3g", most,
		                  json_number_value(value));
	*ret = json_number_value(value);
	return true;
}

static bool read_text(const struct place *place, char *why, const json_t *value, char **ret)
{
	if (!json_is_string(value))
		return expected(place, why, "a string", value);
	if (strlen(json_string_value(value)) != json_string_length(value))
		return json_fault(place, why, "expected a string without the character U+0000");
	*ret = xstrdup(json_string_value(value));
	return true;
}

static bool read_metadata(const struct place *place, char *why, const json_t *value, char **ret)
{
	if (!json_is_object(value))
		return expected(place, why, "an object", value);
	*ret = json_dumps(value, JSON_COMPACT);
	MUST(*ret != NULL);
	return true;
}

static bool read_object(const struct place *place, char *why, const json_t *object,
                        ProtobufCMessage *message);

static bool read_sub(const struct place *place, char *why, const json_t *value,
                     const ProtobufCFieldDescriptor *field, ProtobufCMessage **ret)
{
	if (!json_is_object(value))
		return expected(place, why, "an object", value);
	*ret = json_new(field->descriptor);
	return read_object(place, why, value, *ret);
}

/* One value into its member. */
static bool read_value(const struct place *place, char *why, const json_t *value,
                       const ProtobufCFieldDescriptor *field, void *member)
{
	int64_t number = 0;
	double real = 0;
	bool ok;

	switch (field->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		ok = read_integer(place, why, value, INT32_MIN, INT32_MAX, &number);
		*(int32_t *)member = (int32_t)number;
		return ok;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		ok = read_integer(place, why, value, 0, UINT32_MAX, &number);
		*(uint32_t *)member = (uint32_t)number;
		return ok;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		if (field_is_time(field))
			return read_time(place, why, value, member);
		return read_integer(place, why, value, INT64_MIN, INT64_MAX, member);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return read_integer(place, why, value, 0, INT64_MAX, member);
	case PROTOBUF_C_TYPE_FLOAT:
		ok = read_real(place, why, value, (double)FLT_MAX, &real);
		*(float *)member = (float)real;
		return ok;
	case PROTOBUF_C_TYPE_DOUBLE:
		return read_real(place, why, value, DBL_MAX, member);
	case PROTOBUF_C_TYPE_BOOL:
		*(protobuf_c_boolean *)member = json_is_true(value);
		return json_is_boolean(value) || expected(place, why, "true or false", value);
	case PROTOBUF_C_TYPE_STRING:
		return field_is_metadata(field) ? read_metadata(place, why, value, member)
		                                : read_text(place, why, value, member);
	case PROTOBUF_C_TYPE_MESSAGE:
		return read_sub(place, why, value, field, member);
	default:
		MUST(!"a type that has no JSON form");
		return false;
	}
}

/* The array counts an item before it is read, so that wire_free() finds a half read one. */
bool json_append_item(const struct place *up, char *why, const json_t *value,
                      const ProtobufCFieldDescriptor *field, uint8_t *base)
{
	size_t *n = (size_t *)(base + field->quantifier_offset);
	uint8_t **array = (uint8_t **)(base + field->offset);
	struct place place = { up, field->name, (long)*n };
	size_t size = field_size(field);

	if (*n == JSON_MAX_ITEMS) {
		place.index = -1;
		return json_fault(&place, why, "expected at most %d items", JSON_MAX_ITEMS);
	}
	*array = xrealloc(*array, *n + 1, size);
	memset(*array + *n * size, 0, size);
	(*n)++;
	return read_value(&place, why, value, field, *array + (*n - 1) * size);
}

static bool read_array(const struct place *up, char *why, const json_t *value,
                       const ProtobufCFieldDescriptor *field, uint8_t *base)
{
	const struct place place = { up, field->name, -1 };

	if (!json_is_array(value))
		return expected(&place, why, "an array", value);
	if (json_array_size(value) == 0 && strcmp(field->name, "scopes") == 0)
		return json_fault(&place, why, "expected one or more, got none");
	for (size_t i = 0; i < json_array_size(value); i++)
		if (!json_append_item(up, why, json_array_get(value, i), field, base))
			return false;
	return true;
}

bool json_is_set(const ProtobufCFieldDescriptor *field, const uint8_t *base)
{
	if (field_is_pointer(field))
		return *(const void *const *)(base + field->offset) != NULL;
	return field->label == PROTOBUF_C_LABEL_OPTIONAL &&
	       *(const protobuf_c_boolean *)(base + field->quantifier_offset);
}

bool json_read_single(const struct place *up, char *why, const json_t *value,
                      const ProtobufCFieldDescriptor *field, uint8_t *base)
{
	const struct place place = { up, field->name, -1 };

	if (!read_value(&place, why, value, field, base + field->offset))
		return false;
	if (field->label == PROTOBUF_C_LABEL_OPTIONAL && !field_is_pointer(field))
		*(protobuf_c_boolean *)(base + field->quantifier_offset) = 1;
	return true;
}

/* Names the field in the message's `cleared`, when it has one. */
static void note_cleared(ProtobufCMessage *message, const char *name)
{
	const ProtobufCFieldDescriptor *field =
	        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, "cleared");
	uint8_t *base = (uint8_t *)message;
	char ***names;
	size_t *n;

	if (!field || !field_is_cleared(field))
		return;
	names = (char ***)(base + field->offset);
	n = (size_t *)(base + field->quantifier_offset);
	*names = xrealloc(*names, *n + 1, sizeof **names);
	(*names)[(*n)++] = xstrdup(name);
}

static bool is_nothing(const json_t *value)
{
	return json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0);
}

static bool read_object(const struct place *up, char *why, const json_t *object,
                        ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;
	uint8_t *base = (uint8_t *)message;

	for (unsigned i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &type->fields[i];
		const struct place place = { up, field->name, -1 };
		const json_t *value = json_object_get(object, field->name);
		bool is_array = field->label == PROTOBUF_C_LABEL_REPEATED;
		bool ok = true;

		if (field_is_internal(field) || field_is_cleared(field) ||
		    (!is_array && json_is_set(field, base)))
			continue;
		if (value && is_nothing(value))
			note_cleared(message, field->name);
		if (!value || json_is_null(value))
			ok = field->label != PROTOBUF_C_LABEL_REQUIRED ||
			     json_fault(&place, why, "required");
		else if (is_array)
			ok = read_array(up, why, value, field, base);
		else
			ok = json_read_single(up, why, value, field, base);
		if (!ok)
			return false;
	}
	return true;
}

/* jansson recurses; this does not. */
static bool is_shallow(struct bytes body)
{
	const char *p = body.data;
	bool in_string = false;
	int depth = 0;

	for (size_t i = 0; i < body.len; i++) {
		if (in_string && p[i] == '\\')
			i++;
		else if (p[i] == '"')
			in_string = !in_string;
		else if (!in_string && (p[i] == '{' || p[i] == '['))
			depth++;
		else if (!in_string && (p[i] == '}' || p[i] == ']'))
			depth--;
		if (depth > JSON_MAX_DEPTH)
			return false;
	}
	return true;
}

/* NULL and error, or any value. An integer beyond 64 bits may stand where nobody looks, and is
 * refused as a real number where an integer is wanted; metadata is kept, so it must be exact. */
static json_t *load(struct bytes body, json_error_t *error)
{
	const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
	json_t *value = json_loadb(body.data, body.len, flags, error);
	json_error_t unused;

	if (value || json_error_code(error) != json_error_numeric_overflow)
		return value;
	value = json_loadb(body.data, body.len, flags | JSON_DECODE_INT_AS_REAL, &unused);
	if (!json_object_get(value, "metadata"))
		return value;
	json_decref(value);
	return NULL;
}

/* NULL and why, or the object. */
static json_t *parsed(struct bytes body, char *why)
{
	static const struct place place = { NULL, "body", -1 };
	json_error_t error;
	json_t *value;

	if (body.len == 0)
		return json_object();
	value = load(body, &error);
	if (!value) {
		char *near = strstr(error.text, " near ");

		if (near)
			*near = '\0'; /* the client's own words: not repeated */
		(void)json_fault(&place, why, "expected JSON, got %s (line %d, column %d)",
		                 error.text, error.line, error.column);
	} else if (!json_is_object(value)) {
		(void)expected(&place, why, "an object", value);
		json_decref(value);
		value = NULL;
	}
	return value;
}

ProtobufCMessage *json_new(const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *message = xcalloc(1, type->sizeof_message);

	protobuf_c_message_init(type, message);
	return message;
}

enum err json_to_message(struct bytes body, ProtobufCMessage *message, char why[JSON_WHY])
{
	static const struct place place = { NULL, "body", -1 };
	json_t *object;
	bool ok;

	if (body.len > JSON_MAX_BYTES || !is_shallow(body)) {
		(void)json_fault(&place, why, "expected at most %u bytes and %d levels",
		                 JSON_MAX_BYTES, JSON_MAX_DEPTH);
		return ERR_LIMIT;
	}
	object = parsed(body, why);
	if (!object)
		return ERR_MALFORMED;
	ok = read_object(NULL, why, object, message);
	json_decref(object);
	return ok ? OK : ERR_MALFORMED;
}
