/*
 * Frames of any slot, stamp, length and bytes, checkpoints in between: no crash, no
 * number that is not one, no confidence outside 0..1, samples all accounted for.
 */
#include "services/publisher/analysis.h"

#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SLOTS            4
#define HEAD_BYTES       4  /* of a frame's record: slot, samples, stamp */
#define PATTERN_BYTES    64 /* repeated over the payload */
#define MOST_SAMPLES     1021
#define MAX_SAMPLE_BYTES (4 * 16)

/* What the fuzzer still has to give. */
struct source {
	const uint8_t *at;
	size_t left;
};

static unsigned take(struct source *source)
{
	if (source->left == 0)
		return 0;
	source->left--;
	return *source->at++;
}

static struct analysis *make(struct source *source)
{
	static const char *const modality[] = { "ppg_green", "ppg_red", "ppg_ir", "acc_3axis",
		                                "other" };
	static const double rate[] = { 8, 25, 30, 50, 64, 100, 125.5, 256, 1000, 10000 };
	struct analysis_slot slot[SLOTS] = { 0 };
	struct analysis_config config = { .slots = slot, .n_slots = SLOTS };

	for (size_t s = 0; s < SLOTS; s++) {
		strcpy(slot[s].modality, modality[take(source) % ARRAY_LEN(modality)]);
		slot[s].sample_rate_hz = rate[take(source) % ARRAY_LEN(rate)];
		slot[s].bit_depth = 1 + take(source) % 32;
		slot[s].num_channels = take(source) % 17;
	}
	return analysis_new(&config);
}

static void drain(struct analysis *analysis)
{
	struct analysis_insight insight;

	while (analysis_next(analysis, &insight)) {
		MUST(isfinite(insight.value));
		MUST(insight.confidence >= 0 && insight.confidence <= 1);
	}
}

static void checkpoint(struct analysis *analysis)
{
	size_t size = analysis_state_size(analysis);
	AUTO_MEM uint8_t *state = xcalloc(1, size);

	analysis_save(analysis, state);
	MUST(analysis_restore(analysis, state, size) == OK);
}

/* Stamps walk forwards; now and then they leap. */
static int64_t stamp(int64_t t0_ms, unsigned step)
{
	static const int64_t leap[] = { -100000, -2500, -500, 61000, 1000000, INT64_C(1) << 50 };

	return step >= 250 ? t0_ms + leap[step - 250] : t0_ms + step * 8;
}

static void frame(struct analysis *analysis, struct source *source, int64_t *t0_ms)
{
	static uint8_t payload[MOST_SAMPLES * MAX_SAMPLE_BYTES];
	unsigned slot = take(source) % (SLOTS + 1),
	         count = take(source) * (1 + take(source) % 40) % MOST_SAMPLES;
	struct analysis_placed placed;
	size_t bytes;

	*t0_ms = stamp(*t0_ms, take(source));
	bytes = source->left < PATTERN_BYTES ? source->left : PATTERN_BYTES;
	for (size_t i = 0; bytes > 0 && i < (size_t)count * MAX_SAMPLE_BYTES; i++)
		payload[i] = source->at[i % bytes];
	source->at += bytes / 2;
	source->left -= bytes / 2;
	placed = analysis_push(analysis, slot, *t0_ms, payload, count);
	MUST(placed.stored + placed.overlapped + placed.late == count ||
	     placed.stored + placed.overlapped + placed.late == 0);
	drain(analysis);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct source source = { data, size };
	AUTO(analysis_free) struct analysis *analysis = make(&source);
	int64_t t0_ms = 1760000000000;

	while (source.left >= HEAD_BYTES) {
		frame(analysis, &source, &t0_ms);
		if (source.left % 16 == 0)
			checkpoint(analysis);
	}
	analysis_finish(analysis);
	drain(analysis);
	return 0;
}
