/*
 * items - takes runs of items into their sessions, in order: the fence.
 *
 *     first == next   taken: rows and insights into one batch, one write a request
 *     first <  next   what is new of it is taken
 *     first >  next   nothing: the answer says what is expected
 *
 * Every answer says `next`, below which all is written; the caller syncs before it sends
 * it. A write that is refused takes nothing of the whole request: its sessions leave the
 * memory, so that memory and store agree, and the edge, told the old `next`, sends again.
 *
 * One session's work never holds up another's for long: of a run that is worth more than some
 * minutes of signal the rest is left for later, and a frame of minutes is analysed in slices
 * before it is taken (session_work.h). Taken.later says so.
 *
 * A session that is resumed has a new epoch: its opening comes again, alone, and is answered with
 * the number that is next. Items of a lower epoch are refused, whatever they are.
 *
 * A socket must go (Taken.close_code): 4001 the opening is not signed for this account,
 * device or partition; 4004 its description cannot be one; 4009 a newer connection of the
 * device; 1013 closed as lost while its edge was alive, or its rows cannot be read: connect
 * again.
 */
#ifndef PUBLISHER_ITEMS_H
#define PUBLISHER_ITEMS_H

#include "services/publisher/outbox.h"
#include "services/publisher/publisher_metrics.h"
#include "services/publisher/session_table.h"
#include "services/publisher/session_work.h"

#define ITEMS_RUN_S     250  /* of a session's time are taken of one run, … */
#define ITEMS_REQUEST_S 5000 /* … and of all of a request, before the rest has to wait */

struct items {
	struct store *store;
	struct session_table *table;
	struct outbox *outbox;
	struct publisher_metrics *metrics;
	const uint8_t *secret; /* of principals */
	unsigned number, publishers;

	struct store_batch *batch;
	struct list touched; /* sessions whose changes are in the batch */
	struct session_pendings pendings;
	struct session_works works; /* the owner has them go on */
	double request_s;           /* taken of the request, in time of its sessions */
};

/* The fields up to `publishers` are set by the owner. */
void items_init(struct items *items);
void items_done(struct items *items);

/* Fills ret with the packed PublisherReply. */
void items_take(struct items *items, const Publisher__Items *request, struct buf *ret);

/* Idempotent. ERR_MALFORMED: ids or a partition that are not ours; ERR_LIMIT, ERR_IO: not now. */
CHECKED enum err items_close_orphan(struct items *items, const Publisher__CloseOrphan *orphan);

/* ---- for erase.c ---- */

/* False: they are not of this publisher. */
bool items_name(const struct items *items, ProtobufCBinaryData account, ProtobufCBinaryData session,
                uint32_t partition, struct session_name *ret);
/* The session's changes are in the batch. */
void items_touch(struct items *items, struct session *session);
/* One write for all that the batch holds. The sessions touched are gone when it is refused. */
CHECKED enum err items_write(struct items *items);

#endif
