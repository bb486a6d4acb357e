#include "services/edge/schema.h"

#include "common/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void schema_add(struct buf *buf, const char *format, ...)
{
	char text[1024];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	MUST(len >= 0 && (size_t)len < sizeof text); /* our own words */
	buf_append(buf, text, (size_t)len);
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len > end_len && strcmp(text + len - end_len, end) == 0;
}

static bool is_time(const ProtobufCFieldDescriptor *field)
{
	return field->type == PROTOBUF_C_TYPE_INT64 && ends_with(field->name, "_at");
}

bool schema_is_shown(const ProtobufCFieldDescriptor *field)
{
	return field->type != PROTOBUF_C_TYPE_BYTES && field->type != PROTOBUF_C_TYPE_ENUM &&
	       !(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF);
}

static const ProtobufCMessageDescriptor *items_of(const ProtobufCMessageDescriptor *type)
{
	const ProtobufCFieldDescriptor *field = type->fields;

	if (type->n_fields != 1 || field->label != PROTOBUF_C_LABEL_REPEATED ||
	    strcmp(field->name, "items") != 0 || field->type != PROTOBUF_C_TYPE_MESSAGE)
		return NULL;
	return field->descriptor;
}

static void use(struct schemas *schemas, const ProtobufCMessageDescriptor *type, bool asked)
{
	for (size_t i = 0; i < schemas->n; i++)
		if (schemas->used[i].type == type) {
			schemas->used[i].asked = schemas->used[i].asked && asked;
			return;
		}
	MUST(schemas->n < SCHEMA_MOST);
	schemas->used[schemas->n].type = type;
	schemas->used[schemas->n++].asked = asked;
}

void schema_ref(struct schemas *schemas, struct buf *buf, const ProtobufCMessageDescriptor *type,
                bool asked)
{
	const ProtobufCMessageDescriptor *item = items_of(type);

	use(schemas, item ? item : type, asked);
	if (item)
		schema_add(buf,
		           "{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/%s\"}}",
		           item->short_name);
	else
		schema_add(buf, "{\"$ref\":\"#/components/schemas/%s\"}", type->short_name);
}

const char *schema_about(const ProtobufCMessageDescriptor *type, const char *field)
{
	const struct schema_word *word = schema_word(type->short_name, field);

	return word ? word->about : NULL;
}

/* "type": "integer", and what the type of the field says besides. */
static const char *json_type(const ProtobufCFieldDescriptor *field, const char **ret_more)
{
	*ret_more = "";
	switch (field->type) {
	case PROTOBUF_C_TYPE_BOOL:
		return "boolean";
	case PROTOBUF_C_TYPE_DOUBLE:
	case PROTOBUF_C_TYPE_FLOAT:
		return "number";
	case PROTOBUF_C_TYPE_STRING:
		return strcmp(field->name, "metadata") == 0 ? "object" : "string";
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_UINT64:
		*ret_more = ",\"minimum\":0";
		return "integer";
	default:
		if (is_time(field)) {
			*ret_more = ",\"format\":\"date-time\"";
			return "string";
		}
		return "integer";
	}
}

/* The value of a field, or of one element, without braces. */
static void add_value(struct schemas *schemas, struct buf *buf,
                      const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field,
                      bool nullable, bool asked)
{
	const struct schema_word *word = schema_word(type->short_name, field->name);
	const char *more, *name;

	if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
		use(schemas, field->descriptor, asked);
		name = ((const ProtobufCMessageDescriptor *)field->descriptor)->short_name;
		schema_add(buf,
		           nullable ? "\"anyOf\":[{\"$ref\":\"#/components/schemas/%s\"},"
		                      "{\"type\":\"null\"}]"
		                    : "\"$ref\":\"#/components/schemas/%s\"",
		           name);
		return;
	}
	name = json_type(field, &more);
	schema_add(buf, nullable ? "\"type\":[\"%s\",\"null\"]%s" : "\"type\":\"%s\"%s", name,
	           word && word->extra && strstr(word->extra, "\"minimum\"") ? "" : more);
	if (word && word->extra)
		schema_add(buf, ",%s", word->extra);
}

static void add_about(struct buf *buf, const ProtobufCMessageDescriptor *type, const char *field)
{
	const char *about = schema_about(type, field);

	if (!about)
		return;
	schema_add(buf, ",\"description\":");
	json_append_string(buf, about);
}

static void add_field(struct schemas *schemas, struct buf *buf,
                      const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field,
                      bool asked)
{
	bool nullable =
	        field->label == PROTOBUF_C_LABEL_OPTIONAL && !json_is_left_out_unset(field->name);

	schema_add(buf, "\"%s\":{", field->name);
	if (field->label == PROTOBUF_C_LABEL_REPEATED) {
		schema_add(buf, json_is_null_empty(field->name) || asked
		                        ? "\"type\":[\"array\",\"null\"],\"items\":{"
		                        : "\"type\":\"array\",\"items\":{");
		add_value(schemas, buf, type, field, false, asked);
		schema_add(buf, "}");
	} else {
		add_value(schemas, buf, type, field, nullable, asked);
	}
	add_about(buf, type, field->name);
	schema_add(buf, "}");
}

void schema_of_parameter(struct buf *buf, const ProtobufCMessageDescriptor *type,
                         const ProtobufCFieldDescriptor *field)
{
	schema_add(buf, field->label == PROTOBUF_C_LABEL_REPEATED
	                        ? "{\"type\":\"array\",\"items\":{"
	                        : "{");
	add_value(NULL, buf, type, field, false, true);
	schema_add(buf, field->label == PROTOBUF_C_LABEL_REPEATED ? "}}" : "}");
}

/* An id of a request stands in its path; what the server fills in is not read. */
static bool is_asked(const ProtobufCFieldDescriptor *field)
{
	bool of_path = field->label == PROTOBUF_C_LABEL_REQUIRED &&
	               (strcmp(field->name, "id") == 0 || strcmp(field->name, "ch_id") == 0);

	return schema_is_shown(field) && !of_path && strcmp(field->name, "address") != 0 &&
	       strcmp(field->name, "cleared") != 0;
}

static void add_required(struct buf *buf, const ProtobufCMessageDescriptor *type, bool asked)
{
	const char *before = "";

	schema_add(buf, ",\"required\":[");
	for (unsigned i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &type->fields[i];
		bool always = asked ? field->label == PROTOBUF_C_LABEL_REQUIRED
		                    : !json_is_left_out_unset(field->name);

		if (!(asked ? is_asked(field) : schema_is_shown(field)) || !always)
			continue;
		schema_add(buf, "%s\"%s\"", before, field->name);
		before = ",";
	}
	schema_add(buf, "]");
}

static void add_message(struct schemas *schemas, struct buf *buf,
                        const ProtobufCMessageDescriptor *type, bool asked)
{
	const char *before = "";

	schema_add(buf, "\"%s\":{\"type\":\"object\",\"properties\":{", type->short_name);
	for (unsigned i = 0; i < type->n_fields; i++) {
		if (!(asked ? is_asked(&type->fields[i]) : schema_is_shown(&type->fields[i])))
			continue;
		schema_add(buf, "%s", before);
		add_field(schemas, buf, type, &type->fields[i], asked);
		before = ",";
	}
	schema_add(buf, "}");
	add_required(buf, type, asked);
	schema_add(buf, "}");
}

void schema_definitions(struct schemas *schemas, struct buf *buf)
{
	for (size_t i = 0; i < schemas->n; i++) { /* grows meanwhile */
		schema_add(buf, "%s", i > 0 ? "," : "");
		add_message(schemas, buf, schemas->used[i].type, schemas->used[i].asked);
	}
}
