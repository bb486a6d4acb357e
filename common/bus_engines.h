/*
 * bus_engines - what bus_open() may choose from; nobody else includes it.
 */
#ifndef COMMON_BUS_ENGINES_H
#define COMMON_BUS_ENGINES_H

#include "common/bus.h"

/* Unix sockets in config->directory, served by the loop itself. */
CHECKED enum err bus_unix_open(struct loop *loop, const struct bus_config *config,
                               struct bus **ret);
/* nng over mutual TLS, by config->hosts. */
CHECKED enum err bus_nng_open(struct loop *loop, const struct bus_config *config, struct bus **ret);

/* Ours alone: made so, or tightened to 0700. ERR_DENIED: somebody else's. ERR_IO. */
CHECKED enum err bus_own_directory(const char *path);

#endif
