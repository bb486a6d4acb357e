/*
 * From a request to a WebSocket (RFC 6455 §4.2).
 */
#include "services/edge/net_internal.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *path;
	enum net_endpoint endpoint;
} endpoints[] = {
	{"/stream/ingest",     NET_INGEST   },
	{ "/stream/subscribe", NET_SUBSCRIBE},
	{ "/echo",             NET_ECHO     },
};

bool upgrade_is_asked(const struct head *head)
{
	return strcmp(head->method, "GET") == 0 && !head->version_1_0 &&
	       head_has_word(head->field[HEAD_CONNECTION], "upgrade") &&
	       head_has_word(head->field[HEAD_UPGRADE], "websocket");
}

/* Base64 of 16 bytes. */
static bool is_ws_key(const char *key)
{
	static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	                             "0123456789+/";

	return key && strspn(key, base64) == 22 && strcmp(key + 22, "==") == 0;
}

/* NET_HTTP: none. */
static enum net_endpoint endpoint_of(const struct net *net, const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(endpoints); i++)
		if (strcmp(path, endpoints[i].path) == 0 &&
		    (endpoints[i].endpoint != NET_ECHO || net->echo))
			return endpoints[i].endpoint;
	return NET_HTTP;
}

static void accept_upgrade(struct conn *conn, const struct net_request *request)
{
	struct net *net = conn->net;
	char accept[32], extensions[128] = "", answer[384];
	const char *protocol = NULL;

	if (net->events.choose_subprotocol)
		protocol = net->events.choose_subprotocol(net->ctx, request);
	if (net->inflater)
		inflate_negotiate(conn->request->head.field[HEAD_WS_EXTENSIONS], extensions);
	conn->deflates = *extensions;
	socket_accept_key(conn->request->head.field[HEAD_WS_KEY], accept);
	(void)snprintf(answer, sizeof answer,
	               "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	               "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s%s%s%s%s%s\r\n",
	               accept, protocol ? "Sec-WebSocket-Protocol: " : "", protocol ? protocol : "",
	               protocol ? "\r\n" : "", *extensions ? "Sec-WebSocket-Extensions: " : "",
	               extensions, *extensions ? "\r\n" : "");
	queue_add_text(conn, answer);
	conn->undrained = false;
	conn->state = CONN_OPEN;
	conn->endpoint = (uint8_t)request->endpoint;
	conn->owned = conn->heard = true;
	net->counts.open_websockets++;
	conn_timer(conn, net->times.ping);
	net->events.on_open(net->ctx, conn, request);
	conn->asks = conn->state == CONN_OPEN; /* from now on: the 101 itself is not held back */
	http_request_free(conn);
}

/* True: the owner has it, as a request to be answered. */
static bool hold(struct conn *conn, const struct net_request *request)
{
	struct net *net = conn->net;

	if (!net->events.hold_upgrade)
		return false;
	conn->state = CONN_ANSWERING;
	conn->endpoint = NET_HTTP;
	conn->owned = true;
	net->counts.open_http++;
	conn_timer(conn, net->times.stalled);
	if (net->events.hold_upgrade(net->ctx, conn, request))
		return true;
	net->counts.open_http--;
	conn->owned = false;
	return false;
}

void upgrade_begin(struct conn *conn)
{
	struct net *net = conn->net;
	const struct head *head = &conn->request->head;
	struct net_request request = http_request_of(conn, endpoint_of(net, head->path));
	int status = 0;

	if (!head->field[HEAD_WS_VERSION] || strcmp(head->field[HEAD_WS_VERSION], "13") != 0)
		http_refuse(conn, 426, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
	else if (!is_ws_key(head->field[HEAD_WS_KEY]) || head->chunked || head->content_length > 0)
		http_refuse(conn, 400, NULL);
	else if (request.endpoint == NET_HTTP)
		http_refuse(conn, 404, NULL);
	else if (net->events.refuse_upgrade)
		status = net->events.refuse_upgrade(net->ctx, &request);
	if (!conn->request)
		return;
	if (status != 0)
		http_refuse(conn, status, status == 429 ? "Retry-After: 1\r\n" : NULL);
	else if (!hold(conn, &request))
		accept_upgrade(conn, &request);
}

void net_upgrade(struct conn *conn)
{
	struct net_request request;

	if (conn->state == CONN_CLOSING || conn->state == CONN_DEAD)
		return; /* cut since: on_closed is on its way */
	MUST(conn->state == CONN_ANSWERING && conn->request);
	request = http_request_of(conn, endpoint_of(conn->net, conn->request->head.path));
	conn->net->counts.open_http--;
	conn->user = NULL;
	accept_upgrade(conn, &request);
	conn_unsettle(conn);
}
