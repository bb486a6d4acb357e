#include "services/cli/web_internal.h"

#include "common/log.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int loop_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                         size_t len)
{
	struct web *web = lws_context_user(lws_get_context(wsi));

	(void)user, (void)in, (void)len;
	if (reason == LWS_CALLBACK_RAW_RX_FILE)
		loop_dispatch(web->loop);
	return 0;
}

static const struct lws_protocols protocols[] = {
	{"loop",  loop_callback, 0, 0,     0, NULL, 0    },
	{ "http", http_callback, 0, 0,     0, NULL, 0    },
	{ "ws",   ws_callback,   0, 65536, 0, NULL, 65536},
	{ NULL,   NULL,          0, 0,     0, NULL, 0    },
};

static void on_lws_log(int level, const char *line)
{
	(void)level;
	log_debug("libwebsockets", "%.*s", (int)strcspn(line, "\n"), line);
}

/* libwebsockets closes what it has adopted, so it gets a copy. */
static bool adopt_loop(struct web *web)
{
	lws_sock_file_fd_type fd = { .filefd = dup(loop_fd(web->loop)) };
	struct lws_vhost *vhost = lws_get_vhost_by_name(web->context, "default");

	return fd.filefd >= 0 && vhost &&
	       lws_adopt_descriptor_vhost(vhost, LWS_ADOPT_RAW_FILE_DESC, fd, "loop", NULL);
}

struct web *web_new(struct loop *loop, const char *ca_file)
{
	struct web *web = xcalloc(1, sizeof *web);
	struct lws_context_creation_info info = { 0 };

	(void)signal(SIGPIPE, SIG_IGN);
	lws_set_log_level(LLL_ERR | LLL_WARN, on_lws_log);
	web->loop = loop;
	list_init(&web->calls);
	info.port = CONTEXT_PORT_NO_LISTEN;
	info.protocols = protocols;
	info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
	info.client_ssl_ca_filepath = ca_file;
	info.alpn = "http/1.1";
	info.gid = (gid_t)-1;
	info.uid = (uid_t)-1;
	info.user = web;
	web->context = lws_create_context(&info);
	if (!web->context || !adopt_loop(web)) {
		web_free(web);
		return NULL;
	}
	return web;
}

void web_free(struct web *web)
{
	if (!web)
		return;
	if (web->context)
		lws_context_destroy(web->context);
	http_forget_all(web);
	mem_free(web);
}

struct loop *web_loop(const struct web *web)
{
	return web->loop;
}

void web_run(struct web *web)
{
	while (!web->stopped)
		MUST(lws_service(web->context, 0) >= 0);
	web->stopped = false;
}

void web_stop(struct web *web)
{
	web->stopped = true;
}

static bool is_address(const struct url *url)
{
	struct in_addr v4;

	return url->literal_v6 || inet_pton(AF_INET, url->host, &v4) == 1;
}

bool web_peer_is(struct lws *wsi, const struct url *url, bool verify)
{
	X509 *certificate;
	bool right;

	if (!url->tls || !verify || !is_address(url))
		return true;
	certificate = SSL_get1_peer_certificate(lws_get_ssl(wsi));
	right = certificate && X509_check_ip_asc(certificate, url->host, 0) == 1;
	X509_free(certificate);
	return right;
}

struct lws_client_connect_info web_connect_info(struct web *web, const struct url *url,
                                                const char *path, char host[WEB_HOST_BYTES])
{
	struct lws_client_connect_info info = { 0 };
	bool usual = url->port == (url->tls ? 443 : 80);
	const char *open = url->literal_v6 ? "[" : "", *close = url->literal_v6 ? "]" : "";

	if (usual)
		(void)snprintf(host, WEB_HOST_BYTES, "%s%s%s", open, url->host, close);
	else
		(void)snprintf(host, WEB_HOST_BYTES, "%s%s%s:%d", open, url->host, close,
		               url->port);
	info.context = web->context;
	info.address = url->host;
	info.port = url->port;
	info.path = path;
	info.host = host;
	info.ssl_connection = url->tls ? LCCSCF_USE_SSL : 0;
	if (url->tls && is_address(url))
		info.ssl_connection |= LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK;
	info.alpn = "http/1.1";
	return info;
}

bool web_add_key(struct lws *wsi, const char *key, unsigned char **at, unsigned char *end)
{
	char value[600];
	int n = snprintf(value, sizeof value, "Bearer %s", key);
	bool added;

	added = n > 0 && n < (int)sizeof value &&
	        lws_add_http_header_by_name(wsi, (const unsigned char *)"authorization:",
	                                    (const unsigned char *)value, n, at, end) == 0;
	explicit_bzero(value, sizeof value);
	return added;
}
