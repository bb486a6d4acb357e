#include "common/bus_sockets.h"

#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/tls/tls.h>
#include <stdio.h>
#include <string.h>

#define QUEUE            8192 /* messages in nng's buffers: the most that it allows */
#define RECONNECT_MIN_MS 20
#define RECONNECT_MAX_MS 200
#define HEADER_BYTES     64 /* RECVMAXSZ counts nng's header too */

enum err bus_sockets_failed(struct bus_sockets *sockets, const char *what, const char *name,
                            int nng_error)
{
	(void)snprintf(sockets->why, sizeof sockets->why, "%s %s: %s", what, name,
	               nng_strerror(nng_error));
	return nng_error == NNG_EADDRINUSE ? ERR_CONFLICT : ERR_IO;
}

static bool listens(const struct bus_socket *socket)
{
	return socket->kind == BUS_SERVER || socket->kind == BUS_CHANNEL;
}

/* ---- addresses ---- */

/* Finds "name=host:port" in the hosts map. */
static bool find_host(const char *hosts, const char *name, char **ret_host, char **ret_port)
{
	size_t len = strlen(name);

	for (const char *p = hosts; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
		size_t size = strcspn(p, ",");
		const char *colon = memrchr(p, ':', size);

		if (size <= len || strncmp(p, name, len) != 0 || p[len] != '=' || !colon)
			continue;
		*ret_host = xasprintf("%.*s", (int)(colon - p - len) - 1, p + len + 1);
		*ret_port = xasprintf("%.*s", (int)(p + size - colon) - 1, colon + 1);
		return true;
	}
	return false;
}

static enum err make_url(struct bus_socket *socket)
{
	struct bus_sockets *sockets = socket->sockets;
	AUTO_MEM char *host = NULL;
	AUTO_MEM char *port = NULL;

	if (!find_host(sockets->hosts, socket->name, &host, &port)) {
		(void)snprintf(sockets->why, sizeof sockets->why, "%s is not in the hosts map",
		               socket->name);
		return ERR_NOT_FOUND;
	}
	if (listens(socket) && strcmp(host, "localhost") != 0)
		socket->url = xasprintf("tls+tcp://0.0.0.0:%s", port);
	else
		socket->url = xasprintf("tls+tcp://%s:%s", host, port);
	return OK;
}

/* Both sides show a certificate of the installation's CA; a client also wants the server's
 * to bear the host's name. */
static int make_tls(const struct bus_socket *socket, nng_tls_config **ret)
{
	const struct bus_sockets *sockets = socket->sockets;
	AUTO_MEM char *host = NULL;
	AUTO_MEM char *port = NULL;
	nng_tls_config *tls;
	int rv = nng_tls_config_alloc(&tls,
	                              listens(socket) ? NNG_TLS_MODE_SERVER : NNG_TLS_MODE_CLIENT);

	if (rv != 0)
		return rv;
	MUST(find_host(sockets->hosts, socket->name, &host, &port));
	if ((rv = nng_tls_config_ca_file(tls, sockets->tls_ca)) != 0 ||
	    (rv = nng_tls_config_cert_key_file(tls, sockets->tls_cert_key, NULL)) != 0 ||
	    (rv = nng_tls_config_auth_mode(tls, NNG_TLS_AUTH_MODE_REQUIRED)) != 0 ||
	    (!listens(socket) && (rv = nng_tls_config_server_name(tls, host)) != 0)) {
		nng_tls_config_free(tls);
		return rv;
	}
	*ret = tls;
	return 0;
}

/* ---- listening and dialling ---- */

static int start_listening(struct bus_socket *socket)
{
	nng_tls_config *tls = NULL;
	nng_listener listener;
	int rv = nng_listener_create(&listener, socket->nng, socket->url);

	if (rv != 0)
		return rv;
	rv = make_tls(socket, &tls);
	if (rv == 0) {
		rv = nng_listener_set_ptr(listener, NNG_OPT_TLS_CONFIG, tls);
		nng_tls_config_free(tls);
	}
	if (rv == 0)
		rv = nng_listener_start(listener, 0);
	if (rv != 0)
		(void)nng_listener_close(listener); /* it never listened */
	else
		socket->listener = listener;
	return rv;
}

static int start_dialling(struct bus_socket *socket)
{
	nng_tls_config *tls = NULL;
	nng_dialer dialer;
	int rv = nng_dialer_create(&dialer, socket->nng, socket->url);

	if (rv != 0)
		return rv;
	rv = make_tls(socket, &tls);
	if (rv == 0) {
		rv = nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, tls);
		nng_tls_config_free(tls);
	}
	if (rv == 0)
		rv = nng_dialer_start(dialer, NNG_FLAG_NONBLOCK);
	if (rv != 0)
		(void)nng_dialer_close(dialer); /* it never dialled */
	else
		socket->dialer = dialer;
	socket->was_alone = false;
	return rv;
}

static int open_nng(struct bus_socket *socket)
{
	switch (socket->kind) {
	case BUS_SERVER:
		return nng_rep0_open_raw(&socket->nng);
	case BUS_CLIENT:
		return nng_req0_open_raw(&socket->nng);
	case BUS_CHANNEL:
		return nng_pub0_open(&socket->nng);
	case BUS_SUBSCRIBER:
		return nng_sub0_open(&socket->nng);
	}
	MUST(false);
}

static int set_options(const struct bus_socket *socket)
{
	nng_socket nng = socket->nng;
	/* More than a client has in the air would only be copies for a server that is away. */
	int send = socket->kind == BUS_CLIENT ? BUS_MAX_IN_AIR : QUEUE;
	int rv = nng_socket_set_size(nng, NNG_OPT_RECVMAXSZ, BUS_MAX_BYTES + HEADER_BYTES);

	if (rv == 0 && socket->kind != BUS_SUBSCRIBER)
		rv = nng_socket_set_int(nng, NNG_OPT_SENDBUF, send);
	if (rv == 0 && socket->kind != BUS_CHANNEL)
		rv = nng_socket_set_int(nng, NNG_OPT_RECVBUF, QUEUE);
	if (rv == 0 && socket->kind == BUS_SUBSCRIBER)
		rv = nng_socket_set(nng, NNG_OPT_SUB_SUBSCRIBE, "", 0);
	if (rv == 0)
		rv = nng_socket_set_ms(nng, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS);
	if (rv == 0)
		rv = nng_socket_set_ms(nng, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS);
	return rv;
}

enum err bus_socket_open(struct bus_socket *socket, struct bus_sockets *sockets,
                         enum bus_socket_kind kind, const char *name)
{
	enum err err;
	int rv;

	*socket = (struct bus_socket){ .sockets = sockets, .kind = kind };
	socket->name = xstrdup(name);
	err = make_url(socket);
	if (err == OK && (rv = open_nng(socket)) != 0)
		err = bus_sockets_failed(sockets, "open", name, rv);
	if (err == OK &&
	    ((rv = set_options(socket)) != 0 ||
	     (rv = listens(socket) ? start_listening(socket) : start_dialling(socket)) != 0)) {
		err = bus_sockets_failed(sockets, listens(socket) ? "listen as" : "dial", name, rv);
		(void)nng_close(socket->nng); /* nothing was said on it */
	}
	if (err != OK) {
		mem_free(socket->name);
		mem_free(socket->url);
		*socket = (struct bus_socket){ 0 };
		return err;
	}
	socket->next = sockets->first;
	sockets->first = socket;
	return OK;
}

void bus_socket_close(struct bus_socket *socket)
{
	struct bus_socket **at = &socket->sockets->first;

	while (*at != socket)
		at = &(*at)->next;
	*at = socket->next;
	(void)nng_close(socket->nng); /* cannot fail: it is open */
	mem_free(socket->name);
	mem_free(socket->url);
	*socket = (struct bus_socket){ 0 };
}

/* ---- healing ---- */

static void dial_anew(struct bus_socket *socket)
{
	if (socket->dialer.id != 0)
		(void)nng_dialer_close(socket->dialer); /* closed already is as good */
	socket->dialer.id = 0;
	(void)start_dialling(socket); /* when it fails, the next round tries again */
}

/* Unknown counts as connected. */
static bool is_connected(const struct bus_socket *socket, nng_stat *stats)
{
	nng_stat *own = stats ? nng_stat_find_socket(stats, socket->nng) : NULL;
	nng_stat *pipes = own ? nng_stat_find(own, "pipes") : NULL;

	return !pipes || nng_stat_value(pipes) > 0;
}

static void heal_dialer(struct bus_socket *socket, nng_stat *stats)
{
	bool alone = !is_connected(socket, stats);

	if (socket->dialer.id == 0 || (alone && socket->was_alone))
		dial_anew(socket);
	else
		socket->was_alone = alone;
}

static void heal(void *self)
{
	struct bus_sockets *sockets = self;
	nng_stat *stats = NULL;

	timer_set(sockets->loop, &sockets->heal, BUS_HEAL_MS, heal, sockets);
	if (nng_stats_get(&stats) != 0)
		stats = NULL;
	for (struct bus_socket *socket = sockets->first; socket; socket = socket->next) {
		if (!listens(socket))
			heal_dialer(socket, stats);
	}
	if (stats)
		nng_stats_free(stats);
}

/* ---- the whole ---- */

enum err bus_sockets_init(struct bus_sockets *sockets, struct loop *loop,
                          const struct bus_config *config)
{
	if (!config->hosts || !config->tls_ca || !config->tls_cert_key)
		return ERR_MALFORMED;
	*sockets = (struct bus_sockets){ .loop = loop };
	sockets->tls_ca = xstrdup(config->tls_ca);
	sockets->tls_cert_key = xstrdup(config->tls_cert_key);
	sockets->hosts = xstrdup(config->hosts);
	timer_set(loop, &sockets->heal, BUS_HEAL_MS, heal, sockets);
	return OK;
}

void bus_sockets_done(struct bus_sockets *sockets)
{
	MUST(!sockets->first);
	timer_stop(sockets->loop, &sockets->heal);
	mem_free(sockets->tls_ca);
	mem_free(sockets->tls_cert_key);
	mem_free(sockets->hosts);
}
