/* once_rows - what once knows over restarts: rows in the service's store (keys.h). */
#ifndef COMMON_ONCE_ROWS_H
#define COMMON_ONCE_ROWS_H

#include "common/store.h"
#include "common/uuid.h"
#include "raeh.pb-c.h"

/* OK, ERR_NOT_FOUND also when its time is over, ERR_IO. The row is the caller's (wire_free). */
CHECKED enum err once_find(struct store *store, const struct uuid *account, const struct uuid *name,
                           Raeh__KeptRow **ret);
/* Deletes a slice of those whose time is over. */
void once_expire(struct store *store);

#endif
