/*
 * op - one answer to each operation, however often its request arrives.
 *
 * A request that changes something carries an op_id. A repeat while the first is under way
 * joins it; a repeat later gets the first answer's bytes, for OPS_KEEP_MS. Refusals are not
 * kept: nothing was done, so a repeat may try again.
 *
 * The answers may hold a new key: in memory alone, wiped when they are let go.
 */
#ifndef AUTH_OP_H
#define AUTH_OP_H

#include "common/bus.h"
#include "common/uuid.h"

#define OPS_MOST    4096
#define OPS_KEEP_MS 60000
#define OP_CALLS    4 /* that wait for one answer; an older one is dropped and asks again */

struct ops;
struct op;

struct ops *ops_new(void);
void ops_free(struct ops *ops);

/* Takes the call. Returns a new op for the owner to carry out, or NULL: the call has joined,
 * was answered, or was dropped because OPS_MOST are under way. caller: the key that asks, nil
 * for the operator; the same op_id of another caller or kind is another operation. */
struct op *ops_begin(struct ops *ops, struct bytes op_id, const struct uuid *caller, int kind,
                     struct bus_call *call);

/* Answers all who wait. keep: for repeats; else the op is forgotten. */
void op_answer(struct op *op, struct bytes reply, bool keep);
/* One of those who wait, for the caller to answer; NULL when none is left. */
struct bus_call *op_take_call(struct op *op);
/* Forgets it; drops who waits. NULL is allowed. */
void op_drop(struct op *op);

/* Lets go what is older than OPS_KEEP_MS. */
void ops_expire(struct ops *ops);

#endif
