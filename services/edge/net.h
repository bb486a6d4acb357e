/*
 * net - the sockets of one edge: HTTP requests, WebSockets, server-sent streams.
 *
 * The only includer of libwebsockets, and the edge's loop: it adopts the process's
 * own loop (loop_fd) as one more descriptor. It knows the protocols and nothing of
 * keys, sessions or accounts. The simulation links another net behind this header.
 *
 *     listening fd ─► net ─► on_open / on_message / on_closed   (WebSocket)
 *                        └─► on_request                          (plain HTTP)
 *
 * A conn is alive from on_open (or on_request) until on_closed returns; on_closed is
 * called exactly once for each: of a WebSocket when the conversation is over (the peer's
 * TCP may linger), of a request when its answer has been written (1000) or the client is
 * gone (1006), so that the next request of the same connection begins anew. The owner
 * hangs its own state on conn_set_user(). Only net_run() and net_free() call back: what
 * follows from another call (on_drained, on_closed, on_message after net_wake()) comes at
 * the end of the turn.
 *
 * net answers by itself: pings; protocol errors (1002, 1007 for bad UTF-8); messages
 * over max_message_bytes or with more than NET_MAX_FRAGMENTS fragments (1009); a
 * handshake or request not finished in 10 s (dropped); peers gone (ping every 25 s,
 * noticed within 40 s, 1006); upgrades to a path that is no endpoint (404).
 *
 * Nothing here blocks. All memory a peer can make it use is bounded.
 */
#ifndef EDGE_NET_H
#define EDGE_NET_H

#include "common/err.h"
#include "common/loop.h"
#include "common/mem.h"

#define NET_MAX_FRAGMENTS  1024
#define NET_MAX_BODY_BYTES (256u * 1024)
#define NET_LINGER_MS      2000 /* after our close frame: discard until the peer closes */
#define NET_CLOSE_REASON   123  /* bytes, RFC 6455 §5.5                                   */

struct net;
struct conn;

enum net_endpoint { NET_HTTP, NET_INGEST, NET_SUBSCRIBE, NET_ECHO };

/* One HTTP request or upgrade, borrowed for the call. Text is as sent, not decoded, except
 * for path. */
struct net_request {
	enum net_endpoint endpoint;
	const char *method; /* "GET" … as sent; an upgrade is GET            */
	const char *path;   /* percent-decoded but for %2F and %25, without the query */
	const char *query;  /* after '?', still encoded; "" when there is none */
	const char *authorization, *subprotocols, *cookie, *origin, *host, *accept, *content_type,
	        *user_agent, *last_event_id, *idempotency_key, *prefer, *if_none_match,
	        *forwarded_for, *accept_encoding, *csrf_token; /* NULL = absent */
	const char *peer;                                      /* address without port */
	size_t listener; /* index into net_config.listen_fds */
	bool tls;        /* the client speaks TLS: with us, or with the proxy in front */
	bool has_length; /* Content-Length or chunked was given */
	bool too_large;  /* the body passed NET_MAX_BODY_BYTES: body is empty, answer 413 */
	struct bytes body;
};

struct net_events {
	/* Asked before the upgrade is answered: the subprotocol to accept ("bearer") or NULL. */
	const char *(*choose_subprotocol)(void *ctx, const struct net_request *request);
	/* The upgrade, asked before it is answered. 0: go on (101). Otherwise refuse it with
	 * that HTTP status, an empty body and no WebSocket. */
	int (*refuse_upgrade)(void *ctx, const struct net_request *request);
	/* Asked after that. True: the owner answers now or later, with net_upgrade() or as a plain
	 * request, and hears on_closed (as of HTTP) unless it has upgraded. NULL: go on. */
	bool (*hold_upgrade)(void *ctx, struct conn *conn, const struct net_request *request);
	/* net refuses what is no request of anybody's (400, 404, 426, 429, 431, 503, 505): answer
	 * with net_respond() before it returns, with these headers ("" or each ended by \r\n).
	 * NULL: an empty body. No on_closed follows. */
	void (*on_refused)(void *ctx, struct conn *conn, int status, const char *headers);
	void (*on_open)(void *ctx, struct conn *conn, const struct net_request *request);
	/* binary or text, whole, already checked as UTF-8 when text */
	void (*on_message)(void *ctx, struct conn *conn, bool binary, struct bytes message);
	/* A connection was accepted. False: it is told 429 and closed. on_shaken() when its first
	 * request or upgrade has come whole, or it is gone. Both may be NULL; neither is called
	 * behind a proxy, whose connections they would be. */
	bool (*on_accept)(void *ctx, const char *peer);
	void (*on_shaken)(void *ctx, const char *peer);
	/* A whole request; answer with net_respond() now or later. */
	void (*on_request)(void *ctx, struct conn *conn, const struct net_request *request);
	/* Everything queued on it has been handed to the kernel. */
	void (*on_drained)(void *ctx, struct conn *conn);
	/* code: the peer's close code, ours, or 1006. by_peer: the peer closed first. */
	void (*on_closed)(void *ctx, struct conn *conn, int code, const char *reason, bool by_peer);
	/* Asked before each read from and each write to a WebSocket or stream. False: nothing
	 * moves now (net asks again after net_wake()). */
	bool (*may_move)(void *ctx, struct conn *conn);
	/* After each turn of the loop. */
	void (*on_turn_end)(void *ctx);
};

struct net_config {
	const int *listen_fds; /* bound and listening TCP sockets, ours from now on */
	size_t n_listen_fds;
	const char *tls_cert, *tls_key; /* PEM files, or NULL for plain */
	size_t max_message_bytes;       /* default 1 MiB */
	size_t max_conns;               /* default 10,000; more are told 503 and closed */
	bool echo;                      /* offer /echo */
	/* Accept permessage-deflate: what comes may be compressed (inflated it is at most
	 * max_message_bytes); what we send never is. */
	bool deflate;
	bool behind_proxy; /* trust X-Forwarded-For for the peer's address, X-Forwarded-Proto */
};

/* ERR_MALFORMED: the certificate or its key cannot be used. */
CHECKED enum err net_open(const struct net_config *config, struct loop *loop,
                          const struct net_events *events, void *ctx, char why[256],
                          struct net **ret);
void net_free(struct net *net);
AUTO_FREE(struct net, net_free)
/* Until net_stop(). */
void net_run(struct net *net);
void net_stop(struct net *net);
/* No new connections from now on; the listening sockets are closed. */
void net_stop_listening(struct net *net);

void conn_set_user(struct conn *conn, void *user);
void *conn_user(const struct conn *conn);
enum net_endpoint conn_endpoint(const struct conn *conn);

/* WebSocket: one text message, copied. ERR_LIMIT: max_queued_bytes would be passed and
 * nothing was queued. ERR_CONFLICT: it is closing. */
CHECKED enum err net_send_text(struct conn *conn, struct bytes text, size_t max_queued_bytes);
CHECKED enum err net_send_binary(struct conn *conn, struct bytes data, size_t max_queued_bytes);
/* The same text to many: shared is made once, counted, freed with its last use. */
struct net_shared;
struct net_shared *net_shared_new(struct bytes text);
void net_shared_unref(struct net_shared *shared);
CHECKED enum err net_send_shared(struct conn *conn, struct net_shared *shared,
                                 size_t max_queued_bytes);
size_t net_queued_bytes(const struct conn *conn);

/* Forgets what is queued, but for a message of which the kernel has a part already. */
void net_drop_queued(struct conn *conn);

/* Sends the close frame after what is queued, shuts the writing side down, discards what
 * still comes until the peer closes or NET_LINGER_MS. reason is cut at a character border
 * to NET_CLOSE_REASON bytes. No on_message follows. */
void net_close(struct conn *conn, int code, const char *reason);
/* The same, but what is queued is dropped first; a socket whose kernel buffer still holds
 * unsent bytes is reset (RST) instead: its client sees 1006. */
void net_close_now(struct conn *conn, int code, const char *reason);

/* Stops or goes on reading this socket. While it is stopped the peer's liveness is not
 * judged (an unread pong is no dead peer). */
void net_pause(struct conn *conn, bool paused);
/* may_move() may answer otherwise now: for one, or (NULL) for all. */
void net_wake(struct net *net, struct conn *conn);

/* Small SO_SNDBUF, so that what the kernel holds unsent is bounded (subscribers). */
void net_bound_kernel_buffer(struct conn *conn, int bytes);
/* What was sent and is not acknowledged for so long ends it: a peer that vanished and is not pinged
 * (an event stream) is noticed so. */
void net_notice_silence(struct conn *conn, unsigned ms);

/* An upgrade that was held goes on: 101, and on_open. */
void net_upgrade(struct conn *conn);

/* HTTP: status, headers as "Name: value\r\n…" (Content-Length is added), body copied. HEAD
 * sends no body. The connection is kept alive if the peer asked for it. */
void net_respond(struct conn *conn, int status, const char *headers, struct bytes body);
/* More headers for the answer to come, whoever gives it; copied. */
void net_set_headers(struct conn *conn, const char *headers);
/* A body of unknown length (SSE, exports): chunked. */
void net_stream_start(struct conn *conn, int status, const char *headers);
CHECKED enum err net_stream_write(struct conn *conn, struct bytes data, size_t max_queued_bytes);
void net_stream_end(struct conn *conn);

struct net_counts {
	uint64_t accepted, refused_full, open_websockets, open_http, bytes_in, bytes_out,
	        messages_in, protocol_errors, peers_gone;
	uint64_t queued_bytes,
	        gathered_bytes; /* now, of all: to be written; of unfinished messages */
};
const struct net_counts *net_counts(struct net *net);

#endif
