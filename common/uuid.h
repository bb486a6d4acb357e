/*
 * uuid - 128-bit identifiers, version 7 (RFC 9562 §5.7), so that they sort by time.
 *
 *     0                   6         8                            16
 *     | unix ms (48 bits) | 7|rand_a | 10|rand_b (62 bits)        |
 *
 * Text is always 36 characters, lower case.
 */
#ifndef COMMON_UUID_H
#define COMMON_UUID_H

#include <stdbool.h>
#include <stdint.h>

#define UUID_TEXT 37 /* with the terminating zero */

struct uuid {
	uint8_t byte[16];
};

/* Random apart from the time. */
struct uuid uuid_new(int64_t wall_ms);
/* The low 62 bits are the caller's (an insight's partition and number). rand_a is 0. */
struct uuid uuid_numbered(int64_t wall_ms, uint64_t low);
uint64_t uuid_number(const struct uuid *id);
int64_t uuid_ms(const struct uuid *id);

void uuid_text(const struct uuid *id, char ret[UUID_TEXT]);
/* Takes upper case too; nothing but the 36-character form. */
bool uuid_parse(const char *text, struct uuid *ret);
/* The value of a hexadecimal digit, in either case; -1: it is none. */
int uuid_hex(char c);
bool uuid_equal(const struct uuid *a, const struct uuid *b);
bool uuid_is_nil(const struct uuid *id);

#endif
