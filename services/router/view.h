/*
 * view - what the journal has made: rows of models, devices and sessions.
 *
 * view_apply() alone writes, and only into the batch it is given. It reads the rows that it
 * changes: sound because one command of an aggregate is uncommitted at a time.
 *
 * The finders answer OK, ERR_NOT_FOUND (unknown in this account, or never made) or ERR_IO.
 * Rows that they give are the caller's: wire_free(&row->base).
 */
#ifndef ROUTER_VIEW_H
#define ROUTER_VIEW_H

#include "common/keys.h"
#include "common/store.h"
#include "common/uuid.h"
#include "events.pb-c.h"

#define VIEW_SUPERSEDED        4009
#define VIEW_SUPERSEDED_REASON "superseded by a newer connection of this device"

void view_apply(struct store *store, const Events__RouterEvent *event, struct store_batch *batch);

CHECKED enum err view_model(struct store *store, const struct uuid *account, const struct uuid *id,
                            Events__ModelRow **ret);
CHECKED enum err view_model_named(struct store *store, const struct uuid *account, const char *name,
                                  struct uuid *ret);
CHECKED enum err view_session(struct store *store, const struct uuid *account,
                              const struct uuid *id, Events__SessionRow **ret);
/* The session that a device opened last, whether it is open or not. */
CHECKED enum err view_newest_session(struct store *store, const struct uuid *account,
                                     const struct uuid *model, const char *device_id,
                                     struct uuid *ret);
/* OK: this device has connected with this model; device_id NULL: any device has. */
CHECKED enum err view_device(struct store *store, const struct uuid *account,
                             const struct uuid *model, const char *device_id);
CHECKED enum err view_count_models(struct store *store, const struct uuid *account, size_t *ret);

/* Newest first, until fn says false. Rows are borrowed for the call. */
typedef bool view_model_fn(void *ctx, const Events__ModelRow *row);
/* before: only those made before this one; NULL: from the newest. */
CHECKED enum err view_each_model(struct store *store, const struct uuid *account,
                                 const struct uuid *before, view_model_fn *fn, void *ctx);
enum view_status { VIEW_ANY, VIEW_OPEN, VIEW_CLOSED };
struct view_sessions {
	const struct uuid *account;
	const char *device_id; /* NULL: any */
	enum view_status status;
	const struct uuid *before; /* as above */
	int64_t from_ms, to_ms;    /* started_at, both included */
};
#define VIEW_SEEN_MAX 10000 /* sessions looked at by one call */
typedef bool view_session_fn(void *ctx, const Events__SessionRow *row);
/* ret_next: where it stopped because VIEW_SEEN_MAX were seen; nil: it did not. */
CHECKED enum err view_each_session(struct store *store, const struct view_sessions *which,
                                   view_session_fn *fn, void *ctx, struct uuid *ret_next);

/* ---- devices: view_devices.c ---- */

/* The indexes of sessions and devices, for a store that is older than they are: layout.h. */
#define VIEW_LAYOUT 1
CHECKED enum err view_fill(struct store *store, const struct uuid *account,
                           struct store_batch *batch);

/* The newest session of a device with any model. */
CHECKED enum err view_last_session(struct store *store, const struct uuid *account,
                                   const char *device_id, struct uuid *ret);
/* When it first connected with this model. */
CHECKED enum err view_device_since(struct store *store, const struct uuid *account,
                                   const struct uuid *model, const char *device_id,
                                   int64_t *ret_ms);
/* By last session, newest first, until fn says false. before: as above. */
typedef bool view_device_fn(void *ctx, const struct uuid *last_session);
CHECKED enum err view_each_device(struct store *store, const struct uuid *account,
                                  const struct uuid *before, view_device_fn *fn, void *ctx);
/* OK: the device, or all of the account, is being erased. */
CHECKED enum err view_erasing(struct store *store, const struct uuid *account,
                              const char *device_id);
/* Those under way; device_id "": all of the account. */
struct view_going {
	struct uuid account;
	char device_id[KEY_MAX];
	uint8_t id[16]; /* of one that an earlier version began: fewer bytes */
	size_t id_len;
};
typedef void view_erasing_fn(void *ctx, const struct view_going *erasing);
CHECKED enum err view_each_erasing(struct store *store, view_erasing_fn *fn, void *ctx);

/* Sessions not settled (open, or superseded and not yet ended at their publisher) by edge, in
 * the order of (slot, incarnation, session), until fn says false. */
struct view_held {
	uint32_t slot;
	struct uuid incarnation, session, account;
};
typedef bool view_held_fn(void *ctx, const struct view_held *held);
/* Those of one edge. */
CHECKED enum err view_each_held(struct store *store, uint32_t slot, const struct uuid *incarnation,
                                view_held_fn *fn, void *ctx);
/* The first one at or behind (slot, incarnation); ERR_NOT_FOUND: none. */
CHECKED enum err view_next_edge(struct store *store, uint32_t slot, const struct uuid *incarnation,
                                uint32_t *ret_slot, struct uuid *ret_incarnation);
/* All of them. */
CHECKED enum err view_all_held(struct store *store, view_held_fn *fn, void *ctx);

#endif
