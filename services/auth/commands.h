/*
 * commands - what a key's holder (auth) and the operator (auth.admin) can both ask.
 *
 * Each takes the call and answers it, now or later.
 */
#ifndef AUTH_COMMANDS_H
#define AUTH_COMMANDS_H

#include "services/auth/core.h"

/* caller->account is the account of the new key; caller->is_operator: all rights. */
void mint_wanted(struct auth *auth, struct bus_call *call, const struct caller *caller,
                 ProtobufCBinaryData op_id, const Auth__MintKey *mint);
void list_wanted(struct auth *auth, struct bus_call *call, const struct uuid *account,
                 const Auth__ListKeys *list);
void get_wanted(struct auth *auth, struct bus_call *call, const struct uuid *account,
                const char *id);

/* What an edge reports of keys: asked by our own processes. */
void keys_used_wanted(struct auth *auth, struct bus_call *call, const Auth__KeysUsed *used);
/* As the view knows it: key->last_used_at, and _address and _agent, which become the key's: a key
 * that is not wire_free()d frees them itself. */
void show_last_use(struct auth *auth, const struct uuid *account, Auth__Key *key);

/* Listings go on in slices; these end them. */
void lists_done(struct auth *auth);

/* The op of a request that must have an op_id; NULL: the call is answered. */
struct op *op_wanted(struct auth *auth, struct bus_call *call, ProtobufCBinaryData op_id,
                     const struct uuid *caller, int kind);

/* The handlers of the names auth and auth.admin. */
void on_auth_call(void *auth, struct bus_call *call, struct bytes request);
void on_admin_call(void *auth, struct bus_call *call, struct bytes request);

void answer_metrics(struct auth *auth, struct bus_call *call);

#endif
