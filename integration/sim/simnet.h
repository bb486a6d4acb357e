/*
 * simnet - the edge's net.h over virtual sockets.
 *
 * A client holds one end, an edge the other. Bytes take time both ways; what the edge has
 * queued stands in its process until may_move() lets it go; what has gone is out.
 */
#ifndef SIM_SIMNET_H
#define SIM_SIMNET_H

#include "integration/sim/world.h"
#include "services/edge/net.h"

struct peer; /* the client's end */

struct peer_events {
	void (*on_text)(void *ctx, struct bytes text);
	/* The close code that the client sees; 1006: cut or reset. */
	void (*on_closed)(void *ctx, int code);
};

/* What the checks are told, at the moment it happens. */
struct net_watch {
	/* The edge's actor is given this message of the client. */
	void (*taken)(void *ctx, void *client, struct bytes message);
	/* These bytes are handed to the kernel. */
	void (*handed)(void *ctx, void *client, struct bytes text);
	void *ctx;
};

/* One edge's net: made before edge_new's edge, on the node it runs on. */
struct net *simnet_new(struct node *node, const struct net_events *events, void *events_ctx,
                       const struct net_watch *watch);
/* After a turn of the node: moves what may move. */
void simnet_turn_end(struct net *net);

/* An upgrade by a client; query as in a URL. client is what the checks are told. */
struct peer *simnet_connect(struct net *net, enum net_endpoint endpoint, const char *query,
                            const struct peer_events *events, void *client);
void peer_send(struct peer *peer, struct bytes message);
void peer_close(struct peer *peer);
/* The client listens no more; must be called once. */
void peer_forget(struct peer *peer);

#endif
