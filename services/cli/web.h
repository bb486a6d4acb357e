/*
 * web - the loop of a command that talks HTTP or WebSocket as a client.
 *
 * web.c, http_client.c and ws_client.c are the only includers of libwebsockets here. The
 * command's own loop (timers, signals, the bus) is adopted as one more descriptor, so that
 * everything comes from web_run().
 */
#ifndef CLI_WEB_H
#define CLI_WEB_H

#include "common/loop.h"
#include "services/cli/url.h"

struct web;

/* Borrows loop, which must live longer. ca_file: a PEM file of authorities to trust instead
 * of the system's, or NULL. NULL when there is no memory or the file is no good. */
struct web *web_new(struct loop *loop, const char *ca_file);
void web_free(struct web *web);
AUTO_FREE(struct web, web_free)

struct loop *web_loop(const struct web *web);
/* Until web_stop(); may be called again. */
void web_run(struct web *web);
void web_stop(struct web *web);

#endif
