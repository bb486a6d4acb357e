#include "services/cli/ws_client.h"

#include "services/cli/web_internal.h"

#include <stdio.h>
#include <string.h>

#define CLOSE_PROTOCOL 1002
#define CLOSE_EMPTY    1005
#define CLOSE_GONE     1006
#define CLOSE_LATER    1013
#define CLOSE_PATIENCE_S                                                                           \
	60                   /* for the server's answer to our close frame: it reads first         \
	                        what we have sent before                               */
#define CLOSE_EXTEND_MS 1000 /* libwebsockets has five seconds of patience by itself   */

struct ws {
	struct web *web;
	const struct ws_events *events;
	void *ctx;
	struct url url;
	char *key;
	struct lws *wsi;
	bool connecting, open, broken;
	struct buf text, out;
	int close_code; /* what on_closed will say */
	char reason[200];
	int own_code; /* we close with it */
	char own_reason[124];
	bool own_close_sent;
	struct timer timer;
};

static const lws_retry_bo_t liveness = {
	.secs_since_valid_ping = WS_PING_S,
	.secs_since_valid_hangup = WS_SILENT_S,
};

static void on_gone(void *self)
{
	struct ws *ws = self;

	ws->events->on_closed(ws->ctx, ws->close_code, ws->reason);
	buf_free(&ws->text);
	buf_free(&ws->out);
	explicit_bzero(ws->key, strlen(ws->key));
	mem_free(ws->key);
	mem_free(ws);
}

static void let_go(struct ws *ws)
{
	ws->wsi = NULL;
	if (!ws->connecting)
		timer_set(ws->web->loop, &ws->timer, 0, on_gone, ws);
}

static void closed_with(struct ws *ws, int code, const char *reason, size_t len)
{
	ws->close_code = code;
	(void)snprintf(ws->reason, sizeof ws->reason, "%.*s", (int)len, reason);
}

static int take_text(struct ws *ws, struct lws *wsi, const void *data, size_t len)
{
	if (lws_frame_is_binary(wsi))
		return 0;
	if (ws->text.len + len > WS_MESSAGE_MOST) {
		lws_close_reason(wsi, 1009, NULL, 0);
		closed_with(ws, 1009, "the server sent a message that is too long", 42);
		return -1;
	}
	buf_append(&ws->text, data, len);
	if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi))
		return 0;
	buf_append(&ws->text, "", 1);
	ws->events->on_text(ws->ctx, BYTES(ws->text.data, ws->text.len - 1));
	ws->text.len = 0;
	return 0;
}

/* libwebsockets turns 1012, 1013 and 1014 into 1002 before it shows them. Our frames give
 * no cause for a true 1002, so what arrives as one is taken for the one of these that a
 * stack sends: overloaded, come later. */
static int on_close_frame(struct ws *ws, const unsigned char *in, size_t len)
{
	int code = len < 2 ? CLOSE_EMPTY : in[0] << 8 | in[1];

	if (code == CLOSE_PROTOCOL)
		code = CLOSE_LATER;
	if (len < 2)
		closed_with(ws, code, "", 0);
	else
		closed_with(ws, code, (const char *)in + 2, len - 2);
	return 0;
}

static int on_writable(struct ws *ws, struct lws *wsi)
{
	if (ws->own_code && !ws->own_close_sent) {
		lws_close_reason(wsi, ws->own_code, (unsigned char *)ws->own_reason,
		                 strlen(ws->own_reason));
		ws->own_close_sent = true;
		if (ws->close_code == CLOSE_GONE)
			closed_with(ws, ws->own_code, ws->own_reason, strlen(ws->own_reason));
		return -1;
	}
	if (!ws->own_code)
		ws->events->on_writable(ws->ctx);
	return ws->broken ? -1 : 0;
}

int ws_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct ws *ws = user;
	unsigned char **at = in;

	if (!ws)
		return 0; /* the protocol itself comes and goes */
	switch (reason) {
	case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
		return web_peer_is(wsi, &ws->url, true) && web_add_key(wsi, ws->key, at, *at + len)
		               ? 0
		               : -1;
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		ws->open = true;
		closed_with(ws, CLOSE_GONE, "the connection was lost", 23);
		ws->events->on_open(ws->ctx);
		return 0;
	case LWS_CALLBACK_CLIENT_RECEIVE:
		return take_text(ws, wsi, in, len);
	case LWS_CALLBACK_CLIENT_WRITEABLE:
		return on_writable(ws, wsi);
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		return on_close_frame(ws, in, len);
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		closed_with(ws, CLOSE_GONE, in ? in : "cannot connect", in ? len : 14);
		let_go(ws);
		return 0;
	case LWS_CALLBACK_CLIENT_CLOSED:
		let_go(ws);
		return 0;
	default:
		return 0;
	}
}

struct ws *ws_open(struct web *web, const struct url *url, const char *path, const char *key,
                   const struct ws_events *events, void *ctx)
{
	struct ws *ws = xcalloc(1, sizeof *ws);
	AUTO_MEM char *whole = xasprintf("%s%s", url->path, path);
	char host[WEB_HOST_BYTES];
	struct lws_client_connect_info info = web_connect_info(web, url, whole, host);

	ws->web = web;
	ws->url = *url;
	ws->events = events;
	ws->ctx = ctx;
	ws->key = xstrdup(key);
	closed_with(ws, CLOSE_GONE, "cannot connect", 14);
	info.local_protocol_name = "ws";
	info.userdata = ws;
	info.pwsi = &ws->wsi;
	info.retry_and_idle_policy = &liveness;
	ws->connecting = true;
	if (!lws_client_connect_via_info(&info))
		ws->wsi = NULL;
	ws->connecting = false;
	if (!ws->wsi)
		let_go(ws);
	return ws;
}

void ws_want_write(struct ws *ws)
{
	if (ws->wsi && ws->open)
		(void)lws_callback_on_writable(ws->wsi);
}

bool ws_send(struct ws *ws, struct bytes message)
{
	ws->out.len = 0;
	buf_reserve(&ws->out, LWS_PRE + message.len);
	memcpy(ws->out.data + LWS_PRE, message.data, message.len);
	if (lws_write(ws->wsi, ws->out.data + LWS_PRE, message.len, LWS_WRITE_BINARY) <
	    (int)message.len) {
		ws->broken = true;
		return false;
	}
	return !lws_send_pipe_choked(ws->wsi);
}

static void on_close_unanswered(void *self)
{
	struct ws *ws = self;

	if (ws->wsi && !ws->open)
		lws_set_timeout(ws->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
	else if (ws->wsi)
		lws_set_timeout(ws->wsi, PENDING_TIMEOUT_CLOSE_ACK, CLOSE_PATIENCE_S);
}

void ws_close(struct ws *ws, int code, const char *reason)
{
	if (ws->own_code || !ws->wsi)
		return;
	ws->own_code = code;
	(void)snprintf(ws->own_reason, sizeof ws->own_reason, "%s", reason);
	timer_set(ws->web->loop, &ws->timer, ws->open ? CLOSE_EXTEND_MS : 0, on_close_unanswered,
	          ws);
	if (ws->open)
		(void)lws_callback_on_writable(ws->wsi);
}
