/*
 * json - JSON and query parameters into messages, messages into JSON, by descriptor.
 *
 *     POST body ──json_to_message()──► command      reply ──json_of_message()──► body
 *     ?a=1&b=2  ──json_from_query()──►
 *
 * The only includer of jansson. Field names are the JSON names; an unset optional field is
 * null. What a descriptor cannot say is a rule of names:
 *
 *     int64 x_at            wall ms, "2026-04-14T16:41:05.000Z" in JSON
 *     string metadata       holds a JSON object, which stands there as itself
 *     { repeated items }    a message with this one field is a bare array
 *     key, uncalibrated,
 *     made_id               left out while unset
 *     spo2_calibration      null while empty
 *     scopes                one or more, where they are given at all: none is not "all by default"
 *     bytes x, oneof {…}    internal: neither read nor written
 *     repeated cleared      not read as such: the names of the other fields that came as null or
 *                           as an empty array, for commands in which that means something
 *
 * A field that the caller has set before (an id from the path) is kept. Unknown fields and
 * parameters are ignored. Faults are whole sentences that name the field, what was expected and
 * what came: "modality_channels[2].bit_depth: expected an integer, got a string".
 *
 * Ownership: the message must be init'ed and on the heap (json_new()); whatever is put into it
 * is its own and goes with wire_free(), also after a fault, when it is half filled.
 */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include "common/err.h"
#include "common/mem.h"

#include <protobuf-c/protobuf-c.h>

#define JSON_MAX_BYTES (256u * 1024) /* one body                        */
#define JSON_MAX_DEPTH 16            /* brackets inside brackets        */
#define JSON_MAX_ITEMS 256           /* of one array that is a field    */
#define JSON_WHY       256           /* bytes of a fault, zero included */

/* An empty message for the two below. */
ProtobufCMessage *json_new(const ProtobufCMessageDescriptor *type);

/* An empty body is {}. ERR_MALFORMED: a fault that the client can mend; ERR_LIMIT: larger or
 * deeper than the bounds. why is written only then. */
CHECKED enum err json_to_message(struct bytes body, ProtobufCMessage *message, char why[JSON_WHY]);

/* query: as it stands in the URL, without '?'. A repeated parameter appends to a repeated
 * field; of any other the first counts. `from` is also found as from_at, in ISO-8601 or as ms.
 * api_key is skipped. Required fields are not asked for: they come from the path. */
CHECKED enum err json_from_query(const char *query, ProtobufCMessage *message, char why[JSON_WHY]);

/* A new string: mem_free(). Numbers that are whole stand without a fraction, others with at
 * most 10 digits; what is no number is null. */
char *json_of_message(const ProtobufCMessage *message);
/* The rules of names above, for who describes the JSON. */
bool json_is_left_out_unset(const char *field);
bool json_is_null_empty(const char *field);
/* The same, and a quoted string, behind what buf holds. */
void json_append_message(struct buf *buf, const ProtobufCMessage *message);
void json_append_string(struct buf *buf, const char *text);

#endif
