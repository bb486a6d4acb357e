#include "common/principal.h"

#include "common/mem.h"
#include "common/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const names[SCOPE_COUNT] = { "ingest", "subscribe", "read", "write", "keys" };

const char *scope_name(uint32_t bit)
{
	for (unsigned i = 0; i < SCOPE_COUNT; i++)
		if (bit == 1u << i)
			return names[i];
	return NULL;
}

uint32_t scope_bit(const char *name)
{
	for (unsigned i = 0; i < SCOPE_COUNT; i++)
		if (strcmp(name, names[i]) == 0)
			return 1u << i;
	return 0;
}

static void mac_of(const Raeh__Principal *principal, const uint8_t *secret, uint8_t mac[32])
{
	Raeh__Principal bare = *principal;
	struct buf buf = { 0 };
	struct bytes packed;

	bare.mac = (ProtobufCBinaryData){ 0 };
	packed = wire_pack(&buf, &bare.base);
	(void)crypto_generichash(mac, 32, packed.data, packed.len, secret, SECRET_BYTES);
	buf_free(&buf);
}

void principal_sign(Raeh__Principal *principal, const uint8_t secret[SECRET_BYTES], uint8_t mac[32])
{
	mac_of(principal, secret, mac);
	principal->mac = (ProtobufCBinaryData){ 32, mac };
}

enum err principal_check(const Raeh__Principal *principal, const uint8_t secret[SECRET_BYTES],
                         struct uuid *ret_account)
{
	uint8_t mac[32];
	struct uuid account, key;

	if (!principal || !wire_id(principal->account, &account) || !wire_id(principal->key, &key))
		return ERR_DENIED;
	mac_of(principal, secret, mac);
	if (principal->mac.len != sizeof mac ||
	    sodium_memcmp(principal->mac.data, mac, sizeof mac) != 0)
		return ERR_DENIED;
	*ret_account = account;
	return OK;
}

static enum err failed(char why[256], const char *what, const char *path)
{
	(void)snprintf(why, 256, "cannot %s %s: %s", what, path, strerror(errno));
	return ERR_IO;
}

/* Written beside, then linked into place: two processes that start together agree on one. */
static enum err secret_make(const char *path, char why[256])
{
	uint8_t secret[SECRET_BYTES];
	char beside[4096];
	int fd;
	ssize_t n;

	(void)snprintf(beside, sizeof beside, "%s.%ld", path, (long)getpid());
	(void)unlink(beside); /* left by a process that died */
	fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return failed(why, "create", beside);
	randombytes_buf(secret, sizeof secret);
	n = write(fd, secret, sizeof secret);
	sodium_memzero(secret, sizeof secret);
	if (n != SECRET_BYTES || fsync(fd) != 0) {
		(void)close(fd);
		return failed(why, "write", beside);
	}
	(void)close(fd);
	if (link(beside, path) != 0 && errno != EEXIST)
		return failed(why, "create", path);
	(void)unlink(beside);
	return OK;
}

enum err secret_load(const char *path, uint8_t ret[SECRET_BYTES], char why[256])
{
	uint8_t secret[SECRET_BYTES + 1];
	enum err err;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT) {
		err = secret_make(path, why);
		if (err != OK)
			return err;
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0)
		return failed(why, "open", path);
	n = read(fd, secret, sizeof secret);
	(void)close(fd);
	if (n != SECRET_BYTES) {
		(void)snprintf(why, 256, "%s: expected %d bytes, got %zd", path, SECRET_BYTES, n);
		return ERR_MALFORMED;
	}
	memcpy(ret, secret, SECRET_BYTES);
	sodium_memzero(secret, sizeof secret);
	return OK;
}
