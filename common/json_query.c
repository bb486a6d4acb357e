/* The part of json.h that reads the parameters of a query. */
#include "common/json.h"

#include "common/clock.h"
#include "common/json_field.h"
#include "common/uuid.h"
#include "common/wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A new string, or NULL: a bad escape, a zero byte, no UTF-8. */
static char *decoded(const char *text, size_t len)
{
	char *ret = xcalloc(1, len + 1);
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i] == '+' ? ' ' : text[i];

		if (c == '%') {
			int high = i + 1 < len ? uuid_hex(text[i + 1]) : -1;
			int low = i + 2 < len ? uuid_hex(text[i + 2]) : -1;

			c = high < 0 || low < 0 ? '\0' : (char)(high << 4 | low);
			i += 2;
		}
		ret[n++] = c;
	}
	if (memchr(ret, '\0', n) || !utf8_valid(ret, n)) {
		mem_free(ret);
		return NULL;
	}
	return ret;
}

static json_t *number_of(const char *text)
{
	json_t *value;
	char *end;

	errno = 0;
	if (strspn(text, "-0123456789") == strlen(text) && text[0]) {
		long long whole = strtoll(text, &end, 10);

		return *end || errno ? NULL : json_integer(whole);
	}
	if (strspn(text, "-+.0123456789eE") != strlen(text) || !text[0])
		return NULL;
	value = json_real(strtod(text, &end)); /* NULL when it is infinite */
	if (*end) {
		json_decref(value);
		return NULL;
	}
	return value;
}

/* The JSON that a parameter stands for, by the type of its field; NULL: none. */
static json_t *json_of_text(const ProtobufCFieldDescriptor *field, const char *text)
{
	int64_t ms;
	char iso[25];

	if (field->type == PROTOBUF_C_TYPE_STRING)
		return json_string(text);
	if (field->type == PROTOBUF_C_TYPE_BOOL) {
		if (strcmp(text, "true") == 0 || strcmp(text, "1") == 0)
			return json_true();
		return strcmp(text, "false") == 0 || strcmp(text, "0") == 0 ? json_false() : NULL;
	}
	if (!field_is_time(field))
		return number_of(text);
	if (clock_parse_iso8601(text, &ms) != 0) {
		json_t *number = number_of(text);
		bool ok = number && json_whole(number, &ms);

		json_decref(number);
		if (!ok)
			return NULL;
	}
	clock_iso8601(ms, iso);
	return iso[0] ? json_string(iso) : NULL;
}

static const char *expected_text(const ProtobufCFieldDescriptor *field)
{
	if (field_is_time(field))
		return "a time such as 2026-04-14T16:41:05.000Z";
	if (field->type == PROTOBUF_C_TYPE_BOOL)
		return "true or false";
	if (field->type == PROTOBUF_C_TYPE_DOUBLE || field->type == PROTOBUF_C_TYPE_FLOAT)
		return "a number";
	return "an integer";
}

static const ProtobufCFieldDescriptor *find_parameter(const ProtobufCMessageDescriptor *type,
                                                      const char *name)
{
	const ProtobufCFieldDescriptor *field =
	        protobuf_c_message_descriptor_get_field_by_name(type, name);
	char timed[64];

	if (!field && (size_t)snprintf(timed, sizeof timed, "%s_at", name) < sizeof timed)
		field = protobuf_c_message_descriptor_get_field_by_name(type, timed);
	if (field && (field_is_internal(field) || field_is_metadata(field) ||
	              field->type == PROTOBUF_C_TYPE_MESSAGE))
		return NULL;
	return field;
}

static bool read_parameter(char *why, const ProtobufCFieldDescriptor *field, const char *name,
                           const char *encoded, size_t len, ProtobufCMessage *message)
{
	const struct place place = { NULL, name, -1 };
	uint8_t *base = (uint8_t *)message;
	char *text;
	json_t *value;
	bool ok;

	if (field->label != PROTOBUF_C_LABEL_REPEATED && json_is_set(field, base))
		return true;
	text = decoded(encoded, len);
	if (!text)
		return json_fault(&place, why, "expected percent-encoded UTF-8 without U+0000");
	value = json_of_text(field, text);
	if (!value)
		ok = json_fault(&place, why, "expected %s, got \"%.*s\"", expected_text(field),
		                json_quoted_len(text), text);
	else if (field->label == PROTOBUF_C_LABEL_REPEATED)
		ok = json_append_item(NULL, why, value, field, base);
	else
		ok = json_read_single(NULL, why, value, field, base);
	json_decref(value);
	mem_free(text);
	return ok;
}

enum err json_from_query(const char *query, ProtobufCMessage *message, char why[JSON_WHY])
{
	for (const char *p = query; *p;) {
		size_t len = strcspn(p, "&");
		size_t name_len = strcspn(p, "=&");
		size_t value_at = name_len < len ? name_len + 1 : len;
		char *name = decoded(p, name_len);
		const ProtobufCFieldDescriptor *field =
		        name && strcmp(name, "api_key") != 0
		                ? find_parameter(message->descriptor, name)
		                : NULL;
		bool ok = !field ||
		          read_parameter(why, field, name, p + value_at, len - value_at, message);

		mem_free(name);
		if (!ok)
			return ERR_MALFORMED;
		p += len + (p[len] == '&');
	}
	return OK;
}
