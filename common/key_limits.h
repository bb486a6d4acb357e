/*
 * key_limits - what a key may do, in numbers of its own: beside its rate of frames.
 *
 * One list of the fields of KeyLimits, for whoever reads, judges or applies them.
 */
#ifndef COMMON_KEY_LIMITS_H
#define COMMON_KEY_LIMITS_H

#include "raeh.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

enum key_limit {
	KEY_LIMIT_REQUESTS,    /* of REST, a second      */
	KEY_LIMIT_BYTES,       /* of frames, a second    */
	KEY_LIMIT_CONNECTIONS, /* new sockets a second   */
	KEY_LIMIT_SOCKETS,     /* open at once           */
	KEY_LIMIT_KINDS,
};

/* 0: not set, the default holds. */
struct key_limits {
	uint32_t of[KEY_LIMIT_KINDS];
};

/* The name of its field. */
const char *key_limit_name(enum key_limit kind);
/* Of a message with fields of these names. False: NULL, or the field is not set. */
bool key_limit_given(const ProtobufCMessage *message, enum key_limit kind, uint32_t *ret);
void key_limit_give(Raeh__KeyLimits *message, enum key_limit kind, uint32_t value);

/* NULL: none is set. */
struct key_limits key_limits_of(const Raeh__KeyLimits *message);
/* NULL when none is set, else ret. */
Raeh__KeyLimits *key_limits_message(const struct key_limits *limits, Raeh__KeyLimits *ret);
bool key_limits_equal(const Raeh__KeyLimits *a, const Raeh__KeyLimits *b);

#endif
