/*
 * bench_edge - what limits, audit trail and tokens cost the edge, alone: CPU ns by the call.
 *
 *     bench_edge      {"frame_off","frame","request_off","request","read","token","ed25519"}
 *
 * frame, request: with limits that are not reached; …_off: without any. read: noting that health
 * data was read. token: reading one and holding it against its key's rights; ed25519: the check of
 * its signature, which is a part of that.
 */
#include "common/token.h"
#include "common/wire.h"
#include "services/edge/limit.h"
#include "services/edge/reads.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define FRAMES   20000000
#define REQUESTS 2000000
#define READS    2000000
#define TOKENS   20000
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

static double tokens(const Raeh__Principal *rights)
{
	const uint8_t seed[TOKEN_SEED_BYTES] = { 7 };
	Raeh__Principal principal = *rights;
	uint8_t key[TOKEN_KEY_BYTES];
	char text[TOKEN_TEXT];
	double began;

	principal.has_is_token = principal.is_token = 1;
	principal.has_expires_ms = 1;
	principal.expires_ms = INT64_MAX;
	token_key_of(seed, key);
	token_make(&principal, seed, text);
	began = cpu_ns();
	for (int i = 0; i < TOKENS; i++) {
		Raeh__Principal *token = token_open(text, key);

		MUST(token && token_is_within(token, rights));
		wire_free(&token->base);
	}
	return (cpu_ns() - began) / TOKENS;
}

static double signatures(void)
{
	uint8_t key[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
	uint8_t signature[crypto_sign_BYTES], message[128] = { 0 };
	double began;

	MUST(crypto_sign_keypair(key, secret) == 0);
	MUST(crypto_sign_detached(signature, NULL, message, sizeof message, secret) == 0);
	began = cpu_ns();
	for (int i = 0; i < TOKENS; i++)
		MUST(crypto_sign_verify_detached(signature, message, sizeof message, key) == 0);
	return (cpu_ns() - began) / TOKENS;
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
	             "\"read\":%.1f,\"token\":%.1f,\"ed25519\":%.1f}\n",
	             frame_off, frame, request_off, request, reads(loop, &principal),
	             tokens(&principal), signatures());
	return 0;
}
