#include "common/keys.h"

#include <sodium.h>
#include <string.h>

#define HEAD_BYTES (2 + 16 + 1)

void key_add(struct key *key, const void *data, size_t len)
{
	MUST(key->len + len <= KEY_MAX);
	if (len > 0)
		memcpy(key->data + key->len, data, len);
	key->len += len;
}

static void add_big_endian(struct key *key, uint64_t number, int bytes)
{
	uint8_t text[8];

	for (int i = 0; i < bytes; i++)
		text[i] = (uint8_t)(number >> (8 * (bytes - 1 - i)));
	key_add(key, text, (size_t)bytes);
}

void key_start(struct key *key, uint16_t partition, const struct uuid *account, char table)
{
	static const struct uuid nil;

	key->len = 0;
	add_big_endian(key, partition, 2);
	key_add(key, account ? account : &nil, sizeof nil);
	key_add(key, &table, 1);
}

void key_add_uuid(struct key *key, const struct uuid *id)
{
	key_add(key, id->byte, sizeof id->byte);
}

void key_add_u64(struct key *key, uint64_t number)
{
	add_big_endian(key, number, 8);
}

void key_add_u32(struct key *key, uint32_t number)
{
	add_big_endian(key, number, 4);
}

struct bytes key_bytes(const struct key *key)
{
	return BYTES(key->data, key->len);
}

void key_end_of(const struct key *prefix, struct key *ret)
{
	struct key end = *prefix;

	while (end.len > 0 && end.data[end.len - 1] == 0xff)
		end.len--;
	MUST(end.len > 0);
	end.data[end.len - 1]++;
	*ret = end;
}

struct bytes key_row(struct bytes key)
{
	if (key.len < HEAD_BYTES)
		return BYTES(key.data, 0);
	return BYTES((const uint8_t *)key.data + HEAD_BYTES, key.len - HEAD_BYTES);
}

bool key_account(struct bytes key, struct uuid *ret)
{
	if (key.len < HEAD_BYTES)
		return false;
	memcpy(ret->byte, (const uint8_t *)key.data + 2, sizeof ret->byte);
	return true;
}

uint64_t key_read_u64(const void *data)
{
	const uint8_t *p = data;
	uint64_t number = 0;

	for (int i = 0; i < 8; i++)
		number = number << 8 | p[i];
	return number;
}

uint16_t partition_of(const struct uuid *account, const struct uuid *model, const char *device_id)
{
	crypto_generichash_state state;
	uint8_t hash[16];

	(void)crypto_generichash_init(&state, NULL, 0, sizeof hash);
	(void)crypto_generichash_update(&state, account->byte, sizeof account->byte);
	(void)crypto_generichash_update(&state, model->byte, sizeof model->byte);
	(void)crypto_generichash_update(&state, (const uint8_t *)device_id, strlen(device_id));
	(void)crypto_generichash_final(&state, hash, sizeof hash);
	return (uint16_t)(hash[0] % PARTITIONS);
}
