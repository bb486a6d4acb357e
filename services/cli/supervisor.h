/*
 * supervisor - keeps a set of processes running, and ends them in order.
 *
 * A child that dies is started again at once (policy.h). Children stay in our process
 * group, leave Ctrl-C to us, and are killed by the kernel when we die, however we die.
 *
 * Stopping: SIGTERM to the front (what has clients), then, when it is gone or
 * SUPERVISOR_DRAIN_MS have passed, to the core; SIGKILL to what is left. Asked to stop
 * again, it goes to the next stage at once.
 *
 * Exit status 2 in a child's first seconds is a refusal of its settings, which no restart
 * heals: everything stops, and supervisor_failed() says so.
 */
#ifndef CLI_SUPERVISOR_H
#define CLI_SUPERVISOR_H

#include "common/loop.h"
#include "services/cli/policy.h"

#include <sys/types.h>

#define SUPERVISOR_MAX_CHILDREN 160
#define SUPERVISOR_DRAIN_MS     10000

enum child_state { CHILD_RUNNING, CHILD_WAITING, CHILD_STOPPED };

struct child {
	char *label;    /* "raeh-edge 0"                               */
	char *program;  /* path; its last part becomes argv[0]         */
	char **argv;    /* ended by NULL, argv[0] included; all owned  */
	int keep_fd[2]; /* inherited by the child, or -1              */
	int output_fd;  /* its standard output, or -1: ours            */
	int log_fd;     /* its standard error, or -1: ours             */
	bool front;
	enum child_state state;
	pid_t pid;
	unsigned restarts;
	int64_t started_ms; /* boot time of the last start */
	struct restart_policy policy;
	struct timer timer;
	struct supervisor *supervisor;
};

struct supervisor;

/* on_change: a child's state changed. on_stopped: no child lives any more. Once a process:
 * it takes SIGCHLD. */
struct supervisor *supervisor_new(struct loop *loop, loop_fn *on_change, loop_fn *on_stopped,
                                  void *ctx);
void supervisor_free(struct supervisor *supervisor);
AUTO_FREE(struct supervisor, supervisor_free)

/* Starts it; takes over the strings of child and copies the rest. */
void supervisor_add(struct supervisor *supervisor, const struct child *child);
void supervisor_stop(struct supervisor *supervisor);

bool supervisor_is_stopping(const struct supervisor *supervisor);
bool supervisor_failed(const struct supervisor *supervisor);
const struct child *supervisor_children(const struct supervisor *supervisor, size_t *ret_n);

#endif
