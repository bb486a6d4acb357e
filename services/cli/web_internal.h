/*
 * web_internal - what web.c, http_client.c and ws_client.c share; not for others.
 */
#ifndef CLI_WEB_INTERNAL_H
#define CLI_WEB_INTERNAL_H

#include "common/list.h"
#include "services/cli/web.h"

#include <libwebsockets.h>

struct web {
	struct loop *loop;
	struct lws_context *context;
	bool stopped;
	struct list calls; /* of HTTP, under way */
};

/* The server's certificate need not be good: for a probe of our own address. */
#define WEB_UNVERIFIED                                                                             \
	(LCCSCF_ALLOW_SELFSIGNED | LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK | LCCSCF_ALLOW_EXPIRED | \
	 LCCSCF_ALLOW_INSECURE)

#define WEB_HOST_BYTES (URL_HOST_MOST + 16)

/* The parts of a connection that its URL decides; texts are borrowed for the call. */
struct lws_client_connect_info web_connect_info(struct web *web, const struct url *url,
                                                const char *path, char host[WEB_HOST_BYTES]);

/* libwebsockets compares a certificate with names alone, so an address is compared here,
 * before a byte of the request, and so of the key, is sent. verify: that it is asked for. */
bool web_peer_is(struct lws *wsi, const struct url *url, bool verify);
/* "Authorization: Bearer KEY" into a handshake. False: no room. */
bool web_add_key(struct lws *wsi, const char *key, unsigned char **at, unsigned char *end);

/* Forgets the calls under way; nobody is told. */
void http_forget_all(struct web *web);
int http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t len);
int ws_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                size_t len);

#endif
