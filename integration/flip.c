/*
 * flip - changes one bit of a journal's record, as somebody would who rewrites history.
 *
 *     flip STORE SEQ BYTE      in the directory of a store that nobody has open
 */
#include "common/keys.h"
#include "common/store.h"

#include <stdio.h>
#include <stdlib.h>

static int flip(struct store *store, uint64_t seq, size_t at)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();
	struct buf record = { 0 };
	struct key key;

	key_start(&key, PARTITION_OWN, NULL, 'j');
	key_add_u64(&key, seq);
	if (store_get(store, key_bytes(&key), &record) != OK || at >= record.len) {
		buf_free(&record);
		return EXIT_FAILURE;
	}
	record.data[at] ^= 1;
	batch_put(batch, key_bytes(&key), BYTES(record.data, record.len));
	buf_free(&record);
	return store_write(store, batch) == OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	AUTO(loop_free) struct loop *loop = loop_new();
	AUTO(store_close) struct store *store = NULL;
	char why[256];

	if (argc != 4)
		return 2;
	if (store_open(argv[1], KEY_RUN_SESSION, loop, why, &store) != OK) {
		(void)fprintf(stderr, "%s\n", why);
		return EXIT_FAILURE;
	}
	return flip(store, strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
}
