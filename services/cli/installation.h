/*
 * installation - the directory that everything of one stack lives in.
 *
 *     DIR/  0700   raeh.conf   run/up.lock (held by `raeh up`)   secret/   stores …
 */
#ifndef CLI_INSTALLATION_H
#define CLI_INSTALLATION_H

#include "common/err.h"
#include "common/mem.h"

#include <sys/types.h>

/* Makes what is missing. */
CHECKED enum err installation_make(const char *data, char why[256]);

/* Takes the lock for the life of the process. ERR_CONFLICT: another `raeh up` has it. */
CHECKED enum err installation_lock(const char *data, char why[256]);

/* The process that holds the lock now, or 0. */
pid_t installation_holder(const char *data);

#endif
