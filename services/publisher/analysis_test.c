/* What analysis promises its caller, on signals whose answer is known in closed form. */
#include "services/publisher/analysis.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define RATE    100
#define LIGHT   0
#define LIMB    1
#define MAX_OUT 512

/* Everything that came out of a session. */
struct heard {
	struct analysis_insight item[MAX_OUT];
	size_t count;
};

static const struct analysis_slot watch[] = {
	{"ppg_green",  RATE, 16, 1},
	{ "acc_3axis", RATE, 16, 3},
};
static const struct analysis_config watch_config = { .slots = watch, .n_slots = 2 };

static const struct analysis_slot oximeter[] = {
	{"ppg_red", RATE, 24, 1},
	{ "ppg_ir", RATE, 24, 1},
};

/* A pulse that rises faster than it falls, at bpm, with breathing in its level. */
static double pulse_at(double t, double bpm, double breaths)
{
	double phase = t * bpm / 60 - floor(t * bpm / 60);
	double beat = phase < 0.25 ? sin(phase * 2 * M_PI) : cos((phase - 0.25) * M_PI / 1.5);

	return beat + 0.8 * sin(2 * M_PI * breaths / 60 * t);
}

static void put(uint8_t *at, unsigned bytes, double value)
{
	int32_t whole = (int32_t)lrint(value);

	for (unsigned b = 0; b < bytes; b++)
		at[b] = (uint8_t)((uint32_t)whole >> (8 * b));
}

static void fill_light(uint8_t *payload, size_t from, size_t count, double bpm)
{
	for (size_t i = 0; i < count; i++)
		put(payload + 2 * i, 2, 1000 + 500 * pulse_at((double)(from + i) / RATE, bpm, 15));
}

static void fill_limb(uint8_t *payload, size_t from, size_t count, double swing)
{
	for (size_t i = 0; i < count; i++) {
		double t = (double)(from + i) / RATE;

		put(payload + 6 * i, 2, swing * sin(2 * M_PI * 1.8 * t));
		put(payload + 6 * i + 2, 2, swing * cos(2 * M_PI * 0.9 * t));
		put(payload + 6 * i + 4, 2, 1000);
	}
}

static struct analysis_placed push_light(struct analysis *analysis, size_t from, size_t count,
                                         double bpm)
{
	static uint8_t payload[2 * 65535];

	fill_light(payload, from, count, bpm);
	return analysis_push(analysis, LIGHT, (int64_t)(from * 1000 / RATE), payload,
	                     (uint32_t)count);
}

static struct analysis_placed push_limb(struct analysis *analysis, size_t from, size_t count,
                                        double swing)
{
	static uint8_t payload[6 * 65535];

	fill_limb(payload, from, count, swing);
	return analysis_push(analysis, LIMB, (int64_t)(from * 1000 / RATE), payload,
	                     (uint32_t)count);
}

static void take(struct analysis *analysis, struct heard *heard)
{
	while (heard->count < MAX_OUT && analysis_next(analysis, &heard->item[heard->count]))
		heard->count++;
}

/* A watch for seconds, in frames of `frame` samples. */
static void wear(struct analysis *analysis, size_t from_s, size_t to_s, size_t frame,
                 struct heard *heard)
{
	for (size_t at = from_s * RATE; at < to_s * RATE; at += frame) {
		push_light(analysis, at, frame, 72);
		push_limb(analysis, at, frame, 50);
		take(analysis, heard);
	}
}

static uint64_t bits_of(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static void assert_same(const struct heard *a, const struct heard *b)
{
	cr_assert_gt(a->count, 0);
	cr_assert_eq(a->count, b->count, "%zu insights, then %zu", a->count, b->count);
	for (size_t i = 0; i < a->count; i++) {
		const struct analysis_insight *x = &a->item[i], *y = &b->item[i];

		cr_assert_eq(x->type, y->type);
		cr_assert_eq(x->t_ms, y->t_ms);
		cr_assert_eq(bits_of(x->value), bits_of(y->value), "insight %zu: %.9g, then %.9g",
		             i, x->value, y->value);
		cr_assert_eq(bits_of(x->confidence), bits_of(y->confidence));
	}
}

static const struct analysis_insight *last_of(const struct heard *heard, enum insight_type type)
{
	for (size_t i = heard->count; i-- > 0;)
		if (heard->item[i].type == type)
			return &heard->item[i];
	return NULL;
}

static const struct analysis_insight *first_of(const struct heard *heard, enum insight_type type)
{
	for (size_t i = 0; i < heard->count; i++)
		if (heard->item[i].type == type)
			return &heard->item[i];
	return NULL;
}

Test(analysis, finds_the_rates_of_a_clean_pulse_and_trusts_them)
{
	AUTO(analysis_free) struct analysis *analysis = analysis_new(&watch_config);
	struct heard heard = { .count = 0 };

	wear(analysis, 0, 90, RATE, &heard);

	cr_assert_float_eq(last_of(&heard, INSIGHT_HR)->value, 72, 0.5);
	cr_assert_gt(last_of(&heard, INSIGHT_HR)->confidence, 0.8);
	cr_assert_float_eq(last_of(&heard, INSIGHT_RR)->value, 15, 0.5);
	cr_assert_lt(last_of(&heard, INSIGHT_HRV_RMSSD)->value, 10);
	cr_assert_lt(last_of(&heard, INSIGHT_MOTION)->value, 0.3);
}

Test(analysis, speaks_of_the_heart_within_ten_seconds_and_of_breath_within_forty)
{
	AUTO(analysis_free) struct analysis *analysis = analysis_new(&watch_config);
	struct heard heard = { .count = 0 };

	wear(analysis, 0, 40, RATE / 10, &heard);

	cr_assert_leq(first_of(&heard, INSIGHT_HR)->t_ms, 10000);
	cr_assert_leq(first_of(&heard, INSIGHT_RR)->t_ms, 40000);
}

Test(analysis, keeps_the_cadence_and_the_order_of_time)
{
	AUTO(analysis_free) struct analysis *analysis = analysis_new(&watch_config);
	struct heard heard = { .count = 0 };
	int64_t last_hr = 0, last_rr = 0;

	wear(analysis, 0, 60, RATE, &heard);

	for (size_t i = 0; i < heard.count; i++) {
		const struct analysis_insight *at = &heard.item[i];

		cr_assert(i == 0 || at->t_ms >= heard.item[i - 1].t_ms);
		if (at->type == INSIGHT_HR) {
			cr_assert(last_hr == 0 || at->t_ms == last_hr + 2000);
			last_hr = at->t_ms;
		}
		if (at->type == INSIGHT_RR) {
			cr_assert(last_rr == 0 || at->t_ms == last_rr + 5000);
			last_rr = at->t_ms;
		}
	}
	cr_assert_eq(last_hr, 60000);
	cr_assert_eq(last_rr, 60000);
}

Test(analysis, says_the_same_whether_frames_hold_a_sample_or_ten_seconds)
{
	AUTO(analysis_free) struct analysis *fine = analysis_new(&watch_config);
	AUTO(analysis_free) struct analysis *coarse = analysis_new(&watch_config);
	struct heard of_fine = { .count = 0 }, of_coarse = { .count = 0 };

	wear(fine, 0, 60, 1, &of_fine);
	wear(coarse, 0, 60, 10 * RATE, &of_coarse);

	assert_same(&of_fine, &of_coarse);
}

Test(analysis, says_the_same_of_a_frame_in_slices)
{
	static uint8_t payload[2 * 300 * RATE];
	AUTO(analysis_free) struct analysis *whole = analysis_new(&watch_config);
	AUTO(analysis_free) struct analysis *sliced = analysis_new(&watch_config);
	struct heard of_whole = { .count = 0 }, of_sliced = { .count = 0 };
	struct analysis_placed placed = push_light(whole, 0, 300 * RATE, 72), in_slices;
	unsigned slices = 1;

	take(whole, &of_whole);
	fill_light(payload, 0, 300 * RATE, 72);
	analysis_push_begin(sliced, LIGHT, 0, payload, 300 * RATE);
	while (!analysis_push_some(sliced, 7, &in_slices))
		slices++;
	take(sliced, &of_sliced);

	cr_assert_geq(slices, 300 / 7 - 10);
	cr_assert_eq(placed.stored, in_slices.stored);
	assert_same(&of_whole, &of_sliced);
}

Test(analysis, says_the_same_at_any_time_of_the_epoch)
{
	AUTO(analysis_free) struct analysis *then = analysis_new(&watch_config);
	AUTO(analysis_free) struct analysis *now = analysis_new(&watch_config);
	struct heard of_then = { .count = 0 }, of_now = { .count = 0 };
	const int64_t epoch_ms = 1760000000123;

	wear(then, 0, 60, RATE, &of_then);
	for (size_t at = 0; at < 60 * RATE; at += RATE) {
		uint8_t payload[2 * RATE], motion[6 * RATE];

		fill_light(payload, at, RATE, 72);
		analysis_push(now, LIGHT, epoch_ms + (int64_t)at * 1000 / RATE, payload, RATE);
		fill_limb(motion, at, RATE, 50);
		analysis_push(now, LIMB, epoch_ms + (int64_t)at * 1000 / RATE, motion, RATE);
		take(now, &of_now);
	}
	for (size_t i = 0; i < of_now.count; i++)
		of_now.item[i].t_ms -= epoch_ms;

	assert_same(&of_then, &of_now);
}

Test(analysis, says_the_same_when_frames_overtake_each_other_within_the_window)
{
	AUTO(analysis_free) struct analysis *in_order = analysis_new(&watch_config);
	AUTO(analysis_free) struct analysis *swapped = analysis_new(&watch_config);
	struct heard of_order = { .count = 0 }, of_swapped = { .count = 0 };
	const size_t order[] = { 2, 0, 3, 1, 4 }, frame = RATE / 5;

	wear(in_order, 0, 60, frame, &of_order);
	for (size_t at = 0; at < 60 * RATE; at += ARRAY_LEN(order) * frame) {
		for (size_t i = 0; i < ARRAY_LEN(order); i++) {
			push_limb(swapped, at + order[i] * frame, frame, 50);
			push_light(swapped, at + order[i] * frame, frame, 72);
		}
		take(swapped, &of_swapped);
	}

	assert_same(&of_order, &of_swapped);
}

Test(analysis, goes_on_bit_by_bit_from_a_checkpoint)
{
	AUTO(analysis_free) struct analysis *whole = analysis_new(&watch_config);
	struct heard of_whole = { .count = 0 }, of_parts = { .count = 0 };
	struct analysis *part = analysis_new(&watch_config);

	wear(whole, 0, 60, RATE / 4, &of_whole);
	for (size_t s = 0; s < 60; s += 5) {
		struct analysis *next = analysis_new(&watch_config);
		AUTO_MEM uint8_t *state = xcalloc(1, analysis_state_size(part));

		wear(part, s, s + 5, RATE / 4, &of_parts);
		analysis_save(part, state);
		cr_assert_eq(analysis_restore(next, state, analysis_state_size(part)), OK);
		analysis_free(part);
		part = next;
	}
	analysis_free(part);

	assert_same(&of_whole, &of_parts);
}

Test(analysis, refuses_a_checkpoint_of_another_configuration_or_a_damaged_one)
{
	const struct analysis_config other = { .slots = oximeter, .n_slots = 2 };
	AUTO(analysis_free) struct analysis *analysis = analysis_new(&watch_config);
	AUTO(analysis_free) struct analysis *another = analysis_new(&other);
	size_t size = analysis_state_size(analysis);
	AUTO_MEM uint8_t *state = xcalloc(1, size);

	analysis_save(analysis, state);

	cr_assert_eq(analysis_restore(another, state, size), ERR_MALFORMED);
	cr_assert_eq(analysis_restore(analysis, state, size - 1), ERR_MALFORMED);
	for (size_t i = 0; i < size; i += size / 64 + 1) {
		state[i] ^= 1;
		cr_assert_eq(analysis_restore(analysis, state, size), ERR_MALFORMED,
		             "byte %zu was changed", i);
		state[i] ^= 1;
	}
	cr_assert_eq(analysis_restore(analysis, state, size), OK);
}

Test(analysis, lets_the_first_writer_of_a_place_win)
{
	AUTO(analysis_free) struct analysis *analysis = analysis_new(&watch_config);
	struct analysis_placed placed;

	push_light(analysis, 0, 100, 72);
	placed = push_light(analysis, 50, 100, 72);

	cr_assert_eq(placed.stored, 50);
	cr_assert_eq(placed.overlapped, 50);
	cr_assert_eq(placed.late, 0);
}

Test(analysis, snaps_stamps_in_whole_milliseconds_to_the_grid)
{
	const struct analysis_slot slot = { "ppg_ir", 64, 16, 1 };
	const struct analysis_config config = { .slots = &slot, .n_slots = 1 };
	AUTO(analysis_free) struct analysis *analysis = analysis_new(&config);
	const uint8_t payload[2] = { 7, 0 };
	uint32_t stored = 0;

	for (int i = 0; i < 640; i++)
		stored += analysis_push(analysis, 0, (int64_t)(i * 15.625), payload, 1).stored;

	cr_assert_eq(stored, 640);
}

Test(analysis, changes_nothing_for_a_frame_behind_what_was_published)
{
	AUTO(analysis_free) struct analysis *calm = analysis_new(&watch_config);
	AUTO(analysis_free) struct analysis *late = analysis_new(&watch_config);
	struct heard of_calm = { .count = 0 }, of_late = { .count = 0 };
	struct analysis_placed placed;

	wear(calm, 0, 60, RATE, &of_calm);
	wear(late, 0, 30, RATE, &of_late);
	placed = push_light(late, 10 * RATE, RATE, 150);
	wear(late, 30, 60, RATE, &of_late);

	cr_assert_eq(placed.late, RATE);
	assert_same(&of_calm, &of_late);
}

Test(analysis, lowers_confidence_by_the_share_of_the_window_that_is_missing)
{
	AUTO(analysis_free) struct analysis *analysis = analysis_new(&watch_config);
	struct heard heard = { .count = 0 };

	for (size_t at = 0; at < 40 * RATE; at += RATE)
		if (at / RATE % 4 != 3) {
			push_light(analysis, at, RATE, 72);
			take(analysis, &heard);
		}

	for (size_t i = 0; i < heard.count; i++)
		if (heard.item[i].t_ms > 10000)
			cr_assert_leq(heard.item[i].confidence, 0.76, "at %ld ms: %g",
			              (long)heard.item[i].t_ms, heard.item[i].confidence);
	cr_assert_gt(heard.count, 0);
}

Test(analysis, never_trusts_a_window_more_than_it_has_of_it)
{
	AUTO(analysis_free) struct analysis *analysis = analysis_new(&watch_config);
	struct heard heard = { .count = 0 };

	wear(analysis, 0, 8, RATE, &heard);

	for (size_t i = 0; i < heard.count; i++)
		if (heard.item[i].type == INSIGHT_HR)
			cr_assert_leq(heard.item[i].confidence, (double)heard.item[i].t_ms / 8000);
	cr_assert_not_null(first_of(&heard, INSIGHT_HR));
}

Test(analysis, restarts_its_windows_after_a_jump_of_more_than_a_minute)
{
	AUTO(analysis_free) struct analysis *analysis = analysis_new(&watch_config);
	struct heard heard = { .count = 0 };
	size_t before;

	wear(analysis, 0, 30, RATE, &heard);
	before = heard.count;
	wear(analysis, 100, 106, RATE, &heard);

	cr_assert_gt(heard.count, before);
	for (size_t i = before; i < heard.count; i++)
		if (heard.item[i].type == INSIGHT_HR)
			cr_assert_leq(heard.item[i].confidence, 0.76);
	cr_assert_eq(last_of(&heard, INSIGHT_HR)->t_ms, 106000);
}

Test(analysis, follows_a_clock_that_steps_back)
{
	AUTO(analysis_free) struct analysis *analysis = analysis_new(&watch_config);
	struct heard heard = { .count = 0 };

	wear(analysis, 1000, 1030, RATE, &heard);
	wear(analysis, 10, 40, RATE, &heard);

	cr_assert_geq(last_of(&heard, INSIGHT_HR)->t_ms, 38000);
	cr_assert_leq(last_of(&heard, INSIGHT_HR)->t_ms, 40000);
	cr_assert_gt(last_of(&heard, INSIGHT_HR)->confidence, 0.8);
}

Test(analysis, does_not_wait_for_a_slot_that_is_silent)
{
	AUTO(analysis_free) struct analysis *analysis = analysis_new(&watch_config);
	struct heard heard = { .count = 0 };

	for (size_t at = 0; at < 30 * RATE; at += RATE) {
		push_light(analysis, at, RATE, 72);
		take(analysis, &heard);
	}

	cr_assert_eq(last_of(&heard, INSIGHT_HR)->t_ms, 30000);
	cr_assert_null(last_of(&heard, INSIGHT_MOTION));
}

Test(analysis, tells_of_motion_alone_where_there_is_no_light)
{
	const struct analysis_config config = { .slots = watch + LIMB, .n_slots = 1 };
	AUTO(analysis_free) struct analysis *analysis = analysis_new(&config);
	struct heard heard = { .count = 0 };
	const uint8_t payload[6 * RATE] = { 0 };

	for (int64_t s = 0; s < 70; s++)
		analysis_push(analysis, 0, s * 1000, payload, RATE);
	analysis_finish(analysis);
	take(analysis, &heard);

	cr_assert_eq(heard.count, 35);
	for (size_t i = 0; i < heard.count; i++)
		cr_assert_eq(heard.item[i].type, INSIGHT_MOTION);
}

Test(analysis, finds_a_channel_that_starts_late)
{
	AUTO(analysis_free) struct analysis *analysis = analysis_new(&watch_config);
	struct heard heard = { .count = 0 };

	for (size_t at = 0; at < 60 * RATE; at += RATE) {
		push_limb(analysis, at, RATE, 50);
		if (at >= 30 * RATE)
			push_light(analysis, at, RATE, 72);
		take(analysis, &heard);
	}

	cr_assert_geq(first_of(&heard, INSIGHT_HR)->t_ms, 30000);
	cr_assert_float_eq(last_of(&heard, INSIGHT_HR)->value, 72, 1);
}

/* Red with `ratio` times the relative pulse of infrared. */
static void finger(struct analysis *analysis, double ratio, size_t seconds, struct heard *heard)
{
	for (size_t at = 0; at < seconds * RATE; at += RATE) {
		uint8_t red[3 * RATE], infrared[3 * RATE];

		for (size_t i = 0; i < RATE; i++) {
			double pulse = pulse_at((double)(at + i) / RATE, 72, 15);

			put(red + 3 * i, 3, 100000 * (1 - 0.01 * ratio * pulse));
			put(infrared + 3 * i, 3, 200000 * (1 - 0.01 * pulse));
		}
		analysis_push(analysis, 0, (int64_t)(at * 1000 / RATE), red, RATE);
		analysis_push(analysis, 1, (int64_t)(at * 1000 / RATE), infrared, RATE);
		take(analysis, heard);
	}
	analysis_finish(analysis);
	take(analysis, heard);
}

Test(analysis, finds_the_saturation_of_a_known_ratio)
{
	const struct analysis_config config = {
		.slots = oximeter,
		.n_slots = 2,
		.has_spo2_calibration = true,
		.spo2_calibration = {111, -30, 1},
	};
	AUTO(analysis_free) struct analysis *analysis = analysis_new(&config);
	struct heard heard = { .count = 0 };

	finger(analysis, 0.7, 30, &heard);

	cr_assert_float_eq(last_of(&heard, INSIGHT_SPO2)->value, 111 - 30 * 0.7 + 0.49, 0.3);
	cr_assert_gt(last_of(&heard, INSIGHT_SPO2)->confidence, 0.9);
	cr_assert_not(last_of(&heard, INSIGHT_SPO2)->uncalibrated);
}

Test(analysis, never_calls_an_uncalibrated_saturation_excellent)
{
	const struct analysis_config config = { .slots = oximeter, .n_slots = 2 };
	AUTO(analysis_free) struct analysis *analysis = analysis_new(&config);
	struct heard heard = { .count = 0 };

	finger(analysis, 0.5, 30, &heard);

	for (size_t i = 0; i < heard.count; i++)
		if (heard.item[i].type == INSIGHT_SPO2) {
			cr_assert(heard.item[i].uncalibrated);
			cr_assert_lt(heard.item[i].confidence, 0.8);
		}
	cr_assert_float_eq(last_of(&heard, INSIGHT_SPO2)->value, 110 - 25 * 0.5, 0.3);
}

Test(analysis, gives_a_short_session_one_answer_at_its_end)
{
	const struct analysis_config config = { .slots = oximeter, .n_slots = 2 };
	AUTO(analysis_free) struct analysis *analysis = analysis_new(&config);
	struct heard heard = { .count = 0 };

	finger(analysis, 0.5, 4, &heard);

	cr_assert_eq(last_of(&heard, INSIGHT_SPO2)->t_ms, 4000);
	cr_assert_leq(last_of(&heard, INSIGHT_SPO2)->confidence, 0.5);
}

static void push_filled(struct analysis *analysis, size_t seconds, const uint8_t *second,
                        struct heard *heard)
{
	for (size_t s = 0; s < seconds; s++) {
		analysis_push(analysis, LIGHT, (int64_t)s * 1000, second, RATE);
		take(analysis, heard);
	}
}

Test(analysis, does_not_trust_a_flat_line_nor_full_scale_nor_noise)
{
	uint8_t second[3][2 * RATE];
	uint32_t random = 1;

	memset(second[0], 0, sizeof(second[0]));
	for (size_t i = 0; i < RATE; i++)
		put(second[1] + 2 * i, 2, i % 2 ? 32767 : -32768);
	for (size_t kind = 0; kind < 3; kind++) {
		AUTO(analysis_free) struct analysis *analysis = analysis_new(&watch_config);
		struct heard heard = { .count = 0 };

		for (size_t s = 0; s < 60; s++) {
			for (size_t i = 0; i < 2 * RATE && kind == 2; i++)
				second[2][i] =
				        (uint8_t)((random = random * 1664525 + 1013904223) >> 24);
			analysis_push(analysis, LIGHT, (int64_t)s * 1000, second[kind], RATE);
			take(analysis, &heard);
		}
		for (size_t i = 0; i < heard.count; i++) {
			cr_assert(isfinite(heard.item[i].value));
			cr_assert_lt(heard.item[i].confidence, 0.5, "kind %zu: %s %g (%g)", kind,
			             insight_type_name(heard.item[i].type), heard.item[i].value,
			             heard.item[i].confidence);
		}
	}
}

Test(analysis, trusts_a_clipped_pulse_less_by_the_share_that_is_clipped)
{
	AUTO(analysis_free) struct analysis *analysis = analysis_new(&watch_config);
	struct heard heard = { .count = 0 };
	uint8_t second[2 * RATE];

	for (size_t s = 0; s < 30; s++) {
		for (size_t i = 0; i < RATE; i++) {
			double pulse = 40000 * pulse_at((double)(s * RATE + i) / RATE, 72, 15);

			put(second + 2 * i, 2, fmin(32767, fmax(-32768, pulse)));
		}
		analysis_push(analysis, LIGHT, (int64_t)s * 1000, second, RATE);
		take(analysis, &heard);
	}
	cr_assert_lt(last_of(&heard, INSIGHT_HR)->confidence, 0.8);
}

Test(analysis, takes_any_declared_rate_depth_and_number_of_channels)
{
	const double rates[] = { 0.1, 8, 10, 25, 30, 50, 64, 99.9, 101, 256, 1000, 1024, 10000 };
	static uint8_t payload[4 * 16 * 10000];

	for (size_t r = 0; r < ARRAY_LEN(rates); r++)
		for (unsigned depth = 1; depth <= 32; depth += 5)
			for (unsigned channels = 1; channels <= 16; channels += 5) {
				const struct analysis_slot slot = { "ppg_green", rates[r], depth,
					                            channels };
				const struct analysis_config config = { &slot, 1, false, { 0 } };
				AUTO(analysis_free)
				struct analysis *analysis = analysis_new(&config);
				struct heard heard = { .count = 0 };
				uint32_t count = (uint32_t)ceil(rates[r]);

				memset(payload, (int)(depth * 37), sizeof(payload));
				for (int64_t s = 0; s < 12; s++)
					analysis_push(analysis, 0, s * 1000, payload, count);
				analysis_finish(analysis);
				take(analysis, &heard);
				for (size_t i = 0; i < heard.count; i++)
					cr_assert_lt(heard.item[i].confidence, 0.5);
			}
}

Test(analysis, keeps_its_memory_bounded_whatever_the_slots_declare)
{
	struct analysis_slot slots[ANALYSIS_MAX_SLOTS];
	const struct analysis_config config = { .slots = slots, .n_slots = ANALYSIS_MAX_SLOTS };
	AUTO(analysis_free) struct analysis *analysis = NULL;

	for (size_t s = 0; s < ANALYSIS_MAX_SLOTS; s++)
		slots[s] = (struct analysis_slot){ "ppg_green", 10000, 32, 16 };
	strcpy(slots[1].modality, "acc_3axis");
	strcpy(slots[2].modality, "ppg_ir");
	strcpy(slots[3].modality, "ppg_red");
	analysis = analysis_new(&config);

	cr_assert_leq(analysis_state_size(analysis), 128 * 1024);
}

Test(analysis, fits_every_usual_mix_of_sensors_into_32_kilobytes)
{
	const struct analysis_slot mixes[][4] = {
		{{ "ppg_green", 100, 24, 1 },  { "acc_3axis", 50, 16, 3 } },
		{ { "ppg_green", 125, 24, 2 }, { "acc_3axis", 125, 16, 3 }},
		{ { "ppg_red", 64, 24, 1 },    { "ppg_ir", 64, 24, 1 },     { "acc_3axis", 64, 16, 3 } },
		{ { "ppg_green", 100, 24, 1 },
                 { "ppg_red", 100, 24, 1 },
                 { "ppg_ir", 100, 24, 1 },
                 { "acc_3axis", 100, 16, 3 } },
		{ { "ppg_green", 1000, 24, 1 },     { "acc_3axis", 1000, 16, 3 }                              },
	};

	for (size_t m = 0; m < ARRAY_LEN(mixes); m++) {
		const struct analysis_config config = { .slots = mixes[m], .n_slots = 4 };
		AUTO(analysis_free) struct analysis *analysis = analysis_new(&config);

		cr_assert_leq(analysis_state_size(analysis), 32 * 1024, "mix %zu: %zu", m,
		              analysis_state_size(analysis));
	}
}

Test(analysis, ignores_what_it_does_not_know)
{
	const struct analysis_slot slots[] = {
		{"ecg",     250, 16, 1},
                { "ppg_ir", 1,   16, 1}
	};
	const struct analysis_config config = { .slots = slots, .n_slots = 2 };
	AUTO(analysis_free) struct analysis *analysis = analysis_new(&config);
	const uint8_t payload[64] = { 0 };
	struct analysis_insight insight;

	for (unsigned slot = 0; slot < 300; slot++) {
		struct analysis_placed placed = analysis_push(analysis, slot, 0, payload, 10);

		cr_assert_eq(placed.stored + placed.overlapped + placed.late, 0);
	}
	analysis_finish(analysis);
	cr_assert_not(analysis_next(analysis, &insight));
}

Test(analysis, survives_stamps_from_the_ends_of_time)
{
	const int64_t stamps[] = {
		INT64_MIN,        INT64_MAX,           0, -1,           INT64_MIN + 1, 1 << 30,
		INT64_C(1) << 52, -(INT64_C(1) << 52), 5, 1760000000000
	};
	AUTO(analysis_free) struct analysis *analysis = analysis_new(&watch_config);
	uint8_t payload[2 * RATE] = { 1 };
	struct heard heard = { .count = 0 };

	for (size_t round = 0; round < 10; round++)
		for (size_t i = 0; i < ARRAY_LEN(stamps); i++) {
			analysis_push(analysis, LIGHT, stamps[i], payload, RATE);
			take(analysis, &heard);
		}
	push_filled(analysis, 20, payload, &heard);
	cr_assert_leq(heard.count, MAX_OUT);
}
