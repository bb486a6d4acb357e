/*
 * bus_sockets - the nng sockets of one process: addresses, TLS, and staying connected.
 *
 * The lower half of bus_nng: it knows names and connections, not what is said on them.
 * A name's place is in the hosts map (name=host:port,…); both sides show a certificate
 * of the installation's authority, and a server's bears the host's name. Who serves at
 * "localhost" is reached from that host alone; at any other name, from everywhere.
 *
 * No nng callback runs our code. A dialer of nng 1.5.2 whose peer went away before it read
 * the handshake never dials again: one that is without a connection for a whole round of
 * BUS_HEAL_MS is replaced.
 *
 * Known of nng 1.5.2 (not seen in 1.10): a connection that ends while a part of a message
 * has just been moved may stop nng's clean-up thread for ever. Then no connection is freed
 * or dialled again, and bus_socket_close() does not return, nor does exit(). So this is
 * not the bus within a host (bus_unix.c), and between hosts nng 1.10 is asked for.
 */
#ifndef COMMON_BUS_SOCKETS_H
#define COMMON_BUS_SOCKETS_H

#include "common/bus.h"

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
};

struct bus_sockets {
	struct loop *loop;
	char *tls_ca, *tls_cert_key, *hosts;
	struct bus_socket *first;
	struct timer heal;
	char why[256];
};

/* ERR_MALFORMED: a part of TLS is missing. */
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
