/*
 * password - Argon2id in helper threads, so that no loop waits for it.
 *
 *     hasher_submit ──► a thread computes ──► fn(ctx, hash) from the loop
 *
 * At most `threads` at a time; one more is refused. A hasher without threads (tests, the
 * simulation: a virtual loop has no descriptors) computes in the call and answers in a later
 * turn. Passwords are wiped as soon as they are hashed.
 */
#ifndef AUTH_PASSWORD_H
#define AUTH_PASSWORD_H

#include "common/err.h"
#include "common/loop.h"

#define PASSWORD_LEAST 10 /* bytes */
#define PASSWORD_MOST  1024
#define PASSWORD_HASH  128 /* bytes of a hash, zero included */
#define HASHER_THREADS 2   /* 64 MiB and a core each */
#define HASHER_JOBS    8   /* without threads */

struct hasher;

/* hash is borrowed; NULL when there was not memory enough. */
typedef void hasher_fn(void *ctx, const char *hash);

struct hasher *hasher_new(struct loop *loop, unsigned threads);
/* Waits for its threads; answers not yet given are not given. */
void hasher_free(struct hasher *hasher);
AUTO_FREE(struct hasher, hasher_free)

/* Copies the password. ERR_LIMIT: as many as may run do. */
CHECKED enum err hasher_submit(struct hasher *hasher, const char *password, hasher_fn *fn,
                               void *ctx);
/* The same: is it the password that this hash was made of? hash NULL: of nobody; as long, and
 * no. fn gets NULL for no. */
CHECKED enum err hasher_verify(struct hasher *hasher, const char *password, const char *hash,
                               hasher_fn *fn, void *ctx);
/* Answers to ctx not yet given are not given. */
void hasher_forget(struct hasher *hasher, const void *ctx);

#endif
