/*
 * session - one session in memory: what its items add up to.
 *
 *     items 0 opening, 1 … frames, last closing ──► rows, analysis ──► insights
 *
 * The frame rows are the journal of the session; everything else here can be had from
 * them. The counters row runs behind: it is written with every insight, checkpoint and
 * closing, with a duplicate that comes last, and at least every SESSION_UNSAVED_MAX
 * frames. Loading a session reads that row and counts the frame rows behind it; an open
 * one is analysed again from its checkpoint on, and what that yields is thrown away: an
 * insight is written in one batch with the frames that made it due, so it is out already.
 *
 * Changes go into the caller's batch and are true once that is written: after a batch
 * that was refused the session must be freed and loaded again.
 *
 * Duplicates: a frame equal, byte for byte, to one of the last SESSION_RECENT stored
 * frames of its session is taken (it has a number) and neither stored nor counted.
 * A frame later than every stored one of its slot cannot be one: that is the usual case.
 *
 * Fenced: closed by another than its own closing item (a newer connection, or for an
 * edge that is lost), perhaps before its opening came. What still comes for a closed
 * session is stored and counted, not analysed.
 */
#ifndef PUBLISHER_SESSION_H
#define PUBLISHER_SESSION_H

#include "common/keys.h"
#include "common/list.h"
#include "common/map.h"
#include "common/store.h"
#include "events.pb-c.h"
#include "publisher.pb-c.h"
#include "services/publisher/analysis.h"
#include "services/publisher/ledger.h"
#include "services/publisher/session_recent.h"
#include "services/publisher/timing.h"

#define SESSION_UNSAVED_MAX   1000
#define SESSION_REPLAY_FRAMES 1000  /* a checkpoint after so many frames, or … */
#define SESSION_CHECKPOINT_MS 60000 /* … so much time, … */
#define SESSION_CHECKPOINT_S  3600  /* … or so much of its own, whichever is first */
#define SESSION_REASON_BYTES  123   /* of a close reason */

/* Where its rows lie. */
struct session_name {
	struct uuid account, id;
	uint16_t partition;
};

struct session {
	struct session_name name;
	char text[UUID_TEXT];
	Events__StoredOpening *opening; /* NULL: fenced before it came */
	uint8_t slot_index[256];        /* in opening->slots by slot_id; SESSION_NO_SLOT */
	uint64_t next, frames, bytes;   /* items taken; frames stored */
	uint64_t duplicates, late; /* frames not stored; of those stored, not analysed in time */
	struct ledger ledger;
	struct timing *timing;           /* one a slot; NULL without an opening */
	uint64_t timed_next;             /* it has seen the items below */
	uint64_t written_next;           /* `next` as the store has it */
	uint64_t epoch;                  /* how often it was resumed */
	uint64_t rejected, rate_limited; /* before it was resumed last */
	int64_t last_t_ms[INSIGHT_TYPES];
	uint64_t last_number[INSIGHT_TYPES]; /* 0: none yet */
	int64_t newest_t0_ms[ANALYSIS_MAX_SLOTS];
	bool closed, fenced;
	bool whole; /* its own closing item was taken: its edge holds no more of it */
	bool has_refused;
	Publisher__Refused refused; /* with its closing */
	bool erased;                /* nothing is kept of it */
	uint32_t close_code;
	int64_t ended_at;
	char close_reason[SESSION_REASON_BYTES + 1];

	struct analysis *analysis; /* of an open session, from its first frame on */
	struct session_work *work; /* session_work.h; NULL: no long frame is awaited */
	double unsaved_s;          /* analysed since the checkpoint, about */
	struct recent *recent;     /* NULL until a frame comes late */
	uint64_t checkpoint_next;
	int64_t checkpoint_ms; /* on the boot clock: written, or begun */
	int64_t mark_ms;       /* wall: the last one of retention.h; 0: none yet */
	unsigned unsaved;      /* frame rows behind the counters row */
	bool must_save;        /* the counters row cannot be had from the frame rows alone */

	struct map_node in_table; /* these three are the table's and the items' */
	struct list used, touched;
	int64_t used_ms;
};

#define SESSION_NO_SLOT 0xff

struct session *session_new(const struct session_name *name);
void session_free(struct session *session);
AUTO_FREE(struct session, session_free)

/* ERR_NOT_FOUND: never seen. ERR_IO: the disk. analyse: rebuild the analysis if it is open;
 * *replayed counts the frames that took. */
CHECKED enum err session_load(struct store *store, const struct session_name *name, bool analyse,
                              uint64_t *replayed, struct session **ret);

/* Alone. The owner frees it. */
CHECKED enum err session_load_opening(struct store *store, const struct session_name *name,
                                      Events__StoredOpening **ret);

/* Why a description cannot be one; NULL when it can. */
const char *session_opening_fault(const Publisher__Opening *opening);
/* Item 0. */
void session_open(struct session *session, struct store_batch *batch,
                  const Publisher__Opening *opening);

/* Frames of the same batch, not yet in the store, for the search of duplicates. */
struct session_pending {
	const struct session *session;
	uint64_t number;
	struct bytes frame;
};
struct session_pendings {
	struct session_pending *at;
	size_t n, cap;
};
enum session_frame { SESSION_STORED, SESSION_DUPLICATE, SESSION_DROPPED };
/* The item numbered session->next. */
enum session_frame session_take_frame(struct session *session, struct store *store,
                                      struct store_batch *batch, struct session_pendings *pendings,
                                      struct bytes frame);

/* Finishes the analysis: its last insights are due now. The first closing counts. */
void session_close(struct session *session, const Publisher__Closing *closing, bool fenced);
/* Item 0 of a later epoch: it goes on. One that was closed is open again, analysed anew from the
 * frames that are stored. Its closing item, if it was taken, has given its number back. */
CHECKED enum err session_resume(struct session *session, struct store *store, uint64_t epoch);
/* The same without opening it: items of lower epochs, and the opening of this one, change nothing
 * from now on. */
void session_skip_epoch(struct session *session, uint64_t epoch);
/* Without more insights to come from a closed session's analysis: frees it. */
void session_end_analysis(struct session *session, struct store_batch *batch);

/* Closes it as fenced and forgets all of it in memory; its row says that it is erased, the others
 * are the caller's to delete. What still comes for it is taken and dropped. */
void session_erase(struct session *session, const Publisher__Closing *closing);

/* The rows that are due: counters, checkpoint. */
bool session_is_checkpoint_due(const struct session *session);
void session_checkpoint(struct session *session, struct store_batch *batch);
void session_save(struct session *session, struct store_batch *batch);

/* A key of this session's rows; the row's own part may follow. */
void session_key(struct key *key, const struct session_name *name, char table);

#endif
