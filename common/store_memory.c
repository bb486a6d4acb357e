/*
 * The twin in memory: a treap whose nodes are shared and never changed while shared.
 * To hold a root is to hold a frozen copy of everything, so a scan, a sync and what
 * a power cut leaves are each one reference. The priorities are hashes of the keys:
 * the same keys make the same tree on every run.
 */
#include "common/store_engine.h"

#include <string.h>

struct node {
	uint32_t refs, priority;
	struct node *left, *right;
	struct item *item;
};

/* A key with its value; shared by the copies of a node. */
struct item {
	uint32_t refs;
	size_t key_len, value_len;
	uint8_t data[]; /* key, value */
};

struct memory_store {
	struct store store;
	int64_t sync_delay_ms;
	struct timer timer;
	struct node *root, *synced;
	struct node *syncing; /* what the sync that runs will have synced */
	uint64_t covers;      /* waiters that it will have served; 0 = none runs */
	bool dead;            /* its process died: what it still tries to write is lost */
};

struct memory_scan {
	struct store_scan scan;
	struct node *root; /* what is left to visit */
	struct node *held; /* the one lent to the caller */
	bool backwards;
};

static struct node *hold(struct node *node)
{
	if (node)
		node->refs++;
	return node;
}

static void release(struct node *node)
{
	if (!node || --node->refs > 0)
		return;
	release(node->left);
	release(node->right);
	if (--node->item->refs == 0)
		mem_free(node->item);
	mem_free(node);
}

/* Takes a reference, gives one to a node that may be changed. */
static struct node *own(struct node *node)
{
	struct node *copy;

	if (node->refs == 1)
		return node;
	copy = xmemdup(node, sizeof *node);
	copy->refs = 1;
	copy->item->refs++;
	(void)hold(copy->left);
	(void)hold(copy->right);
	release(node);
	return copy;
}

static int compare(const struct item *item, struct bytes key)
{
	size_t shared = item->key_len < key.len ? item->key_len : key.len;
	int order = shared > 0 ? memcmp(item->data, key.data, shared) : 0;

	return order != 0 ? order : (item->key_len > key.len) - (item->key_len < key.len);
}

/* Takes a tree; gives those before the key (and the key itself when through is set)
 * and those behind. */
static void split(struct node *node, struct bytes key, bool through, struct node **ret_before,
                  struct node **ret_behind)
{
	if (!node) {
		*ret_before = *ret_behind = NULL;
		return;
	}
	node = own(node);
	if (compare(node->item, key) < (through ? 1 : 0)) {
		split(node->right, key, through, &node->right, ret_behind);
		*ret_before = node;
	} else {
		split(node->left, key, through, ret_before, &node->left);
		*ret_behind = node;
	}
}

/* Takes two trees, the first all before the second; gives one. */
static struct node *join(struct node *before, struct node *behind)
{
	if (!before || !behind)
		return before ? before : behind;
	if (before->priority >= behind->priority) {
		before = own(before);
		before->right = join(before->right, behind);
		return before;
	}
	behind = own(behind);
	behind->left = join(before, behind->left);
	return behind;
}

/* FNV-1a, stirred: its high bits alone are too even on keys that count up. */
static uint32_t priority_of(struct bytes key)
{
	const uint8_t *p = key.data;
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < key.len; i++)
		hash = (hash ^ p[i]) * 0x100000001b3;
	hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccd;
	return (uint32_t)(hash >> 32);
}

static struct node *new_node(struct bytes key, struct bytes value)
{
	struct node *node = xcalloc(1, sizeof *node);
	struct item *item = xcalloc(1, sizeof *item + key.len + value.len);

	*item = (struct item){ .refs = 1, .key_len = key.len, .value_len = value.len };
	if (key.len > 0)
		memcpy(item->data, key.data, key.len);
	if (value.len > 0)
		memcpy(item->data + key.len, value.data, value.len);
	*node = (struct node){ .refs = 1, .priority = priority_of(key), .item = item };
	return node;
}

static void apply(struct memory_store *memory, const struct op *op)
{
	struct bytes last = op->kind == OP_DELETE_RANGE ? op->value : op->key;
	struct node *before, *between, *behind;

	split(memory->root, op->key, false, &before, &between);
	split(between, last, op->kind != OP_DELETE_RANGE, &between, &behind);
	release(between);
	if (op->kind == OP_PUT)
		before = join(before, new_node(op->key, op->value));
	memory->root = join(before, behind);
}

static enum err room(struct store *store, size_t bytes, bool only_deletes)
{
	(void)bytes;
	(void)only_deletes;
	return ((struct memory_store *)store)->dead ? ERR_IO : OK;
}

static enum err write(struct store *store, const struct store_batch *batch)
{
	struct op op;

	if (((struct memory_store *)store)->dead)
		return ERR_IO;

	for (size_t place = 0; batch_next(batch, &place, &op);)
		if (op.kind != OP_GIVE_BACK)
			apply((struct memory_store *)store, &op);
	return OK;
}

static void start_sync(struct memory_store *memory);

static void on_sync_done(void *ctx)
{
	struct memory_store *memory = ctx;
	uint64_t served = memory->covers;

	release(memory->synced);
	memory->synced = memory->syncing;
	memory->syncing = NULL;
	memory->covers = 0;
	if (served < memory->store.asked)
		start_sync(memory);
	store_served(&memory->store, served);
}

static void start_sync(struct memory_store *memory)
{
	memory->syncing = hold(memory->root);
	memory->covers = memory->store.asked;
	timer_set(memory->store.loop, &memory->timer, memory->sync_delay_ms, on_sync_done, memory);
}

static void sync_engine(struct store *store)
{
	struct memory_store *memory = (struct memory_store *)store;

	if (memory->covers == 0)
		start_sync(memory);
}

static enum err get(struct store *store, struct bytes key, struct buf *ret)
{
	const struct node *node = ((struct memory_store *)store)->root;

	while (node) {
		int order = compare(node->item, key);

		if (order == 0) {
			buf_append(ret, node->item->data + key.len, node->item->value_len);
			return OK;
		}
		node = order < 0 ? node->right : node->left;
	}
	return ERR_NOT_FOUND;
}

static struct store_scan *open_scan(struct store *store, struct bytes from, struct bytes to,
                                    bool backwards)
{
	struct memory_scan *scan = xcalloc(1, sizeof *scan);
	struct node *before, *behind;

	split(hold(((struct memory_store *)store)->root), from, false, &before, &scan->root);
	release(before);
	split(scan->root, to, false, &scan->root, &behind);
	release(behind);
	scan->backwards = backwards;
	return &scan->scan;
}

/* Takes the outermost node off the tree. */
static struct node *take_end(struct node **root, bool last)
{
	struct node *end;

	*root = own(*root);
	while (last ? (*root)->right : (*root)->left) {
		root = last ? &(*root)->right : &(*root)->left;
		*root = own(*root);
	}
	end = *root;
	*root = last ? end->left : end->right;
	end->left = end->right = NULL;
	return end;
}

static bool next(struct store_scan *base, struct bytes *ret_key, struct bytes *ret_value)
{
	struct memory_scan *scan = (struct memory_scan *)base;
	const struct item *item;

	release(scan->held);
	scan->held = NULL;
	if (!scan->root)
		return false;
	scan->held = take_end(&scan->root, scan->backwards);
	item = scan->held->item;
	*ret_key = BYTES(item->data, item->key_len);
	*ret_value = BYTES(item->data + item->key_len, item->value_len);
	return true;
}

static void close_scan(struct store_scan *base)
{
	struct memory_scan *scan = (struct memory_scan *)base;

	release(scan->held);
	release(scan->root);
	mem_free(scan);
}

static void stop_sync(struct memory_store *memory)
{
	timer_stop(memory->store.loop, &memory->timer);
	release(memory->syncing);
	memory->syncing = NULL;
	memory->covers = 0;
}

static void close_engine(struct store *store)
{
	struct memory_store *memory = (struct memory_store *)store;

	stop_sync(memory);
	release(memory->root);
	release(memory->synced);
	mem_free(memory);
}

static const struct store_engine memory_engine = {
	.close = close_engine,
	.room = room,
	.write = write,
	.sync = sync_engine,
	.get = get,
	.scan_open = open_scan,
	.scan_next = next,
	.scan_close = close_scan,
};

struct store *store_open_memory(struct loop *loop, int64_t sync_delay_ms)
{
	struct memory_store *memory = xcalloc(1, sizeof *memory);

	store_init(&memory->store, &memory_engine, loop);
	memory->sync_delay_ms = sync_delay_ms;
	return &memory->store;
}

void store_memory_kill(struct store *store)
{
	struct memory_store *memory = (struct memory_store *)store;

	MUST(store->engine == &memory_engine);
	store_forget_all(store);
	stop_sync(memory);
	memory->dead = true;
}

void store_memory_revive(struct store *store)
{
	struct memory_store *memory = (struct memory_store *)store;

	MUST(store->engine == &memory_engine && store->scans == 0);
	memory->dead = false;
}

void store_memory_crash(struct store *store)
{
	struct memory_store *memory = (struct memory_store *)store;

	store_memory_kill(store);
	store_memory_revive(store);
	release(memory->root);
	memory->root = hold(memory->synced);
}
