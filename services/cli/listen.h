/*
 * listen - the public address of a stack and its listening sockets.
 *
 * One socket an edge, all bound to exactly one address with SO_REUSEPORT: the kernel
 * spreads the connections. Held open by `raeh up`, a socket outlives its edge: what
 * connects while the edge restarts waits in the queue.
 */
#ifndef CLI_LISTEN_H
#define CLI_LISTEN_H

#include "common/err.h"
#include "common/mem.h"

#include <sys/socket.h>

struct listen_address {
	struct sockaddr_storage at;
	socklen_t len;
};

/* "127.0.0.1:8080", "[::1]:8080", "localhost:8080". Port 0: the system picks one. */
bool listen_parse(const char *text, struct listen_address *ret, char why[256]);
bool listen_is_loopback(const struct listen_address *address);
int listen_port(const struct listen_address *address);

/* n sockets, close-on-exec; address gets the port that was picked. ERR_CONFLICT: somebody
 * listens there already. */
CHECKED enum err listen_open(struct listen_address *address, int *ret_fds, size_t n, char why[256]);

/* "http://127.0.0.1:8080" as a new string. reachable: with the loopback address in place
 * of the one that means all. */
char *listen_url(const struct listen_address *address, bool tls, bool reachable);

#endif
