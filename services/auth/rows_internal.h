/*
 * rows_internal - what the files of auth's rows share.
 */
#ifndef AUTH_ROWS_INTERNAL_H
#define AUTH_ROWS_INTERNAL_H

#include "common/wire.h"
#include "services/auth/rows.h"

struct key rows_id_key(char table, const struct uuid *account, const struct uuid *id);
struct key rows_email_key(const char *email);
struct key rows_digest_key(struct bytes digest);

void rows_put(struct store_batch *view, struct key key, struct bytes value);
void rows_put_message(struct store_batch *view, struct key key, const ProtobufCMessage *message);
void rows_delete(struct store_batch *view, struct key key);
struct uuid rows_id_of(ProtobufCBinaryData field);

CHECKED enum err rows_get_message(struct store *store, struct key key,
                                  const ProtobufCMessageDescriptor *type, ProtobufCMessage **ret);
/* n ids, one behind the other. */
CHECKED enum err rows_get_ids(struct store *store, struct key key, struct uuid *ret, size_t n);
struct store_scan *rows_scan_table(struct store *store, const struct uuid *account, char table);

#endif
