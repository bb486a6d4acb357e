/*
 * health - the question that any service answers at once: its numbers.
 */
#ifndef CLI_HEALTH_H
#define CLI_HEALTH_H

#include "common/mem.h"

#include <stdbool.h>

/* Appends the packed question for the service of that name ("auth", "edge-1"). False: no
 * service is called so. */
bool health_question(const char *name, struct buf *ret);

#endif
