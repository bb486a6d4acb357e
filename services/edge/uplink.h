/*
 * uplink - the way of frames to their publishers, until they are durable there.
 *
 * A stream is the numbered items of one session: 0 its opening, then the frames, last its
 * closing. Items are kept here until the publisher has synced them; sending is go-back-N:
 *
 *       acked            sent              next
 *     ───┴────────────────┴─────────────────┴──►     number
 *      durable   in the air     still to send
 *
 * A publisher that expects another number than it got says so, and the stream goes back
 * to it; a batch that is not answered goes back to acked. Batches are per publisher: sent
 * at the end of a turn when nothing is in the air and the last one was small, else at
 * UPLINK_BATCH_BYTES or after UPLINK_BATCH_MS.
 *
 * A stream outlives its socket: it ends when its closing is acknowledged.
 *
 * A session that is resumed has a stream of a higher epoch. Its opening is sent alone, and the
 * answer says which number is next: acked = sent = next. What an older stream of it holds is
 * dropped as soon as the publisher says that it is obsolete; the device sends it again.
 */
#ifndef EDGE_UPLINK_H
#define EDGE_UPLINK_H

#include "common/bus.h"
#include "common/uuid.h"
#include "publisher.pb-c.h"

#define UPLINK_BATCH_BYTES  (64u * 1024)
#define UPLINK_BATCH_MS     5
#define UPLINK_CROWD_FRAMES 16                 /* in a batch: it was not small          */
#define UPLINK_BATCH_MOST   (2u * 1024 * 1024) /* one batch; a frame over it goes alone */
#define UPLINK_IN_AIR       8                  /* batches to one publisher              */
#define UPLINK_STREAM_BYTES (2u * 1024 * 1024) /* unacknowledged, one stream            */

struct uplinks;
struct stream;

/* What a stream tells its owner; ctx is the stream's. */
struct stream_events {
	void (*on_open)(void *ctx);                   /* item 0 is durable                */
	void (*on_acked)(void *ctx, uint64_t frames); /* the first n frames are durable   */
	void (*on_room)(void *ctx);                   /* stream_full() is false again     */
	/* The socket must go: a newer connection has taken over, or the publisher refuses. */
	void (*on_refused)(void *ctx, int code, const char *reason);
};

struct uplinks_deps {
	struct loop *loop;
	struct bus *bus;
	unsigned publishers;
	size_t most_bytes; /* unacknowledged, all streams together */
	/* The closing is durable: the stream is gone when this returns. */
	void (*on_finished)(void *ctx, const struct uuid *account, const struct uuid *session,
	                    uint64_t epoch, const Publisher__Closing *closing);
	void *ctx;
};

struct uplinks *uplinks_new(const struct uplinks_deps *deps);
void uplinks_free(struct uplinks *uplinks);
AUTO_FREE(struct uplinks, uplinks_free)
/* Sends what the turn has gathered. */
void uplinks_turn_end(struct uplinks *uplinks);

/* Copies the opening. The session must not have a stream here yet. epoch: how often it was
 * resumed, 0: it is new. */
struct stream *stream_new(struct uplinks *uplinks, const struct uuid *account,
                          const struct uuid *session, uint16_t partition, uint64_t epoch,
                          const Publisher__Opening *opening, const struct stream_events *events,
                          void *ctx);
/* Copies the frame. Never refuses: the owner stops reading when stream_full(). */
void stream_add(struct stream *stream, struct bytes frame);
/* Over its own bound or the common one: on_room follows when it is not. */
bool stream_full(struct stream *stream);
/* Frames of the session that are durable; from on_open on. */
uint64_t stream_acked(const struct stream *stream);
uint64_t stream_epoch(const struct stream *stream);
/* A later connection goes on with the session: the owner hears 4009, what is held is dropped. */
void stream_discard(struct stream *stream);
/* Goes with the closing: the frame for which the socket is about to be closed. */
void stream_refuse(struct stream *stream, const Publisher__Refused *refused);
/* The last item. The owner is told nothing more. */
void stream_close(struct stream *stream, int code, const char *reason, int64_t ended_at);

struct stream *stream_find(struct uplinks *uplinks, const struct uuid *session);
/* For a stream that was found: its owner, NULL once closed. */
void *stream_owner(const struct stream *stream);

/* Sessions with a stream here, open or closing. */
size_t uplinks_sessions(struct uplinks *uplinks, struct uuid *ret, size_t most);
size_t uplinks_count(const struct uplinks *uplinks);

struct uplink_counts {
	uint64_t frames, bytes, batches, resent, held_bytes, full;
};
const struct uplink_counts *uplinks_counts(const struct uplinks *uplinks);

#endif
