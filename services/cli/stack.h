/*
 * stack - the processes of an installation as children of a supervisor.
 *
 * raeh-auth, raeh-router, raeh-publisher × P and raeh-edge × N lie beside our own
 * executable. Settings go to them as flags; each edge inherits its listening socket.
 */
#ifndef CLI_STACK_H
#define CLI_STACK_H

#include "services/cli/supervisor.h"
#include "services/cli/up_settings.h"

/* The descriptors that the children write to, or -1: ours. */
struct stack_outputs {
	int log_fd, feed_fd;
};

/* directory: of the executables. Borrows everything for the call. */
void stack_start(struct supervisor *supervisor, const struct up_settings *settings,
                 const char *directory, const int *listen_fds, struct stack_outputs outputs);

/* As many descriptors as the system allows: an edge needs one a socket. */
void stack_raise_file_limit(void);

/* Replaces this process with that edge, which inherits the sockets (admin_fd -1: none).
 * Returns only when it cannot: errno. */
void stack_become_edge(const struct up_settings *settings, const char *directory, int64_t slot,
                       int listen_fd, int admin_fd);

/* The simulated watch and the live insights, as one more child. */
void stack_start_demo(struct supervisor *supervisor, const struct up_settings *settings,
                      const char *directory, const char *url, struct stack_outputs outputs);

/* One line a process. */
char *stack_status(const struct supervisor *supervisor);

#endif
