#include "services/auth/op.h"

#include "common/clock.h"
#include "common/map.h"

#include <sodium.h>
#include <sys/queue.h>

struct op {
	TAILQ_ENTRY(op) link; /* in done: oldest first */
	struct map_node by_name;
	struct ops *ops;
	struct uuid name;
	struct bus_call *call[OP_CALLS];
	size_t n_call;
	bool is_done;
	int64_t done_ms;
	struct bytes reply;
};

struct ops {
	struct map by_name;
	TAILQ_HEAD(, op) done;
};

struct ops *ops_new(void)
{
	struct ops *ops = xcalloc(1, sizeof *ops);

	map_init(&ops->by_name, sizeof(struct uuid));
	TAILQ_INIT(&ops->done);
	return ops;
}

static void let_go(struct op *op)
{
	struct ops *ops = op->ops;

	if (op->is_done) {
		TAILQ_REMOVE(&ops->done, op, link);
		sodium_memzero((void *)op->reply.data, op->reply.len);
		mem_free((void *)op->reply.data);
	}
	map_remove(&ops->by_name, &op->by_name);
	mem_free(op);
}

void op_drop(struct op *op)
{
	struct bus_call *call;

	if (!op)
		return;
	while ((call = op_take_call(op)))
		bus_drop(call);
	let_go(op);
}

void ops_free(struct ops *ops)
{
	if (!ops)
		return;
	while (ops->by_name.count > 0)
		op_drop(MAP_OWNER(map_any(&ops->by_name), struct op, by_name));
	map_done(&ops->by_name);
	mem_free(ops);
}

struct bus_call *op_take_call(struct op *op)
{
	return op->n_call > 0 ? op->call[--op->n_call] : NULL;
}

static void join(struct op *op, struct bus_call *call)
{
	if (op->is_done) {
		bus_reply(call, op->reply);
		return;
	}
	if (op->n_call == OP_CALLS) {
		bus_drop(op->call[0]);
		for (size_t i = 1; i < OP_CALLS; i++)
			op->call[i - 1] = op->call[i];
		op->n_call--;
	}
	op->call[op->n_call++] = call;
}

static struct uuid name_of(struct bytes op_id, const struct uuid *caller, int kind)
{
	crypto_generichash_state state;
	struct uuid name;

	(void)crypto_generichash_init(&state, NULL, 0, sizeof name);
	(void)crypto_generichash_update(&state, caller->byte, sizeof caller->byte);
	(void)crypto_generichash_update(&state, (const uint8_t *)&kind, sizeof kind);
	(void)crypto_generichash_update(&state, op_id.data, op_id.len);
	(void)crypto_generichash_final(&state, name.byte, sizeof name);
	return name;
}

struct op *ops_begin(struct ops *ops, struct bytes op_id, const struct uuid *caller, int kind,
                     struct bus_call *call)
{
	struct uuid name = name_of(op_id, caller, kind);
	struct op *op = MAP_OWNER(map_find(&ops->by_name, &name), struct op, by_name);

	if (op) {
		join(op, call);
		return NULL;
	}
	if (ops->by_name.count >= OPS_MOST && !TAILQ_EMPTY(&ops->done))
		let_go(TAILQ_FIRST(&ops->done));
	if (ops->by_name.count >= OPS_MOST) {
		bus_drop(call);
		return NULL;
	}
	op = xcalloc(1, sizeof *op);
	op->ops = ops;
	op->name = name;
	map_add(&ops->by_name, &op->by_name, &op->name);
	join(op, call);
	return op;
}

void op_answer(struct op *op, struct bytes reply, bool keep)
{
	struct bus_call *call;

	while ((call = op_take_call(op)))
		bus_reply(call, reply);
	if (!keep) {
		let_go(op);
		return;
	}
	op->is_done = true;
	op->done_ms = clock_boot_ms();
	op->reply = BYTES(xmemdup(reply.data, reply.len), reply.len);
	TAILQ_INSERT_TAIL(&op->ops->done, op, link);
}

void ops_expire(struct ops *ops)
{
	struct op *op;

	while ((op = TAILQ_FIRST(&ops->done)) && clock_boot_ms() - op->done_ms >= OPS_KEEP_MS)
		let_go(op);
}
