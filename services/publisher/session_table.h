/*
 * session_table - the sessions in memory, the longest unused one first.
 *
 * A session comes in when it is asked for and leaves when it is dropped, when it has not
 * been used for a while, or when there are more than `most`: then with a checkpoint, so
 * that it comes back cheaply. Leaving loses nothing: the store has everything.
 */
#ifndef PUBLISHER_SESSION_TABLE_H
#define PUBLISHER_SESSION_TABLE_H

#include "services/publisher/session.h"

#define SESSION_IDLE_MS   600000
#define SESSION_CLOSED_MS 30000 /* for its last items, sent again */

struct session_table {
	struct store *store;
	struct map map;
	struct list used; /* of session.used */
	size_t most;
	uint64_t loaded, replayed; /* totals, for the metrics */
};

void session_table_init(struct session_table *table, struct store *store, size_t most);
void session_table_done(struct session_table *table);

/* From memory or from the store, ready for items; counts as use. Errors of session_load(). */
CHECKED enum err session_table_get(struct session_table *table, const struct session_name *name,
                                   struct session **ret);
/* In memory or NULL; is no use. */
struct session *session_table_peek(struct session_table *table, const struct session_name *name);
/* A session never seen. */
struct session *session_table_add(struct session_table *table, const struct session_name *name);
void session_table_drop(struct session_table *table, struct session *session);

/* Between batches: lets go of at most `steps` sessions that are idle or too many. */
void session_table_trim(struct session_table *table, size_t steps);
/* All of them, with checkpoints: the process stops in order. */
void session_table_park(struct session_table *table);

#endif
