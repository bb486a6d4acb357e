/* Bodies and queries from bytes: what is accepted can be written, and read again as the same. */
#include "auth.pb-c.h"
#include "common/json.h"
#include "common/wire.h"
#include "publisher.pb-c.h"
#include "router.pb-c.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const ProtobufCMessageDescriptor *const types[] = {
	&router__create_model__descriptor,
	&auth__key__descriptor,
	&publisher__list_insights__descriptor,
	&publisher__session_detail__descriptor,
};

static void check_written(const ProtobufCMessage *message)
{
	char *text = json_of_message(message), *again, why[JSON_WHY];
	ProtobufCMessage *copy = json_new(message->descriptor);

	MUST(utf8_valid(text, strlen(text)));
	if (strlen(text) <= JSON_MAX_BYTES) { /* escapes may make it longer than what was read */
		MUST(json_to_message(BYTES(text, strlen(text)), copy, why) == OK);
		again = json_of_message(copy);
		MUST(strcmp(text, again) == 0);
		mem_free(again);
	}
	wire_free(copy);
	mem_free(text);
}

static void check(enum err err, const ProtobufCMessage *message, const char *why, bool whole)
{
	if (err != OK)
		MUST(memchr(why, '\0', JSON_WHY) && *why && utf8_valid(why, strlen(why)));
	else if (whole)
		check_written(message);
}

/* A key has scopes; what has none would be written with an empty list, which is refused. */
static bool is_no_key(const ProtobufCMessage *message)
{
	return message->descriptor == &auth__key__descriptor &&
	       ((const Auth__Key *)message)->n_scopes == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char why[JSON_WHY] = "";
	char *query = xcalloc(1, len + 1);

	if (len > 0)
		memcpy(query, data, len);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		ProtobufCMessage *body = json_new(types[i]), *command = json_new(types[i]);

		check(json_to_message(BYTES(data, len), body, why), body, why, !is_no_key(body));
		check(json_from_query(query, command, why), command, why, false);
		wire_free(body);
		wire_free(command);
	}
	mem_free(query);
	return 0;
}
