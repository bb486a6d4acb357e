/*
 * analysis_fake - for tests: analysis.h with insights that are easy to foresee.
 *
 * hr at every 2 s and hrv_rmssd at every 10 s of session time that a frame has passed
 * (its end, on t0's clock, since the first frame), rr at the finish. A value depends on
 * every byte pushed so far and their order. Include it in one file of a test.
 */
#ifndef PUBLISHER_ANALYSIS_FAKE_H
#define PUBLISHER_ANALYSIS_FAKE_H

#include "services/publisher/analysis.h"

#include <string.h>

struct fake_state {
	uint64_t hash;
	int64_t origin_ms, hr_ms, hrv_ms, end_ms;
	uint32_t started, pushed;
};

struct analysis {
	struct fake_state state;
	struct analysis_insight queue[512];
	size_t head, len;
	struct analysis_placed pushed;
	unsigned slices;
};

static size_t fake_pushed; /* by the process, for tests that count work */

static const char *const fake_names[INSIGHT_TYPES] = { "hr",        "spo2",     "rr",
	                                               "hrv_rmssd", "hrv_sdnn", "motion" };

const char *insight_type_name(enum insight_type type)
{
	return fake_names[type];
}

const char *insight_unit(enum insight_type type)
{
	return type == INSIGHT_HR ? "bpm" : type == INSIGHT_SPO2 ? "%" : "brpm";
}

const char *insight_sqi_class(double confidence)
{
	return confidence >= 0.8 ? "excellent" : confidence >= 0.5 ? "acceptable" : "unfit";
}

struct analysis *analysis_new(const struct analysis_config *config)
{
	struct analysis *analysis = xcalloc(1, sizeof *analysis);

	MUST(config->n_slots >= 1);
	return analysis;
}

void analysis_free(struct analysis *analysis)
{
	mem_free(analysis);
}

static void fake_emit(struct analysis *analysis, enum insight_type type, int64_t t_ms)
{
	MUST(analysis->len < 512);
	analysis->queue[analysis->len++] = (struct analysis_insight){
		.type = type,
		.t_ms = t_ms,
		.value = 60 + (double)(analysis->state.hash % 6007) / 100,
		.confidence = 0.87654,
	};
}

struct analysis_placed analysis_push(struct analysis *analysis, unsigned slot, int64_t t0_ms,
                                     const uint8_t *payload, uint32_t sample_count)
{
	struct fake_state *state = &analysis->state;
	int64_t end = t0_ms + sample_count * 40;

	fake_pushed++;
	state->pushed++;
	state->hash = (state->hash ^ slot) * 0x100000001b3 + payload[0] + (uint64_t)t0_ms;
	if (!state->started || t0_ms < state->end_ms - 60000) {
		state->started = 1;
		state->origin_ms = state->hr_ms = state->hrv_ms = t0_ms;
	}
	for (; state->hr_ms + 2000 <= end; fake_emit(analysis, INSIGHT_HR, state->hr_ms))
		state->hr_ms += 2000;
	for (; state->hrv_ms + 10000 <= end; fake_emit(analysis, INSIGHT_HRV_RMSSD, state->hrv_ms))
		state->hrv_ms += 10000;
	state->end_ms = end;
	return (struct analysis_placed){ .stored = sample_count };
}

/* Needs a slice for each 100 s of the frame. */
void analysis_push_begin(struct analysis *analysis, unsigned slot, int64_t t0_ms,
                         const uint8_t *payload, uint32_t sample_count)
{
	analysis->slices = 1 + sample_count * 40 / 100000;
	analysis->pushed = analysis_push(analysis, slot, t0_ms, payload, sample_count);
}

bool analysis_push_some(struct analysis *analysis, unsigned seconds, struct analysis_placed *ret)
{
	(void)seconds;
	*ret = analysis->pushed;
	return --analysis->slices == 0;
}

bool analysis_next(struct analysis *analysis, struct analysis_insight *ret)
{
	if (analysis->head == analysis->len) {
		analysis->head = analysis->len = 0;
		return false;
	}
	*ret = analysis->queue[analysis->head++];
	return true;
}

void analysis_finish(struct analysis *analysis)
{
	if (analysis->state.started)
		fake_emit(analysis, INSIGHT_RR, analysis->state.end_ms);
}

size_t analysis_state_size(const struct analysis *analysis)
{
	return sizeof analysis->state;
}

void analysis_save(const struct analysis *analysis, uint8_t *ret)
{
	MUST(analysis->head == analysis->len);
	memcpy(ret, &analysis->state, sizeof analysis->state);
}

enum err analysis_restore(struct analysis *analysis, const uint8_t *state, size_t size)
{
	if (size != sizeof analysis->state)
		return ERR_MALFORMED;
	memcpy(&analysis->state, state, size);
	return OK;
}

#endif
