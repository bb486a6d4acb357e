/*
 * bench_dsp - what analysing a session costs, per mix of modalities.
 *
 * Prints microseconds of one core per second of signal and bytes per session, the
 * best of several runs over many sessions side by side (so that their states compete
 * for the cache as they do in the publisher). The signal is a made pulse with motion;
 * the cost hardly depends on what is in it.
 *
 *     bench_dsp [--json]
 */
#include "services/publisher/analysis.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SESSIONS  64
#define SECONDS   120
#define RUNS      3
#define MAX_SLOTS 4
#define MAX_RATE  1000

struct mix {
	const char *name;
	struct analysis_slot slot[MAX_SLOTS];
};

static const struct mix mixes[] = {
	{"ppg_ir 50 Hz",                        { { "ppg_ir", 50, 16, 1 } }               },
	{ "ppg_green 100 Hz",                   { { "ppg_green", 100, 24, 1 } }           },
	{ "ppg_green 100 Hz + acc 50 Hz",
         { { "ppg_green", 100, 24, 1 }, { "acc_3axis", 50, 16, 3 } }                      },
	{ "2 x ppg_green 125 Hz + acc 125 Hz",
         { { "ppg_green", 125, 24, 2 }, { "acc_3axis", 125, 16, 3 } }                     },
	{ "ppg_red, ppg_ir 64 Hz + acc 64 Hz",
         { { "ppg_red", 64, 24, 1 }, { "ppg_ir", 64, 24, 1 }, { "acc_3axis", 64, 16, 3 } }},
	{ "green, red, ir 100 Hz + acc 100 Hz",
         { { "ppg_green", 100, 24, 1 },
	    { "ppg_red", 100, 24, 1 },
	    { "ppg_ir", 100, 24, 1 },
	    { "acc_3axis", 100, 16, 3 } }	                                         },
	{ "ppg_green 1 kHz",                    { { "ppg_green", 1000, 24, 1 } }          },
};

static double now_us(void)
{
	struct timespec at;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
	return (double)at.tv_sec * 1e6 + (double)at.tv_nsec / 1e3;
}

static size_t count_slots(const struct mix *mix)
{
	size_t count = 0;

	while (count < MAX_SLOTS && mix->slot[count].num_channels > 0)
		count++;
	return count;
}

static void fill(const struct analysis_slot *slot, int64_t second, uint8_t *payload)
{
	unsigned bytes = (slot->bit_depth + 7) / 8;
	size_t rate = (size_t)slot->sample_rate_hz;

	for (size_t i = 0; i < rate; i++)
		for (unsigned c = 0; c < slot->num_channels; c++) {
			double t = (double)second + (double)i / slot->sample_rate_hz;
			double wave = sin(2 * M_PI * 1.3 * t) +
			              0.5 * sin(2 * M_PI * (2.6 * t + c)) +
			              0.3 * sin(2 * M_PI * 1.9 * t * (1 + c));
			int32_t value = (int32_t)(8000 + 2000 * wave);

			for (unsigned b = 0; b < bytes; b++)
				*payload++ = (uint8_t)(value >> (8 * b));
		}
}

static size_t drain(struct analysis *analysis)
{
	struct analysis_insight insight;
	size_t count = 0;

	while (analysis_next(analysis, &insight))
		count++;
	return count;
}

/* One second of the mix for every session; the time that it took. */
static double feed(const struct mix *mix, struct analysis **session, int64_t second)
{
	static uint8_t payload[MAX_SLOTS][MAX_RATE * 4 * 3];
	size_t slots = count_slots(mix);
	double start;

	for (size_t s = 0; s < slots; s++)
		fill(&mix->slot[s], second, payload[s]);
	start = now_us();
	for (size_t n = 0; n < SESSIONS; n++) {
		for (size_t s = 0; s < slots; s++)
			analysis_push(session[n], (unsigned)s, second * 1000, payload[s],
			              (uint32_t)mix->slot[s].sample_rate_hz);
		drain(session[n]);
	}
	return now_us() - start;
}

static double run(const struct mix *mix, size_t *ret_bytes)
{
	const struct analysis_config config = { .slots = mix->slot, .n_slots = count_slots(mix) };
	struct analysis *session[SESSIONS];
	double spent = 0;

	for (size_t n = 0; n < SESSIONS; n++)
		session[n] = analysis_new(&config);
	for (int64_t second = 0; second < SECONDS; second++)
		spent += feed(mix, session, second);
	*ret_bytes = analysis_state_size(session[0]);
	for (size_t n = 0; n < SESSIONS; n++)
		analysis_free(session[n]);
	return spent / ((double)SESSIONS * SECONDS);
}

int main(int argc, char **argv)
{
	bool json = argc > 1 && strcmp(argv[1], "--json") == 0;

	if (json)
		printf("[");
	else
		printf("%-36s %10s %10s\n", "slots", "us/s", "bytes");
	for (size_t m = 0; m < ARRAY_LEN(mixes); m++) {
		size_t bytes = 0;
		double best = INFINITY;

		for (int r = 0; r < RUNS; r++)
			best = fmin(best, run(&mixes[m], &bytes));
		if (json)
			printf("%s\n {\"slots\":\"%s\",\"us_per_s\":%.2f,\"bytes\":%zu}",
			       m > 0 ? "," : "", mixes[m].name, best, bytes);
		else
			printf("%-36s %10.1f %10zu\n", mixes[m].name, best, bytes);
	}
	if (json)
		printf("\n]\n");
	return EXIT_SUCCESS;
}
