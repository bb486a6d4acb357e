/*
 * One turn: the ready descriptors by priority, then the timers that were due when the
 * turn came to them, then the hooks. What a callback sets is served in a later turn, so
 * no callback can keep a turn from ending.
 */
#include "common/loop.h"
#include "common/clock.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define MAX_EVENTS 256                /* a turn; what is left stays ready for the next one */
#define FIRING     (~(SIZE_MAX >> 1)) /* in timer.place: an index of firing, not of heap */

struct call {
	loop_fn *fn; /* NULL = none */
	void *ctx;
};

struct watch {
	struct call call;
	int priority;
	uint32_t generation; /* tells a descriptor's new watch from events of its old one */
};

struct timers {
	struct timer **at;
	size_t n, cap;
};

struct loop {
	int epoll_fd, timer_fd, signal_fd; /* -1: a virtual loop has none */
	bool in_turn, called, stopped;
	int64_t armed_ms; /* when timer_fd will be readable, at the latest */
	uint32_t generation;
	struct watch *watch; /* by descriptor */
	size_t n_watch;
	struct timers heap;   /* earliest first */
	struct timers firing; /* taken from the heap by this turn; NULL = stopped since */
	struct call on_signal[NSIG];
	sigset_t signals;
	struct call hook[LOOP_TURN_HOOKS];
	size_t n_hook;
};

struct loop *loop_new_virtual(void)
{
	struct loop *loop = xcalloc(1, sizeof *loop);

	loop->epoll_fd = loop->timer_fd = loop->signal_fd = -1;
	loop->armed_ms = INT64_MAX;
	(void)sigemptyset(&loop->signals);
	return loop;
}

static void watch_raw(struct loop *loop, int fd, uint32_t generation)
{
	struct epoll_event event = { .events = EPOLLIN };

	event.data.u64 = (uint64_t)generation << 32 | (uint32_t)fd;
	MUST(epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0);
}

struct loop *loop_new(void)
{
	struct loop *loop = loop_new_virtual();

	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	MUST(loop->epoll_fd >= 0 && loop->timer_fd >= 0);
	watch_raw(loop, loop->timer_fd, 0);
	return loop;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	MUST(!loop->in_turn);
	close_fd(loop->signal_fd);
	close_fd(loop->timer_fd);
	close_fd(loop->epoll_fd);
	mem_free(loop->watch);
	mem_free(loop->heap.at);
	mem_free(loop->firing.at);
	mem_free(loop);
}

/* ---- descriptors and signals ---- */

void loop_watch(struct loop *loop, int fd, int priority, loop_fn *fn, void *ctx)
{
	size_t want = (size_t)fd + 1;

	MUST(loop->epoll_fd >= 0 && fd >= 0 && fn);
	if (want > loop->n_watch) {
		want = want < 2 * loop->n_watch ? 2 * loop->n_watch : want;
		loop->watch = xrealloc(loop->watch, want, sizeof *loop->watch);
		memset(loop->watch + loop->n_watch, 0,
		       (want - loop->n_watch) * sizeof *loop->watch);
		loop->n_watch = want;
	}
	MUST(!loop->watch[fd].call.fn);
	loop->watch[fd] = (struct watch){
		{fn, ctx},
                priority, ++loop->generation
	};
	watch_raw(loop, fd, loop->generation);
}

void loop_unwatch(struct loop *loop, int fd)
{
	MUST(fd >= 0 && (size_t)fd < loop->n_watch && loop->watch[fd].call.fn);
	MUST(epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL) == 0);
	loop->watch[fd] = (struct watch){ 0 };
}

static void run_call(struct loop *loop, struct call call)
{
	loop->called = true;
	call.fn(call.ctx);
}

static void on_signal_fd(void *self)
{
	struct loop *loop = self;
	struct signalfd_siginfo info;

	while (read(loop->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
		MUST(info.ssi_signo < NSIG && loop->on_signal[info.ssi_signo].fn);
		run_call(loop, loop->on_signal[info.ssi_signo]);
	}
}

void loop_on_signal(struct loop *loop, int signal_number, loop_fn *fn, void *ctx)
{
	bool first = loop->signal_fd < 0;

	MUST(signal_number > 0 && signal_number < NSIG && fn);
	loop->on_signal[signal_number] = (struct call){ fn, ctx };
	(void)sigaddset(&loop->signals, signal_number);
	MUST(pthread_sigmask(SIG_BLOCK, &loop->signals, NULL) == 0);
	loop->signal_fd = signalfd(loop->signal_fd, &loop->signals, SFD_CLOEXEC | SFD_NONBLOCK);
	MUST(loop->signal_fd >= 0);
	if (first)
		loop_watch(loop, loop->signal_fd, 0, on_signal_fd, loop);
}

void loop_on_turn_end(struct loop *loop, loop_fn *fn, void *ctx)
{
	MUST(loop->n_hook < LOOP_TURN_HOOKS && fn);
	loop->hook[loop->n_hook++] = (struct call){ fn, ctx };
}

/* ---- timers: a binary heap of pointers into their owners ---- */

static void append(struct timers *timers, struct timer *timer)
{
	if (timers->n == timers->cap) {
		timers->cap = timers->cap ? 2 * timers->cap : 16;
		timers->at = xrealloc(timers->at, timers->cap, sizeof(struct timer *));
	}
	timers->at[timers->n++] = timer;
}

static void put(struct timers *heap, size_t index, struct timer *timer)
{
	heap->at[index] = timer;
	timer->place = index + 1;
}

static void sift_up(struct timers *heap, size_t index)
{
	struct timer *timer = heap->at[index];

	for (; index > 0; index = (index - 1) / 2) {
		struct timer *parent = heap->at[(index - 1) / 2];

		if (parent->due_ms <= timer->due_ms)
			break;
		put(heap, index, parent);
	}
	put(heap, index, timer);
}

static void sift_down(struct timers *heap, size_t index)
{
	struct timer *timer = heap->at[index];
	size_t child;

	for (; (child = 2 * index + 1) < heap->n; index = child) {
		if (child + 1 < heap->n && heap->at[child + 1]->due_ms < heap->at[child]->due_ms)
			child++;
		if (timer->due_ms <= heap->at[child]->due_ms)
			break;
		put(heap, index, heap->at[child]);
	}
	put(heap, index, timer);
}

static void heap_remove(struct timers *heap, size_t index)
{
	struct timer *last = heap->at[--heap->n];

	heap->at[index]->place = 0;
	if (index == heap->n)
		return;
	put(heap, index, last);
	sift_up(heap, index);
	sift_down(heap, last->place - 1);
}

/* timer_fd may fire too early (a timer was stopped), never too late: so moving a timer
 * back, the usual case, costs no system call. */
static void arm(struct loop *loop)
{
	struct itimerspec spec = { 0 };
	int64_t due = loop_next_due_ms(loop), delay;

	if (loop->timer_fd < 0 || loop->in_turn || due >= loop->armed_ms)
		return;
	delay = due - clock_boot_ms();
	if (delay > 0)
		spec.it_value = (struct timespec){ delay / 1000, delay % 1000 * 1000000 };
	else
		spec.it_value.tv_nsec = 1; /* 0 would disarm it */
	MUST(timerfd_settime(loop->timer_fd, 0, &spec, NULL) == 0);
	loop->armed_ms = due;
}

void timer_set(struct loop *loop, struct timer *timer, int64_t delay_ms, loop_fn *fn, void *ctx)
{
	int64_t now = clock_boot_ms();

	MUST(fn);
	timer_stop(loop, timer);
	if (delay_ms < 0)
		delay_ms = 0;
	*timer = (struct timer){ .fn = fn, .ctx = ctx };
	timer->due_ms = delay_ms > INT64_MAX - 1 - now ? INT64_MAX - 1 : now + delay_ms;
	append(&loop->heap, timer);
	sift_up(&loop->heap, loop->heap.n - 1);
	arm(loop);
}

void timer_stop(struct loop *loop, struct timer *timer)
{
	size_t index = (timer->place & ~FIRING) - 1;

	if (timer->place == 0)
		return;
	if (timer->place & FIRING) {
		MUST(index < loop->firing.n && loop->firing.at[index] == timer);
		loop->firing.at[index] = NULL;
		timer->place = 0;
		return;
	}
	MUST(index < loop->heap.n && loop->heap.at[index] == timer);
	heap_remove(&loop->heap, index);
}

int64_t loop_next_due_ms(const struct loop *loop)
{
	return loop->heap.n > 0 ? loop->heap.at[0]->due_ms : INT64_MAX;
}

/* ---- the turn ---- */

static void serve_timers(struct loop *loop)
{
	int64_t now = clock_boot_ms();

	loop->firing.n = 0;
	while (loop_next_due_ms(loop) <= now) {
		struct timer *timer = loop->heap.at[0];

		heap_remove(&loop->heap, 0);
		append(&loop->firing, timer);
		timer->place = loop->firing.n | FIRING;
	}
	for (size_t i = 0; i < loop->firing.n; i++) {
		struct timer *timer = loop->firing.at[i];

		if (!timer)
			continue;
		loop->firing.at[i] = NULL;
		timer->place = 0;
		run_call(loop, (struct call){ timer->fn, timer->ctx });
	}
	loop->firing.n = 0;
}

/* The watch that an event belongs to, or NULL when it has ended since. */
static struct watch *watch_of(struct loop *loop, const struct epoll_event *event)
{
	size_t fd = (uint32_t)event->data.u64;
	uint32_t generation = (uint32_t)(event->data.u64 >> 32);

	if (fd >= loop->n_watch || !loop->watch[fd].call.fn ||
	    loop->watch[fd].generation != generation)
		return NULL;
	return &loop->watch[fd];
}

/* Stable: within a priority, the order in which they became ready. */
static void sort_by_priority(struct loop *loop, struct epoll_event *event, int n)
{
	for (int i = 1; i < n; i++) {
		struct epoll_event one = event[i];
		int priority = watch_of(loop, &one)->priority, j = i;

		for (; j > 0 && watch_of(loop, &event[j - 1])->priority > priority; j--)
			event[j] = event[j - 1];
		event[j] = one;
	}
}

/* Empties timer_fd and takes its event out. */
static int without_timer_fd(struct loop *loop, struct epoll_event *event, int n)
{
	int kept = 0;
	uint64_t expired;

	for (int i = 0; i < n; i++) {
		if ((uint32_t)event[i].data.u64 != (uint32_t)loop->timer_fd) {
			event[kept++] = event[i];
			continue;
		}
		if (read(loop->timer_fd, &expired, sizeof expired) == (ssize_t)sizeof expired)
			loop->armed_ms = INT64_MAX;
	}
	return kept;
}

static void serve_descriptors(struct loop *loop, int timeout_ms)
{
	struct epoll_event event[MAX_EVENTS];
	int n = epoll_wait(loop->epoll_fd, event, MAX_EVENTS, timeout_ms);

	MUST(n >= 0 || errno == EINTR);
	n = without_timer_fd(loop, event, n);
	sort_by_priority(loop, event, n);
	for (int i = 0; i < n; i++) {
		struct watch *watch = watch_of(loop, &event[i]);

		if (watch)
			run_call(loop, watch->call);
	}
}

static void turn(struct loop *loop, int timeout_ms)
{
	MUST(!loop->in_turn);
	loop->in_turn = true;
	loop->called = false;
	if (loop->epoll_fd >= 0)
		serve_descriptors(loop, timeout_ms);
	serve_timers(loop);
	if (loop->called)
		for (size_t i = 0; i < loop->n_hook; i++)
			loop->hook[i].fn(loop->hook[i].ctx);
	loop->in_turn = false;
	arm(loop);
}

int loop_fd(struct loop *loop)
{
	MUST(loop->epoll_fd >= 0);
	return loop->epoll_fd;
}

void loop_dispatch(struct loop *loop)
{
	turn(loop, 0);
}

void loop_run(struct loop *loop)
{
	MUST(loop->epoll_fd >= 0);
	while (!loop->stopped)
		turn(loop, -1);
	loop->stopped = false;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}
