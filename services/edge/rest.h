/*
 * rest - HTTP requests into commands of the services, their replies into JSON.
 *
 * One row a route (rest_routes.c): method, path, scope, service, command, result, status.
 * Nothing here knows a command's fields: the JSON, the query and the path go into the
 * protobuf message by its descriptor, and the service that owns the command judges them.
 *
 *     rest.c          the way of a request: key, scope, body, command, service, answer
 *     rest_reply.c    services asked, their answers told
 *     rest_list.c     lists made of pages or of several publishers, their Link
 *     rest_stream.c   chunked answers
 *     rest_cache.c    ETag and 304, gzip
 *     rest_audit.c    the audit trail, of the two services that have a part of it
 *     rest_limit.c    the rate of the key, and RateLimit-… in every answer to it
 *     rest_room.c     how much the answers under way may take together
 *     rest_open.c     what needs no key: /healthz, /readyz, OPTIONS
 *     rest_handler.h  for handlers of the edge's own (a row with `here`)
 */
#ifndef EDGE_REST_H
#define EDGE_REST_H

#include "services/edge/edge.h"

#define REST_SERVICE_MS  5000  /* deadline of a command                  */
#define REST_REVOKE_MS   60000 /* a revoke waits for every edge, or its lease */
#define REST_PATH_PARAMS 2
#define REST_LIST_BYTES  (64u * 1024 * 1024) /* of a list made of pages */
/* Of answers that are being made, or not yet read to their end: all, and those of one account. */
#define REST_ANSWERS_BYTES (256u * 1024 * 1024)
#define REST_ACCOUNT_BYTES (96u * 1024 * 1024)
#define REST_SHORT_BYTES   (64u * 1024) /* an answer that is never refused for that */

enum rest_service {
	REST_AUTH,
	REST_ROUTER,
	REST_PUBLISHER,       /* of the session whose id is in the path            */
	REST_PUBLISHER_PAGES, /* the same, page after page: the list is whole      */
	REST_PUBLISHERS,      /* every one: their lists become one                 */
	REST_HERE,            /* none: `here` answers, and there is no command     */
};

struct rest;

struct rest_route {
	const char *method, *path; /* "/v1/sessions/{id}/insights"           */
	uint32_t scope;            /* of enum scope, any will do; 0: no key is asked for */
	enum rest_service service; /* whose request `oneof` has the command  */
	const char *command;       /* field of that `oneof`                  */
	const char *result;        /* field of its reply `oneof`             */
	int status;                /* of success; 204: no body               */
	const char *about;         /* a sentence for /openapi.json: every row has one */
	int64_t deadline_ms;       /* 0: REST_SERVICE_MS                     */
	/* Set: called once the key is admitted and the command is filled in, principal and all,
	 * instead of asking the service. It answers, now or later: rest_handler.h. */
	void (*here)(struct rest *rest);
	bool any_key; /* of SCOPES_ALL: for API keys; else for who is logged in */
	/* Where the answer is not (only) JSON: the members of OpenAPI's `content`. */
	const char *produces;
};

/* The handler of GET /v1/audit. */
void rest_audit_here(struct rest *rest);

extern const struct rest_route rest_routes[];
extern const size_t rest_route_count;

/* A path parameter, borrowed from the path. */
struct rest_param {
	const char *name; /* points into the route: "id}" … */
	size_t name_len;
	const char *value;
	size_t len;
};
/* True when the path is of this route's form; fills up to REST_PATH_PARAMS. */
bool rest_path_matches(const char *pattern, const char *path, struct rest_param *ret,
                       size_t *ret_n);

/* listen_fds[1], when there is one, is the admin address: /metrics, /healthz, /readyz alone. */
#define REST_ADMIN_LISTENER 1

/* Whether {name} is a part of the route's path. */
bool rest_path_has(const char *pattern, const char *name);

/* Not answered, or not all out. */
size_t rest_count(struct edge *edge);

/* From net. */
void rest_request(struct edge *edge, struct conn *conn, const struct net_request *request);
void rest_drained(struct edge *edge, struct conn *conn);
bool rest_may_move(const struct edge *edge, const struct conn *conn);
/* The client is gone. */
void rest_gone(struct edge *edge, struct conn *conn);
void rest_free_all(struct edge *edge);

#endif
