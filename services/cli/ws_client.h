/*
 * ws_client - one WebSocket as its client sees it.
 *
 *     ws_open() ─► on_open ─► on_text … / on_writable … ─► on_closed, exactly once
 *
 * Pings are answered here; a server that says nothing for WS_SILENT_S, not even a pong, is
 * gone: 1006. The object lives until on_closed returns.
 */
#ifndef CLI_WS_CLIENT_H
#define CLI_WS_CLIENT_H

#include "services/cli/web.h"

#define WS_PING_S       25
#define WS_SILENT_S     40
#define WS_MESSAGE_MOST 65536 /* bytes of a text from the server; longer: closed with 1009 */

struct ws;

struct ws_events {
	void (*on_open)(void *ctx);
	void (*on_text)(void *ctx, struct bytes text); /* whole; a zero stands behind it */
	/* After ws_want_write(): the place for ws_send(). */
	void (*on_writable)(void *ctx);
	/* code 1006: there was no close frame, and reason says what happened. */
	void (*on_closed)(void *ctx, int code, const char *reason);
};

/* path goes behind that of the URL. Borrows events; copies the rest. */
struct ws *ws_open(struct web *web, const struct url *url, const char *path, const char *key,
                   const struct ws_events *events, void *ctx);
void ws_want_write(struct ws *ws);
/* One binary message, from on_writable only. True: another one may follow at once;
 * false: wait for the next on_writable. */
bool ws_send(struct ws *ws, struct bytes message);
/* Sends the close frame; on_closed follows with the code that the server answers. */
void ws_close(struct ws *ws, int code, const char *reason);

#endif
