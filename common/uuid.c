#include "common/uuid.h"

#include <sodium.h>
#include <string.h>

static struct uuid stamped(int64_t wall_ms, const uint8_t tail[10])
{
	struct uuid id;

	for (int i = 0; i < 6; i++)
		id.byte[i] = (uint8_t)((uint64_t)wall_ms >> (8 * (5 - i)));
	memcpy(id.byte + 6, tail, 10);
	id.byte[6] = (uint8_t)(0x70 | (id.byte[6] & 0x0f));
	id.byte[8] = (uint8_t)(0x80 | (id.byte[8] & 0x3f));
	return id;
}

struct uuid uuid_new(int64_t wall_ms)
{
	uint8_t tail[10];

	randombytes_buf(tail, sizeof tail);
	return stamped(wall_ms, tail);
}

struct uuid uuid_numbered(int64_t wall_ms, uint64_t low)
{
	uint8_t tail[10] = { 0 };

	for (int i = 0; i < 8; i++)
		tail[2 + i] = (uint8_t)(low >> (8 * (7 - i)));
	return stamped(wall_ms, tail);
}

uint64_t uuid_number(const struct uuid *id)
{
	uint64_t low = id->byte[8] & 0x3f;

	for (int i = 9; i < 16; i++)
		low = low << 8 | id->byte[i];
	return low;
}

int64_t uuid_ms(const struct uuid *id)
{
	uint64_t ms = 0;

	for (int i = 0; i < 6; i++)
		ms = ms << 8 | id->byte[i];
	return (int64_t)ms;
}

void uuid_text(const struct uuid *id, char ret[UUID_TEXT])
{
	static const char digit[] = "0123456789abcdef";
	char *p = ret;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = digit[id->byte[i] >> 4];
		*p++ = digit[id->byte[i] & 15];
	}
	*p = '\0';
}

int uuid_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool uuid_parse(const char *text, struct uuid *ret)
{
	struct uuid id;
	const char *p = text;

	if (strnlen(text, UUID_TEXT) != UUID_TEXT - 1)
		return false;
	for (int i = 0; i < 16; i++) {
		int high, low;

		if ((i == 4 || i == 6 || i == 8 || i == 10) && *p++ != '-')
			return false;
		high = uuid_hex(p[0]);
		low = uuid_hex(p[1]);
		if (high < 0 || low < 0)
			return false;
		id.byte[i] = (uint8_t)(high << 4 | low);
		p += 2;
	}
	*ret = id;
	return true;
}

bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

bool uuid_is_nil(const struct uuid *id)
{
	static const struct uuid nil;

	return uuid_equal(id, &nil);
}
