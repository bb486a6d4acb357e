#include "common/store.h"

#include "common/store_engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* An operation in a batch: this, the key, the value. */
struct op_head {
	uint32_t kind, key_len, value_len;
};

struct store_batch {
	struct buf ops;
	bool has_puts;
};

struct store_batch *batch_new(void)
{
	return xcalloc(1, sizeof(struct store_batch));
}

void batch_free(struct store_batch *batch)
{
	if (!batch)
		return;
	buf_free(&batch->ops);
	mem_free(batch);
}

static void add_op(struct store_batch *batch, enum op_kind kind, struct bytes key,
                   struct bytes value)
{
	struct op_head head = { kind, (uint32_t)key.len, (uint32_t)value.len };

	MUST(key.len <= UINT32_MAX && value.len <= UINT32_MAX);
	buf_append(&batch->ops, &head, sizeof head);
	buf_append(&batch->ops, key.data, key.len);
	buf_append(&batch->ops, value.data, value.len);
}

void batch_put(struct store_batch *batch, struct bytes key, struct bytes value)
{
	add_op(batch, OP_PUT, key, value);
	batch->has_puts = true;
}

void batch_delete(struct store_batch *batch, struct bytes key)
{
	add_op(batch, OP_DELETE, key, BYTES(NULL, 0));
}

static bool is_before(struct bytes a, struct bytes b)
{
	size_t shared = a.len < b.len ? a.len : b.len;
	int order = shared > 0 ? memcmp(a.data, b.data, shared) : 0;

	return order < 0 || (order == 0 && a.len < b.len);
}

void batch_delete_range(struct store_batch *batch, struct bytes from, struct bytes to)
{
	if (is_before(from, to))
		add_op(batch, OP_DELETE_RANGE, from, to);
}

void batch_give_back(struct store_batch *batch, struct bytes from, struct bytes to)
{
	if (is_before(from, to))
		add_op(batch, OP_GIVE_BACK, from, to);
}

size_t batch_bytes(const struct store_batch *batch)
{
	return batch->ops.len;
}

void batch_clear(struct store_batch *batch)
{
	batch->ops.len = 0;
	batch->has_puts = false;
}

bool batch_next(const struct store_batch *batch, size_t *place, struct op *ret)
{
	const uint8_t *p = batch->ops.data + *place;
	struct op_head head;

	if (*place == batch->ops.len)
		return false;
	memcpy(&head, p, sizeof head);
	p += sizeof head;
	*ret = (struct op){ head.kind, BYTES(p, head.key_len),
		            BYTES(p + head.key_len, head.value_len) };
	*place += sizeof head + head.key_len + head.value_len;
	return true;
}

void store_init(struct store *store, const struct store_engine *engine, struct loop *loop)
{
	store->engine = engine;
	store->loop = loop;
	store->end = &store->first;
}

void store_set_why(struct store *store, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(store->why, sizeof store->why, format, args); /* cut is fine */
	va_end(args);
}

void store_served(struct store *store, uint64_t count)
{
	while (store->served < count && store->first) {
		struct waiter *waiter = store->first;
		struct waiter called = *waiter;

		store->first = waiter->next;
		if (!store->first)
			store->end = &store->first;
		store->served++;
		mem_free(waiter);
		if (called.fn)
			called.fn(called.ctx);
	}
}

void store_forget(struct store *store, const void *ctx)
{
	for (struct waiter *waiter = store->first; waiter; waiter = waiter->next)
		if (waiter->ctx == ctx)
			waiter->fn = NULL;
}

void store_forget_all(struct store *store)
{
	while (store->first) {
		struct waiter *waiter = store->first;

		store->first = waiter->next;
		mem_free(waiter);
	}
	store->end = &store->first;
	store->served = store->asked;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	MUST(store->scans == 0);
	store_forget_all(store);
	store->engine->close(store);
}

enum err store_room(struct store *store)
{
	enum err err = store->engine->room(store, 0, false);

	store->room_granted = err == OK;
	return err;
}

enum err store_write(struct store *store, const struct store_batch *batch)
{
	bool granted = store->room_granted;
	enum err err = OK;

	store->room_granted = false;
	if (batch->ops.len == 0)
		return OK;
	if (!granted)
		err = store->engine->room(store, batch->ops.len, !batch->has_puts);
	if (err != OK)
		return err;
	return store->engine->write(store, batch);
}

void store_sync(struct store *store, store_synced_fn *fn, void *ctx)
{
	struct waiter *waiter = xcalloc(1, sizeof *waiter);

	*waiter = (struct waiter){ NULL, fn, ctx };
	*store->end = waiter;
	store->end = &waiter->next;
	store->asked++;
	store->engine->sync(store);
}

enum err store_get(struct store *store, struct bytes key, struct buf *ret)
{
	ret->len = 0;
	return store->engine->get(store, key, ret);
}

struct store_scan *scan_open(struct store *store, struct bytes from, struct bytes to,
                             bool backwards)
{
	bool empty = !is_before(from, to);
	struct store_scan *scan;

	/* The engines need not know what a range that ends before it begins means. */
	if (empty)
		to = from = BYTES("", 0);
	scan = store->engine->scan_open(store, from, to, backwards);
	scan->store = store;
	scan->done = empty;
	store->scans++;
	return scan;
}

bool scan_next(struct store_scan *scan, struct bytes *ret_key, struct bytes *ret_value)
{
	if (!scan->done)
		scan->done = !scan->store->engine->scan_next(scan, ret_key, ret_value);
	return !scan->done;
}

enum err scan_err(const struct store_scan *scan)
{
	return scan->err;
}

void scan_close(struct store_scan *scan)
{
	if (!scan)
		return;
	scan->store->scans--;
	scan->store->engine->scan_close(scan);
}

void store_give_back(struct store *store, struct bytes from, struct bytes to)
{
	if (store->engine->give_back)
		store->engine->give_back(store, from, to);
}

const char *store_why(const struct store *store)
{
	return store->why;
}
