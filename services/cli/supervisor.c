#include "services/cli/supervisor.h"

#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATUS_NOT_RUN  127 /* the shell's: the program could not be run    */
#define STATUS_SETTINGS 2
#define REFUSAL_MS      5000 /* a later exit with that status is a mere death */
#define CORE_STOP_MS    10000

enum stage { STAGE_RUN, STAGE_DRAIN, STAGE_STOP, STAGE_KILL };

struct supervisor {
	struct loop *loop;
	loop_fn *on_change, *on_stopped;
	void *ctx;
	struct child child[SUPERVISOR_MAX_CHILDREN];
	size_t n;
	enum stage stage;
	bool failed;
	struct timer timer; /* the end of the stage */
};

/* ---- one child ---- */

/* Between fork and exec: only what is safe there. */
_Noreturn static void become(const struct child *child, pid_t parent)
{
	static const char complaint[] = "raeh: cannot run ";
	sigset_t none;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(STATUS_NOT_RUN); /* it died before the line above */
	(void)signal(SIGINT, SIG_IGN); /* Ctrl-C reaches the whole group; we end it in order */
	(void)signal(SIGPIPE, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (child->output_fd >= 0)
		(void)dup2(child->output_fd, STDOUT_FILENO);
	if (child->log_fd >= 0)
		(void)dup2(child->log_fd, STDERR_FILENO);
	for (size_t i = 0; i < ARRAY_LEN(child->keep_fd); i++)
		if (child->keep_fd[i] >= 0)
			(void)fcntl(child->keep_fd[i], F_SETFD, 0);
	(void)execv(child->program, child->argv);
	if (write(STDERR_FILENO, complaint, sizeof complaint - 1) > 0 &&
	    write(STDERR_FILENO, child->program, strlen(child->program)) > 0)
		(void)!write(STDERR_FILENO, "\n", 1); /* nowhere else to say it */
	_exit(STATUS_NOT_RUN);
}

static void changed(struct supervisor *supervisor)
{
	supervisor->on_change(supervisor->ctx);
}

static void start(void *self);

static void start_later(struct child *child, int64_t delay_ms)
{
	child->state = CHILD_WAITING;
	timer_set(child->supervisor->loop, &child->timer, delay_ms, start, child);
}

static void start(void *self)
{
	struct child *child = self;
	pid_t parent = getpid(), pid = fork();

	child->started_ms = clock_boot_ms();
	if (pid == 0)
		become(child, parent);
	if (pid < 0) {
		log_error("fork-failed", "child=\"%s\" why=\"%s\"", child->label, strerror(errno));
		start_later(child, RESTART_STEP_MS);
		return;
	}
	child->pid = pid;
	child->state = CHILD_RUNNING;
	log_debug("started", "child=\"%s\" pid=%d", child->label, (int)pid);
	changed(child->supervisor);
}

static void log_death(const struct child *child, int status, int64_t delay_ms)
{
	if (WIFSIGNALED(status))
		log_warn("child-died", "child=\"%s\" pid=%d signal=%d restart_ms=%" PRId64,
		         child->label, (int)child->pid, WTERMSIG(status), delay_ms);
	else
		log_warn("child-died", "child=\"%s\" pid=%d status=%d restart_ms=%" PRId64,
		         child->label, (int)child->pid, WEXITSTATUS(status), delay_ms);
}

static bool refuses_settings(const struct child *child, int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == STATUS_SETTINGS &&
	       child->restarts == 0 && clock_boot_ms() - child->started_ms < REFUSAL_MS;
}

/* ---- all of them ---- */

static bool any_lives(const struct supervisor *supervisor, bool front_only)
{
	for (size_t i = 0; i < supervisor->n; i++) {
		const struct child *child = &supervisor->child[i];

		if (child->state == CHILD_RUNNING && (child->front || !front_only))
			return true;
	}
	return false;
}

static void signal_to(struct supervisor *supervisor, bool front, int signal_number)
{
	for (size_t i = 0; i < supervisor->n; i++) {
		struct child *child = &supervisor->child[i];

		if (child->state == CHILD_RUNNING && child->front == front)
			(void)kill(child->pid, signal_number); /* gone already is as good */
	}
}

static void next_stage(void *self);

static void enter_stage(struct supervisor *supervisor, enum stage stage)
{
	supervisor->stage = stage;
	if (stage == STAGE_DRAIN) {
		signal_to(supervisor, true, SIGTERM);
		timer_set(supervisor->loop, &supervisor->timer, SUPERVISOR_DRAIN_MS, next_stage,
		          supervisor);
	} else if (stage == STAGE_STOP) {
		signal_to(supervisor, true, SIGKILL);
		signal_to(supervisor, false, SIGTERM);
		timer_set(supervisor->loop, &supervisor->timer, CORE_STOP_MS, next_stage,
		          supervisor);
	} else {
		signal_to(supervisor, true, SIGKILL);
		signal_to(supervisor, false, SIGKILL);
	}
}

static void next_stage(void *self)
{
	struct supervisor *supervisor = self;

	if (supervisor->stage == STAGE_KILL)
		return;
	if (supervisor->stage > STAGE_RUN)
		log_warn("not-stopped-in-time", "stage=%d", (int)supervisor->stage);
	enter_stage(supervisor, supervisor->stage + 1);
}

static void look_at_stage(struct supervisor *supervisor)
{
	if (supervisor->stage == STAGE_DRAIN && !any_lives(supervisor, true))
		enter_stage(supervisor, STAGE_STOP);
	if (supervisor->stage != STAGE_RUN && !any_lives(supervisor, false)) {
		timer_stop(supervisor->loop, &supervisor->timer);
		supervisor->on_stopped(supervisor->ctx);
	}
}

static void on_death(struct child *child, int status)
{
	struct supervisor *supervisor = child->supervisor;
	int64_t delay_ms;

	if (supervisor->stage != STAGE_RUN) {
		child->state = CHILD_STOPPED;
		return;
	}
	if (refuses_settings(child, status)) {
		log_error("settings-refused", "child=\"%s\"", child->label);
		child->state = CHILD_STOPPED;
		supervisor->failed = true;
		supervisor_stop(supervisor);
		return;
	}
	delay_ms = restart_delay_ms(&child->policy, child->started_ms, clock_boot_ms());
	log_death(child, status, delay_ms);
	child->restarts++;
	if (delay_ms > 0)
		start_later(child, delay_ms);
	else
		start(child);
}

static void on_sigchld(void *self)
{
	struct supervisor *supervisor = self;

	for (size_t i = 0; i < supervisor->n; i++) {
		struct child *child = &supervisor->child[i];
		int status;

		if (child->state != CHILD_RUNNING ||
		    waitpid(child->pid, &status, WNOHANG) != child->pid)
			continue;
		on_death(child, status);
		changed(supervisor);
	}
	look_at_stage(supervisor);
}

struct supervisor *supervisor_new(struct loop *loop, loop_fn *on_change, loop_fn *on_stopped,
                                  void *ctx)
{
	struct supervisor *supervisor = xcalloc(1, sizeof *supervisor);

	supervisor->loop = loop;
	supervisor->on_change = on_change;
	supervisor->on_stopped = on_stopped;
	supervisor->ctx = ctx;
	loop_on_signal(loop, SIGCHLD, on_sigchld, supervisor);
	return supervisor;
}

void supervisor_free(struct supervisor *supervisor)
{
	if (!supervisor)
		return;
	for (size_t i = 0; i < supervisor->n; i++) {
		struct child *child = &supervisor->child[i];

		timer_stop(supervisor->loop, &child->timer);
		for (char **word = child->argv; *word; word++)
			mem_free(*word);
		mem_free((void *)child->argv);
		mem_free(child->program);
		mem_free(child->label);
	}
	timer_stop(supervisor->loop, &supervisor->timer);
	mem_free(supervisor);
}

void supervisor_add(struct supervisor *supervisor, const struct child *child)
{
	struct child *mine = &supervisor->child[supervisor->n];

	MUST(supervisor->n < SUPERVISOR_MAX_CHILDREN);
	supervisor->n++;
	*mine = *child;
	mine->supervisor = supervisor;
	start(mine);
}

void supervisor_stop(struct supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->n; i++) {
		struct child *child = &supervisor->child[i];

		timer_stop(supervisor->loop, &child->timer);
		if (child->state == CHILD_WAITING)
			child->state = CHILD_STOPPED;
	}
	if (supervisor->stage != STAGE_KILL)
		enter_stage(supervisor, supervisor->stage + 1);
	changed(supervisor);
	look_at_stage(supervisor);
}

bool supervisor_is_stopping(const struct supervisor *supervisor)
{
	return supervisor->stage != STAGE_RUN;
}

bool supervisor_failed(const struct supervisor *supervisor)
{
	return supervisor->failed;
}

const struct child *supervisor_children(const struct supervisor *supervisor, size_t *ret_n)
{
	*ret_n = supervisor->n;
	return supervisor->child;
}
