/*
 * token_mint - tokens of keys (common/token.h): made here, and verified for edges.
 *
 * Nothing of a token is kept: it dies with its time, or with its key.
 */
#ifndef AUTH_TOKEN_MINT_H
#define AUTH_TOKEN_MINT_H

#include "services/auth/core.h"

#define TOKEN_TTL_S       600
#define TOKEN_TTL_LEAST_S 10
#define TOKEN_TTL_MOST_S  86400

/* Takes the call. */
void token_wanted(struct auth *auth, struct bus_call *call, const Raeh__Principal *principal,
                  const Auth__MintToken *mint);
/* What is left of the token's rights under those of its key, not signed; borrows from both.
 * False: nothing. */
bool token_rights(const Raeh__Principal *token, const Raeh__Principal *key, Raeh__Principal *ret);

#endif
