#include "services/router/row.h"

#include "common/wire.h"

#include <sodium.h>
#include <string.h>

struct key row_key(const struct uuid *account, char table, const struct uuid *id)
{
	struct key key;

	key_start(&key, PARTITION_OWN, account, table);
	key_add_uuid(&key, id);
	return key;
}

struct key row_name_key(const struct uuid *account, const char *name)
{
	uint8_t hash[32];
	struct key key;

	(void)crypto_generichash(hash, sizeof hash, (const uint8_t *)name, strlen(name), NULL, 0);
	key_start(&key, PARTITION_OWN, account, 'N');
	key_add(&key, hash, sizeof hash);
	return key;
}

struct key row_device_key(const struct uuid *account, char table, const struct uuid *model,
                          const char *device_id)
{
	struct key key = row_key(account, table, model);

	key_add(&key, device_id, strlen(device_id));
	return key;
}

struct key row_device_sessions_key(const struct uuid *account, const char *device_id)
{
	struct key key;

	key_start(&key, PARTITION_OWN, account, 'd');
	key_add(&key, device_id, strlen(device_id) + 1); /* the zero ends it: no other begins so */
	return key;
}

struct key row_erasing_key(const struct uuid *account, const char *device_id)
{
	struct key key;

	key_start(&key, PARTITION_OWN, NULL, 'X');
	key_add_uuid(&key, account);
	key_add(&key, device_id, strlen(device_id));
	return key;
}

struct key row_edge_key(uint32_t slot, const struct uuid *incarnation)
{
	struct key key;

	key_start(&key, PARTITION_OWN, NULL, 'e');
	key_add_u32(&key, slot);
	key_add_uuid(&key, incarnation);
	return key;
}

enum err row_read(struct store *store, const struct key *key,
                  const ProtobufCMessageDescriptor *type, void *ret)
{
	struct buf buf = { 0 };
	enum err err = store_get(store, key_bytes(key), &buf);
	ProtobufCMessage *row = NULL;

	if (err == OK) {
		row = wire_unpack(type, BYTES(buf.data, buf.len));
		err = row ? OK : ERR_IO;
	}
	buf_free(&buf);
	if (err == OK)
		*(ProtobufCMessage **)ret = row;
	return err;
}

enum err row_read_id(struct store *store, const struct key *key, struct uuid *ret)
{
	struct buf buf = { 0 };
	enum err err = store_get(store, key_bytes(key), &buf);

	if (err == OK && buf.len != sizeof *ret)
		err = ERR_IO;
	if (err == OK)
		memcpy(ret, buf.data, sizeof *ret);
	buf_free(&buf);
	return err;
}
