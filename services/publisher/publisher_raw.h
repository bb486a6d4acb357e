/*
 * raw - protobuf messages put together from rows that are packed already.
 *
 * A history answer or a broadcast is a list of stored messages: each is copied as it is
 * instead of being unpacked and packed again.
 */
#ifndef PUBLISHER_RAW_H
#define PUBLISHER_RAW_H

#include "common/mem.h"

/* One field whose value is bytes: a string, a message. */
void raw_add_bytes(struct buf *buf, unsigned field, struct bytes value);
void raw_add_u64(struct buf *buf, unsigned field, uint64_t value);
/* One number of a packed field, which is bytes. */
void raw_add_varint(struct buf *buf, uint64_t number);

#endif
