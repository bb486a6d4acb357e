/*
 * The bundled recordings through the session code, against their references: what the
 * estimators promise on people and not on made signals. Run from the root of the tree.
 */
#include "common/recording.h"
#include "services/publisher/analysis.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define FOLDER  "integration/recordings/"
#define MAX_OUT 4096
#define MAX_REF 8192

struct answer {
	double t_s, value, confidence;
};

struct answers {
	struct answer item[MAX_OUT];
	size_t count;
};

struct reference {
	double t_s[MAX_REF], value[MAX_REF];
	size_t count;
};

static struct analysis *open_session(const struct recording *recording)
{
	struct analysis_slot slots[RECORDING_MAX_SLOTS] = { 0 };
	struct analysis_config config = { .slots = slots, .n_slots = recording->n_slots };

	for (size_t s = 0; s < recording->n_slots; s++) {
		memcpy(slots[s].modality, recording->slot[s].modality, sizeof(slots[s].modality));
		slots[s].sample_rate_hz = recording->slot[s].sample_rate_hz;
		slots[s].bit_depth = recording->slot[s].bit_depth;
		slots[s].num_channels = recording->slot[s].num_channels;
	}
	return analysis_new(&config);
}

static void take(struct analysis *analysis, enum insight_type type, struct answers *ret)
{
	struct analysis_insight insight;

	while (analysis_next(analysis, &insight)) {
		if (insight.type != type || ret->count == MAX_OUT)
			continue;
		ret->item[ret->count++] = (struct answer){ (double)insight.t_ms / 1000,
			                                   insight.value, insight.confidence };
	}
}

/* Everything of one type that a recording says in frames of frame_ms. */
static void analyze(const char *name, unsigned frame_ms, enum insight_type type,
                    struct answers *ret)
{
	AUTO_MEM char *path = xasprintf(FOLDER "%s.csv", name);
	struct recording_fault fault;
	AUTO(recording_close) struct recording *recording = NULL;
	AUTO(analysis_free) struct analysis *analysis = NULL;
	struct recording_frame frame;

	cr_assert_eq(recording_open(path, NULL, &fault, &recording), OK, "%s", fault.text);
	analysis = open_session(recording);
	ret->count = 0;
	for (size_t k = 0; recording_frame(recording, 0, 0, k, frame_ms, &frame); k++)
		for (size_t s = 0; s < recording->n_slots; s++) {
			cr_assert(recording_frame(recording, 0, s, k, frame_ms, &frame));
			analysis_push(analysis, (unsigned)s, frame.t0_ms, frame.payload,
			              frame.sample_count);
			take(analysis, type, ret);
		}
	analysis_finish(analysis);
	take(analysis, type, ret);
	cr_assert_gt(ret->count, 0, "%s: nothing was said", name);
}

static void load(const char *name, const char *type, struct reference *ret)
{
	AUTO_MEM char *path = xasprintf(FOLDER "%s_ref.csv", name);
	FILE *file = fopen(path, "r");
	char line[128], kind[16];

	cr_assert_not_null(file, "%s", path);
	ret->count = 0;
	while (fgets(line, sizeof(line), file) != NULL) {
		double t, value;

		if (sscanf(line, "%lf,%15[a-z0-9],%lf", &t, kind, &value) == 3 &&
		    strcmp(kind, type) == 0 && ret->count < MAX_REF) {
			ret->t_s[ret->count] = t;
			ret->value[ret->count++] = value;
		}
	}
	fclose(file);
	cr_assert_gt(ret->count, 0, "%s has no %s", path, type);
}

/* The reference nearest to a time, NAN when none is within a second and a bit. */
static double reference_at(const struct reference *reference, double t_s)
{
	double best = 1.05, value = NAN;

	for (size_t i = 0; i < reference->count; i++)
		if (fabs(reference->t_s[i] - t_s) <= best) {
			best = fabs(reference->t_s[i] - t_s);
			value = reference->value[i];
		}
	return value;
}

/* Mean absolute error of the answers that are trusted at least that much, and the share
 * of all that they are. lag_s: how much later the reference shows what happened. */
static double mean_error(const struct answers *answers, const struct reference *reference,
                         double lag_s, double least, double *share)
{
	double sum = 0;
	size_t used = 0, all = 0;

	for (size_t i = 0; i < answers->count; i++) {
		double want = reference_at(reference, answers->item[i].t_s + lag_s);

		if (!isfinite(want))
			continue;
		all++;
		if (answers->item[i].confidence < least)
			continue;
		used++;
		sum += fabs(answers->item[i].value - want);
	}
	*share = all > 0 ? (double)used / (double)all : 0;
	return used > 0 ? sum / (double)used : 0;
}

static struct answers answers, others;
static struct reference reference;

static double error_of(const char *name, enum insight_type type, double lag_s, double least,
                       double *share)
{
	analyze(name, 1000, type, &answers);
	load(name, insight_type_name(type), &reference);
	return mean_error(&answers, &reference, lag_s, least, share);
}

Test(recordings, at_rest_the_heart_rate_is_within_a_beat_or_two)
{
	const struct {
		const char *name;
		double lag_s, most;
	} cases[] = {
		{"bidmc_01",        0, 0.7},
		{ "welltory_05",    0, 1.5},
		{ "welltory_15",    0, 1.5},
		{ "uw_100001_left", 5, 1.4}
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		double share,
		        error = error_of(cases[i].name, INSIGHT_HR, cases[i].lag_s, 0.5, &share);

		cr_assert_leq(error, cases[i].most, "%s: %.2f bpm", cases[i].name, error);
		cr_assert_geq(share, 0.9, "%s: %.0f %% fit", cases[i].name, 100 * share);
	}
}

Test(recordings, the_breathing_rate_is_within_two_a_minute)
{
	double share, error = error_of("bidmc_01", INSIGHT_RR, 0, 0.5, &share);

	cr_assert_leq(error, 1, "bidmc_01: %.2f", error);
	cr_assert_geq(share, 0.85, "bidmc_01: %.0f %% fit", 100 * share);
	error = error_of("uw_100001_left", INSIGHT_RR, 10, 0.5, &share);
	cr_assert_leq(error, 2, "uw_100001_left: %.2f", error);
	cr_assert_geq(share, 0.85, "uw_100001_left: %.0f %% fit", 100 * share);
}

Test(recordings, on_a_bicycle_the_heart_is_followed_and_not_the_legs)
{
	double share, error;

	error = error_of("wrist_s1_high_resistance_bike", INSIGHT_HR, 0, 0, &share);
	cr_assert_leq(error, 8, "high resistance: %.2f bpm", error);
	error = error_of("wrist_s1_low_resistance_bike", INSIGHT_HR, 0, 0, &share);
	cr_assert_leq(error, 8, "low resistance: %.2f bpm", error);
}

Test(recordings, a_rate_that_is_locked_to_the_gait_is_unfit)
{
	analyze("wrist_s1_walk", 1000, INSIGHT_HR, &answers);
	load("wrist_s1_walk", "hr", &reference);

	for (size_t i = 0; i < answers.count; i++) {
		double want = reference_at(&reference, answers.item[i].t_s);

		if (isfinite(want) && fabs(answers.item[i].value - want) > 0.1 * want)
			cr_assert_lt(answers.item[i].confidence, 0.5, "at %g s: %g for %g",
			             answers.item[i].t_s, answers.item[i].value, want);
	}
}

Test(recordings, say_the_same_bit_by_bit_in_frames_of_a_sample_and_of_ten_seconds)
{
	const char *const names[] = { "bidmc_01", "wrist_s1_low_resistance_bike", "welltory_05" };

	for (size_t n = 0; n < ARRAY_LEN(names); n++) {
		analyze(names[n], 0, INSIGHT_HR, &answers);
		analyze(names[n], 10000, INSIGHT_HR, &others);
		cr_assert_eq(answers.count, others.count, "%s", names[n]);
		cr_assert_eq(
		        memcmp(answers.item, others.item, answers.count * sizeof(*answers.item)), 0,
		        "%s", names[n]);
	}
}
