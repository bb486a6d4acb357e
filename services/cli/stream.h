/*
 * stream - a recording sent as a device sends it, session by session.
 *
 *     ws_open ─► handshake ─► frames, each when its last sample is due ─► close 1000
 *        ▲                                  │ 1001, 1013, lost
 *        └────────── backoff ◄──────────────┘ goes on with the first frame not sent
 *
 * t0 of the first sample is the moment of the first handshake. A segment of the recording
 * is a session; a looped recording of one segment stays in one session, and its time goes
 * on without a jump.
 */
#ifndef CLI_STREAM_H
#define CLI_STREAM_H

#include "common/recording.h"
#include "services/cli/progress.h"
#include "services/cli/web.h"

struct stream_plan {
	struct web *web;
	const struct url *url;
	const char *key, *device_id, *model_id;
	const struct recording *recording;
	unsigned frame_ms;
	double speed; /* signal seconds a second; 0: as fast as the server takes it */
	bool loop;
};

struct stream;

/* Borrows everything in plan, which must live longer. web_stop() is called at the end. */
struct stream *stream_new(const struct stream_plan *plan);
void stream_free(struct stream *stream);
AUTO_FREE(struct stream, stream_free)

/* Closes with 1000. */
void stream_stop(struct stream *stream);

struct stream_result {
	char session_id[37]; /* of the last session; "" before there was one */
	unsigned sessions, reconnects;
	int close_code; /* 0: nothing was closed yet */
	char close_reason[200];
	bool good; /* all was sent, or we were asked to stop */
	bool ended;
};
const struct stream_result *stream_result(const struct stream *stream);
struct progress stream_progress(const struct stream *stream);

#endif
