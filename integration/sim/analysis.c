/*
 * The publisher's analysis, made small: the simulation asks whether insights are emitted
 * once and in order, not whether they are right. One hr for every fourth frame, its t the
 * frame's t0. Linked in place of the real one; same promises (save, restore, determinism).
 */
#include "services/publisher/analysis.h"

#include <string.h>

#define EVERY 4
#define DUE   64

struct analysis {
	uint64_t frames;
	int64_t last_t_ms;
	unsigned n_due, first_due;
	struct analysis_insight due[DUE];
	struct analysis_placed pushed;
};

const char *insight_type_name(enum insight_type type)
{
	static const char *const names[] = {
		"hr", "spo2", "rr", "hrv_rmssd", "hrv_sdnn", "motion"
	};

	return names[type];
}

const char *insight_unit(enum insight_type type)
{
	(void)type;
	return "bpm";
}

const char *insight_sqi_class(double confidence)
{
	(void)confidence;
	return "excellent";
}

struct analysis *analysis_new(const struct analysis_config *config)
{
	(void)config;
	return xcalloc(1, sizeof(struct analysis));
}

void analysis_free(struct analysis *analysis)
{
	mem_free(analysis);
}

struct analysis_placed analysis_push(struct analysis *analysis, unsigned slot, int64_t t0_ms,
                                     const uint8_t *payload, uint32_t sample_count)
{
	struct analysis_placed placed = { .stored = sample_count };

	(void)slot;
	(void)payload;
	analysis->frames++;
	if (analysis->frames % EVERY == 0 && t0_ms > analysis->last_t_ms && analysis->n_due < DUE) {
		analysis->due[analysis->n_due++] = (struct analysis_insight){
			.type = INSIGHT_HR,
			.t_ms = t0_ms,
			.value = (double)analysis->frames,
			.confidence = 1,
		};
		analysis->last_t_ms = t0_ms;
	}
	return placed;
}

/* In one piece, whatever is asked. */
void analysis_push_begin(struct analysis *analysis, unsigned slot, int64_t t0_ms,
                         const uint8_t *payload, uint32_t sample_count)
{
	analysis->pushed = analysis_push(analysis, slot, t0_ms, payload, sample_count);
}

bool analysis_push_some(struct analysis *analysis, unsigned seconds, struct analysis_placed *ret)
{
	(void)seconds;
	*ret = analysis->pushed;
	return true;
}

bool analysis_next(struct analysis *analysis, struct analysis_insight *ret)
{
	if (analysis->first_due == analysis->n_due) {
		analysis->first_due = analysis->n_due = 0;
		return false;
	}
	*ret = analysis->due[analysis->first_due++];
	return true;
}

void analysis_finish(struct analysis *analysis)
{
	(void)analysis;
}

size_t analysis_state_size(const struct analysis *analysis)
{
	return sizeof *analysis;
}

void analysis_save(const struct analysis *analysis, uint8_t *ret)
{
	memcpy(ret, analysis, sizeof *analysis);
}

enum err analysis_restore(struct analysis *analysis, const uint8_t *state, size_t size)
{
	if (size != sizeof *analysis)
		return ERR_MALFORMED;
	memcpy(analysis, state, sizeof *analysis);
	return OK;
}
