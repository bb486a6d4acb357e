/*
 * policy - how long to wait before trying again.
 *
 * Restarts: a process that dies is started again at once; only when it has died more than
 * RESTART_DEATHS times within RESTART_WINDOW_MS does it wait: 1 s, 2 s … 10 s, until it
 * has lived for a whole window.
 *
 * Reconnects: at once after 1001, otherwise doubling from RECONNECT_FIRST_MS to
 * RECONNECT_MOST_MS, spread by a quarter so that a fleet does not come back as one.
 *
 * Pure: time and randomness are given.
 */
#ifndef CLI_POLICY_H
#define CLI_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#define RESTART_DEATHS    5
#define RESTART_WINDOW_MS 10000
#define RESTART_STEP_MS   1000
#define RESTART_MOST_MS   10000

struct restart_policy {
	int64_t death_ms[RESTART_DEATHS]; /* a ring of the last deaths */
	unsigned deaths, step;
};
/* A process that was started at started_ms has died now; the answer is how long to wait. */
int64_t restart_delay_ms(struct restart_policy *policy, int64_t started_ms, int64_t now_ms);

#define RECONNECT_FIRST_MS 500
#define RECONNECT_MOST_MS  15000

/* attempt: failures since the last success, from 1. random: any number. */
int64_t reconnect_delay_ms(unsigned attempt, int close_code, uint32_t random);
/* Whether a client that was closed with this code shall come back by itself. */
bool reconnect_allowed(int close_code);

#endif
