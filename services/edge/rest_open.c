/* The part of rest that needs no key. */
#include "services/edge/rest_internal.h"

#include "auth.pb-c.h"
#include "common/wire.h"
#include "router.pb-c.h"
#include "services/edge/gather.h"
#include "services/edge/problem.h"

#include <stdio.h>
#include <string.h>

#define READY_MS 1500

/* ---- readiness ---- */

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

/* ---- pages ---- */

bool rest_is_get(const char *method)
{
	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

static void healthy(struct edge *edge, struct conn *conn)
{
	(void)edge;
	json_respond(conn, 200, "{\"status\":\"ok\"}", "");
}

static const struct open_page {
	const char *path;
	void (*answer)(struct edge *edge, struct conn *conn);
	bool open_to_all, on_admin;
} open_pages[] = {
	{"/healthz",  healthy,        true,  true},
	{ "/readyz",  ready,          true,  true},
	{ "/metrics", gather_metrics, false, true},
};

void rest_answer_options(struct conn *conn)
{
	net_respond(conn, 204,
	            HTTP_HEADERS
	            "Access-Control-Allow-Methods: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
	            "Access-Control-Allow-Headers: Authorization, Content-Type, Idempotency-Key, "
	            "If-None-Match, Last-Event-ID, Prefer\r\n"
	            "Access-Control-Max-Age: 600\r\n",
	            BYTES("", 0));
}

bool rest_answer_open(struct edge *edge, struct conn *conn, const struct net_request *request)
{
	for (size_t i = 0; i < ARRAY_LEN(open_pages); i++) {
		const struct open_page *page = &open_pages[i];
		bool here = request->listener == REST_ADMIN_LISTENER ? page->on_admin
		                                                     : page->open_to_all;

		if (!here || strcmp(page->path, request->path) != 0)
			continue;
		if (rest_is_get(request->method))
			page->answer(edge, conn);
		else
			problem_respond(conn, 405, "expected GET", "Allow: GET, HEAD, OPTIONS\r\n");
		return true;
	}
	return false;
}

void rest_open_gone(struct edge *edge, const struct conn *conn)
{
	LIST_EACH(link, &edge->pings)
	{
		struct readiness *readiness = LIST_OWNER(link, struct readiness, link);

		if (readiness->conn == conn)
			readiness->conn = NULL;
	}
}

void rest_open_free_all(struct edge *edge)
{
	struct list *link;

	while ((link = list_first(&edge->pings)) != NULL) {
		list_remove(link);
		mem_free(LIST_OWNER(link, struct readiness, link));
	}
}
