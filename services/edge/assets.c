#include "services/edge/assets.h"

#include "services/edge/gzip.h"
#include "services/edge/problem.h"

#include <stdio.h>
#include <string.h>

#define INDEX     "/index.html"
#define FOR_EVER  "public, max-age=31536000, immutable"
#define HOST_MOST 255

/* What a host may consist of; anything else could say more to the policy than a host. */
static bool is_host(const char *host)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                              "0123456789.-:[]";
	size_t len = host ? strlen(host) : 0;

	return len > 0 && len <= HOST_MOST && strspn(host, allowed) == len;
}

/* A new string. Sockets are named beside 'self', which older browsers take for http alone. */
static char *page_headers(const struct net_request *request)
{
	const char *host = is_host(request->host) ? request->host : NULL;
	char sockets[2 * HOST_MOST + 32] = "";

	if (host)
		(void)snprintf(sockets, sizeof sockets, " ws://%s wss://%s", host, host);
	return xasprintf("Content-Security-Policy: default-src 'self'; connect-src 'self'%s; "
	                 "img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
	                 "form-action 'self'; frame-ancestors 'none'\r\n"
	                 "X-Frame-Options: DENY\r\n"
	                 "Cross-Origin-Opener-Policy: same-origin\r\n"
	                 "Permissions-Policy: camera=(), geolocation=(), microphone=()\r\n",
	                 sockets);
}

static struct bytes form_for(const struct asset *asset, const char *accepted,
                             const char **ret_coding)
{
	if (asset->br.data && coding_wanted(accepted, "br")) {
		*ret_coding = "Content-Encoding: br\r\n";
		return asset->br;
	}
	if (asset->gzip.data && coding_wanted(accepted, "gzip")) {
		*ret_coding = "Content-Encoding: gzip\r\n";
		return asset->gzip;
	}
	*ret_coding = "";
	return asset->plain;
}

static void respond(const struct asset *asset, struct conn *conn, const struct net_request *request)
{
	const char *coding;
	struct bytes body = form_for(asset, request->accept_encoding, &coding);
	bool has_it = request->if_none_match && strstr(request->if_none_match, asset->etag);
	char *page = page_headers(request);
	char *headers = xasprintf("Content-Type: %s\r\n"
	                          "%s"
	                          "Cache-Control: %s\r\n"
	                          "ETag: W/%s\r\n"
	                          "Vary: Accept-Encoding\r\n"
	                          "Referrer-Policy: no-referrer\r\n"
	                          "X-Content-Type-Options: nosniff\r\n"
	                          "Cross-Origin-Resource-Policy: same-origin\r\n"
	                          "%s",
	                          asset->type, has_it ? "" : coding,
	                          asset->immutable ? FOR_EVER : "no-cache", asset->etag, page);

	net_respond(conn, has_it ? 304 : 200, headers, has_it ? BYTES("", 0) : body);
	mem_free(headers);
	mem_free(page);
}

static const struct asset *find(const struct asset *table, size_t n, const char *path)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(table[i].path, path) == 0)
			return &table[i];
	return NULL;
}

static bool is_get(const struct net_request *request)
{
	return strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
}

bool assets_answer(const struct asset *table, size_t n, struct conn *conn,
                   const struct net_request *request)
{
	const struct asset *asset =
	        find(table, n, strcmp(request->path, "/") == 0 ? INDEX : request->path);

	if (!asset)
		return false;
	if (is_get(request))
		respond(asset, conn, request);
	else
		problem_respond(conn, 405, "expected GET", "Allow: GET, HEAD, OPTIONS\r\n");
	return true;
}

/* The API, the sockets, a file: none of them a page. */
static bool is_page(const char *path)
{
	const char *name = strrchr(path, '/');

	return name && !strchr(name, '.') && strncmp(path, "/v1", 3) != 0 &&
	       strncmp(path, "/stream/", 8) != 0;
}

bool assets_answer_page(const struct asset *table, size_t n, struct conn *conn,
                        const struct net_request *request)
{
	const struct asset *index = find(table, n, INDEX);

	if (!index || !is_get(request) || !is_page(request->path) || !request->accept ||
	    !strstr(request->accept, "text/html"))
		return false;
	respond(index, conn, request);
	return true;
}
