#include "services/edge/socket.h"

#include "common/principal.h"
#include "services/edge/credential.h"
#include "services/edge/reject.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static struct socket *socket_of(struct grant_user *user)
{
	return (struct socket *)((char *)user - offsetof(struct socket, user));
}

/* What may go while its key lives: the socket stays entered until it has gone. */
static bool has_queued(const struct socket *socket)
{
	return socket->admitted && !socket->held && grant_good(socket->edge->grants, &socket->user);
}

static void end(struct socket *socket, int code, const char *reason)
{
	if (socket->over)
		return;
	socket->over = true;
	timer_stop(socket->edge->loop, &socket->timer);
	if (socket->admitted)
		limit_give_socket(socket->limit);
	limit_leave(socket->limit);
	origin_free(TAKE(socket->origin));
	if (!has_queued(socket))
		grant_leave(socket->edge->grants, &socket->user);
	list_remove(&socket->link);
	socket->ops->ended(socket, code, reason);
}

static void close_conn(struct socket *socket, int code, const char *reason, bool now)
{
	if (socket->admitted && !socket->held && !socket->user.grant) {
		net_drop_queued(socket->conn); /* it may not go now: then not later either */
		now = now || net_queued_bytes(socket->conn) > 0;
	}
	if (socket->held)
		reject_close(socket, code, reason, now);
	else if (socket->ops->close)
		socket->ops->close(socket, code, reason, now);
	else if (now)
		net_close_now(socket->conn, code, reason);
	else
		net_close(socket->conn, code, reason);
}

void socket_end(struct socket *socket, int code, const char *reason)
{
	if (socket->over)
		return;
	end(socket, code, reason);
	close_conn(socket, code, reason, false);
}

void socket_kill(struct socket *socket, int code, const char *reason)
{
	if (socket->over)
		return;
	end(socket, code, reason);
	close_conn(socket, code, reason, true);
}

/* One more of its key, or it is closed. */
static bool within_limits(struct socket *socket)
{
	const char *why;

	socket->limit = limit_enter(socket->edge->limits, grant_principal(&socket->user));
	if (!socket->limit) {
		socket_end(socket, 1013, "too many API keys are in use at once: reconnect later");
		return false;
	}
	why = limit_take_socket(socket->limit);
	if (why)
		socket_end(socket, 4029, why);
	return !why;
}

static void on_answer(struct grant_user *user, enum err err, const char *why)
{
	struct socket *socket = socket_of(user);

	if (err == OK && !within_limits(socket))
		return;
	if (err == OK) {
		socket->admitted = true;
		socket->ops->admitted(socket);
		origin_free(TAKE(socket->origin));
		return;
	}
	socket->edge->metrics.refused_total++;
	if (err == ERR_DENIED)
		socket_end(socket, 4001, why);
	else
		socket_end(socket, 1013, "authentication is away: reconnect later");
}

static void on_dead(struct grant_user *user, const char *why)
{
	struct socket *socket = socket_of(user);

	if (socket->over) {
		net_close_now(socket->conn, 4001, why);
		return;
	}
	socket->edge->metrics.revoked_sockets_total++;
	socket_kill(socket, 4001, why);
}

static bool may_go_on(const struct grant_user *user, const Raeh__Principal *rights)
{
	const struct socket *socket = socket_of((struct grant_user *)user);

	return !socket->ops->may_go_on || socket->ops->may_go_on(socket, rights);
}

bool socket_device_narrows(const struct socket *socket, const Raeh__Principal *rights)
{
	const Raeh__Principal *was = grant_principal(&socket->user);

	return rights->device_id &&
	       !(was && was->device_id && strcmp(was->device_id, rights->device_id) == 0);
}

void socket_open(struct socket *socket, const struct socket_ops *ops, struct edge *edge,
                 struct conn *conn, const struct net_request *request)
{
	char credential[CREDENTIAL_MAX + 1], why[124];

	socket->ops = ops;
	socket->edge = edge;
	socket->conn = conn;
	socket->user.kind = request->endpoint == NET_HTTP ? NET_SUBSCRIBE : request->endpoint;
	socket->user.on_answer = on_answer;
	socket->user.on_dead = on_dead;
	socket->user.may_go_on = may_go_on;
	socket->origin = origin_new(request);
	socket->user.from = socket->origin;
	if (conn_endpoint(conn) == request->endpoint)
		conn_set_user(conn, socket);
	else
		reject_hold(socket);
	list_append(&edge->sockets, &socket->link);
	if (edge->draining) {
		socket_end(socket, 1001, "the server is going away: reconnect at once");
		return;
	}
	if (credential_find(request, credential, why) != CREDENTIAL_GOOD) {
		edge->metrics.refused_total++;
		socket_end(socket, 4001, why);
		return;
	}
	grant_enter(edge->grants, credential, &socket->user);
	sodium_memzero(credential, sizeof credential);
}

void socket_message(struct socket *socket, bool binary, struct bytes message)
{
	if (!socket->over)
		socket->ops->message(socket, binary, message);
}

void socket_gone(struct socket *socket, int code, const char *reason)
{
	end(socket, code, reason);
	grant_leave(socket->edge->grants, &socket->user);
	socket->conn = NULL;
	socket->ops->free(socket);
}

bool socket_has_scope(struct socket *socket, uint32_t scope)
{
	const Raeh__Principal *principal = grant_principal(&socket->user);
	char why[124];

	if (principal && (principal->scopes & scope) == scope)
		return true;
	socket->edge->metrics.refused_total++;
	(void)snprintf(why, sizeof why, "the API key lacks the scope %s", scope_name(scope));
	socket_end(socket, 4001, why);
	return false;
}
