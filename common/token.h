/*
 * token - short-lived credentials that a key makes for browsers: what auth signs, edges read.
 *
 *     raeht_ base64url(Principal) . base64url(Ed25519 signature of all before the point)
 *
 * The Principal is the token's own rights as auth signed them for the services: the account, the
 * key that made it (its parent), scopes, device, session, end. A token is good under a verdict
 * for its parent alone. Only auth has the seed; edges have the public key.
 */
#ifndef COMMON_TOKEN_H
#define COMMON_TOKEN_H

#include "common/apikey.h"
#include "common/mem.h"
#include "raeh.pb-c.h"

#include <stdint.h>

#define TOKEN_SEED_BYTES 32
#define TOKEN_KEY_BYTES  32
#define TOKEN_TEXT       (TOKEN_MAX + 1)

void token_key_of(const uint8_t seed[TOKEN_SEED_BYTES], uint8_t ret[TOKEN_KEY_BYTES]);
/* principal: signed, with is_token and expires_ms. The owner wipes ret. */
void token_make(const Raeh__Principal *principal, const uint8_t seed[TOKEN_SEED_BYTES],
                char ret[TOKEN_TEXT]);
/* The principal of a token that was made with this key's seed (wire_free), or NULL. Its time may
 * be over. */
Raeh__Principal *token_open(const char *text, const uint8_t key[TOKEN_KEY_BYTES]);
/* Under these rights of its parent the token's own rights stand as they are. */
bool token_is_within(const Raeh__Principal *token, const Raeh__Principal *rights);

#endif
