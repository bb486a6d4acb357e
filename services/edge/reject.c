#include "services/edge/reject.h"

#include "common/principal.h"
#include "services/edge/credential.h"
#include "services/edge/problem.h"
#include "services/edge/query.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define VERDICT_MS 6000
#define DEVICE_MAX 129 /* a device id and its zero */

struct held {
	struct edge *edge;
	struct conn *conn; /* the key in edge->held */
	struct map_node by_conn;
	struct grant_user user;
	struct timer timer;
	uint32_t scope; /* 0: any */
	const char *fault;
};

static void forget(struct held *held)
{
	timer_stop(held->edge->loop, &held->timer);
	grant_leave(held->edge->grants, &held->user);
	map_remove(&held->edge->held, &held->by_conn);
	mem_free(held);
}

static void refuse(struct held *held, int status, const char *detail)
{
	struct conn *conn = held->conn;

	held->edge->metrics.refused_total += status == 401 || status == 403;
	forget(held);
	problem_respond(conn, status, detail, "");
}

static void on_timeout(void *ctx)
{
	refuse(ctx, 503, "auth does not answer");
}

static void on_answer(struct grant_user *user, enum err err, const char *why)
{
	struct held *held = (struct held *)((char *)user - offsetof(struct held, user));
	struct conn *conn = held->conn;
	char detail[128];

	if (err != OK) {
		refuse(held, err == ERR_DENIED ? 401 : 503, why);
	} else if (held->scope && !(grant_principal(user)->scopes & held->scope)) {
		(void)snprintf(detail, sizeof detail, "the API key lacks the scope %s",
		               scope_name(held->scope));
		refuse(held, 403, detail);
	} else if (held->fault) {
		refuse(held, 404, held->fault);
	} else {
		forget(held);
		net_upgrade(conn);
	}
}

static void on_dead(struct grant_user *user, const char *why)
{
	refuse((struct held *)((char *)user - offsetof(struct held, user)), 401, why);
}

/* What the socket would be closed with 4004 for before anybody is asked. */
static const char *ingest_fault(const char *query)
{
	char text[DEVICE_MAX];
	struct uuid model;

	if (query_get(query, "device_id", text, sizeof text) != OK || !text[0])
		return "device_id: required, 1 to 128 bytes of UTF-8";
	if (query_get(query, "device_model_id", text, sizeof text) != OK ||
	    !uuid_parse(text, &model))
		return "device_model_id: required, the UUID of a device model";
	return NULL;
}

bool reject_upgrade(struct edge *edge, struct conn *conn, const struct net_request *request)
{
	char credential[CREDENTIAL_MAX + 1], why[124], text[8];
	enum credential_fault fault;
	struct held *held;

	if (query_get(request->query, "reject", text, sizeof text) != OK ||
	    strcmp(text, "http") != 0)
		return false;
	fault = credential_find(request, credential, why);
	if (fault != CREDENTIAL_GOOD) {
		edge->metrics.refused_total++;
		problem_respond(conn, fault == CREDENTIAL_TWO ? 400 : 401, why, "");
		return true;
	}
	held = xcalloc(1, sizeof *held);
	held->edge = edge;
	held->conn = conn;
	held->user.kind = NET_HTTP;
	held->user.on_answer = on_answer;
	held->user.on_dead = on_dead;
	if (request->endpoint == NET_INGEST) {
		held->scope = SCOPE_INGEST;
		held->fault = ingest_fault(request->query);
	} else if (request->endpoint == NET_SUBSCRIBE) {
		held->scope = SCOPE_SUBSCRIBE;
	}
	map_add(&edge->held, &held->by_conn, &held->conn);
	timer_set(edge->loop, &held->timer, VERDICT_MS, on_timeout, held);
	grant_enter(edge->grants, credential, &held->user);
	sodium_memzero(credential, sizeof credential);
	return true;
}

bool reject_gone(struct edge *edge, struct conn *conn)
{
	struct held *held = MAP_OWNER(map_find(&edge->held, &conn), struct held, by_conn);

	if (held)
		forget(held);
	return held != NULL;
}

static void free_one(void *ctx, struct map_node *node)
{
	(void)ctx;
	forget(MAP_OWNER(node, struct held, by_conn));
}

void reject_free_all(struct edge *edge)
{
	map_each(&edge->held, free_one, NULL);
	map_done(&edge->held);
}
