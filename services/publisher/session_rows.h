/*
 * session_rows - the parts of session.c that loading shares with taking items.
 */
#ifndef PUBLISHER_SESSION_ROWS_H
#define PUBLISHER_SESSION_ROWS_H

#include "services/publisher/session.h"

/* Keeps the opening and makes what follows from it. */
void session_set_opening(struct session *session, Events__StoredOpening *opening);
/* At rest, as the opening says. */
struct analysis *session_new_analysis(const struct session *session);
void session_start_analysis(struct session *session);
/* Into the analysis, if there is one and the frame is what its slot says. True: it is late, no
 * insight will have seen it. */
bool session_analyse(struct session *session, struct bytes frame);
/* Counts a stored frame. */
void session_count(struct session *session, uint64_t number, struct bytes frame);
/* The same frame into the ledger. */
void session_note(struct session *session, struct bytes frame, bool late);
/* The same frame on its slot's clocks; arrived_ms 0: not known. */
void session_time(struct session *session, uint64_t number, struct bytes frame, int64_t arrived_ms);
void session_set_closing(struct session *session, const Publisher__Closing *closing, bool fenced);

#endif
