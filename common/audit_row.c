#include "common/audit_row.h"

#include "common/wire.h"

#include <string.h>

#define TABLE 'A'

/* ---- an event, by its descriptor ---- */

static const void *member(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	return (const uint8_t *)message + field->offset;
}

static const ProtobufCFieldDescriptor *field_of(const ProtobufCMessage *message, const char *name)
{
	return protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
}

/* The chosen member of the message's oneof. */
static const ProtobufCMessage *chosen(const ProtobufCMessage *event, const char **ret_name)
{
	for (unsigned i = 0; i < event->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &event->descriptor->fields[i];
		const uint8_t *quantifier = (const uint8_t *)event + field->quantifier_offset;

		if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) ||
		    *(const uint32_t *)quantifier != field->id)
			continue;
		*ret_name = field->name;
		return *(const ProtobufCMessage *const *)member(event, field);
	}
	return NULL;
}

static bool find_id(const ProtobufCMessage *message, struct uuid *ret);

/* An id of 16 bytes or as text, or that of the message there. */
static bool id_of(const ProtobufCMessage *message, const char *name, struct uuid *ret)
{
	const ProtobufCFieldDescriptor *field = field_of(message, name);
	const char *text;
	const ProtobufCMessage *sub;

	if (!field || field->label == PROTOBUF_C_LABEL_REPEATED)
		return false;
	switch (field->type) {
	case PROTOBUF_C_TYPE_BYTES:
		return wire_id(*(const ProtobufCBinaryData *)member(message, field), ret);
	case PROTOBUF_C_TYPE_STRING:
		text = *(const char *const *)member(message, field);
		return text && uuid_parse(text, ret);
	case PROTOBUF_C_TYPE_MESSAGE:
		sub = *(const ProtobufCMessage *const *)member(message, field);
		return sub && find_id(sub, ret);
	default:
		return false;
	}
}

static bool find_id(const ProtobufCMessage *message, struct uuid *ret)
{
	static const char *const names[] = { "id",      "key",  "row",   "model",
		                             "session", "user", "invite" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (id_of(message, names[i], ret))
			return true;
	return false;
}

static bool find_account(const ProtobufCMessage *event, const ProtobufCMessage *what,
                         struct uuid *ret)
{
	const ProtobufCFieldDescriptor *row = field_of(what, "row");
	const ProtobufCMessage *sub = NULL;

	if (what->descriptor == &events__account_row__descriptor)
		return id_of(what, "id", ret);
	if (row && row->type == PROTOBUF_C_TYPE_MESSAGE)
		sub = *(const ProtobufCMessage *const *)member(what, row);
	return id_of(event, "account", ret) || id_of(what, "account", ret) ||
	       (sub && id_of(sub, "account", ret));
}

static const char *text_of(const ProtobufCMessage *message, const char *name)
{
	const ProtobufCFieldDescriptor *field = field_of(message, name);

	return field && field->type == PROTOBUF_C_TYPE_STRING
	               ? *(const char *const *)member(message, field)
	               : NULL;
}

static uint64_t count_of(const ProtobufCMessage *message)
{
	const ProtobufCFieldDescriptor *field = field_of(message, "count");

	return field && field->type == PROTOBUF_C_TYPE_UINT64
	               ? *(const uint64_t *)member(message, field)
	               : 1;
}

bool audit_is_among(const char *const *names, const char *name)
{
	for (; *names; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

/* ---- its row ---- */

struct key audit_row_key(const struct uuid *account, uint64_t seq)
{
	struct key key;

	key_start(&key, PARTITION_OWN, account, TABLE);
	key_add_u64(&key, seq);
	return key;
}

struct key audit_filled_key(void)
{
	struct key key;

	key_start(&key, PARTITION_OWN, NULL, TABLE);
	return key;
}

enum err audit_filled(struct store *store)
{
	struct key key = audit_filled_key();
	struct buf mark = { 0 };
	enum err err = store_get(store, key_bytes(&key), &mark);

	if (err == OK && (mark.len != 1 || mark.data[0] != AUDIT_FILLED))
		err = ERR_NOT_FOUND;
	buf_free(&mark);
	return err;
}

bool audit_row_of(const struct audit_source *source, const ProtobufCMessage *event,
                  struct audit_row *ret)
{
	const char *name = NULL;
	const ProtobufCMessage *what = chosen(event, &name);
	Events__AuditRow *row = &ret->row;

	if (!what || audit_is_among(source->silent, name) ||
	    !find_account(event, what, &ret->account))
		return false;
	events__audit_row__init(row);
	row->at_ms = *(const int64_t *)member(event, field_of(event, "at_ms"));
	row->action = (char *)name;
	row->has_by = id_of(event, "by", &ret->by);
	if (row->has_by)
		row->by = wire_bytes_of(&ret->by);
	row->has_target = find_id(what, &ret->target);
	if (row->has_target)
		row->target = wire_bytes_of(&ret->target);
	row->resource = (char *)text_of(what, "resource");
	row->count = count_of(what);
	return true;
}

const Raeh__Origin *audit_origin(const ProtobufCMessage *event)
{
	const ProtobufCFieldDescriptor *field = field_of(event, "origin");

	MUST(field != NULL);
	return *(const Raeh__Origin *const *)member(event, field);
}
