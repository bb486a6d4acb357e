/*
 * new_key - a key that is being made: by minting, or as another's successor.
 */
#ifndef AUTH_NEW_KEY_H
#define AUTH_NEW_KEY_H

#include "common/apikey.h"
#include "services/auth/key.h"

/* Everything that a new key consists of; holds the key itself, so it is wiped. */
struct new_key {
	char text[APIKEY_TEXT], hint[APIKEY_HINT + 1];
	char id[UUID_TEXT], minted_by[UUID_TEXT];
	char *scopes[KEY_SCOPES_SHOWN];
	uint8_t digest[DIGEST_BYTES];
	Raeh__KeyLimits limits;
	Auth__Key key;
	Events__KeyRow row;
};

/* Borrows from the wish; the account and minted_by are the caller's. */
void new_key_make(struct new_key *ret, const struct key_wish *wish, const struct caller *caller,
                  const uint8_t *digest_secret);

#endif
