/*
 * Any sequence of batches, scans, syncs and crashes on the twin, against plain arrays.
 * The simulation believes the twin, so the twin must not be wrong.
 */
#include "common/clock.h"
#include "common/store.h"

#include <stdlib.h>
#include <string.h>

#define KEYS    64
#define SYNC_MS 3

/* Value 0: absent. */
struct model {
	uint8_t batch[KEYS], now[KEYS], syncing[KEYS], synced[KEYS], scanned[KEYS];
	bool is_syncing, is_scanning, backwards;
	int scan_at, scan_end; /* keys still to come */
};

static struct loop *loop;
static struct store *store;
static struct store_batch *batch;
static struct store_scan *scan;
static struct model model;
static int64_t fake_us;

static int64_t read_fake(void *ctx)
{
	(void)ctx;
	return fake_us;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Lengths 1 to 4, in the order of the numbers: the number's rest is a run of zeros. */
static struct bytes key_of(int number, uint8_t space[4])
{
	memset(space, 0, 4);
	space[0] = (uint8_t)(number / 4);
	return BYTES(space, (size_t)(number % 4) + 1);
}

static void change(int kind, int at, int to, uint8_t value)
{
	uint8_t from_space[4], to_space[4];
	struct bytes key = key_of(at, from_space);

	if (kind == 0) {
		batch_put(batch, key, BYTES(&value, 1));
		model.batch[at] = value;
	} else if (kind == 1) {
		batch_delete(batch, key);
		model.batch[at] = 0;
	} else {
		batch_delete_range(batch, key, key_of(to, to_space));
		for (int i = at; i < to; i++)
			model.batch[i] = 0;
	}
}

static void write_batch(void)
{
	MUST(store_write(store, batch) == OK);
	batch_clear(batch);
	memcpy(model.now, model.batch, KEYS);
}

static void on_synced(void *ctx)
{
	(void)ctx;
	model.is_syncing = false;
	memcpy(model.synced, model.syncing, KEYS);
}

static void start_sync(void)
{
	if (model.is_syncing)
		return;
	model.is_syncing = true;
	memcpy(model.syncing, model.now, KEYS);
	store_sync(store, on_synced, NULL);
}

static void pass(int64_t ms)
{
	fake_us += ms * 1000;
	loop_dispatch(loop);
}

static void stop_scan(void)
{
	scan_close(scan);
	scan = NULL;
	model.is_scanning = false;
}

static void start_scan(int at, int to, bool backwards)
{
	uint8_t from_space[4], to_space[4];

	stop_scan();
	scan = scan_open(store, key_of(at, from_space), key_of(to, to_space), backwards);
	model.is_scanning = true;
	model.backwards = backwards;
	model.scan_at = at;
	model.scan_end = to;
	memcpy(model.scanned, model.now, KEYS);
}

/* The next key that the model has; -1: none. */
static int next_of_model(void)
{
	while (model.scan_at < model.scan_end) {
		int at = model.backwards ? --model.scan_end : model.scan_at++;

		if (model.scanned[at])
			return at;
	}
	return -1;
}

static void step_scan(void)
{
	struct bytes key, value, expected;
	uint8_t space[4];
	int at;

	if (!model.is_scanning)
		return;
	at = next_of_model();
	MUST(scan_next(scan, &key, &value) == (at >= 0));
	if (at < 0)
		return;
	expected = key_of(at, space);
	MUST(key.len == expected.len && memcmp(key.data, expected.data, key.len) == 0);
	MUST(value.len == 1 && *(const uint8_t *)value.data == model.scanned[at]);
}

static void crash(void)
{
	stop_scan();
	store_memory_crash(store);
	batch_clear(batch);
	model.is_syncing = false;
	memcpy(model.now, model.synced, KEYS);
	memcpy(model.batch, model.synced, KEYS);
}

static void compare_all(void)
{
	struct buf got = { 0 };

	for (int i = 0; i < KEYS; i++) {
		uint8_t space[4];
		enum err err = store_get(store, key_of(i, space), &got);

		MUST(err == (model.now[i] ? OK : ERR_NOT_FOUND));
		MUST(err != OK || (got.len == 1 && got.data[0] == model.now[i]));
	}
	buf_free(&got);
	start_scan(0, KEYS - 1, false);
	for (int i = 0; i <= KEYS; i++)
		step_scan();
}

static void do_one(const uint8_t *input)
{
	int kind = input[0] % 16, at = input[1] % KEYS, to = input[2] % KEYS;

	if (kind < 6)
		change(kind / 2, at, to, (uint8_t)(input[2] | 1));
	else if (kind < 9)
		write_batch();
	else if (kind == 9)
		start_sync();
	else if (kind == 10)
		pass(at % 4);
	else if (kind == 11)
		crash();
	else if (kind == 12)
		start_scan(at, to, input[0] & 0x80);
	else
		step_scan();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	clock_set_source(read_fake, NULL, 0);
	loop = loop_new_virtual();
	store = store_open_memory(loop, SYNC_MS);
	batch = batch_new();
	memset(&model, 0, sizeof model);
	for (size_t at = 0; at + 3 <= size; at += 3)
		do_one(data + at);
	compare_all();
	crash();
	compare_all();
	stop_scan();
	store_close(store);
	batch_free(batch);
	loop_free(loop);
	return 0;
}
