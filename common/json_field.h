/* What the parts of json share; nobody else includes this. */
#ifndef COMMON_JSON_FIELD_H
#define COMMON_JSON_FIELD_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <string.h>

/* Neither read nor written: see json.h. */
static inline bool field_is_internal(const ProtobufCFieldDescriptor *field)
{
	return field->type == PROTOBUF_C_TYPE_BYTES || field->type == PROTOBUF_C_TYPE_ENUM ||
	       (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF);
}

static inline bool field_is_time(const ProtobufCFieldDescriptor *field)
{
	size_t len = strlen(field->name);

	return field->type == PROTOBUF_C_TYPE_INT64 && len > 3 &&
	       strcmp(field->name + len - 3, "_at") == 0;
}

static inline bool field_is_metadata(const ProtobufCFieldDescriptor *field)
{
	return field->type == PROTOBUF_C_TYPE_STRING && strcmp(field->name, "metadata") == 0;
}

/* Where the names of fields go that came as null: see json.h. */
static inline bool field_is_cleared(const ProtobufCFieldDescriptor *field)
{
	return field->label == PROTOBUF_C_LABEL_REPEATED && strcmp(field->name, "cleared") == 0;
}

static inline bool field_is_pointer(const ProtobufCFieldDescriptor *field)
{
	return field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE;
}

/* Bytes of one value in the struct or in an array. */
static inline size_t field_size(const ProtobufCFieldDescriptor *field)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	default:
		return 4;
	}
}

/* Where in the body: printed only in a fault. */
struct place {
	const struct place *up;
	const char *name;
	long index; /* -1: no array */
};

/* Writes "place: sentence"; always false. */
bool json_fault(const struct place *place, char *why, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
/* How many bytes of a client's words a fault repeats: whole characters. */
int json_quoted_len(const char *text);

/* 16.0 is an integer to every JSON writer that has only doubles. */
bool json_whole(const json_t *value, int64_t *ret);
bool json_is_set(const ProtobufCFieldDescriptor *field, const uint8_t *base);
/* One value into the field of the struct at base, or behind those of its array. */
bool json_read_single(const struct place *up, char *why, const json_t *value,
                      const ProtobufCFieldDescriptor *field, uint8_t *base);
bool json_append_item(const struct place *up, char *why, const json_t *value,
                      const ProtobufCFieldDescriptor *field, uint8_t *base);

#endif
