#include "common/loop.h"
#include "common/clock.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- what the callbacks leave behind ---- */

static struct loop *loop;
static char trace[256];

static void note(void *name)
{
	cr_assert_lt(strlen(trace) + strlen(name), sizeof trace);
	strcat(trace, name);
}

static void note_and_stop(void *name)
{
	note(name);
	loop_stop(loop);
}

static int64_t fake_us;

static int64_t read_fake(void *ctx)
{
	(void)ctx;
	return fake_us;
}

static void advance(int64_t ms)
{
	fake_us += ms * 1000;
	loop_dispatch(loop);
}

static void given_a_virtual_loop(void)
{
	clock_set_source(read_fake, NULL, 0);
	fake_us = 1000000;
	loop = loop_new_virtual();
}

static void given_a_loop(void)
{
	loop = loop_new();
}

static void done(void)
{
	loop_free(loop);
	clock_set_source(NULL, NULL, 0);
}

static bool is_readable(int fd, int wait_ms)
{
	struct pollfd one = { .fd = fd, .events = POLLIN };

	return poll(&one, 1, wait_ms) == 1;
}

static int ready_fd(void)
{
	int fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);

	cr_assert_geq(fd, 0);
	return fd;
}

/* ---- timers ---- */

TestSuite(timers, .init = given_a_virtual_loop, .fini = done);

Test(timers, fire_once_and_in_the_order_of_their_time)
{
	struct timer a = { 0 }, b = { 0 }, c = { 0 };

	timer_set(loop, &a, 30, note, "a");
	timer_set(loop, &b, 10, note, "b");
	timer_set(loop, &c, 20, note, "c");
	cr_assert_eq(loop_next_due_ms(loop), 1010);
	advance(9);
	cr_assert_str_eq(trace, "");
	advance(1);
	cr_assert_str_eq(trace, "b");
	advance(100);
	cr_assert_str_eq(trace, "bca");
	advance(100);
	cr_assert_str_eq(trace, "bca");
	cr_assert_eq(loop_next_due_ms(loop), INT64_MAX);
}

Test(timers, set_again_are_moved_and_stopped_are_silent)
{
	struct timer a = { 0 }, b = { 0 };

	timer_set(loop, &a, 10, note, "a");
	timer_set(loop, &a, 50, note, "A");
	timer_set(loop, &b, 20, note, "b");
	timer_stop(loop, &b);
	timer_stop(loop, &b);
	advance(20);
	cr_assert_str_eq(trace, "");
	advance(30);
	cr_assert_str_eq(trace, "A");
}

static void again(void *self)
{
	note(".");
	timer_set(loop, self, 0, again, self);
}

Test(timers, set_by_a_callback_without_delay_fire_in_the_next_turn)
{
	struct timer a = { 0 };

	timer_set(loop, &a, -5, again, &a);
	advance(0);
	cr_assert_str_eq(trace, ".");
	advance(0);
	cr_assert_str_eq(trace, "..");
	timer_stop(loop, &a);
}

static void stop_other(void *other)
{
	note("s");
	timer_stop(loop, other);
}

static void move_other(void *other)
{
	note("m");
	timer_set(loop, other, 5, note, "later");
}

Test(timers, due_in_the_same_turn_can_still_be_stopped_or_moved)
{
	struct timer a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };

	timer_set(loop, &a, 1, stop_other, &b);
	timer_set(loop, &b, 2, note, "b");
	timer_set(loop, &c, 3, move_other, &d);
	timer_set(loop, &d, 4, note, "d");
	advance(10);
	cr_assert_str_eq(trace, "sm");
	advance(5);
	cr_assert_str_eq(trace, "smlater");
}

static void free_it(void *timer)
{
	note("f");
	free(timer);
}

Test(timers, may_be_freed_by_their_own_callback)
{
	struct timer *timer = calloc(1, sizeof *timer);

	timer_set(loop, timer, 1, free_it, timer);
	advance(1);
	advance(1);
	cr_assert_str_eq(trace, "f");
}

static struct timer many[2000];
static int64_t last_due;
static int n_fired;

static void in_order(void *self)
{
	const struct timer *timer = self;

	cr_assert_geq(timer->due_ms, last_due);
	last_due = timer->due_ms;
	n_fired++;
}

Test(timers, by_the_thousand_set_moved_and_stopped_at_random_keep_their_order)
{
	int n_stopped = 0;

	srandom(7);
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		timer_set(loop, &many[i], random() % 500, in_order, &many[i]);
	for (size_t i = 0; i < ARRAY_LEN(many); i += 3)
		timer_set(loop, &many[i], random() % 500, in_order, &many[i]);
	for (size_t i = 0; i < ARRAY_LEN(many); i += 5, n_stopped++)
		timer_stop(loop, &many[i]);
	for (int i = 0; i < 500; i++)
		advance(1);
	cr_assert_eq(n_fired, (int)ARRAY_LEN(many) - n_stopped);
}

Test(timers, of_a_far_future_do_not_overflow)
{
	struct timer a = { 0 };

	timer_set(loop, &a, INT64_MAX, note, "a");
	advance(1000000);
	cr_assert_str_eq(trace, "");
	cr_assert_eq(loop_next_due_ms(loop), INT64_MAX - 1);
}

Test(timers, run_the_turn_end_hooks_only_after_a_turn_that_called_something)
{
	struct timer a = { 0 };

	loop_on_turn_end(loop, note, "h");
	loop_on_turn_end(loop, note, "H");
	advance(1);
	cr_assert_str_eq(trace, "");
	timer_set(loop, &a, 1, note, "a");
	advance(1);
	cr_assert_str_eq(trace, "ahH");
	advance(1);
	cr_assert_str_eq(trace, "ahH");
}

Test(timers, take_no_more_hooks_than_agreed, .signal = SIGABRT)
{
	for (int i = 0; i <= LOOP_TURN_HOOKS; i++)
		loop_on_turn_end(loop, note, "");
}

/* ---- descriptors ---- */

TestSuite(loop, .init = given_a_loop, .fini = done);

Test(loop, serves_descriptors_in_the_order_of_their_priority)
{
	int a = ready_fd(), b = ready_fd(), c = ready_fd();

	loop_watch(loop, a, 2, note, "a");
	loop_watch(loop, b, 0, note, "b");
	loop_watch(loop, c, 1, note, "c");
	loop_dispatch(loop);
	cr_assert_str_eq(trace, "bca");
	loop_dispatch(loop);
	cr_assert_str_eq(trace, "bcabca", "readiness is a level, not an edge");
	loop_unwatch(loop, b);
	loop_dispatch(loop);
	cr_assert_str_eq(trace, "bcabcaca");
	close(a), close(b), close(c);
}

static int pair[2];

static void end_the_other(void *ctx)
{
	int other = pair[*(int *)ctx == 0];

	note("x");
	loop_unwatch(loop, other);
	close(other);
}

Test(loop, does_not_call_a_watch_that_ended_earlier_in_the_turn)
{
	int zero = 0, one = 1;

	pair[0] = ready_fd();
	pair[1] = ready_fd();
	loop_watch(loop, pair[0], 0, end_the_other, &zero);
	loop_watch(loop, pair[1], 0, end_the_other, &one);
	loop_dispatch(loop);
	cr_assert_str_eq(trace, "x");
}

static void replace_the_other(void *ctx)
{
	int number = pair[1], fresh;

	(void)ctx;
	loop_unwatch(loop, pair[0]);
	loop_unwatch(loop, number);
	close(number);
	fresh = eventfd(0, EFD_NONBLOCK);
	cr_assert_eq(fresh, number, "the test needs the same number again");
	loop_watch(loop, fresh, 0, note, "wrong");
}

Test(loop, does_not_take_an_old_event_for_a_new_watch_of_the_same_number)
{
	pair[0] = ready_fd();
	pair[1] = ready_fd();
	loop_watch(loop, pair[0], 0, replace_the_other, NULL);
	loop_watch(loop, pair[1], 1, note, "wrong");
	loop_dispatch(loop);
	loop_dispatch(loop);
	cr_assert_str_eq(trace, "");
	close(pair[0]), close(pair[1]);
}

static int served[600];

static void count(void *counter)
{
	++*(int *)counter;
}

Test(loop, lets_none_of_many_ready_descriptors_starve)
{
	struct rlimit limit = { 2000, 2000 };
	int fd[ARRAY_LEN(served)];

	(void)setrlimit(RLIMIT_NOFILE, &limit);
	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		fd[i] = ready_fd();
		loop_watch(loop, fd[i], 0, count, &served[i]);
	}
	for (int i = 0; i < 9; i++)
		loop_dispatch(loop);
	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		cr_assert_geq(served[i], 2, "descriptor %zu was called %d times", i, served[i]);
		close(fd[i]);
	}
}

Test(loop, watches_a_descriptor_once, .signal = SIGABRT)
{
	int fd = ready_fd();

	loop_watch(loop, fd, 0, note, "");
	loop_watch(loop, fd, 0, note, "");
}

Test(loop, runs_until_it_is_stopped)
{
	struct timer a = { 0 }, b = { 0 }, c = { 0 };

	timer_set(loop, &c, 20, note_and_stop, "c");
	timer_set(loop, &a, 5, note, "a");
	timer_set(loop, &b, 10, note, "b");
	loop_run(loop);
	cr_assert_str_eq(trace, "abc");
	loop_stop(loop);
	loop_run(loop);
}

Test(loop, never_fires_a_timer_too_early)
{
	for (int i = 0; i < 20; i++) {
		struct timer a = { 0 };
		int64_t before = clock_boot_ms();

		trace[0] = '\0';
		timer_set(loop, &a, 3, note_and_stop, "a");
		loop_run(loop);
		cr_assert_geq(clock_boot_ms(), before + 3);
	}
}

Test(loop, has_a_descriptor_that_is_readable_whenever_there_is_work)
{
	struct timer late = { 0 }, soon = { 0 };
	int fd = eventfd(0, EFD_NONBLOCK);

	cr_assert_not(is_readable(loop_fd(loop), 0));
	timer_set(loop, &late, 60000, note, "late");
	cr_assert_not(is_readable(loop_fd(loop), 0));
	timer_set(loop, &soon, 5, note, "soon");
	cr_assert(is_readable(loop_fd(loop), 5000));
	loop_dispatch(loop);
	cr_assert_str_eq(trace, "soon");
	cr_assert_not(is_readable(loop_fd(loop), 0));

	loop_watch(loop, fd, 0, note, "fd");
	eventfd_write(fd, 1);
	cr_assert(is_readable(loop_fd(loop), 5000));
	loop_unwatch(loop, fd);
	cr_assert_not(is_readable(loop_fd(loop), 0));
	timer_set(loop, &late, 0, note, "now");
	cr_assert(is_readable(loop_fd(loop), 5000));
	loop_dispatch(loop);
	cr_assert_str_eq(trace, "soonnow");
	close(fd);
}

Test(loop, is_readable_again_for_a_timer_behind_one_that_was_stopped)
{
	struct timer a = { 0 }, b = { 0 };

	timer_set(loop, &a, 5, note, "a");
	timer_set(loop, &b, 30, note, "b");
	timer_stop(loop, &a);
	for (int i = 0; trace[0] == '\0'; i++) {
		cr_assert_lt(i, 10);
		cr_assert(is_readable(loop_fd(loop), 5000));
		loop_dispatch(loop);
	}
	cr_assert_str_eq(trace, "b");
}

Test(loop, takes_signals_as_calls)
{
	loop_on_signal(loop, SIGUSR1, note, "1");
	loop_on_signal(loop, SIGUSR2, note_and_stop, "2");
	cr_assert_eq(raise(SIGUSR1), 0);
	cr_assert_str_eq(trace, "");
	loop_dispatch(loop);
	cr_assert_str_eq(trace, "1");
	cr_assert_eq(raise(SIGUSR2), 0);
	loop_run(loop);
	cr_assert_str_eq(trace, "12");
}
