#include "services/publisher/publisher_raw.h"

#define WIRE_VARINT 0
#define WIRE_BYTES  2

void raw_add_varint(struct buf *buf, uint64_t number)
{
	uint8_t text[10];
	size_t n = 0;

	do {
		text[n++] = (uint8_t)(number | 0x80);
		number >>= 7;
	} while (number > 0);
	text[n - 1] &= 0x7f;
	buf_append(buf, text, n);
}

void raw_add_bytes(struct buf *buf, unsigned field, struct bytes value)
{
	raw_add_varint(buf, field << 3 | WIRE_BYTES);
	raw_add_varint(buf, value.len);
	buf_append(buf, value.data, value.len);
}

void raw_add_u64(struct buf *buf, unsigned field, uint64_t value)
{
	raw_add_varint(buf, field << 3 | WIRE_VARINT);
	raw_add_varint(buf, value);
}
