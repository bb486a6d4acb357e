#include "services/edge/reject.h"

#include "services/edge/credential.h"
#include "services/edge/ingest.h"
#include "services/edge/problem.h"
#include "services/edge/query.h"
#include "services/edge/subscribe.h"

#include <sodium.h>
#include <string.h>

static bool is_asked_for(const struct net_request *request)
{
	char text[8];

	return query_get(request->query, "reject", text, sizeof text) == OK &&
	       strcmp(text, "http") == 0;
}

bool reject_upgrade(struct edge *edge, struct conn *conn, const struct net_request *request)
{
	char credential[CREDENTIAL_MAX + 1], why[124];
	enum credential_fault fault;

	if (!is_asked_for(request))
		return false;
	fault = credential_find(request, credential, why);
	sodium_memzero(credential, sizeof credential);
	if (fault == CREDENTIAL_TWO) {
		edge->metrics.refused_total++;
		problem_respond(conn, 400, why, "");
	} else if (request->endpoint == NET_INGEST) {
		ingest_open(edge, conn, request);
	} else if (request->endpoint == NET_SUBSCRIBE) {
		subscribe_open(edge, conn, request);
	} else {
		echo_open(edge, conn, request);
	}
	return true;
}

void reject_hold(struct socket *socket)
{
	socket->held = true;
	map_add(&socket->edge->held, &socket->by_conn, &socket->conn);
}

static void release(struct socket *socket)
{
	socket->held = false;
	map_remove(&socket->edge->held, &socket->by_conn);
}

bool reject_over(struct socket *socket)
{
	struct edge *edge = socket->edge;

	if (!socket->held)
		return true;
	edge->upgrading = socket;
	net_upgrade(socket->conn); /* asks reject_upgraded(), unless the client is gone */
	return TAKE(edge->upgrading) == NULL;
}

struct socket *reject_upgraded(struct edge *edge)
{
	struct socket *socket = TAKE(edge->upgrading);

	if (socket)
		release(socket);
	return socket;
}

static int status_of(const struct socket *socket, int code, bool now)
{
	switch (code) {
	case 4001:
		return socket->admitted && !now ? 403 : 401; /* a right; the key itself */
	case 4004:
		return 404;
	case 4009:
		return 409;
	case 4029:
		return 429;
	default:
		return 503;
	}
}

void reject_close(struct socket *socket, int code, const char *reason, bool now)
{
	problem_respond(socket->conn, status_of(socket, code, now), reason, "");
}

bool reject_gone(struct edge *edge, struct conn *conn, int code, const char *reason)
{
	struct socket *socket = MAP_OWNER(map_find(&edge->held, &conn), struct socket, by_conn);

	if (!socket)
		return false;
	release(socket);
	socket_gone(socket, code, reason);
	return true;
}
