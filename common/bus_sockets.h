/*
 * bus_sockets - the nng sockets of one process: addresses, TLS, and staying connected.
 *
 * The lower half of bus_nng: it knows names and connections, not what is said on them.
 *
 *     directory: ipc://DIR/<name>.ipc              (0700, the file system's permissions)
 *     hosts:     tls+tcp://host:port, mutual TLS   (name=host:port,…)
 *
 * No nng callback runs our code. What nng 1.5.2 does not survive by itself is healed by
 * a round every BUS_HEAL_MS:
 *   - an ipc listener whose peer went away in the middle of the handshake takes no
 *     connection any more: each is probed (bus_probe.h), and listens anew;
 *   - a dialer whose peer went away before it read the handshake never dials again: one
 *     that is without a connection for a whole round is replaced.
 */
#ifndef COMMON_BUS_SOCKETS_H
#define COMMON_BUS_SOCKETS_H

#include "common/bus.h"
#include "common/bus_probe.h"

#include <nng/nng.h>

#define BUS_HEAL_MS 400

enum bus_socket_kind {
	BUS_SERVER,     /* raw REP, listens */
	BUS_CLIENT,     /* raw REQ, dials   */
	BUS_CHANNEL,    /* PUB, listens     */
	BUS_SUBSCRIBER, /* SUB, dials       */
};

struct bus_socket {
	struct bus_socket *next;
	struct bus_sockets *sockets;
	enum bus_socket_kind kind;
	char *name, *url;
	nng_socket nng;
	nng_listener listener; /* id 0: not listening */
	nng_dialer dialer;     /* id 0: not dialling  */
	bool was_alone;        /* a dialer that had no connection in the last round */
	struct bus_probe probe;
};

struct bus_sockets {
	struct loop *loop;
	char *directory, *tls_ca, *tls_cert_key, *hosts;
	struct bus_socket *first;
	struct timer heal;
	char why[256];
};

/* ERR_MALFORMED: neither a directory nor all of TLS; ERR_DENIED: the directory is
 * somebody else's; ERR_IO. */
CHECKED enum err bus_sockets_init(struct bus_sockets *sockets, struct loop *loop,
                                  const struct bus_config *config);
/* Every socket is closed by then. */
void bus_sockets_done(struct bus_sockets *sockets);

/* Opens, and listens or begins to dial. On failure the socket is as before and why is set.
 * ERR_NOT_FOUND: not in the hosts map. ERR_CONFLICT: somebody else listens there. */
CHECKED enum err bus_socket_open(struct bus_socket *socket, struct bus_sockets *sockets,
                                 enum bus_socket_kind kind, const char *name);
void bus_socket_close(struct bus_socket *socket);

/* nng's error in why and in our words. */
enum err bus_sockets_failed(struct bus_sockets *sockets, const char *what, const char *name,
                            int nng_error);

#endif
