/*
 * key - the rules of API keys: digest, what may be minted, what is shown.
 *
 * Pure. At rest a key is its BLAKE2b-256 digest, keyed with the installation's secret, and
 * the 4 characters after the prefix.
 */
#ifndef AUTH_KEY_H
#define AUTH_KEY_H

#include "common/principal.h"
#include "services/auth/core.h"

void key_digest(const char *credential, const uint8_t secret[SECRET_BYTES],
                uint8_t ret[DIGEST_BYTES]);

/* What a valid MintKey asks for. */
struct key_wish {
	uint32_t scopes;
	const char *label, *device_id;       /* borrowed; device_id NULL = any */
	const char *external_id, *metadata;  /* borrowed; NULL = none */
	bool has_rate_limit, has_expires_at; /* false = the default; never */
	uint32_t rate_limit;
	int64_t expires_at;
	struct key_limits limits;
};
/* False and why: 400, naming the field, what was expected and what came. */
bool key_wish_of(const Auth__MintKey *mint, struct key_wish *ret, struct refusal *ret_why);
/* Its time is over, or it is disabled: it answers as a key that never was. */
bool key_is_off(const Auth__Key *key);
/* What the key may, not signed; notice 0. id is the key's, borrowed with the row. */
Raeh__Principal key_rights(const Events__KeyRow *row, const struct uuid *id);
/* The wish that a living key came from. */
struct key_wish key_wish_from(const Events__KeyRow *row);
/* The row's wish with what the patch replaces or clears; false and why (400). disabled is not
 * of it. */
bool key_wish_patched(const Events__KeyRow *row, const Auth__PatchKey *patch, struct key_wish *ret,
                      struct refusal *ret_why);
/* False and why (403): the wish is not within the caller's own rights. */
bool key_wish_allowed(const struct key_wish *wish, const struct caller *caller,
                      struct refusal *ret_why);

#define KEY_SCOPES_SHOWN SCOPE_COUNT
/* Names of the bits in scopes, in a fixed order. Returns their number. */
size_t key_scope_names(uint32_t scopes, char *ret[KEY_SCOPES_SHOWN]);

/* Characters of a valid UTF-8 text. */
size_t text_chars(const char *text);

#endif
