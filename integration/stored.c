/*
 * stored - what a publisher's store holds of each session, read while no publisher runs.
 *
 *     stored DATA/publisher-0  ->  {"session": …, "first": 1, "frames": 3, "digest": …}
 *
 * One line a session: the number of its first frame row, how many rows follow without a
 * gap, and the BLAKE2b of the frames one behind the other, each behind its length (4 bytes,
 * big-endian). So a test says what a client sent and compares one line. A gap is a "gap".
 */
#include "common/keys.h"
#include "common/store.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGEST_BYTES 16

struct tally {
	struct uuid session;
	uint64_t first, frames, gap;
	crypto_generichash_state hash;
};

static void say(struct tally *tally)
{
	uint8_t digest[DIGEST_BYTES];
	char id[UUID_TEXT], hex[2 * DIGEST_BYTES + 1];

	if (tally->frames == 0)
		return;
	uuid_text(&tally->session, id);
	MUST(crypto_generichash_final(&tally->hash, digest, sizeof digest) == 0);
	(void)printf("{\"session\":\"%s\",\"first\":%llu,\"frames\":%llu,\"gap\":%llu,"
	             "\"digest\":\"%s\"}\n",
	             id, (unsigned long long)tally->first, (unsigned long long)tally->frames,
	             (unsigned long long)tally->gap,
	             sodium_bin2hex(hex, sizeof hex, digest, sizeof digest));
}

static void begin(struct tally *tally, const struct uuid *session, uint64_t number)
{
	*tally = (struct tally){ .session = *session, .first = number };
	MUST(crypto_generichash_init(&tally->hash, NULL, 0, DIGEST_BYTES) == 0);
}

static void count(struct tally *tally, uint64_t number, struct bytes frame)
{
	const uint8_t head[4] = { (uint8_t)(frame.len >> 24), (uint8_t)(frame.len >> 16),
		                  (uint8_t)(frame.len >> 8), (uint8_t)frame.len };

	if (number != tally->first + tally->frames && tally->gap == 0)
		tally->gap = number;
	tally->frames++;
	MUST(crypto_generichash_update(&tally->hash, head, sizeof head) == 0);
	MUST(crypto_generichash_update(&tally->hash, frame.data, frame.len) == 0);
}

/* partition (2) account (16) 'f' session (16) number (8) */
static bool is_frame(struct bytes key)
{
	const uint8_t *at = key.data;

	return key.len == 43 && at[0] == 0 && at[1] < PARTITIONS && at[18] == 'f';
}

static int read_all(struct store *store)
{
	static const uint8_t end[] = { 0xff, 0xff, 0xff };
	AUTO(scan_close)
	struct store_scan *scan = scan_open(store, BYTES("", 0), BYTES(end, sizeof end), false);
	struct tally tally = { 0 };
	struct bytes key, frame;

	while (scan_next(scan, &key, &frame)) {
		struct uuid session;
		uint64_t number;

		if (!is_frame(key))
			continue;
		memcpy(&session, key_row(key).data, sizeof session);
		number = key_read_u64((const uint8_t *)key_row(key).data + sizeof session);
		if (tally.frames == 0 || !uuid_equal(&tally.session, &session)) {
			say(&tally);
			begin(&tally, &session, number);
		}
		count(&tally, number, frame);
	}
	say(&tally);
	return scan_err(scan) == OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	AUTO(loop_free) struct loop *loop = NULL;
	AUTO(store_close) struct store *store = NULL;
	char why[256];

	if (argc != 2) {
		(void)fprintf(stderr, "usage: stored DIRECTORY\n");
		return 2;
	}
	MUST(sodium_init() >= 0);
	loop = loop_new();
	if (store_open(argv[1], KEY_RUN_SESSION, loop, why, &store) != OK) {
		(void)fprintf(stderr, "%s: %s\n", argv[1], why);
		return EXIT_FAILURE;
	}
	return read_all(store);
}
