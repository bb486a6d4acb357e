#include "services/cli/http_client.h"

#include "common/json.h"
#include "common/wire.h"
#include "raeh.pb-c.h"
#include "services/cli/web_internal.h"

#include <stdio.h>
#include <string.h>

struct http_call {
	struct list link;
	struct web *web;
	http_fn *fn;
	void *ctx;
	struct url url;
	bool verify;
	char *key, *body, *host; /* host: with the port, for people */
	struct buf answer;
	int status;
	char why[200];
	struct lws *wsi; /* NULL: libwebsockets has let go of it */
	bool connecting; /* inside lws_client_connect_via_info()  */
	struct timer timer;
};

static void fail(struct http_call *call, const char *why)
{
	call->status = 0;
	(void)snprintf(call->why, sizeof call->why, "%s", why);
}

static void call_free(struct http_call *call)
{
	timer_stop(call->web->loop, &call->timer);
	list_remove(&call->link);
	buf_free(&call->answer);
	if (call->key)
		explicit_bzero(call->key, strlen(call->key));
	mem_free(call->key);
	mem_free(call->body);
	mem_free(call->host);
	mem_free(call);
}

void http_forget_all(struct web *web)
{
	struct list *link;

	while ((link = list_first(&web->calls)) != NULL)
		call_free(LIST_OWNER(link, struct http_call, link));
}

static void finish(struct http_call *call)
{
	struct http_answer answer = { .status = call->status };

	buf_append(&call->answer, "", 1);
	answer.body = BYTES(call->answer.data, call->answer.len - 1);
	if (call->status == 0)
		(void)snprintf(answer.why, sizeof answer.why, "%.50s: %s", call->host, call->why);
	call->fn(call->ctx, &answer);
	call_free(call);
}

/* libwebsockets has no more to do with it: answer from a turn of its own, since we may be
 * deep inside its call. */
static void on_finished(void *self)
{
	finish(self);
}

static void let_go(struct http_call *call)
{
	call->wsi = NULL;
	if (!call->connecting)
		timer_set(call->web->loop, &call->timer, 0, on_finished, call);
}

static void on_timeout(void *self)
{
	struct http_call *call = self;

	fail(call, "no answer in time");
	/* Kills the connection in the next turn; its last callback lets go. */
	lws_set_timeout(call->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}

static bool add_headers(struct http_call *call, struct lws *wsi, unsigned char **at,
                        unsigned char *end)
{
	char length[16];
	int n;

	if (!web_peer_is(wsi, &call->url, call->verify)) {
		fail(call, "its certificate is not for this address");
		return false;
	}
	if (call->key && !web_add_key(wsi, call->key, at, end))
		return false;
	if (!call->body)
		return true;
	n = snprintf(length, sizeof length, "%zu", strlen(call->body));
	if (lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE,
	                                 (const unsigned char *)"application/json", 16, at, end) ||
	    lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH,
	                                 (const unsigned char *)length, n, at, end))
		return false;
	lws_client_http_body_pending(wsi, 1);
	lws_callback_on_writable(wsi);
	return true;
}

static bool write_body(struct http_call *call, struct lws *wsi)
{
	size_t len = strlen(call->body);
	unsigned char *room = xcalloc(1, LWS_PRE + len);
	int n;

	memcpy(room + LWS_PRE, call->body, len);
	n = lws_write(wsi, room + LWS_PRE, len, LWS_WRITE_HTTP_FINAL);
	lws_client_http_body_pending(wsi, 0);
	mem_free(room);
	return n == (int)len;
}

static int read_some(struct lws *wsi)
{
	char room[LWS_PRE + 4096], *at = room + LWS_PRE;
	int len = sizeof room - LWS_PRE;

	return lws_http_client_read(wsi, &at, &len) < 0 ? -1 : 0;
}

static int take(struct http_call *call, const void *data, size_t len)
{
	if (call->answer.len + len > HTTP_ANSWER_MOST) {
		fail(call, "the answer is too large");
		return -1;
	}
	buf_append(&call->answer, data, len);
	return 0;
}

int http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t len)
{
	struct http_call *call = user;
	unsigned char **at = in;

	if (!call)
		return 0; /* the protocol itself comes and goes */
	switch (reason) {
	case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
		return add_headers(call, wsi, at, *at + len) ? 0 : -1;
	case LWS_CALLBACK_CLIENT_HTTP_WRITEABLE:
		return !call->body || write_body(call, wsi) ? 0 : -1;
	case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP:
		call->status = (int)lws_http_client_http_response(wsi);
		return 0;
	case LWS_CALLBACK_RECEIVE_CLIENT_HTTP:
		return read_some(wsi);
	case LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ:
		return take(call, in, len);
	case LWS_CALLBACK_COMPLETED_CLIENT_HTTP:
		return -1; /* whole: no more of this connection */
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		if (!call->why[0])
			fail(call, in ? (const char *)in : "cannot connect");
		let_go(call);
		return 0;
	case LWS_CALLBACK_CLOSED_CLIENT_HTTP:
		if (call->status == 0 && !call->why[0])
			fail(call, "the connection was closed before an answer");
		let_go(call);
		return 0;
	default:
		return 0;
	}
}

void http_call(struct web *web, const struct http_request *request, http_fn *fn, void *ctx)
{
	struct http_call *call = xcalloc(1, sizeof *call);
	AUTO_MEM char *path = xasprintf("%s%s", request->url->path, request->path);
	char host[WEB_HOST_BYTES];
	struct lws_client_connect_info info = web_connect_info(web, request->url, path, host);

	call->web = web;
	list_append(&web->calls, &call->link);
	call->url = *request->url;
	call->verify = !request->unverified;
	call->fn = fn;
	call->ctx = ctx;
	call->key = request->key ? xstrdup(request->key) : NULL;
	call->body = request->body ? xstrdup(request->body) : NULL;
	call->host = xstrdup(host);
	info.origin = host;
	info.method = request->method;
	info.local_protocol_name = "http";
	info.userdata = call;
	info.pwsi = &call->wsi;
	if (request->unverified && request->url->tls)
		info.ssl_connection |= WEB_UNVERIFIED;
	call->connecting = true;
	if (!lws_client_connect_via_info(&info)) {
		call->wsi = NULL;
		if (!call->why[0])
			fail(call, "cannot connect");
	}
	call->connecting = false;
	if (!call->wsi)
		let_go(call);
	else
		timer_set(web->loop, &call->timer, request->timeout_ms, on_timeout, call);
}

struct waiting {
	struct web *web;
	struct http_answer *answer;
	struct buf *body;
};

static void on_answer(void *self, const struct http_answer *answer)
{
	struct waiting *waiting = self;

	*waiting->answer = *answer;
	buf_append(waiting->body, answer->body.data, answer->body.len + 1);
	waiting->answer->body.data = waiting->body->data;
	web_stop(waiting->web);
}

void http_call_wait(struct web *web, const struct http_request *request, struct http_answer *ret,
                    struct buf *ret_body)
{
	struct waiting waiting = { web, ret, ret_body };

	ret_body->len = 0;
	http_call(web, request, on_answer, &waiting);
	web_run(web);
}

void http_explain(const struct http_answer *answer, char why[256])
{
	Raeh__Error *problem;
	char unreadable[JSON_WHY];

	if (answer->status == 0) {
		(void)snprintf(why, 256, "%s", answer->why);
		return;
	}
	problem = (Raeh__Error *)json_new(&raeh__error__descriptor);
	if (json_to_message(answer->body, &problem->base, unreadable) == OK)
		(void)snprintf(why, 256, "HTTP %d: %.220s", answer->status, problem->detail);
	else
		(void)snprintf(why, 256, "HTTP %d", answer->status);
	wire_free(&problem->base);
}
