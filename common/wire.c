#include "common/wire.h"

#include <stdlib.h>
#include <string.h>

struct bytes wire_pack(struct buf *buf, const ProtobufCMessage *message)
{
	buf->len = 0;
	buf_reserve(buf, protobuf_c_message_get_packed_size(message) + 1);
	buf->len = protobuf_c_message_pack(message, buf->data);
	return BYTES(buf->data, buf->len);
}

/* Lengths and least values by the first byte: Unicode 15, table 3-7. */
static size_t utf8_char(const uint8_t *p, size_t left)
{
	static const struct {
		uint8_t mask, mark;
		uint32_t least;
	} form[] = {
		{0x80,  0x00, 0      },
		{ 0xe0, 0xc0, 0x80   },
		{ 0xf0, 0xe0, 0x800  },
		{ 0xf8, 0xf0, 0x10000}
	};

	for (size_t n = 0; n < ARRAY_LEN(form) && n < left; n++) {
		uint32_t code = p[0] & (uint8_t)~form[n].mask;

		if ((p[0] & form[n].mask) != form[n].mark)
			continue;
		for (size_t i = 1; i <= n; i++) {
			if ((p[i] & 0xc0) != 0x80)
				return 0;
			code = code << 6 | (p[i] & 0x3f);
		}
		if (code < form[n].least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
			return 0;
		return n + 1;
	}
	return 0;
}

bool utf8_valid(const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len > 0) {
		size_t n = utf8_char(p, len);

		if (n == 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

bool text_has_control(const char *text)
{
	const uint8_t *p = (const uint8_t *)text;

	for (; *p; p++)
		if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0))
			return true;
	return false;
}

static bool strings_valid(const ProtobufCMessage *message);

static bool field_valid(const ProtobufCFieldDescriptor *field, const void *member)
{
	if (field->type == PROTOBUF_C_TYPE_STRING) {
		const char *text = *(const char *const *)member;

		return !text || utf8_valid(text, strlen(text));
	}
	if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
		const ProtobufCMessage *sub = *(const ProtobufCMessage *const *)member;

		return !sub || strings_valid(sub);
	}
	return true;
}

static bool repeated_valid(const ProtobufCFieldDescriptor *field, const void *base)
{
	size_t n = *(const size_t *)((const uint8_t *)base + field->quantifier_offset);
	const uint8_t *item = *(const uint8_t *const *)((const uint8_t *)base + field->offset);

	if (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_MESSAGE)
		return true;
	for (size_t i = 0; i < n; i++)
		if (!field_valid(field, item + i * sizeof(void *)))
			return false;
	return true;
}

static bool strings_valid(const ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;

	for (unsigned i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &type->fields[i];
		const uint8_t *base = (const uint8_t *)message;

		if (field->label == PROTOBUF_C_LABEL_REPEATED) {
			if (!repeated_valid(field, base))
				return false;
			continue;
		}
		if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
		    *(const uint32_t *)(base + field->quantifier_offset) != field->id)
			continue;
		if (!field_valid(field, base + field->offset))
			return false;
	}
	return true;
}

ProtobufCMessage *wire_unpack(const ProtobufCMessageDescriptor *type, struct bytes data)
{
	ProtobufCMessage *message = protobuf_c_message_unpack(type, NULL, data.len, data.data);

	if (message && !strings_valid(message)) {
		wire_free(message);
		return NULL;
	}
	return message;
}

void wire_free(ProtobufCMessage *message)
{
	if (message)
		protobuf_c_message_free_unpacked(message, NULL);
}

void wire_wipe(ProtobufCMessage *message)
{
	for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
		char *const *text = (char *const *)((uint8_t *)message + field->offset);

		if (field->type == PROTOBUF_C_TYPE_STRING &&
		    field->label != PROTOBUF_C_LABEL_REPEATED && *text &&
		    *text != field->default_value)
			explicit_bzero(*text, strlen(*text));
	}
}

ProtobufCMessage *wire_copy(const ProtobufCMessage *message)
{
	struct buf buf = { 0 };
	struct bytes packed = wire_pack(&buf, message);
	ProtobufCMessage *copy =
	        protobuf_c_message_unpack(message->descriptor, NULL, packed.len, packed.data);

	buf_free(&buf);
	MUST(copy != NULL);
	return copy;
}

bool wire_id(ProtobufCBinaryData field, struct uuid *ret)
{
	if (field.len != sizeof ret->byte || !field.data)
		return false;
	memcpy(ret->byte, field.data, sizeof ret->byte);
	return true;
}

ProtobufCBinaryData wire_bytes_of(const struct uuid *id)
{
	return (ProtobufCBinaryData){ sizeof id->byte, (uint8_t *)id->byte };
}

ProtobufCBinaryData wire_bytes(struct bytes data)
{
	return (ProtobufCBinaryData){ data.len, (uint8_t *)data.data };
}
