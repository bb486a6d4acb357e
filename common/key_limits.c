#include "common/key_limits.h"

#include "common/mem.h"

#include <string.h>

static const char *const names[KEY_LIMIT_KINDS] = {
	[KEY_LIMIT_REQUESTS] = "requests_per_s",
	[KEY_LIMIT_BYTES] = "bytes_per_s",
	[KEY_LIMIT_CONNECTIONS] = "connections_per_s",
	[KEY_LIMIT_SOCKETS] = "open_sockets",
};

static const ProtobufCFieldDescriptor *field_of(const ProtobufCMessage *message,
                                                enum key_limit kind)
{
	const ProtobufCFieldDescriptor *field =
	        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, names[kind]);

	MUST(field && field->type == PROTOBUF_C_TYPE_UINT32);
	return field;
}

const char *key_limit_name(enum key_limit kind)
{
	return names[kind];
}

bool key_limit_given(const ProtobufCMessage *message, enum key_limit kind, uint32_t *ret)
{
	const ProtobufCFieldDescriptor *field;
	const uint8_t *base = (const uint8_t *)message;

	if (!message)
		return false;
	field = field_of(message, kind);
	if (!*(const protobuf_c_boolean *)(base + field->quantifier_offset))
		return false;
	*ret = *(const uint32_t *)(base + field->offset);
	return true;
}

void key_limit_give(Raeh__KeyLimits *message, enum key_limit kind, uint32_t value)
{
	const ProtobufCFieldDescriptor *field = field_of(&message->base, kind);
	uint8_t *base = (uint8_t *)message;

	*(protobuf_c_boolean *)(base + field->quantifier_offset) = 1;
	*(uint32_t *)(base + field->offset) = value;
}

struct key_limits key_limits_of(const Raeh__KeyLimits *message)
{
	struct key_limits ret = { { 0 } };

	for (unsigned i = 0; message && i < KEY_LIMIT_KINDS; i++)
		(void)key_limit_given(&message->base, (enum key_limit)i, &ret.of[i]);
	return ret;
}

Raeh__KeyLimits *key_limits_message(const struct key_limits *limits, Raeh__KeyLimits *ret)
{
	bool any = false;

	raeh__key_limits__init(ret);
	for (unsigned i = 0; i < KEY_LIMIT_KINDS; i++) {
		if (limits->of[i] == 0)
			continue;
		key_limit_give(ret, (enum key_limit)i, limits->of[i]);
		any = true;
	}
	return any ? ret : NULL;
}

bool key_limits_equal(const Raeh__KeyLimits *a, const Raeh__KeyLimits *b)
{
	const struct key_limits of_a = key_limits_of(a), of_b = key_limits_of(b);

	return memcmp(&of_a, &of_b, sizeof of_a) == 0;
}
