/*
 * principal - who asks: an account, a key and its rights, signed by auth.
 *
 * auth signs (principal_sign); router and publishers check (principal_check) before they
 * believe an account id. The MAC is keyed BLAKE2b-256 with a secret that edges do not have,
 * over the packed message with an empty mac.
 */
#ifndef COMMON_PRINCIPAL_H
#define COMMON_PRINCIPAL_H

#include "common/err.h"
#include "common/uuid.h"
#include "raeh.pb-c.h"

#define SECRET_BYTES 32

enum scope {
	SCOPE_INGEST = 1,
	SCOPE_SUBSCRIBE = 2,
	SCOPE_READ = 4,
	SCOPE_WRITE = 8,
	SCOPE_KEYS = 16,
};
#define SCOPES_DEFAULT (SCOPE_INGEST | SCOPE_SUBSCRIBE | SCOPE_READ | SCOPE_WRITE)
#define SCOPES_ALL     (SCOPES_DEFAULT | SCOPE_KEYS)
#define SCOPE_COUNT    5

/* "ingest" …; NULL for anything that is not one bit. */
const char *scope_name(uint32_t bit);
/* 0 for an unknown name. */
uint32_t scope_bit(const char *name);

/* Fills principal->mac; mac[] is the caller's storage. */
void principal_sign(Raeh__Principal *principal, const uint8_t secret[SECRET_BYTES],
                    uint8_t mac[32]);
/* ERR_DENIED: missing, not signed by auth, or ids of another length. account is written only
 * on success. */
CHECKED enum err principal_check(const Raeh__Principal *principal,
                                 const uint8_t secret[SECRET_BYTES], struct uuid *ret_account);

/* A secret of the installation: read from path, or made there on first use (mode 0600, written
 * whole or not at all). ERR_IO / ERR_MALFORMED with why. */
CHECKED enum err secret_load(const char *path, uint8_t ret[SECRET_BYTES], char why[256]);

#endif
