/*
 * audit_row - what an event is in the trail. Private to audit.
 */
#ifndef COMMON_AUDIT_ROW_H
#define COMMON_AUDIT_ROW_H

#include "common/audit.h"
#include "common/keys.h"
#include "events.pb-c.h"

struct audit_row {
	struct uuid account, by, target;
	Events__AuditRow row; /* borrows from these and from the event */
};

/* False: it is no part of the trail. */
bool audit_row_of(const struct audit_source *source, const ProtobufCMessage *event,
                  struct audit_row *ret);
/* NULL: not known. */
const Raeh__Origin *audit_origin(const ProtobufCMessage *event);

struct key audit_row_key(const struct uuid *account, uint64_t seq);
bool audit_is_among(const char *const *names, const char *name);
/* Whose value is AUDIT_FILLED when the rows are whole. */
struct key audit_filled_key(void);
#define AUDIT_FILLED '2' /* an older version's is empty: it had no rows of what is hidden */
/* ERR_NOT_FOUND: they are not. */
enum err audit_filled(struct store *store);

#endif
