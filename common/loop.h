/*
 * loop - one thread's descriptors, timers and signals.
 *
 * Everything an actor reacts to arrives as a call from its loop. loop_run() owns
 * the thread; or another loop (libwebsockets') watches loop_fd(), which is
 * readable whenever loop_dispatch() has work, timers included.
 *
 * A virtual loop has no descriptors and never waits: the simulation moves the
 * clock (clock_set_source) and calls loop_dispatch().
 *
 * Not thread-safe. Borrows every ctx until it is unwatched or stopped.
 */
#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H

#include "common/mem.h"

#include <stdint.h>

struct loop;

typedef void loop_fn(void *ctx);

struct loop *loop_new(void);
struct loop *loop_new_virtual(void);
void loop_free(struct loop *loop);
AUTO_FREE(struct loop, loop_free)

/* fn is called while fd is readable (level-triggered). One watch a descriptor. Watches
 * are served in the order of their priority: lower first. */
void loop_watch(struct loop *loop, int fd, int priority, loop_fn *fn, void *ctx);
void loop_unwatch(struct loop *loop, int fd);

/* Blocks the signal for the process (so call it before any thread exists) and takes it
 * through a descriptor. A later call for the same signal replaces the earlier. */
void loop_on_signal(struct loop *loop, int signal_number, loop_fn *fn, void *ctx);

/* Called after each turn that called anything: the place to send what a turn has
 * gathered. At most LOOP_TURN_HOOKS. */
#define LOOP_TURN_HOOKS 8
void loop_on_turn_end(struct loop *loop, loop_fn *fn, void *ctx);

/* A timer lives inside its owner; zero it before first use. It fires once. */
struct timer {
	int64_t due_ms; /* on clock_boot_ms() */
	loop_fn *fn;
	void *ctx;
	size_t place; /* 1 + index in the loop's heap; 0 = not set */
};
/* Sets or moves it; delay_ms <= 0 fires in the next turn. */
void timer_set(struct loop *loop, struct timer *timer, int64_t delay_ms, loop_fn *fn, void *ctx);
void timer_stop(struct loop *loop, struct timer *timer);

/* Boot time of the earliest timer, or INT64_MAX. */
int64_t loop_next_due_ms(const struct loop *loop);

int loop_fd(struct loop *loop);
/* Serves what is ready now, without waiting. */
void loop_dispatch(struct loop *loop);
/* Until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

#endif
