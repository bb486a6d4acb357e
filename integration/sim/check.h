/*
 * check - what has happened, and whether a promise of fleet.h was broken by it.
 *
 * The first break is kept, in words; the schedule goes on.
 */
#ifndef SIM_CHECK_H
#define SIM_CHECK_H

#include "common/store.h"
#include "integration/sim/fleet.h"

struct check;

struct check *check_new(void);
void check_free(struct check *check);
void check_sum(const struct check *check, struct fleet_result *ret);
void check_broken(struct check *check, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* A device's connection, and the edge it went to. */
void check_client(struct check *check, unsigned client, long device, uint32_t edge);
/* Its handshake named this session (36 characters); its device will resume it, or not. */
void check_session(struct check *check, unsigned client, const char *session, bool resumes);
/* The next frame of this client: its serial number. */
uint32_t check_new_frame(struct check *check, unsigned client);
/* The edge's actor was given it; late: after the answer to the revoke of its key. */
void check_taken(struct check *check, unsigned client, uint32_t serial, bool late);
/* What this edge had taken and not got acknowledged may be lost. */
void check_edge_died(struct check *check, uint32_t edge);

/* A device that keeps its frames until they are acknowledged. It asks to go on with a session … */
void check_resume_asked(struct check *check, unsigned client, const char *session);
/* … and its handshake says so, and that the first `acked` frames are durable. */
void check_resumed(struct check *check, unsigned client, const char *session, uint64_t acked);
/* … but its device has gone on with a later connection. */
void check_resumed_late(struct check *check, const char *session);
/* The frames behind those, oldest first; false: that was the last. Their device sends them again,
 * or has lost them, and goes on with new ones. */
bool check_kept(const struct check *check, unsigned client, uint64_t number, uint32_t *ret_serial);
void check_lose_kept(struct check *check, unsigned client, uint64_t acked);
/* It was told that the first n frames of the session are durable. */
void check_acked(struct check *check, unsigned client, uint64_t frames);

/* A broadcast of insights and a reply of a publisher as they leave it. */
void check_published(struct check *check, int publisher, struct bytes event);
void check_replied(struct check *check, struct bytes reply);

/* An app was told this insight; and it was told the last of them. */
void check_heard(struct check *check, unsigned client, unsigned account, struct bytes text);
void check_app_left(struct check *check, unsigned client);

/* At the end. */
void check_publisher_store(struct check *check, struct store *store);
void check_router_store(struct check *check, struct store *store);
void check_frames(struct check *check);

#endif
