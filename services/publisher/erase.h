/*
 * erase - a session's data removed on demand: of a device or an account that is deleted.
 *
 * First the rows that are only deleted, so that it also works while the disk is full; then, in
 * one batch, the session's row says that it is erased, and a slice of its insights goes. A
 * request deletes at most ERASE_SLICE insights and is asked again until nothing is left. What
 * stays is the row: ids and numbers, so that items still under way are known and dropped.
 */
#ifndef PUBLISHER_ERASE_H
#define PUBLISHER_ERASE_H

#include "services/publisher/items.h"

#define ERASE_SLICE 500

/* ERR_MALFORMED: ids or a partition that are not ours; ERR_LIMIT, ERR_IO: not now, ask again.
 * *ret_more: ask again for the rest. */
CHECKED enum err erase_session(struct items *items, const Publisher__EraseSession *asked,
                               Publisher__Erased *ret, bool *ret_more);

#endif
