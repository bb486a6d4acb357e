/*
 * session_work - a frame of minutes or hours is analysed in slices, before it is taken.
 *
 *     begin ──► slices, while other sessions are served ──► whole: the frame is taken when it
 *                                                           comes again, with what it made due
 *
 * The slices run on a copy of the session's analysis; the session itself has not seen the frame,
 * so that whatever comes meanwhile (a closing, a resume, a restart) just drops the work.
 */
#ifndef PUBLISHER_SESSION_WORK_H
#define PUBLISHER_SESSION_WORK_H

#include "services/publisher/session.h"

#define SESSION_LONG_S     120 /* a frame of so many seconds is one */
#define SESSION_SLICE_S    200 /* a few ms */
#define SESSION_WORKS_MOST 64  /* at a time; each holds one frame and one analysis */

/* All of a publisher. */
struct session_works {
	struct list waiting; /* for their next slice */
	size_t n;            /* these, and those that are whole */
};
void session_works_init(struct session_works *works);
/* One slice of the one that has waited longest. False: nothing waits. */
bool session_works_slice(struct session_works *works);

/* How much of the session's time a frame would be analysed for; 0: it is not. */
double session_frame_s(const struct session *session, struct bytes frame);
/* It may be taken now: it is short, or its work is whole. */
bool session_may_take(const struct session *session, struct bytes frame);
/* Of the item numbered session->next. Does nothing when there is too much work, or this one is
 * under way. The session's insights have been taken from its analysis. */
void session_work_begin(struct session_works *works, struct session *session, struct bytes frame);

/* ---- for session.c ---- */

/* What the work came to becomes the session's analysis. False: there is none for this frame. */
bool session_work_take(struct session *session, uint64_t number, struct analysis_placed *ret);
void session_work_drop(struct session *session);

#endif
