/*
 * bus_probe - asks an SP listener on a unix socket whether it still takes connections.
 *
 *     connect ──► our handshake + one empty message ──► its handshake ──► its end of file
 *
 * A listener of nng 1.5.2 whose peer went away at the wrong moment goes on answering
 * handshakes but never hands a connection to its socket (and spins). So the probe
 * also says something that no REP and no PUB takes from a peer: a connection that
 * has reached the socket is closed for it, one that has not is left hanging.
 * The probe ends its handshake before it closes: it is not such a peer itself.
 */
#ifndef COMMON_BUS_PROBE_H
#define COMMON_BUS_PROBE_H

#include "common/loop.h"

typedef void bus_probe_fn(void *ctx, bool alive);

/* Zero it before first use. */
struct bus_probe {
	struct loop *loop; /* NULL: none is under way */
	const char *path;
	uint16_t protocol;
	bus_probe_fn *fn;
	void *ctx;
	int fd, ticks;
	size_t got; /* bytes of the listener's handshake */
	struct timer tick;
};

/* The SP number that the probe gives itself out for: the listener's peer. */
#define BUS_PROBE_AS_REQ 0x30
#define BUS_PROBE_AS_SUB 0x21

/* Borrows path until fn is called, once, from the loop. What cannot be tried (no
 * descriptor left) counts as alive. */
void bus_probe_start(struct bus_probe *probe, struct loop *loop, const char *path,
                     uint16_t protocol, bus_probe_fn *fn, void *ctx);
void bus_probe_stop(struct bus_probe *probe);

#endif
