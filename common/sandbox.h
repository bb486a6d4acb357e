/*
 * sandbox - what a service can no longer do once it runs, whoever takes it over.
 *
 *     write   only under the directories named: an edge, which strangers reach, cannot touch a
 *             store (Landlock; files that are open already are not concerned)
 *     execute nothing (seccomp, and Landlock)
 *     look into other processes, mount, load modules, set the clock … (seccomp)
 *     gain or use privileges: the capabilities go, also root's (but to open files of another
 *             owner: root may run an installation that is somebody else's)
 *
 * Reading is not narrowed. What the kernel does not have is left out and told. Built with a
 * sanitizer, a process may still execute and trace: its reports need that.
 */
#ifndef COMMON_SANDBOX_H
#define COMMON_SANDBOX_H

#include "common/err.h"

#include <stddef.h>

struct sandbox {
	int landlock; /* version of the kernel's interface; 0: the kernel has none */
	int seccomp;  /* calls that are refused                                   */
};

/* The version; 0: none. Changes nothing. */
int sandbox_landlock(void);

/* For the whole life of the process, and of the threads and children it makes from now on: to be
 * called before it has threads. The directories must be there. ERR_IO, with the reason: it is
 * not confined, and must not go on. */
enum err sandbox_enter(const char *const writable[], size_t n, struct sandbox *ret, char why[256]);

#endif
