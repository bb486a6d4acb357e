#include "services/cli/supervisor.h"

#include "common/clock.h"
#include "common/log.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEADLINE_MS 20000

static struct loop *loop;
static struct supervisor *supervisor;
static struct timer limit;
static bool (*awaited)(void);
static bool came;

static void look(void *ctx)
{
	(void)ctx;
	if (!awaited || !awaited())
		return;
	came = true;
	loop_stop(loop);
}

static void give_up(void *ctx)
{
	(void)ctx;
	loop_stop(loop);
}

static void given_a_supervisor(void)
{
	log_init("test", LOG_ERROR);
	loop = loop_new();
	supervisor = supervisor_new(loop, look, look, NULL);
}

static void done(void)
{
	supervisor_free(supervisor);
	loop_free(loop);
}

TestSuite(supervisor, .init = given_a_supervisor, .fini = done, .timeout = 60);

/* Runs the loop until it is so, looking at every change. */
static bool becomes(bool (*condition)(void))
{
	awaited = condition;
	came = false;
	timer_set(loop, &limit, DEADLINE_MS, give_up, NULL);
	loop_run(loop);
	timer_stop(loop, &limit);
	awaited = NULL;
	return came;
}

static void add(const char *script, bool front)
{
	struct child child = {
		.keep_fd = {-1, -1},
                  .output_fd = -1, .log_fd = -1, .front = front
	};

	child.label = xstrdup(front ? "front" : "core");
	child.program = xstrdup("/bin/sh");
	child.argv = xcalloc(4, sizeof(char *));
	child.argv[0] = xstrdup("sh");
	child.argv[1] = xstrdup("-c");
	child.argv[2] = xstrdup(script);
	supervisor_add(supervisor, &child);
}

static const struct child *child_at(size_t i)
{
	size_t n;

	return &supervisor_children(supervisor, &n)[i];
}

static bool has_restarted(void)
{
	return child_at(0)->restarts == 1 && child_at(0)->state == CHILD_RUNNING;
}

static bool waits(void)
{
	return child_at(0)->state == CHILD_WAITING;
}

static bool all_stopped(void)
{
	size_t n;
	const struct child *child = supervisor_children(supervisor, &n);

	while (n > 0)
		if (child[--n].state != CHILD_STOPPED)
			return false;
	return true;
}

static void stop(void)
{
	supervisor_stop(supervisor);
	cr_assert(all_stopped() || becomes(all_stopped));
}

Test(supervisor, starts_a_child_that_was_killed_within_half_a_second)
{
	int64_t killed_ms;
	pid_t pid;

	add("exec sleep 60", false);
	pid = child_at(0)->pid;
	killed_ms = clock_boot_ms();
	cr_assert_eq(kill(pid, SIGKILL), 0);
	cr_assert(becomes(has_restarted));
	cr_assert_neq(child_at(0)->pid, pid);
	cr_assert_lt(clock_boot_ms() - killed_ms, 500);
	stop();
}

Test(supervisor, lets_a_child_wait_that_dies_again_and_again)
{
	add("exit 1", false);
	cr_assert(becomes(waits));
	cr_assert_eq(child_at(0)->restarts, 6, "restarted %u times", child_at(0)->restarts);
	stop();
}

Test(supervisor, gives_up_when_a_child_refuses_its_settings)
{
	add("exec sleep 60", false);
	add("exit 2", false);
	cr_assert(becomes(all_stopped));
	cr_assert(supervisor_failed(supervisor));
}

static char directory[] = "/tmp/supervisor_test.XXXXXX";

static char *path_of(const char *name)
{
	return xasprintf("%s/%s", directory, name);
}

static bool front_and_core_are_ready(void *ctx)
{
	AUTO_MEM char *front = path_of("front-ready"), *core = path_of("core-ready");

	(void)ctx;
	return access(front, F_OK) == 0 && access(core, F_OK) == 0;
}

static void poll_ready(void *ctx)
{
	static struct timer again;

	if (front_and_core_are_ready(ctx))
		loop_stop(loop);
	else
		timer_set(loop, &again, 5, poll_ready, ctx);
}

/* Each child writes a line when it is told to stop; the core may not be told before the
 * front is gone. */
Test(supervisor, stops_the_front_before_the_core)
{
	AUTO_MEM char *front = NULL, *core = NULL, *order = NULL, *remove = NULL;
	char line[64] = "";
	FILE *stream;

	cr_assert_not_null(mkdtemp(directory));
	front = xasprintf("cd %s; trap 'sleep 0.3; echo front >>order; exit 0' TERM; "
	                  ">front-ready; while :; do sleep 0.05; done",
	                  directory);
	core = xasprintf("cd %s; trap 'echo core >>order; exit 0' TERM; "
	                 ">core-ready; while :; do sleep 0.05; done",
	                 directory);
	add(core, false);
	add(front, true);
	poll_ready(NULL);
	loop_run(loop);

	stop();

	order = path_of("order");
	stream = fopen(order, "r");
	cr_assert_not_null(stream);
	cr_assert_not_null(fgets(line, sizeof line, stream));
	cr_assert_str_eq(line, "front\n");
	cr_assert_not_null(fgets(line, sizeof line, stream));
	cr_assert_str_eq(line, "core\n");
	(void)fclose(stream);
	remove = xasprintf("rm -r %s", directory);
	cr_assert_eq(system(remove), 0);
}

Test(supervisor, kills_what_does_not_heed_the_second_word)
{
	add("trap '' TERM; while :; do sleep 0.05; done", false);
	supervisor_stop(supervisor); /* drain: there is no front */
	supervisor_stop(supervisor);
	cr_assert(all_stopped() || becomes(all_stopped));
	cr_assert_not(supervisor_failed(supervisor));
}
