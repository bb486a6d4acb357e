/*
 * wire - protobuf-c messages as bytes, checked on the way in.
 *
 *     struct bytes b = wire_pack(&buf, &request.base);
 *     AUTO(wire_free) ProtobufCMessage *m = wire_unpack(&auth__auth_request__descriptor, b);
 *
 * protobuf-c accepts strings that are not UTF-8 and bytes of any length; wire_unpack()
 * refuses the former, and WIRE_ID() asks the latter at the place of use.
 */
#ifndef COMMON_WIRE_H
#define COMMON_WIRE_H

#include "common/mem.h"
#include "common/uuid.h"

#include <protobuf-c/protobuf-c.h>

/* Replaces the content of buf; the result borrows it. */
struct bytes wire_pack(struct buf *buf, const ProtobufCMessage *message);

/* NULL when the bytes are no such message or a string in it is not UTF-8. */
ProtobufCMessage *wire_unpack(const ProtobufCMessageDescriptor *type, struct bytes data);
void wire_free(ProtobufCMessage *message);
/* Overwrites its own texts, which held a secret. */
void wire_wipe(ProtobufCMessage *message);
AUTO_FREE(ProtobufCMessage, wire_free)

/* A deep copy, by packing and unpacking. */
ProtobufCMessage *wire_copy(const ProtobufCMessage *message);

/* True and *ret when the field holds 16 bytes. */
bool wire_id(ProtobufCBinaryData field, struct uuid *ret);
/* Borrows id. */
ProtobufCBinaryData wire_bytes_of(const struct uuid *id);
ProtobufCBinaryData wire_bytes(struct bytes data);

/* Whole and well formed, no surrogates, no overlong forms. */
bool utf8_valid(const void *data, size_t len);
/* C0, DEL or C1. */
bool text_has_control(const char *text);

#endif
