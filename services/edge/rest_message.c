/* The part of rest that knows messages by their descriptors. */
#include "services/edge/rest_internal.h"

#include "auth.pb-c.h"
#include "common/json.h"
#include "router.pb-c.h"

static const struct {
	const ProtobufCMessageDescriptor *request, *reply;
} services[] = {
	[REST_AUTH] = {&auth__auth_request__descriptor,            &auth__auth_reply__descriptor    },
	[REST_ROUTER] = { &router__router_request__descriptor,       &router__router_reply__descriptor},
	[REST_PUBLISHER] = { &publisher__publisher_request__descriptor,
                       &publisher__publisher_reply__descriptor                                      },
	[REST_PUBLISHER_PAGES] = { &publisher__publisher_request__descriptor,
                       &publisher__publisher_reply__descriptor                                      },
	[REST_PUBLISHERS] = { &publisher__publisher_request__descriptor,
                       &publisher__publisher_reply__descriptor                                      },
	[REST_HERE] = { NULL,	                              NULL                             },
};

ProtobufCMessage *rest_request_new(enum rest_service service)
{
	return services[service].request ? json_new(services[service].request) : NULL;
}

const ProtobufCMessageDescriptor *rest_request_type(enum rest_service service)
{
	return services[service].request;
}

const ProtobufCMessageDescriptor *rest_reply_type(enum rest_service service)
{
	return services[service].reply;
}

const ProtobufCMessageDescriptor *rest_command_type(const struct rest_route *route)
{
	const ProtobufCMessageDescriptor *request = rest_request_type(route->service);

	if (!request || !route->command)
		return NULL;
	return protobuf_c_message_descriptor_get_field_by_name(request, route->command)->descriptor;
}

bool rest_needs_body(const struct rest_route *route)
{
	const ProtobufCMessageDescriptor *command = rest_command_type(route);

	for (unsigned i = 0; command && i < command->n_fields; i++)
		if (command->fields[i].label == PROTOBUF_C_LABEL_REQUIRED &&
		    !rest_path_has(route->path, command->fields[i].name))
			return true;
	return false;
}

void *rest_member(ProtobufCMessage *message, const char *name)
{
	const ProtobufCFieldDescriptor *field =
	        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);

	return field ? (uint8_t *)message + field->offset : NULL;
}

void rest_set_bytes(ProtobufCMessage *message, const char *name, struct bytes value)
{
	const ProtobufCFieldDescriptor *field =
	        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
	uint8_t *base = (uint8_t *)message;

	if (!field)
		return;
	*(ProtobufCBinaryData *)(base + field->offset) =
	        (ProtobufCBinaryData){ value.len, xmemdup(value.data, value.len) };
	*(protobuf_c_boolean *)(base + field->quantifier_offset) = 1;
}

void rest_set_once(ProtobufCMessage *message, struct bytes name, struct bytes body)
{
	Raeh__Once **place = rest_member(message, "once");

	if (!place)
		return;
	*place = (Raeh__Once *)json_new(&raeh__once__descriptor);
	(*place)->name = (ProtobufCBinaryData){ name.len, xmemdup(name.data, name.len) };
	(*place)->body = (ProtobufCBinaryData){ body.len, xmemdup(body.data, body.len) };
}

void rest_set_flag(ProtobufCMessage *message, const char *name)
{
	const ProtobufCFieldDescriptor *field =
	        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
	uint8_t *base = (uint8_t *)message;

	if (!field)
		return;
	MUST(field->type == PROTOBUF_C_TYPE_BOOL && field->label == PROTOBUF_C_LABEL_OPTIONAL);
	*(protobuf_c_boolean *)(base + field->offset) = 1;
	*(protobuf_c_boolean *)(base + field->quantifier_offset) = 1;
}

ProtobufCMessage *rest_choose(ProtobufCMessage *message, const char *name)
{
	const ProtobufCFieldDescriptor *field =
	        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
	ProtobufCMessage *sub;

	MUST(field != NULL); /* a row of the table names a command that is not there */
	sub = json_new(field->descriptor);
	*(uint32_t *)((uint8_t *)message + field->quantifier_offset) = field->id;
	*(ProtobufCMessage **)((uint8_t *)message + field->offset) = sub;
	return sub;
}

ProtobufCMessage *rest_chosen(ProtobufCMessage *message, const char *name)
{
	const ProtobufCFieldDescriptor *field =
	        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);

	MUST(field != NULL);
	if (*(uint32_t *)((uint8_t *)message + field->quantifier_offset) != field->id)
		return NULL;
	return *(ProtobufCMessage **)((uint8_t *)message + field->offset);
}
