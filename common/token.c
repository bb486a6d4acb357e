#include "common/token.h"

#include "common/key_limits.h"
#include "common/wire.h"

#include <sodium.h>
#include <string.h>

#define PREFIX     "raeht_"
#define PREFIX_LEN (sizeof PREFIX - 1)
#define VARIANT    sodium_base64_VARIANT_URLSAFE_NO_PADDING

void token_key_of(const uint8_t seed[TOKEN_SEED_BYTES], uint8_t ret[TOKEN_KEY_BYTES])
{
	uint8_t secret[crypto_sign_SECRETKEYBYTES];

	(void)crypto_sign_seed_keypair(ret, secret, seed);
	sodium_memzero(secret, sizeof secret);
}

void token_make(const Raeh__Principal *principal, const uint8_t seed[TOKEN_SEED_BYTES],
                char ret[TOKEN_TEXT])
{
	uint8_t key[TOKEN_KEY_BYTES], secret[crypto_sign_SECRETKEYBYTES],
	        signature[crypto_sign_BYTES];
	struct buf buf = { 0 };
	struct bytes packed = wire_pack(&buf, &principal->base);
	size_t len;

	MUST(PREFIX_LEN + sodium_base64_ENCODED_LEN(packed.len, VARIANT) +
	             sodium_base64_ENCODED_LEN(sizeof signature, VARIANT) <=
	     TOKEN_TEXT);
	memcpy(ret, PREFIX, PREFIX_LEN);
	(void)sodium_bin2base64(ret + PREFIX_LEN, TOKEN_TEXT - PREFIX_LEN, packed.data, packed.len,
	                        VARIANT);
	len = strlen(ret);
	(void)crypto_sign_seed_keypair(key, secret, seed);
	(void)crypto_sign_detached(signature, NULL, (const uint8_t *)ret, len, secret);
	sodium_memzero(secret, sizeof secret);
	ret[len++] = '.';
	(void)sodium_bin2base64(ret + len, TOKEN_TEXT - len, signature, sizeof signature, VARIANT);
	buf_free(&buf);
}

/* Whole and nothing else; the number of bytes, or 0. */
static size_t decode(const char *text, size_t len, uint8_t *ret, size_t room)
{
	const char *end;
	size_t n = 0;

	if (sodium_base642bin(ret, room, text, len, NULL, &n, &end, VARIANT) != 0 ||
	    end != text + len)
		return 0;
	return n;
}

static bool is_signed(const char *text, const char *point, const uint8_t *key)
{
	uint8_t signature[crypto_sign_BYTES];

	return decode(point + 1, strlen(point + 1), signature, sizeof signature) ==
	               sizeof signature &&
	       crypto_sign_verify_detached(signature, (const uint8_t *)text, (size_t)(point - text),
	                                   key) == 0;
}

Raeh__Principal *token_open(const char *text, const uint8_t key[TOKEN_KEY_BYTES])
{
	const char *point = strchr(text, '.');
	uint8_t packed[TOKEN_MAX];
	Raeh__Principal *principal;
	struct uuid id;
	size_t n;

	if (!point || !apikey_is_token_form(text, strlen(text)) || !is_signed(text, point, key))
		return NULL;
	n = decode(text + PREFIX_LEN, (size_t)(point - text) - PREFIX_LEN, packed, sizeof packed);
	principal = (Raeh__Principal *)wire_unpack(&raeh__principal__descriptor, BYTES(packed, n));
	if (principal && principal->is_token && principal->has_expires_ms &&
	    wire_id(principal->account, &id) && wire_id(principal->key, &id) &&
	    (!principal->has_session || wire_id(principal->session, &id)))
		return principal;
	if (principal)
		wire_free(&principal->base);
	return NULL;
}

bool token_is_within(const Raeh__Principal *token, const Raeh__Principal *rights)
{
	if (token->scopes & ~rights->scopes)
		return false;
	if (rights->device_id &&
	    (!token->device_id || strcmp(token->device_id, rights->device_id) != 0))
		return false;
	if (rights->has_expires_ms && token->expires_ms > rights->expires_ms)
		return false;
	return token->has_frames_per_s == rights->has_frames_per_s &&
	       token->frames_per_s == rights->frames_per_s &&
	       key_limits_equal(token->limits, rights->limits);
}
