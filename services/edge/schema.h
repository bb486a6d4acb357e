/*
 * schema - messages as JSON Schema (2020-12), by descriptor: what json.h reads and writes of them.
 *
 * What a descriptor cannot say (limits, words allowed, a sentence about the field) stands in a
 * table of names, schema_words.c.
 */
#ifndef EDGE_SCHEMA_H
#define EDGE_SCHEMA_H

#include "common/mem.h"

#include <protobuf-c/protobuf-c.h>

#define SCHEMA_MOST 128 /* messages of one document */

/* Messages that a document refers to, each once. Zero it to start. */
struct schemas {
	struct {
		const ProtobufCMessageDescriptor *type;
		bool asked; /* as a request: what is left out there is no fault */
	} used[SCHEMA_MOST];
	size_t n;
};

void schema_add(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A reference to the message, or what it is when it is a list: {"$ref":…} */
void schema_ref(struct schemas *schemas, struct buf *buf, const ProtobufCMessageDescriptor *type,
                bool asked);
/* One field as a parameter: its schema, without null. */
void schema_of_parameter(struct buf *buf, const ProtobufCMessageDescriptor *type,
                         const ProtobufCFieldDescriptor *field);
/* A sentence about a field; NULL: none. */
const char *schema_about(const ProtobufCMessageDescriptor *type, const char *field);
/* The fields that a client sees. */
bool schema_is_shown(const ProtobufCFieldDescriptor *field);
/* "Name":{…},"Name":{…} of all that were referred to, and of what these refer to. */
void schema_definitions(struct schemas *schemas, struct buf *buf);

/* schema_words.c. message: the name of its type. NULL: nothing is known of the field. */
struct schema_word {
	const char *field; /* "label", or of one message alone "MintKey.label" */
	const char *about; /* NULL: the name says it */
	const char *extra; /* JSON members for its schema; NULL: none */
};
const struct schema_word *schema_word(const char *message, const char *field);

#endif
