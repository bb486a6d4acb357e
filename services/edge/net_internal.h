/*
 * net_internal - what the files of net share; no one else includes it but their tests.
 *
 *     net_lws.c    sockets, TLS, waiting: the only includer of libwebsockets
 *     net.c        accepting, turns, beginning and end
 *     net_conn.c   the life of a conn: its states, its timer, the end of a turn
 *     net_queue.c  what waits to be written
 *     net_head.c   one HTTP/1.1 request head (pure)
 *     net_http.c   requests, answers, streams
 *     net_upgrade.c from a request to a WebSocket
 *     net_frame.c  RFC 6455 frame heads and close bodies (pure)
 *     net_inflate.c permessage-deflate (pure but for its window)
 *     net_ws.c     messages, control frames, closing
 *
 * libwebsockets gives the sockets and TLS ("raw" role). HTTP and WebSocket framing
 * are ours, because its own cannot keep what net.h promises: it takes unmasked frames and
 * invalid close codes, answers only some of several pings, drops a connection that offers a
 * subprotocol it does not know, answers a header overflow with nothing, closes TCP with
 * unread data in it (so that a sending client never reads the close code) and costs 5.6 kB
 * an idle socket.
 */
#ifndef EDGE_NET_INTERNAL_H
#define EDGE_NET_INTERNAL_H

#include "services/edge/net.h"
#include "services/edge/net_frame.h"
#include "services/edge/net_head.h"
#include "services/edge/net_inflate.h"

#include <sys/socket.h>

#define DEFAULT_MESSAGE_BYTES (1024u * 1024)
#define DEFAULT_CONNS         10000u
#define NET_READ_BYTES        (64u * 1024)   /* one read; what a conn holds unparsed is less     */
#define NET_PIPELINE_BYTES    (16u * 1024)   /* of later requests, held while one is answered     */
#define NET_CONTROL_BYTES     (16u * 1024)   /* of pongs waiting: beyond that, no more is read    */
#define NET_WRITE_BYTES       (16u * 1024)   /* small messages are gathered into one write        */
#define NET_GATHERED_BYTES    (256u << 20)   /* of unfinished messages and bodies, all conns      */
#define NET_FLUSH_BYTES       (1024u * 1024) /* a turn and socket: others wait too              */

/* In ms; a test may shorten them after net_open(). */
struct net_times {
	int64_t request;   /* for a handshake or a whole request                       */
	int64_t keep_idle; /* between requests                                         */
	int64_t ping;      /* between pings                                            */
	int64_t pong;      /* for anything to come back: ping + pong < 40 s            */
	int64_t stalled;   /* an answer of which the peer takes nothing                */
	int64_t flush;     /* for what is queued before a close frame                  */
	int64_t linger;    /* NET_LINGER_MS                                            */
};

enum conn_state {
	CONN_HEAD,      /* reading a request's head                                    */
	CONN_BODY,      /* reading its body                                            */
	CONN_ANSWERING, /* the owner has the request                                   */
	CONN_STREAMING, /* … and has begun a chunked answer                            */
	CONN_ANSWERED,  /* the answer is being written                                 */
	CONN_OPEN,      /* a WebSocket                                                 */
	CONN_CLOSING,   /* the last bytes are being written; what comes is discarded   */
	CONN_LINGERING, /* our side is shut down; what comes is discarded              */
	CONN_DEAD,      /* closed when the turn ends                                   */
};

/* Bytes as they go over the wire, used by one or many. */
struct net_shared {
	unsigned uses;
	size_t len;
	uint8_t data[];
};

struct queued {
	struct queued *next;
	struct net_shared *wire;
};

/* A request while it is read. */
struct request_in {
	struct head head; /* points into text */
	struct chunked chunked;
	struct buf body;
	uint64_t body_left; /* with Content-Length */
	bool too_large;
	char text[]; /* HEAD_TEXT_BYTES(n) */
};

struct conn {
	struct net *net;
	void *user;
	struct lws *lws;          /* NULL: the socket is gone */
	struct conn *prev, *next; /* all conns */
	struct conn *next_unsettled;
	struct timer timer;
	struct buf in; /* read, not parsed yet */
	size_t head_seen;
	struct request_in *request;

	struct queued *first, *last, *last_control;
	size_t first_at; /* bytes of the first already written */
	size_t queued_bytes, control_bytes;
	struct buf stuck; /* TLS: given to the engine, not yet taken by the kernel */

	struct buf message; /* fragments so far */
	uint64_t frame_left;
	uint32_t fragments;
	uint8_t mask[4], mask_at;
	uint8_t message_opcode; /* 0: none begun */
	bool frame_final;
	bool deflates, compressed; /* agreed on; this message is */

	uint8_t state, endpoint;
	bool unsettled, undrained;
	bool paused, blocked; /* by net_pause(); by may_move() */
	bool held; /* messages read, not given yet: for these reasons or because of pongs */
	bool reading, wants_writing; /* what the socket is watched for */
	bool full;                   /* its kernel buffer                                    */
	bool owned;                  /* the owner has it: on_closed is due */
	bool asks;                   /* may_move() is asked                                  */
	bool idle;                   /* between two requests                                 */
	bool shaking;                /* nothing whole has come of it yet                     */
	bool keep_alive, chunk_answer, head_only, version_1_0;
	bool progressed;    /* written since the last look                          */
	bool heard, pinged; /* read since the last ping                             */
	bool by_peer;
	uint8_t listener; /* its index                                              */
	uint16_t close_code;
	char *close_reason; /* NULL: "" */
	char *headers;      /* for the next answer; NULL: none */
	uint32_t interest;  /* as told to epoll                                     */
	char peer[46];
};

struct listener {
	struct net *net;
	int fd;
	size_t index;
};

/* How often the loop turns. While frames come by the thousand a second, each waking it alone,
 * most of their cost is the waking: then a turn begins PACE_TURN_US after the one before. */
#define PACE_TURN_US   1000
#define PACE_WINDOW_US 10000 /* over which the events are counted       */
#define PACE_EVENTS    50    /* in a window, from that on: 5,000 a second */
struct pace {
	int64_t turn_us, window_us; /* beginnings */
	unsigned events;            /* in this window */
	bool busy;                  /* the window before had that many */
};

struct net {
	struct lws_context *context;
	struct lws_vhost *vhost;
	struct loop *loop;
	struct net_events events;
	void *ctx;
	struct listener *listener;
	size_t n_listeners;
	int epoll_fd;
	int spare_fd; /* given up for a moment when descriptors run out */
	bool accepting, stopping, tls, echo, behind_proxy;
	size_t max_message_bytes, max_conns, n_conns;
	size_t max_gathered_bytes, gathered_bytes;
	struct timer accept_again;
	struct conn *conns;
	struct conn *unsettled, *last_unsettled;
	struct inflater *inflater; /* NULL: permessage-deflate is not offered */
	struct net_times times;
	struct net_counts counts;
	struct pace pace;
	uint8_t *scratch; /* NET_WRITE_BYTES */
};

/* ---- net_lws.c: sockets ---- */
CHECKED enum err socket_context_new(struct net *net, const struct net_config *config,
                                    char why[256]);
void socket_context_free(struct net *net);
/* Waits for something, unless now. */
void socket_serve(struct net *net, bool now);
/* Takes fd, whether it succeeds or not. False: it is closed and conn was not told. */
bool socket_adopt(struct conn *conn, int fd);
int socket_fd(const struct conn *conn);
/* What has come is acknowledged now, not 40 ms later with an answer. */
void socket_acknowledge(struct conn *conn);
/* Bytes taken: 0 = full, -1 = broken. TLS: at most NET_WRITE_BYTES; when full, the same bytes
 * must be offered again. */
ssize_t socket_write(struct conn *conn, const void *data, size_t len);
void socket_when_writable(struct conn *conn);
void socket_read(struct conn *conn, bool on);
void socket_shut_writing(struct conn *conn);
/* Does the kernel hold bytes that it has not sent? */
bool socket_has_unsent(const struct conn *conn);
/* The peer will see a reset, and nothing more of what the kernel holds, when it is closed. */
void socket_reset_on_close(struct conn *conn);
/* Closes it now; conn_on_socket_closed() is called. Never from inside one of its calls. */
void socket_close(struct conn *conn);
/* base64(SHA-1(key ‖ GUID)), RFC 6455 §4.2.2 */
void socket_accept_key(const char *key, char ret[32]);

/* ---- net_conn.c: the life of a conn ---- */
struct conn *conn_new(struct net *net);
void conn_free(struct conn *conn);
/* Called by net_lws.c. */
void conn_on_bytes(struct conn *conn, uint8_t *data, size_t len);
void conn_on_writable(struct conn *conn);
void conn_on_socket_closed(struct conn *conn);

/* Looked after, by conn_settle(), before the loop waits again. */
void conn_unsettle(struct conn *conn);
void conn_settle(struct conn *conn);
void conn_wake(struct conn *conn);
bool conn_must_wait(struct conn *conn);
/* An unfinished message or body grows, or goes. False: all conns together hold too much. */
bool conn_gather(struct conn *conn, struct buf *buf, const void *data, size_t len);
void conn_drop_gathered(struct conn *conn, struct buf *buf);
bool conn_may_move(struct conn *conn);
void conn_timer(struct conn *conn, int64_t delay_ms);
/* Its handshake is over. */
void conn_shaken(struct conn *conn);
/* What waits is written, then our side is shut down and the owner told. */
void conn_begin_closing(struct conn *conn, int code, const char *reason, bool by_peer);
/* Closed when the turn ends; the owner hears code, or that of a closing already begun. */
void conn_die(struct conn *conn, int code);
/* Tells the owner, if it was not told. */
void conn_end(struct conn *conn);

/* ---- net_queue.c ---- */
struct net_shared *net_wire_new(size_t len);
struct net_shared *net_frame_new(enum net_opcode opcode, struct bytes payload);
/* Takes wire. */
void queue_add(struct conn *conn, struct net_shared *wire);
void queue_add_control(struct conn *conn, struct net_shared *wire);
void queue_add_text(struct conn *conn, const char *text);
/* All messages that are not begun. False: one is partly written, and stays. */
bool queue_drop(struct conn *conn);
void queue_free(struct conn *conn);
bool queue_is_empty(const struct conn *conn);
void queue_flush(struct conn *conn);

/* ---- net_http.c ---- */
size_t http_input(struct conn *conn, const uint8_t *data, size_t len);
void http_request_free(struct conn *conn);
/* The answer has been written: the next request, or the end. */
void http_answer_done(struct conn *conn);

/* net's own answer to a request that is none; nothing more is read from it. */
void http_refuse(struct conn *conn, int status, const char *headers);
struct net_request http_request_of(const struct conn *conn, enum net_endpoint endpoint);

/* ---- net_upgrade.c ---- */
bool upgrade_is_asked(const struct head *head);
void upgrade_begin(struct conn *conn);

/* ---- net_ws.c ---- */
size_t ws_input(struct conn *conn, uint8_t *data, size_t len);
void ws_on_timer(struct conn *conn);
void ws_queue_close(struct conn *conn, int code, const char *reason);

#endif
