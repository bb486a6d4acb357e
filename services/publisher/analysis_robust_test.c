/* What analysis promises of signals that are none, at any rate, on clocks that jump. */
#include "services/publisher/analysis.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define SECONDS   40
#define MOST_RATE 1000
#define LATE_S    7 /* the second colour begins so much later */

/* 12 bits in 16: what a front end gives at its ends. */
#define FULL 32767.0

static const double rates[] = { 10, 12.5, 25, 30, 64, 100, 125, 256, 1000 };

static double flat(double t, double noise)
{
	(void)t, (void)noise;
	return 0;
}

static double floor_of_scale(double t, double noise)
{
	(void)t, (void)noise;
	return -FULL - 1;
}

static double extremes(double t, double noise)
{
	(void)t;
	return noise < 0 ? -FULL - 1 : FULL;
}

static double white(double t, double noise)
{
	(void)t;
	return 10000 * noise;
}

static double ramp_up(double t, double noise)
{
	(void)noise;
	return -20000 + 900 * t;
}

static double steps(double t, double noise)
{
	(void)noise;
	return (int)(t / 7) % 2 == 0 ? -15000 : 15000;
}

/* Nothing but a spike now and then. */
static double spikes(double t, double noise)
{
	(void)t;
	return noise > 0.98 ? 30000 : 5 * noise;
}

/* One signal: its sample at t, with a random number of -1..1 at hand. */
struct kind {
	const char *name;
	double (*sample)(double t, double noise);
};

static const struct kind kinds[] = {
	{"a flat line",         flat          },
	{ "the end of scale",   floor_of_scale},
	{ "both ends of scale", extremes      },
	{ "noise",              white         },
	{ "a ramp",             ramp_up       },
	{ "steps",              steps         },
	{ "spikes",             spikes        },
};

static double random_number(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return (int32_t)*seed / 2147483648.0;
}

static void put16(uint8_t *at, double value)
{
	uint16_t bits = (uint16_t)(int16_t)lrint(fmax(-FULL - 1, fmin(FULL, value)));

	at[0] = (uint8_t)bits;
	at[1] = (uint8_t)(bits >> 8);
}

/* What every insight is, whatever went in. */
static void assert_sane(const struct analysis_insight *insight, const char *what, double rate)
{
	static const double range[INSIGHT_TYPES][2] = {
		[INSIGHT_HR] = {30, 220 },
                  [INSIGHT_SPO2] = { 0, 100 },
		[INSIGHT_RR] = { 4, 50  },
                  [INSIGHT_HRV_RMSSD] = { 0, 3000},
		[INSIGHT_HRV_SDNN] = { 0, 3000},
                  [INSIGHT_MOTION] = { 0, 1   },
	};

	cr_assert(insight->value >= range[insight->type][0] &&
	                  insight->value <= range[insight->type][1],
	          "%s at %g Hz: %s %g", what, rate, insight_type_name(insight->type),
	          insight->value);
	cr_assert(insight->confidence >= 0 && insight->confidence <= 1, "%s at %g Hz: %g", what,
	          rate, insight->confidence);
}

static void assert_all_unfit(struct analysis *analysis, const char *what, double rate)
{
	struct analysis_insight insight;

	while (analysis_next(analysis, &insight)) {
		assert_sane(&insight, what, rate);
		if (insight.type != INSIGHT_MOTION)
			cr_assert_lt(insight.confidence, 0.5, "%s at %g Hz, %g s: %s %g (%g)", what,
			             rate, (double)insight.t_ms / 1000,
			             insight_type_name(insight.type), insight.value,
			             insight.confidence);
	}
}

/* Where a device's clock is after so many seconds: on by 90 s after 15, back by 40 after 28. */
static int64_t jumpy_ms(double t)
{
	return llround(1000 * t) + (t >= 15 ? 90000 : 0) - (t >= 28 ? 40000 : 0);
}

/* Two colours, the second late, and an accelerometer that shows the same signal, in frames
 * of a second. */
static void endure(const struct kind *kind, double rate, bool is_jumpy)
{
	const struct analysis_slot slots[] = {
		{"ppg_red",    rate, 16, 1},
		{ "ppg_ir",    rate, 16, 1},
		{ "acc_3axis", rate, 16, 3},
	};
	const struct analysis_config config = { .slots = slots, .n_slots = ARRAY_LEN(slots) };
	AUTO(analysis_free) struct analysis *analysis = analysis_new(&config);
	uint8_t light[2][2 * MOST_RATE], limb[6 * MOST_RATE];
	uint32_t seed = 1;

	for (int s = 0; s < SECONDS; s++) {
		uint32_t from = (uint32_t)(s * rate), count = (uint32_t)((s + 1) * rate) - from;
		double start = from / rate;
		int64_t t_ms = is_jumpy ? jumpy_ms(start) : llround(1000 * start);

		for (uint32_t i = 0; i < count; i++) {
			double t = start + i / rate;

			for (unsigned c = 0; c < 2; c++)
				put16(light[c] + 2 * i, kind->sample(t, random_number(&seed)));
			for (unsigned a = 0; a < 3; a++)
				put16(limb + 6 * i + 2 * a,
				      kind->sample(t + a, random_number(&seed)));
		}
		analysis_push(analysis, 0, t_ms, light[0], count);
		if (s >= LATE_S)
			analysis_push(analysis, 1, t_ms, light[1], count);
		analysis_push(analysis, 2, t_ms, limb, count);
		assert_all_unfit(analysis, kind->name, rate);
	}
	analysis_finish(analysis);
	assert_all_unfit(analysis, kind->name, rate);
}

Test(analysis_robust, trusts_nothing_that_is_no_pulse_at_any_rate)
{
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (size_t r = 0; r < ARRAY_LEN(rates); r++)
			endure(&kinds[k], rates[r], false);
}

Test(analysis_robust, stays_sane_when_the_clock_jumps_forth_and_back)
{
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (size_t r = 0; r < ARRAY_LEN(rates); r += 3)
			endure(&kinds[k], rates[r], true);
}

/* A pulse of sharp rise that breathes, bpm; in frames of `frame` samples. */
static struct analysis_insight last_rate(double rate, double bpm, uint32_t frame, unsigned bytes)
{
	const struct analysis_slot slot = { "ppg_green", rate, 8 * bytes, 1 };
	const struct analysis_config config = { .slots = &slot, .n_slots = 1 };
	AUTO(analysis_free) struct analysis *analysis = analysis_new(&config);
	struct analysis_insight insight, last = { .confidence = -1 };
	uint8_t payload[4 * MOST_RATE] = { 0 };

	for (uint32_t from = 0; from < (uint32_t)(SECONDS * rate); from += frame) {
		for (uint32_t i = 0; i < frame; i++) {
			double t = (from + i) / rate, phase = t * bpm / 60 - floor(t * bpm / 60);
			double wave = exp(-50 * (phase - 0.2) * (phase - 0.2)) +
			              0.3 * exp(-60 * (phase - 0.55) * (phase - 0.55));
			int32_t value =
			        (int32_t)((10000 + 500 * sin(2 * M_PI * t / 4) - 3000 * wave) *
			                  (bytes > 2 ? 1 << 8 * (bytes - 2) : 1));

			memcpy(payload + bytes * i, &value, bytes);
		}
		analysis_push(analysis, 0, llround(from * 1000 / rate), payload, frame);
		while (analysis_next(analysis, &insight))
			if (insight.type == INSIGHT_HR)
				last = insight;
	}
	return last;
}

Test(analysis_robust, finds_the_same_rate_from_10_to_1000_hz_in_16_to_32_bits)
{
	for (size_t r = 0; r < ARRAY_LEN(rates); r++)
		for (double bpm = 45; bpm <= 165; bpm += 40) {
			struct analysis_insight found =
			        last_rate(rates[r], bpm, (uint32_t)rates[r], 2 + r % 3);

			cr_assert_float_eq(found.value, bpm, 1.5, "%g Hz: %g for %g", rates[r],
			                   found.value, bpm);
			cr_assert_geq(found.confidence, rates[r] < 16 ? 0.5 : 0.9,
			              "%g bpm at %g Hz: %g", bpm, rates[r], found.confidence);
		}
}

Test(analysis_robust, takes_a_sample_a_frame_at_any_rate)
{
	for (size_t r = 0; r < ARRAY_LEN(rates); r++) {
		struct analysis_insight single = last_rate(rates[r], 72, 1, 2);
		struct analysis_insight whole = last_rate(rates[r], 72, (uint32_t)rates[r], 2);

		cr_assert_float_eq(single.value, whole.value, 1, "%g Hz", rates[r]);
		cr_assert_float_eq(single.confidence, whole.confidence, 0.05, "%g Hz: %g, %g",
		                   rates[r], single.confidence, whole.confidence);
	}
}

#define LOSS_S 30

/* Frames of `frame` samples of which three in ten get lost, one by one at random: is any
 * heart rate trusted more than by the samples of its 8 s that are there? */
static void lose(double rate, uint32_t frame, uint32_t seed)
{
	const struct analysis_slot slot = { "ppg_green", rate, 16, 1 };
	const struct analysis_config config = { .slots = &slot, .n_slots = 1 };
	AUTO(analysis_free) struct analysis *analysis = analysis_new(&config);
	static bool is_there[LOSS_S * MOST_RATE];
	struct analysis_insight insight;
	uint8_t payload[2 * MOST_RATE];
	uint32_t total = (uint32_t)(LOSS_S * rate), window = (uint32_t)(8 * rate), heard = 0;

	memset(is_there, 0, sizeof(is_there));
	for (uint32_t from = 0; from + frame <= total; from += frame) {
		for (uint32_t i = 0; i < frame; i++)
			put16(payload + 2 * i, 3000 * sin(2 * M_PI * 1.2 * (from + i) / rate));
		if (from > 0 && random_number(&seed) < -0.4)
			continue;
		memset(is_there + from, true, frame);
		analysis_push(analysis, 0, llround(from * 1000 / rate), payload, frame);
	}
	while (analysis_next(analysis, &insight)) {
		uint32_t end = (uint32_t)((double)insight.t_ms * rate / 1000), there = 0;

		if (insight.type != INSIGHT_HR || end < window)
			continue;
		for (uint32_t k = end - window; k < end; k++)
			there += is_there[k];
		cr_assert_leq(insight.confidence, (double)there / window + 0.02,
		              "%g Hz, frames of %u: %g of %g", rate, frame, insight.confidence,
		              (double)there / window);
		heard++;
	}
	cr_assert_gt(heard, 8);
}

Test(analysis_robust, trusts_a_window_no_more_than_by_what_of_it_is_there)
{
	const double loss_rates[] = { 25, 64, 100, 125, 200, 1000 };
	const uint32_t sizes[] = { 1, 3, 7, 25, 50 };

	for (size_t r = 0; r < ARRAY_LEN(loss_rates); r++)
		for (size_t f = 0; f < ARRAY_LEN(sizes); f++)
			lose(loss_rates[r], sizes[f], (uint32_t)(r * 100 + f));
}
