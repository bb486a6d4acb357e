/*
 * layout_fixture - for tests: a store as a version wrote it that did not know some tables.
 */
#ifndef COMMON_LAYOUT_FIXTURE_H
#define COMMON_LAYOUT_FIXTURE_H

#include "common/store.h"

#include <criterion/criterion.h>
#include <string.h>

/* The process's own rows of these tables go. */
static inline void layout_drop_tables(struct store *store, const char *tables)
{
	const uint8_t from[] = { 0xff, 0xfe }, to[] = { 0xff, 0xff };
	AUTO(batch_free) struct store_batch *batch = batch_new();
	struct store_scan *scan =
	        scan_open(store, BYTES(from, sizeof from), BYTES(to, sizeof to), false);
	struct bytes key, value;

	while (scan_next(scan, &key, &value))
		if (strchr(tables, ((const char *)key.data)[18]))
			batch_delete(batch, key);
	cr_assert_eq(scan_err(scan), OK);
	scan_close(scan);
	cr_assert_eq(store_write(store, batch), OK);
}

#endif
