/*
 * socket - what every WebSocket of the edge shares: its key, its end.
 *
 * The end happens once: ended() is called when we decide to close, when the key dies, or
 * when the peer is gone, whichever is first; free() when net is done with the conn.
 */
#ifndef EDGE_SOCKET_H
#define EDGE_SOCKET_H

#include "services/edge/edge.h"
#include "services/edge/origin.h"

struct socket;

struct socket_ops {
	/* The key is good: go on. */
	void (*admitted)(struct socket *socket);
	void (*message)(struct socket *socket, bool binary, struct bytes message);
	/* Other rights of the key: may it go on? NULL: it may. */
	bool (*may_go_on)(const struct socket *socket, const Raeh__Principal *rights);
	/* Once: nothing of this socket counts from now on. */
	void (*ended)(struct socket *socket, int code, const char *reason);
	/* The conn is gone, ended() was called before. Frees the socket. */
	void (*free)(struct socket *socket);
	/* How it is closed; now: what is queued is dropped. NULL: as a WebSocket. */
	void (*close)(struct socket *socket, int code, const char *reason, bool now);
};

struct socket {
	const struct socket_ops *ops;
	struct edge *edge;
	struct conn *conn; /* NULL: gone */
	struct grant_user user;
	struct limit *limit;   /* of its key, once it is admitted */
	struct origin *origin; /* until it is admitted */
	struct list link;
	struct timer timer;      /* the owner's */
	struct map_node by_conn; /* in edge->held while held */
	bool over, admitted;
	bool held; /* no WebSocket yet: reject.h */
};

/* Enters it under the credential of the request, or closes it with 4001. */
void socket_open(struct socket *socket, const struct socket_ops *ops, struct edge *edge,
                 struct conn *conn, const struct net_request *request);

/* Close frame behind what is queued. */
void socket_end(struct socket *socket, int code, const char *reason);
/* What is queued is dropped. */
void socket_kill(struct socket *socket, int code, const char *reason);

/* From net. */
void socket_message(struct socket *socket, bool binary, struct bytes message);
void socket_gone(struct socket *socket, int code, const char *reason);

/* True when these rights hold it to a device that those until now did not hold it to. */
bool socket_device_narrows(const struct socket *socket, const Raeh__Principal *rights);
/* The key has the right, or the socket is closed with 4001 and a sentence. */
bool socket_has_scope(struct socket *socket, uint32_t scope);

#endif
