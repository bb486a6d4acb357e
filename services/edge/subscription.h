/*
 * subscription - what the two faces of a subscriber share: the WebSocket (subscribe.c) and the
 * event stream (events.c).
 *
 *     query ─► filter, after=, since= ─► replay (history) ─► feed (live)
 *
 * Its queue is bounded. A live insight that does not fit ends it (1013); one of a hole that the
 * feed fetched in a burst does not: the subscriber takes it from the history, at its own pace.
 */
#ifndef EDGE_SUBSCRIPTION_H
#define EDGE_SUBSCRIPTION_H

#include "services/edge/socket.h"

#define SUBSCRIPTION_ROOM_BYTES (64u * 1024) /* queued: history waits until it has gone */
#define SUBSCRIPTION_STALL_MS   30000        /* history that waits, nothing goes: 1013 */

struct subscription;

/* One face. Queues one message: id NULL: the greeting; shared: json as a text message, or NULL.
 * Errors of net_send_text(). */
typedef CHECKED enum err subscription_send(struct subscription *subscription, const char *id,
                                           struct bytes json, struct net_shared *shared);

struct subscription {
	struct socket socket; /* first */
	subscription_send *send;
	struct filter filter;
	bool is_stream; /* over HTTP: its end cannot be told once messages were dropped */
	bool is_bad;    /* the query; told to those who may subscribe */
	char why[FILTER_WHY];
	bool has_after, has_since;
	struct uuid after;
	int64_t since_ms;
	struct feed_subscriber feed;
	struct replay *replay; /* NULL: live, or not begun */
	int64_t moved_ms;      /* boot time when its queue last ran empty */
	bool slow;             /* it has left the feed, and is told so as soon as it reads */
};

/* last_event_id: NULL or the header's, which wins over after=. */
void subscription_read(struct subscription *subscription, const char *query,
                       const char *last_event_id);

/* For the socket_ops of both. */
void subscription_admitted(struct socket *socket);
bool subscription_may_go_on(const struct socket *socket, const Raeh__Principal *rights);
void subscription_message(struct socket *socket, bool binary, struct bytes message);
void subscription_ended(struct socket *socket, int code, const char *reason);
void subscription_free(struct socket *socket);

/* Everything queued has been handed to the kernel. */
void subscription_drained(struct subscription *subscription);

#endif
