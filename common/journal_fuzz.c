/*
 * A journal over rows that a broken or hostile disk made up: it opens, reads, verifies,
 * goes on numbering behind them, and never calls whole what is not.
 */
#include "common/clock.h"
#include "common/journal.h"
#include "common/keys.h"

#include <string.h>

static int64_t fake_us;

static int64_t read_fake(void *ctx)
{
	(void)ctx;
	return fake_us;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void apply(void *ctx, uint64_t seq, struct bytes event, struct store_batch *view)
{
	uint64_t *last = ctx;
	struct key key;

	MUST(seq > *last || *last == 0);
	*last = seq;
	key_start(&key, 1, NULL, 'V');
	key_add_u64(&key, seq);
	batch_put(view, key_bytes(&key), event);
}

static bool count(void *ctx, uint64_t seq, struct bytes event)
{
	uint8_t sum = (uint8_t)seq;

	for (size_t i = 0; i < event.len; i++) /* every byte can be read */
		sum ^= ((const uint8_t *)event.data)[i];
	*(uint8_t *)ctx ^= sum;
	return true;
}

static void on_committed(void *ctx, enum err err)
{
	MUST(err == OK);
	*(bool *)ctx = true;
}

/* Rows: table, number, flags (a key of odd length), length, value. */
static void make_rows(struct store *store, const uint8_t *data, size_t size)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();

	while (size >= 4) {
		size_t len = data[3] < size - 4 ? data[3] : size - 4;
		struct key key;

		key_start(&key, PARTITION_OWN, NULL, data[0] % 4 == 0 ? 'p' : 'j');
		if (data[0] % 4 != 0)
			key_add_u64(&key, data[1]);
		if (data[2] > 250)
			key_add(&key, data, data[2] - 250u < size ? data[2] - 250u : size);
		batch_put(batch, key_bytes(&key), BYTES(data + 4, len));
		data += 4 + len;
		size -= 4 + len;
	}
	MUST(store_write(store, batch) == OK);
}

static void use(struct store *store, struct loop *loop)
{
	uint64_t applied = 0, bad = 0, before;
	struct journal *journal = journal_open(store, loop, apply, &applied);
	struct bytes event = BYTES("event", 5);
	bool committed = false, is_whole;
	struct journal_check check;
	uint8_t sum = 0;

	is_whole = journal_verify(journal, &bad) == OK;
	/* Nobody can make up a hash; a chain of redacted records needs none but those of links. */
	MUST(journal_check(store, &check) != OK || check.last_seq == check.redacted);
	MUST(!is_whole || check.last_seq == journal_last_seq(journal));
	journal_read(journal, 0, count, &sum);
	before = journal_last_seq(journal);
	if (before < UINT64_MAX) {
		journal_append(journal, &event, 1, on_committed, &committed);
		fake_us += 10000;
		loop_dispatch(loop);
		MUST(committed && journal_last_seq(journal) == before + 1);
		MUST((journal_verify(journal, &bad) == OK) == is_whole);
	}
	journal_close(journal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(loop_free) struct loop *loop = NULL;
	AUTO(store_close) struct store *store = NULL;

	clock_set_source(read_fake, NULL, 0);
	loop = loop_new_virtual();
	store = store_open_memory(loop, 1);
	make_rows(store, data, size);
	use(store, loop);
	return 0;
}
