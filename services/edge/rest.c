#include "services/edge/rest.h"

#include "auth.pb-c.h"
#include "common/json.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/principal.h"
#include "common/wire.h"
#include "router.pb-c.h"
#include "services/edge/credential.h"
#include "services/edge/gather.h"
#include "services/edge/page_link.h"
#include "services/edge/problem.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ADMIT_MS     6000 /* for auth's verdict */
#define READY_MS     1500
#define LIST_DEFAULT 50

/* Which service an answer comes from. */
struct asked {
	struct rest *rest;
	char name[BUS_NAME_MAX];
};

/* One request on its way. */
struct rest {
	struct list link;
	struct edge *edge;
	struct conn *conn; /* NULL: the client is gone, or it was answered */
	struct grant_user user;
	struct timer timer;
	const struct rest_route *route;
	ProtobufCMessage *request; /* of the route's service, filled but for the principal */
	struct uuid session;       /* names the publisher */
	int fault;                 /* 0, or the status of what is wrong with the command: told */
	char *fault_detail;        /* only to those who may give it */
	bool ends_itself;          /* a key revokes itself: its receipt is told all the same */
	bool is_cut;               /* a publisher has more insights than it gave */
	bool answered;             /* the answer is queued, not all out     */
	unsigned pending;          /* answers under way: keep the memory */
	struct asked *asked;       /* one a service                      */
	unsigned n_replies;
	ProtobufCMessage **replies;
	char missing[BUS_NAME_MAX]; /* a service that did not answer */
	struct buf pages;           /* JSON of the pages so far, without the last ']' */
	char *path, *query;         /* of a GET, for the link to the next page        */
};

static const struct {
	const ProtobufCMessageDescriptor *request, *reply;
} services[] = {
	[REST_AUTH] = {&auth__auth_request__descriptor,            &auth__auth_reply__descriptor    },
	[REST_ROUTER] = { &router__router_request__descriptor,       &router__router_reply__descriptor},
	[REST_PUBLISHER] = { &publisher__publisher_request__descriptor,
                       &publisher__publisher_reply__descriptor                                      },
	[REST_PUBLISHER_PAGES] = { &publisher__publisher_request__descriptor,
                       &publisher__publisher_reply__descriptor                                      },
	[REST_PUBLISHERS] = { &publisher__publisher_request__descriptor,
                       &publisher__publisher_reply__descriptor                                      },
};

/* ---- messages by descriptor ---- */

static void *member(ProtobufCMessage *message, const char *name)
{
	const ProtobufCFieldDescriptor *field =
	        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);

	return field ? (uint8_t *)message + field->offset : NULL;
}

/* A new member of the message's oneof, chosen. */
static ProtobufCMessage *choose(ProtobufCMessage *message, const char *name)
{
	const ProtobufCFieldDescriptor *field =
	        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
	ProtobufCMessage *sub;

	MUST(field != NULL); /* a row of the table names a command that is not there */
	sub = json_new(field->descriptor);
	*(uint32_t *)((uint8_t *)message + field->quantifier_offset) = field->id;
	*(ProtobufCMessage **)((uint8_t *)message + field->offset) = sub;
	return sub;
}

/* The oneof member when it is the chosen one, else NULL. */
static ProtobufCMessage *chosen(ProtobufCMessage *message, const char *name)
{
	const ProtobufCFieldDescriptor *field =
	        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);

	MUST(field != NULL);
	if (*(uint32_t *)((uint8_t *)message + field->quantifier_offset) != field->id)
		return NULL;
	return *(ProtobufCMessage **)((uint8_t *)message + field->offset);
}

/* ---- the end of a request ---- */

static void release(struct rest *rest)
{
	for (unsigned i = 0; i < rest->n_replies; i++)
		wire_free(rest->replies[i]);
	mem_free(rest->replies);
	mem_free(rest->asked);
	buf_free(&rest->pages);
	wire_free(rest->request);
	list_remove(&rest->link);
	mem_free(rest->fault_detail);
	mem_free(rest->path);
	mem_free(rest->query);
	mem_free(rest);
}

/* Answered or gone: nothing more is sent. Frees it when no service's answer is awaited. */
static void finish(struct rest *rest)
{
	timer_stop(rest->edge->loop, &rest->timer);
	grant_leave(rest->edge->grants, &rest->user);
	list_remove(&rest->link);
	if (rest->conn)
		conn_set_user(rest->conn, NULL);
	rest->conn = NULL;
	if (rest->pending == 0)
		release(rest);
	else
		list_append(&rest->edge->leaving, &rest->link);
}

static void refuse(struct rest *rest, int status, const char *detail, const char *extra)
{
	struct conn *conn = rest->conn;

	rest->edge->metrics.requests_total++;
	if (status == 401)
		rest->edge->metrics.refused_total++;
	conn_set_user(conn, NULL);
	problem_respond(conn, status, detail, extra);
	rest->conn = NULL;
	finish(rest);
}

/* A new string: the Link header, when the services say that there is more behind the list; for
 * insights the id of the last one is the cursor. */
static char *next_page(struct rest *rest, const Publisher__InsightList *insights)
{
	bool pages = rest->route->service == REST_PUBLISHER_PAGES;
	const char *cursor = NULL;

	if (!insights) {
		const char *const *next = member(rest->replies[0], "next");

		cursor = next ? *next : NULL;
	} else if (insights->n_items > 0 && rest->is_cut) {
		cursor = insights->items[insights->n_items - 1]->id;
	}
	if (!cursor || !rest->path)
		return xstrdup("");
	return page_link(rest->path, rest->query,
	                 chosen(rest->request, rest->route->command)->descriptor,
	                 pages ? "after" : "cursor", cursor);
}

/* The answer is queued. Until its last byte is out the key must live: net says when the
 * request has ended (rest_gone). */
static void hand_over(struct rest *rest)
{
	for (unsigned i = 0; i < rest->n_replies; i++)
		wire_free(rest->replies[i]);
	rest->n_replies = 0;
	buf_free(&rest->pages);
	timer_stop(rest->edge->loop, &rest->timer);
	rest->answered = true;
}

static void answer(struct rest *rest, ProtobufCMessage *result)
{
	bool insights = result->descriptor == &publisher__insight_list__descriptor;
	struct conn *conn = rest->conn;
	char *json, *link;

	rest->edge->metrics.requests_total++;
	if (rest->route->status == 204) {
		net_respond(conn, 204, HTTP_HEADERS, BYTES("", 0));
	} else {
		json = json_of_message(result);
		link = next_page(rest, insights ? (const Publisher__InsightList *)result : NULL);
		json_respond(conn, rest->route->status, json, link);
		mem_free(link);
		sodium_memzero(json, strlen(json)); /* a new key is told once */
		mem_free(json);
	}
	hand_over(rest);
}

/* ---- answers of the services ---- */

static int newer_insight(const void *a, const void *b)
{
	const Publisher__Insight *const *left = a, *const *right = b;

	return strcmp((*right)->id, (*left)->id); /* ids sort by time */
}

/* The insights of every publisher become one list, newest first, cut to the limit. */
static void merge_insights(struct rest *rest)
{
	const Publisher__PublisherRequest *request =
	        (const Publisher__PublisherRequest *)rest->request;
	Publisher__InsightList merged = PUBLISHER__INSIGHT_LIST__INIT;
	size_t limit =
	        request->list_insights->has_limit ? request->list_insights->limit : LIST_DEFAULT;
	size_t n = 0;

	for (unsigned i = 0; i < rest->n_replies; i++) {
		const Publisher__PublisherReply *reply =
		        (const Publisher__PublisherReply *)rest->replies[i];

		n += reply->insights->n_items;
		rest->is_cut = rest->is_cut || reply->more;
	}
	merged.items = xcalloc(n, sizeof(Publisher__Insight *));
	for (unsigned i = 0; i < rest->n_replies; i++) {
		const Publisher__InsightList *list =
		        ((Publisher__PublisherReply *)rest->replies[i])->insights;

		for (size_t k = 0; k < list->n_items; k++)
			merged.items[merged.n_items++] = list->items[k];
	}
	qsort(merged.items, merged.n_items, sizeof(Publisher__Insight *), newer_insight);
	if (merged.n_items > limit) {
		merged.n_items = limit;
		rest->is_cut = true;
	}
	Publisher__Insight **items = merged.items;

	answer(rest, &merged.base);
	mem_free(items);
}

static void ask_service(struct rest *rest, struct bytes request);

/* The elements of a list behind those of the pages before. */
static void append_page(struct buf *pages, const ProtobufCMessage *list)
{
	char *json = json_of_message(list);
	size_t len = strlen(json);

	if (pages->len == 0)
		buf_append(pages, "[", 1);
	else if (len > 2)
		buf_append(pages, ",", 1);
	buf_append(pages, json + 1, len - 2);
	mem_free(json);
}

static void answer_pages(struct rest *rest, const Publisher__InsightList *last)
{
	struct conn *conn = rest->conn;
	char *link = next_page(rest, last);

	rest->edge->metrics.requests_total++;
	buf_append(&rest->pages, "]", 2); /* with its zero */
	json_respond(conn, rest->route->status, (const char *)rest->pages.data, link);
	mem_free(link);
	hand_over(rest);
}

/* A page of the session's insights has come: the next, or the answer. */
static void take_page(struct rest *rest)
{
	Publisher__PublisherRequest *request = (Publisher__PublisherRequest *)rest->request;
	Publisher__SessionInsights *command = request->session_insights;
	const Publisher__InsightList *list =
	        ((const Publisher__PublisherReply *)rest->replies[0])->insights;
	struct buf buf = { 0 };

	append_page(&rest->pages, &list->base);
	if (list->n_items == 0 || command->has_limit) {
		rest->is_cut = command->has_limit &&
		               ((const Publisher__PublisherReply *)rest->replies[0])->more;
		answer_pages(rest, list);
		return;
	}
	if (rest->pages.len > REST_LIST_BYTES) {
		refuse(rest, 413, "the list is too long for one answer: ask with limit and after",
		       "");
		return;
	}
	mem_free(command->after);
	command->after = xstrdup(list->items[list->n_items - 1]->id);
	wire_free(rest->replies[0]);
	mem_free(TAKE(rest->replies));
	mem_free(TAKE(rest->asked));
	rest->n_replies = 0;
	ask_service(rest, wire_pack(&buf, rest->request));
	buf_free(&buf);
}

static void refuse_as_told(struct rest *rest, const Raeh__Error *error)
{
	char extra[64] = "";

	if (error->has_retry_after_s)
		(void)snprintf(extra, sizeof extra, "Retry-After: %u\r\n", error->retry_after_s);
	refuse(rest, (int)error->status, error->detail, extra);
}

static void conclude(struct rest *rest)
{
	char why[128];

	if (!rest->conn) {
		release(rest);
		return;
	}
	if (!grant_principal(&rest->user) &&
	    !rest->ends_itself) { /* its key died while the service worked */
		refuse(rest, 401, GRANT_REFUSED, "");
		return;
	}
	/* Without the lease, or before auth has said so again, it may be dead: nothing is told. */
	if (grant_principal(&rest->user) && !grant_good(rest->edge->grants, &rest->user)) {
		refuse(rest, 503, "authentication is away: ask again later", "");
		return;
	}
	if (rest->missing[0]) {
		(void)snprintf(why, sizeof why, "%s does not answer", rest->missing);
		refuse(rest, 503, why, "");
		return;
	}
	for (unsigned i = 0; i < rest->n_replies; i++) {
		const Raeh__Error *const *error = member(rest->replies[i], "error");

		if (*error) {
			refuse_as_told(rest, *error);
			return;
		}
		if (!chosen(rest->replies[i], rest->route->result)) {
			refuse(rest, 500, "a service gave an answer of another kind", "");
			return;
		}
	}
	if (rest->route->service == REST_PUBLISHER_PAGES)
		take_page(rest);
	else if (rest->route->service == REST_PUBLISHERS)
		merge_insights(rest);
	else
		answer(rest, chosen(rest->replies[0], rest->route->result));
}

static void on_reply(void *ctx, enum err err, struct bytes data)
{
	struct asked *asked = ctx;
	struct rest *rest = asked->rest;
	ProtobufCMessage *reply =
	        err == OK ? wire_unpack(services[rest->route->service].reply, data) : NULL;

	if (reply)
		rest->replies[rest->n_replies++] = reply;
	else
		(void)snprintf(rest->missing, sizeof rest->missing, "%s", asked->name);
	if (--rest->pending == 0)
		conclude(rest);
}

static void ask(struct rest *rest, struct asked *asked, const char *name, struct bytes request)
{
	asked->rest = rest;
	(void)snprintf(asked->name, sizeof asked->name, "%s", name);
	bus_request(rest->edge->bus, name, request,
	            rest->route->deadline_ms ? rest->route->deadline_ms : REST_SERVICE_MS, on_reply,
	            asked);
}

static void ask_service(struct rest *rest, struct bytes request)
{
	unsigned publishers = rest->edge->settings.publishers;
	enum rest_service service = rest->route->service;
	unsigned n = service == REST_PUBLISHERS ? publishers : 1;
	char name[BUS_NAME_MAX];

	rest->pending = n;
	rest->replies = xcalloc(n, sizeof(ProtobufCMessage *));
	rest->asked = xcalloc(n, sizeof *rest->asked);
	for (unsigned i = 0; i < n; i++) {
		unsigned number = service == REST_PUBLISHERS
		                          ? i
		                          : uuid_number(&rest->session) % PARTITIONS % publishers;

		(void)snprintf(name, sizeof name, "publisher-%u", number);
		ask(rest, &rest->asked[i],
		    service == REST_AUTH     ? "auth"
		    : service == REST_ROUTER ? "router"
		                             : name,
		    request);
	}
}

/* ---- admission ---- */

static bool ends_itself(const struct rest *rest, const Raeh__Principal *principal)
{
	struct uuid key;

	return strcmp(rest->route->command, "revoke_key") == 0 && wire_id(principal->key, &key) &&
	       uuid_equal(&key, &rest->session);
}

static void admitted(struct rest *rest, const Raeh__Principal *principal)
{
	uint8_t id[16];
	ProtobufCBinaryData *op_id = member(rest->request, "op_id");
	Raeh__Principal **place = member(rest->request, "principal");
	struct buf buf = { 0 };

	*place = (Raeh__Principal *)wire_copy(&principal->base);
	rest->ends_itself = ends_itself(rest, principal);
	if (op_id) {
		const ProtobufCFieldDescriptor *field =
		        protobuf_c_message_descriptor_get_field_by_name(rest->request->descriptor,
		                                                        "op_id");

		randombytes_buf(id, sizeof id);
		*op_id = (ProtobufCBinaryData){ sizeof id, xmemdup(id, sizeof id) };
		*(protobuf_c_boolean *)((uint8_t *)rest->request + field->quantifier_offset) = 1;
	}
	ask_service(rest, wire_pack(&buf, rest->request));
	buf_free(&buf);
}

static struct rest *rest_of(struct grant_user *user)
{
	return (struct rest *)((char *)user - offsetof(struct rest, user));
}

static void on_answer(struct grant_user *user, enum err err, const char *why)
{
	struct rest *rest = rest_of(user);
	const Raeh__Principal *principal;
	char detail[128];

	if (err != OK) {
		refuse(rest, err == ERR_DENIED ? 401 : 503, why, "");
		return;
	}
	principal = grant_principal(user);
	if ((principal->scopes & rest->route->scope) == 0) {
		(void)snprintf(detail, sizeof detail, "the API key lacks the scope %s",
		               scope_name(rest->route->scope));
		refuse(rest, 403, detail, "");
		return;
	}
	if (rest->fault) {
		refuse(rest, rest->fault, rest->fault_detail, "");
		return;
	}
	timer_stop(rest->edge->loop, &rest->timer);
	admitted(rest, principal);
}

static void on_dead(struct grant_user *user, const char *why)
{
	struct rest *rest = rest_of(user);

	if (rest->conn && rest->answered)
		net_close_now(rest->conn, 1006, why); /* what was not yet out stays in */
	else if (rest->conn && !rest->ends_itself)
		refuse(rest, 401, why, "");
}

static void on_admit_timeout(void *ctx)
{
	refuse(ctx, 503, "auth does not answer", "");
}

/* ---- reading a request ---- */

static void note_fault(struct rest *rest, int status, const char *detail)
{
	rest->fault = status;
	rest->fault_detail = xstrdup(detail);
}

static bool has_body_method(const char *method)
{
	return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
	       strcmp(method, "PATCH") == 0;
}

/* Into the command: the path first, so that it wins. A fault is kept until auth has said who
 * asks: authentication comes before everything else. */
static void read_command(struct rest *rest, const struct net_request *request,
                         const struct rest_param *params, size_t n_params)
{
	ProtobufCMessage *command = choose(rest->request, rest->route->command);
	char why[JSON_WHY];
	enum err err;

	for (size_t i = 0; i < n_params; i++) {
		char name[32];
		char **place;

		(void)snprintf(name, sizeof name, "%.*s", (int)params[i].name_len, params[i].name);
		place = member(command, name);
		MUST(place != NULL);
		*place = xmemdup(params[i].value, params[i].len + 1);
		(*place)[params[i].len] = '\0';
		(void)uuid_parse(*place,
		                 &rest->session); /* garbage: the first publisher says 404 */
		if (!utf8_valid(*place, params[i].len)) {
			note_fault(rest, 404, "no such object");
			return;
		}
	}
	err = has_body_method(rest->route->method) ? json_to_message(request->body, command, why)
	                                           : json_from_query(request->query, command, why);
	if (err != OK)
		note_fault(rest, 400, why);
}

static bool is_json(const char *content_type)
{
	return !content_type || (strncasecmp(content_type, "application/json", 16) == 0 &&
	                         strchr("; \t", content_type[16]));
}

static bool is_get(const char *method)
{
	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

/* 0, or the status of what is wrong with the request before its key is looked at. */
static int envelope_fault(const struct net_request *request, const char **ret_detail)
{
	if (request->too_large) {
		*ret_detail = "body: expected at most 262144 bytes, got more";
		return 413;
	}
	if (!has_body_method(request->method))
		return 0;
	if (!request->has_length) {
		*ret_detail = "Content-Length: required";
		return 411;
	}
	if (request->body.len > 0 && !is_json(request->content_type)) {
		*ret_detail = "Content-Type: expected application/json";
		return 415;
	}
	return 0;
}

static void start(struct edge *edge, struct conn *conn, const struct net_request *request,
                  const struct rest_route *route, const struct rest_param *params, size_t n_params)
{
	struct rest *rest = xcalloc(1, sizeof *rest);
	char credential[CREDENTIAL_MAX + 1], why[124];
	const char *detail = "";
	enum credential_fault fault;
	int status;

	rest->edge = edge;
	rest->conn = conn;
	rest->route = route;
	if (is_get(request->method)) {
		rest->path = xstrdup(request->path);
		rest->query = xstrdup(request->query);
	}
	rest->request = json_new(services[route->service].request);
	rest->user.kind = NET_HTTP;
	rest->user.on_answer = on_answer;
	rest->user.on_dead = on_dead;
	conn_set_user(conn, rest);
	list_append(&edge->requests, &rest->link);
	fault = credential_find(request, credential, why);
	if (fault != CREDENTIAL_GOOD) {
		refuse(rest, fault == CREDENTIAL_TWO ? 400 : 401, why, "");
		return;
	}
	status = envelope_fault(request, &detail);
	if (status != 0) {
		refuse(rest, status, detail, "");
	} else {
		read_command(rest, request, params, n_params);
		timer_set(edge->loop, &rest->timer, ADMIT_MS, on_admit_timeout, rest);
		grant_enter(edge->grants, credential, &rest->user);
	}
	sodium_memzero(credential, sizeof credential);
}

/* ---- without a key ---- */

struct ping {
	struct readiness *readiness;
	char name[BUS_NAME_MAX];
};

struct readiness {
	struct edge *edge;
	struct conn *conn; /* NULL: gone */
	struct list link;
	unsigned pending;
	char missing[256];
	struct ping ping[]; /* one a service */
};

static void ready_conclude(struct readiness *readiness)
{
	struct edge *edge = readiness->edge;
	char *detail;

	list_remove(&readiness->link);
	if (readiness->conn) {
		conn_set_user(readiness->conn, NULL);
		if (readiness->missing[0] == '\0' && lease_held(edge->lease) &&
		    feed_ready(edge->feed)) {
			json_respond(readiness->conn, 200, "{\"status\":\"ready\"}", "");
		} else {
			detail = xasprintf("not ready:%s%s", readiness->missing,
			                   lease_held(edge->lease) ? "" : " no lease from auth");
			problem_respond(readiness->conn, 503, detail, "");
			mem_free(detail);
		}
	}
	mem_free(readiness);
}

static void on_pong(void *ctx, enum err err, struct bytes data)
{
	struct ping *ping = ctx;
	struct readiness *readiness = ping->readiness;
	size_t len = strlen(readiness->missing);

	(void)data;
	if (err != OK)
		(void)snprintf(readiness->missing + len, sizeof readiness->missing - len,
		               " %s does not answer", ping->name);
	if (--readiness->pending == 0)
		ready_conclude(readiness);
}

static void ask_ready(struct readiness *readiness, const char *name,
                      const ProtobufCMessage *request)
{
	struct ping *ping = &readiness->ping[readiness->pending++];
	struct buf buf = { 0 };

	ping->readiness = readiness;
	(void)snprintf(ping->name, sizeof ping->name, "%s", name);
	bus_request(readiness->edge->bus, name, wire_pack(&buf, request), READY_MS, on_pong, ping);
	buf_free(&buf);
}

static void ready(struct edge *edge, struct conn *conn)
{
	size_t n = 2 + edge->settings.publishers;
	struct readiness *readiness = xcalloc(1, sizeof *readiness + n * sizeof readiness->ping[0]);
	Raeh__Empty empty = RAEH__EMPTY__INIT;
	Auth__AuthRequest auth = AUTH__AUTH_REQUEST__INIT;
	Router__RouterRequest router = ROUTER__ROUTER_REQUEST__INIT;
	Publisher__PublisherRequest publisher = PUBLISHER__PUBLISHER_REQUEST__INIT;
	char name[BUS_NAME_MAX];

	auth.command_case = AUTH__AUTH_REQUEST__COMMAND_METRICS;
	auth.metrics = &empty;
	router.command_case = ROUTER__ROUTER_REQUEST__COMMAND_METRICS;
	router.metrics = &empty;
	publisher.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_METRICS;
	publisher.metrics = &empty;
	readiness->edge = edge;
	readiness->conn = conn;
	list_append(&edge->pings, &readiness->link);
	ask_ready(readiness, "auth", &auth.base);
	ask_ready(readiness, "router", &router.base);
	for (unsigned i = 0; i < edge->settings.publishers; i++) {
		(void)snprintf(name, sizeof name, "publisher-%u", i);
		ask_ready(readiness, name, &publisher.base);
	}
}

static void healthy(struct edge *edge, struct conn *conn)
{
	(void)edge;
	json_respond(conn, 200, "{\"status\":\"ok\"}", "");
}

static void root(struct edge *edge, struct conn *conn)
{
	static const char text[] = "raeh: real-time biosignal ingest. REST: /v1, WebSockets: "
	                           "/stream/ingest, /stream/subscribe\n";

	(void)edge;
	net_respond(conn, 200, HTTP_HEADERS "Content-Type: text/plain; charset=utf-8\r\n",
	            BYTES(text, sizeof text - 1));
}

static const struct open_page {
	const char *path;
	void (*answer)(struct edge *edge, struct conn *conn);
	bool open_to_all, on_admin;
} open_pages[] = {
	{"/",         root,           true,  false},
	{ "/healthz", healthy,        true,  true },
	{ "/readyz",  ready,          true,  true },
	{ "/metrics", gather_metrics, false, true },
};

static void answer_options(struct conn *conn)
{
	net_respond(conn, 204,
	            HTTP_HEADERS
	            "Access-Control-Allow-Methods: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
	            "Access-Control-Allow-Headers: Authorization, Content-Type, Idempotency-Key, "
	            "If-None-Match, Last-Event-ID, Prefer\r\n"
	            "Access-Control-Max-Age: 600\r\n",
	            BYTES("", 0));
}

static bool answer_open_page(struct edge *edge, struct conn *conn,
                             const struct net_request *request)
{
	for (size_t i = 0; i < ARRAY_LEN(open_pages); i++) {
		const struct open_page *page = &open_pages[i];
		bool here = request->listener == REST_ADMIN_LISTENER ? page->on_admin
		                                                     : page->open_to_all;

		if (!here || strcmp(page->path, request->path) != 0)
			continue;
		if (is_get(request->method))
			page->answer(edge, conn);
		else
			problem_respond(conn, 405, "expected GET", "Allow: GET, HEAD, OPTIONS\r\n");
		return true;
	}
	return false;
}

void rest_request(struct edge *edge, struct conn *conn, const struct net_request *request)
{
	struct rest_param params[REST_PATH_PARAMS];
	char allow[128] = "";
	size_t n;

	if (strcmp(request->method, "OPTIONS") == 0) {
		answer_options(conn);
		return;
	}
	if (answer_open_page(edge, conn, request))
		return;
	if (request->listener == REST_ADMIN_LISTENER) {
		problem_respond(conn, 404, "the admin address has /metrics, /healthz, /readyz", "");
		return;
	}
	for (size_t i = 0; i < rest_route_count; i++) {
		const struct rest_route *route = &rest_routes[i];
		size_t len = strlen(allow);

		if (!rest_path_matches(route->path, request->path, params, &n))
			continue;
		if (strcmp(route->method, request->method) == 0 ||
		    (strcmp(request->method, "HEAD") == 0 && strcmp(route->method, "GET") == 0)) {
			start(edge, conn, request, route, params, n);
			return;
		}
		(void)snprintf(allow + len, sizeof allow - len, "%s%s",
		               len ? ", " : "Allow: ", route->method);
	}
	if (allow[0]) {
		(void)strncat(allow, ", OPTIONS\r\n", sizeof allow - strlen(allow) - 1);
		problem_respond(conn, 405, "this method is not for this path", allow);
	} else {
		problem_respond(conn, 404, "no such path", "");
	}
}

void rest_gone(struct edge *edge, struct conn *conn)
{
	gather_gone(edge, conn);
	LIST_EACH(link, &edge->pings)
	{
		struct readiness *readiness = LIST_OWNER(link, struct readiness, link);

		if (readiness->conn == conn)
			readiness->conn = NULL;
	}
	if (conn_user(conn)) {
		struct rest *rest = conn_user(conn);

		conn_set_user(conn, NULL);
		rest->conn = NULL;
		finish(rest);
	}
}

size_t rest_count(struct edge *edge)
{
	size_t n = 0;

	LIST_EACH(link, &edge->requests)
	n++;
	return n;
}

void rest_free_all(struct edge *edge)
{
	struct list *link;

	while ((link = list_first(&edge->requests)) != NULL ||
	       (link = list_first(&edge->leaving)) != NULL) {
		struct rest *rest = LIST_OWNER(link, struct rest, link);

		timer_stop(edge->loop, &rest->timer);
		release(rest);
	}
	while ((link = list_first(&edge->pings)) != NULL) {
		list_remove(link);
		mem_free(LIST_OWNER(link, struct readiness, link));
	}
}
