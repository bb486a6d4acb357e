/* What the parts of rest share; nobody else includes this. */
#ifndef EDGE_REST_INTERNAL_H
#define EDGE_REST_INTERNAL_H

#include "publisher.pb-c.h"
#include "services/edge/cookie.h"
#include "services/edge/origin.h"
#include "services/edge/rest.h"
#include "services/edge/rest_handler.h"

/* One request on its way. */
struct rest {
	struct list link;
	struct edge *edge;
	struct conn *conn; /* NULL: the client is gone, or it was answered */
	struct grant_user user;
	struct timer timer;
	const struct rest_route *route;
	ProtobufCMessage *request; /* of the route's service; NULL: REST_HERE */
	struct origin *origin;
	struct uuid subject;         /* the id in the path; names the publisher */
	int fault;                   /* 0, or the status of what is wrong with the command: told */
	char *fault_detail;          /* only to those who may give it */
	bool secure;                 /* TLS reaches the client: its cookie is for TLS alone */
	char csrf[COOKIE_CSRF_TEXT]; /* of the login that asks; "" for a key */
	bool head;                   /* HEAD: no body is sent                */
	bool ends_itself;            /* a key revokes itself: its receipt is told all the same */
	bool is_cut;                 /* a publisher has more insights than it gave */
	bool answered;               /* the answer is queued, not all out     */
	unsigned pending;            /* questions under way: keep the memory */
	struct list questions;
	unsigned n_replies;
	ProtobufCMessage **replies; /* of those asked for this answer, or this page */
	char missing[BUS_NAME_MAX]; /* a service that did not answer */
	struct buf pages;           /* JSON of the pages so far, without the last ']' */
	char *path, *query;         /* of a GET, for the link to the next page        */
	char *if_none_match;        /* of a GET; NULL: absent */
	bool takes_gzip;            /* it is a GET, and its client can read gzip */
	const struct rest_stream *stream;
	void *stream_ctx;
	bool stream_ended;
	size_t held_bytes; /* of its answer: rest_hold() */
};

/* ---- rest_message.c: by descriptor ---- */

/* The type of the row's command; NULL: it has none. */
const ProtobufCMessageDescriptor *rest_command_type(const struct rest_route *route);
/* The request message of a service, NULL for REST_HERE; its reply's type. */
ProtobufCMessage *rest_request_new(enum rest_service service);
const ProtobufCMessageDescriptor *rest_request_type(enum rest_service service);
const ProtobufCMessageDescriptor *rest_reply_type(enum rest_service service);
/* The place of a field; NULL: there is none of that name. */
void *rest_member(ProtobufCMessage *message, const char *name);
/* Sets an optional bytes field, copied; nothing when there is none of that name. */
void rest_set_bytes(ProtobufCMessage *message, const char *name, struct bytes value);
/* Sets `once`, copied; nothing when the service knows no such thing. */
void rest_set_once(ProtobufCMessage *message, struct bytes name, struct bytes body);
/* Sets an optional bool; nothing when there is none of that name. */
void rest_set_flag(ProtobufCMessage *message, const char *name);
/* A new member of the message's oneof, chosen. */
ProtobufCMessage *rest_choose(ProtobufCMessage *message, const char *name);
/* The oneof member when it is the chosen one, else NULL. */
ProtobufCMessage *rest_chosen(ProtobufCMessage *message, const char *name);

/* ---- rest.c ---- */

/* Answered or gone: nothing more is sent. Frees it when no service's answer is awaited. */
void rest_finish(struct rest *rest);
void rest_release(struct rest *rest);
bool rest_has_body(const struct rest_route *route);
/* It heeds an Idempotency-Key. */
bool rest_is_repeatable(const struct rest_route *route);
/* It has fields that cannot be left out: a request without a length is not an empty one. */
bool rest_needs_body(const struct rest_route *route);

/* ---- rest_limit.c ---- */

/* False: over the rate, and refused. The answer to come says what is left. */
bool rest_within_limits(struct rest *rest, const Raeh__Principal *principal);

/* ---- rest_reply.c ---- */

void rest_ask_service(struct rest *rest);
void rest_drop_replies(struct rest *rest);
void rest_drop_questions(struct rest *rest); /* nobody calls back any more */
/* The answer is queued. Until its last byte is out the key must live: net says when the
 * request has ended (rest_gone). */
void rest_hand_over(struct rest *rest);
void rest_answer_message(struct rest *rest, const ProtobufCMessage *result, const char *extra);

/* ---- rest_room.c ---- */

/* Its answer takes so many bytes, from now until it is released. */
void rest_hold(struct rest *rest, size_t bytes);
/* False: with what it holds, too much is held; the client is told REST_NO_ROOM with 503. */
bool rest_has_room(const struct rest *rest);
/* It was asked by the account of this one. */
bool rest_is_of(const struct rest *rest, const Raeh__Principal *asker);
#define REST_NO_ROOM "too many long answers wait to be read"

/* ---- rest_cache.c ---- */

/* The answer to a GET: 304 when the client has this one already, gzip when it may be. */
void rest_answer_get(struct rest *rest, const char *type, const char *text, const char *extra);

/* ---- rest_list.c ---- */

/* A new string: the Link header, when the service says that there is more behind the list. */
char *rest_next_page(struct rest *rest);
/* The insights of every publisher become one list, newest first, cut to the limit. */
void rest_merge_insights(struct rest *rest);
/* A page of the session's insights has come: the next, or the answer. */
void rest_take_page(struct rest *rest);

/* ---- rest_open.c ---- */

/* False: it is no page that is open to all. */
bool rest_answer_open(struct edge *edge, struct conn *conn, const struct net_request *request);
void rest_answer_options(struct conn *conn);
void rest_open_gone(struct edge *edge, const struct conn *conn);
void rest_open_free_all(struct edge *edge);
bool rest_is_get(const char *method);

#endif
