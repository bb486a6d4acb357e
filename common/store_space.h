/*
 * store_space - whether a file system has room for one more batch. Private to the store.
 *
 * The reserve (64 MiB, a tenth of a smaller file system) is what the engine needs to
 * go on by itself: to write out a buffer, to merge files, to open again. Batches that
 * only delete may use three quarters of it, or a full disk could never be emptied.
 *
 * Asking the system is spread: once in 100 ms, or when an eighth of the reserve may
 * have been written since.
 */
#ifndef COMMON_STORE_SPACE_H
#define COMMON_STORE_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_space {
	const char *directory; /* borrowed */
	uint64_t reserve_bytes, free_bytes, written_bytes;
	int64_t asked_ms;
};

void store_space_init(struct store_space *space, const char *directory);
/* Counts the bytes of the batch when it has room. */
bool store_space_has_room(struct store_space *space, size_t bytes, bool only_deletes);
/* As it was last asked: less than the reserve is free. */
bool store_space_is_short(const struct store_space *space);

#endif
