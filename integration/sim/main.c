/*
 * sim - plays schedules of the simulation.
 *
 *     sim [--schedules N] [--seed S] [--jobs J] [--verbose]
 *
 * Schedule i has the seed S + i, printed when a promise breaks, so that
 * `sim --schedules 1 --seed X --verbose` plays it again exactly. Exit 1 when one broke.
 */
#include "common/log.h"
#include "common/map.h"
#include "integration/sim/fleet.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t random_state;

/* Everything random in the actors comes from here: the same seed, the same run. */
static uint32_t sim_random(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (uint32_t)((z ^ z >> 31) >> 16);
}

static void sim_random_buf(void *buf, size_t size)
{
	uint8_t *p = buf;

	for (size_t i = 0; i < size; i++)
		p[i] = (uint8_t)sim_random();
}

static const char *sim_name(void)
{
	return "sim";
}

static int sim_close(void)
{
	return 0;
}

static struct randombytes_implementation sim_randombytes = {
	.implementation_name = sim_name,
	.random = sim_random,
	.buf = sim_random_buf,
	.close = sim_close,
};

/* Hash tables draw their secret once a process: before any schedule, always the same. */
static void fix_hashing(void)
{
	struct map map;
	const uint8_t key[4] = { 0 };

	random_state = 1;
	map_init(&map, sizeof key);
	(void)map_find(&map, key);
	map_done(&map);
}

static int play(uint64_t first, uint64_t count, uint64_t step, bool verbose)
{
	struct fleet_result total = { 0 };
	uint64_t broken = 0, played = 0;

	/* Whatever a process draws once and keeps is drawn here: the first schedule of a process
	 * is no other than a later one. */
	random_state = 0;
	(void)fleet_play(0, false);
	for (uint64_t i = first; i < first + count; i += step, played++) {
		struct fleet_result result;

		random_state = i;
		result = fleet_play(i, verbose);
		total.frames_taken += result.frames_taken;
		total.frames_stored += result.frames_stored;
		total.insights += result.insights;
		total.revokes += result.revokes;
		total.changes += result.changes;
		total.tokens += result.tokens;
		total.sessions += result.sessions;
		total.resumed += result.resumed;
		total.crashes += result.crashes;
		total.heard += result.heard;
		if (result.broken) {
			broken++;
			printf("BROKEN seed=%" PRIu64 " %s\n", i, result.what);
			(void)fflush(stdout);
			if (broken == 5)
				break;
		}
	}
	printf("%" PRIu64 " schedules, seeds %" PRIu64 " to %" PRIu64 ": %" PRIu64
	       " frames taken, %" PRIu64 " stored, %" PRIu64 " sessions, %" PRIu64
	       " resumed, %" PRIu64 " insights, %" PRIu64 " heard, %" PRIu64 " revokes, %" PRIu64
	       " changes, %" PRIu64 " tokens, %" PRIu64 " crashes, %" PRIu64 " broken\n",
	       played, first, first + count - 1, total.frames_taken, total.frames_stored,
	       total.sessions, total.resumed, total.insights, total.heard, total.revokes,
	       total.changes, total.tokens, total.crashes, broken);
	return broken ? 1 : 0;
}

static int play_jobs(uint64_t seed, uint64_t schedules, unsigned jobs, bool verbose)
{
	int status = 0;

	for (unsigned j = 0; j < jobs; j++) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (pid == 0)
			exit(play(seed + j, schedules > j ? schedules - j : 0, jobs, verbose));
	}
	for (unsigned j = 0; j < jobs; j++) {
		int one = 0;

		if (wait(&one) < 0 || one != 0)
			status = 1;
	}
	return status;
}

int main(int argc, char **argv)
{
	uint64_t schedules = 1000, seed = (uint64_t)time(NULL) * 1000003u;
	unsigned jobs = 1;
	bool verbose = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--schedules") == 0 && i + 1 < argc)
			schedules = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--jobs") == 0 && i + 1 < argc)
			jobs = (unsigned)strtoul(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--verbose") == 0)
			verbose = true;
		else {
			(void)fprintf(stderr, "usage: sim [--schedules N] [--seed S] [--jobs J] "
			                      "[--verbose]\n");
			return 2;
		}
	}
	log_init("sim", verbose ? LOG_DEBUG : LOG_ERROR);
	if (randombytes_set_implementation(&sim_randombytes) != 0 || sodium_init() < 0)
		return 1;
	fix_hashing();
	printf("seed %" PRIu64 "\n", seed);
	(void)fflush(stdout);
	return jobs > 1 ? play_jobs(seed, schedules, jobs, verbose)
	                : play(seed, schedules, 1, verbose);
}
