/*
 * row - keys of the router's rows (keys.h draws them), and single rows by key.
 *
 * For view.c and view_apply.c alone.
 */
#ifndef ROUTER_ROW_H
#define ROUTER_ROW_H

#include "common/keys.h"
#include "common/store.h"

#include <protobuf-c/protobuf-c.h>

struct key row_key(const struct uuid *account, char table, const struct uuid *id);
struct key row_name_key(const struct uuid *account, const char *name);
struct key row_device_key(const struct uuid *account, char table, const struct uuid *model,
                          const char *device_id);
/* What the keys of a device's sessions begin with. */
struct key row_device_sessions_key(const struct uuid *account, const char *device_id);
/* That a device, or ("") all of an account, is being erased. */
struct key row_erasing_key(const struct uuid *account, const char *device_id);
/* What the keys of an edge's sessions begin with. */
struct key row_edge_key(uint32_t slot, const struct uuid *incarnation);

/* OK, ERR_NOT_FOUND, or ERR_IO: also for bytes that are no such row. ret is a pointer to a
 * pointer to the message. */
CHECKED enum err row_read(struct store *store, const struct key *key,
                          const ProtobufCMessageDescriptor *type, void *ret);
CHECKED enum err row_read_id(struct store *store, const struct key *key, struct uuid *ret);

#endif
