/*
 * once - a command that its client has named is carried out once, over restarts too.
 *
 *     once_call ─► seen before? ─yes─► the first answer, or 409 with what it has made
 *                      │ no                        (another body: 422)
 *                      ▼
 *      journal Kept{begun} ─► deps.run ─► its reply ─► journal Kept{done} ─► told
 *
 * The name is the client's Idempotency-Key with the route; here it is made one of the key that
 * asks. Kept for ONCE_KEEP_MS. A refusal is not kept: nothing was done, a repeat may try again.
 * Nor is an answer with a secret: only the id of what was made. Repeats that come while the
 * first is under way wait for its answer; the bus's own repeats (the same op_id) get the very
 * answer, secret and all, for ONCE_ECHO_MS.
 *
 * Between the two records a crash leaves it open whether the command was carried out. It is run
 * again where its effect is the same then (deps.repeatable), else a repeat is told 409.
 *
 * Rows in the service's store, see keys.h. Memory: ONCE_MOST commands at a time.
 */
#ifndef COMMON_ONCE_H
#define COMMON_ONCE_H

#include "common/bus.h"
#include "common/store.h"
#include "common/uuid.h"
#include "raeh.pb-c.h"

#define ONCE_KEEP_MS    (24 * 3600 * INT64_C(1000))
#define ONCE_ECHO_MS    60000
#define ONCE_MOST       4096
#define ONCE_WAITERS    4            /* an older one is dropped and asks again           */
#define ONCE_REPLY_MOST (64u * 1024) /* bytes of an answer that is kept; else as a secret */

struct once;

typedef void once_appended_fn(void *ctx, enum err err);

struct once_deps {
	struct loop *loop;
	struct store *store;
	const ProtobufCMessageDescriptor *reply; /* with `error` and a oneof of results */
	bool repeatable;
	/* Journals an event that holds kept. fn: as journal_committed_fn. */
	void (*append)(void *service, const Raeh__Kept *kept, once_appended_fn *fn, void *ctx);
	/* The command, once it may be carried out. Takes the call. */
	void (*run)(void *service, struct bus_call *call, struct bytes request);
	void *service;
};

struct once *once_new(const struct once_deps *deps);
/* Before the service lets go of its calls: nothing is journaled from now on. */
void once_stop(struct once *once);
/* After that. */
void once_free(struct once *once);

/* Who asks: proven by the caller. */
struct once_asker {
	struct uuid account, key;
};
/* Takes the call. op_id: of the request, any bytes; names a repeat of the bus. */
void once_call(struct once *once, struct bus_call *call, struct bytes request,
               const struct once_asker *asker, const Raeh__Once *named, struct bytes op_id);

/* From apply(). */
void once_apply(const Raeh__Kept *kept, int64_t at_ms, struct store_batch *view);

#endif
