/*
 * bench_edge - what the limits and the audit trail cost the edge, alone: CPU ns by the call.
 *
 *     bench_edge      {"frame_off","frame","request_off","request","read"}
 *
 * frame, request: with limits that are not reached; …_off: without any. read: noting that health
 * data was read.
 */
#include "common/wire.h"
#include "services/edge/limit.h"
#include "services/edge/reads.h"

#include <stdio.h>
#include <time.h>

#define FRAMES   20000000
#define REQUESTS 2000000
#define READS    2000000
#define PATHS    64

static double cpu_ns(void)
{
	struct timespec now;

	MUST(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double frames(struct limit *limit)
{
	double began = cpu_ns();
	int64_t now_ms = 1;

	for (int i = 0; i < FRAMES; i++) {
		now_ms += i % 16 == 0;
		MUST(!limit_take_frame(limit, 212, now_ms));
	}
	return (cpu_ns() - began) / FRAMES;
}

static double requests(struct limit *limit)
{
	char headers[LIMIT_HEADERS_MAX];
	double began = cpu_ns();

	for (int i = 0; i < REQUESTS; i++) {
		MUST(limit_take_request(limit));
		limit_headers(limit, headers);
	}
	return (cpu_ns() - began) / REQUESTS;
}

static void limits(struct loop *loop, uint64_t most, const Raeh__Principal *principal,
                   double *ret_frame, double *ret_request)
{
	struct limits_deps deps = { .loop = loop, .edges = 1 };
	AUTO(limits_free) struct limits *all = NULL;
	struct limit *limit;

	for (int kind = 0; kind < LIMIT_KINDS; kind++)
		deps.settings.of_key[kind] = most;
	all = limits_new(&deps);
	limit = limit_enter(all, principal);
	*ret_frame = frames(limit);
	*ret_request = requests(limit);
	limit_leave(limit);
}

static double reads(struct loop *loop, const Raeh__Principal *principal)
{
	AUTO(reads_free) struct reads *all = reads_new(&(struct reads_deps){ .loop = loop });
	char path[PATHS][64];
	double began;

	for (int i = 0; i < PATHS; i++)
		(void)snprintf(path[i], sizeof path[i],
		               "/v1/sessions/0192f0c0-0000-7000-8000-%012d/insights", i);
	began = cpu_ns();
	for (int i = 0; i < READS; i++)
		reads_note(all, principal, path[i % PATHS], "/v1/sessions/{id}", NULL);
	return (cpu_ns() - began) / READS;
}

int main(void)
{
	AUTO(loop_free) struct loop *loop = loop_new();
	const struct uuid id = { { 1 } };
	Raeh__Principal principal = RAEH__PRINCIPAL__INIT;
	double frame, frame_off, request, request_off;

	principal.key = principal.account = wire_bytes_of(&id);
	limits(loop, 0, &principal, &frame_off, &request_off);
	limits(loop, 1000000000, &principal, &frame, &request);
	(void)printf("{\"frame_off\":%.1f,\"frame\":%.1f,\"request_off\":%.1f,\"request\":%.1f,"
	             "\"read\":%.1f}\n",
	             frame_off, frame, request_off, request, reads(loop, &principal));
	return 0;
}
