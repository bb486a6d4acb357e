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

/* Writes beside the lock what others may want to know of the stack that runs here. */
CHECKED enum err installation_announce(const char *data, const char *url, int edges, int publishers,
                                       char why[256]);

/* What the process that holds the lock has announced. holder 0: nobody holds it. Before it
 * has announced anything url is "". */
struct installation_state {
	pid_t holder;
	char url[128];
	int edges, publishers;
};
struct installation_state installation_look(const char *data);

#endif
