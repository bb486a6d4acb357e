/* The half of json.h that writes. */
#include "common/json.h"

#include "common/clock.h"
#include "common/json_field.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WHOLE_BELOW 1e15 /* whole doubles up to here are exact and print as integers */

static const char *const omitted_when_unset[] = { "key", "uncalibrated", "made_id" };
static const char *const null_when_empty[] = { "spo2_calibration" };

static bool is_among(const char *name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

bool json_is_left_out_unset(const char *field)
{
	return is_among(field, omitted_when_unset, ARRAY_LEN(omitted_when_unset));
}

bool json_is_null_empty(const char *field)
{
	return is_among(field, null_when_empty, ARRAY_LEN(null_when_empty));
}

static void add(struct buf *buf, const char *text)
{
	buf_append(buf, text, strlen(text));
}

static void add_formatted(struct buf *buf, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

static void add_formatted(struct buf *buf, const char *format, ...)
{
	char text[64];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	add(buf, text);
}

void json_append_string(struct buf *buf, const char *text)
{
	static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";

	add(buf, "\"");
	while (*text) {
		size_t run = 0;
		const char *place;

		while ((uint8_t)text[run] >= 0x20 && text[run] != '"' && text[run] != '\\')
			run++;
		buf_append(buf, text, run);
		text += run;
		if (!*text)
			break;
		place = strchr(plain, *text);
		if (place)
			add_formatted(buf, "\\%c", letter[place - plain]);
		else
			add_formatted(buf, "\\u%04x", (unsigned)(uint8_t)*text);
		text++;
	}
	add(buf, "\"");
}

static void add_number(struct buf *buf, double value)
{
	if (!isfinite(value))
		add(buf, "null");
	else if (value == floor(value) && fabs(value) < WHOLE_BELOW)
		add_formatted(buf, "%" PRId64, (int64_t)value);
	else
		add_formatted(buf, "%.10g", value);
}

static void add_time(struct buf *buf, int64_t wall_ms)
{
	char text[25];

	clock_iso8601(wall_ms, text);
	if (text[0])
		add_formatted(buf, "\"%s\"", text);
	else
		add(buf, "null"); /* a year that ISO-8601 cannot say */
}

/* Checked before it is put between our own brackets: what a store returns is not trusted. */
static void add_json(struct buf *buf, const char *text)
{
	json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

	add(buf, value ? text : "null");
	json_decref(value);
}

static void add_value(struct buf *buf, const ProtobufCFieldDescriptor *field, const void *member)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		add_formatted(buf, "%" PRId32, *(const int32_t *)member);
		break;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		add_formatted(buf, "%" PRIu32, *(const uint32_t *)member);
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		if (field_is_time(field))
			add_time(buf, *(const int64_t *)member);
		else
			add_formatted(buf, "%" PRId64, *(const int64_t *)member);
		break;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		add_formatted(buf, "%" PRIu64, *(const uint64_t *)member);
		break;
	case PROTOBUF_C_TYPE_FLOAT:
		add_number(buf, (double)*(const float *)member);
		break;
	case PROTOBUF_C_TYPE_DOUBLE:
		add_number(buf, *(const double *)member);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		add(buf, *(const protobuf_c_boolean *)member ? "true" : "false");
		break;
	case PROTOBUF_C_TYPE_STRING:
		if (field_is_metadata(field))
			add_json(buf, *(const char *const *)member);
		else
			json_append_string(buf, *(const char *const *)member);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		json_append_message(buf, *(const ProtobufCMessage *const *)member);
		break;
	default:
		MUST(!"a type that has no JSON form");
	}
}

static void add_array(struct buf *buf, const ProtobufCFieldDescriptor *field, const uint8_t *base)
{
	size_t n = *(const size_t *)(base + field->quantifier_offset);
	const uint8_t *item = *(const uint8_t *const *)(base + field->offset);

	if (n == 0 && json_is_null_empty(field->name)) {
		add(buf, "null");
		return;
	}
	add(buf, "[");
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			add(buf, ",");
		add_value(buf, field, item + i * field_size(field));
	}
	add(buf, "]");
}

static bool is_unset(const ProtobufCFieldDescriptor *field, const uint8_t *base)
{
	if (field_is_pointer(field))
		return *(const void *const *)(base + field->offset) == NULL;
	return field->label == PROTOBUF_C_LABEL_OPTIONAL &&
	       !*(const protobuf_c_boolean *)(base + field->quantifier_offset);
}

void json_append_message(struct buf *buf, const ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;
	const uint8_t *base = (const uint8_t *)message;
	const char *before = "{";

	if (type->n_fields == 1 && type->fields[0].label == PROTOBUF_C_LABEL_REPEATED &&
	    strcmp(type->fields[0].name, "items") == 0) {
		add_array(buf, &type->fields[0], base);
		return;
	}
	for (unsigned i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &type->fields[i];
		bool is_array = field->label == PROTOBUF_C_LABEL_REPEATED;
		bool unset = !is_array && is_unset(field, base);

		if (field_is_internal(field) || (unset && json_is_left_out_unset(field->name)))
			continue;
		add(buf, before);
		before = ",";
		json_append_string(buf, field->name);
		add(buf, ":");
		if (is_array)
			add_array(buf, field, base);
		else if (unset)
			add(buf, "null");
		else
			add_value(buf, field, base + field->offset);
	}
	add(buf, *before == '{' ? "{}" : "}");
}

char *json_of_message(const ProtobufCMessage *message)
{
	struct buf buf = { 0 };

	json_append_message(&buf, message);
	buf_append(&buf, "", 1);
	return (char *)buf.data;
}
