/*
 * layout - rows that a store lacks because an older version wrote it, made once, at start.
 *
 * An index that came later is made of the rows that were there before, account by account; then a
 * row says which layout the store has. Whoever dies in between begins again: making a row twice is
 * harmless.
 */
#ifndef COMMON_LAYOUT_H
#define COMMON_LAYOUT_H

#include "common/store.h"
#include "common/uuid.h"

/* Adds what the account's rows lack; calls layout_write() after each row. */
typedef enum err layout_fill_fn(struct store *store, const struct uuid *account,
                                struct store_batch *batch);

/* newest: the layout of this version, from 1. Nothing to do for a store that has it, or a later
 * one. A full disk is OK: the next start tries again. */
CHECKED enum err layout_upgrade(struct store *store, uint8_t newest, layout_fill_fn *fill);

/* What has come together, when it is much. */
CHECKED enum err layout_write(struct store *store, struct store_batch *batch);

#endif
