#include "services/publisher/dsp/vitals.h"

#include "common/mem.h"
#include "services/publisher/dsp/hrv.h"
#include "services/publisher/dsp/motion.h"
#include "services/publisher/dsp/oxygen.h"
#include "services/publisher/dsp/ramp.h"

#include <math.h>
#include <string.h>

#define HIGHPASS_HZ     0.4 /* as the pulse's: the heart estimator compares the two */
#define MOTION_STEP_S   2
#define HEART_FIRST_S   2.5 /* of signal before a heart rate is worth saying */
#define OXYGEN_FIRST_S  2.5
#define BREATH_FIRST_S  20 /* three breaths at 9 a minute */
#define HRV_FIRST_S     30
#define MOTION_FIRST_S  1
#define LEAST_FILLED    0.25 /* of a window: below, there is nothing to estimate from */
#define TRUST_SHARE     (HEART_STEP_S / 30.0f) /* 30 s: half of an HRV window */
#define LIKENESS_NONE   0.75f                  /* of beats to their mean: 0.86 is the usual limit */
#define LIKENESS_FULL   0.95f
#define STEADINESS_NONE 0.15f /* intervals that change by 28 % a beat: noise */
#define STEADINESS_FULL 0.5f  /* by 10 %: sinus arrhythmia */
#define OXYGEN_STILL    0.3f  /* sway: noisy sensors at rest stay below */
#define OXYGEN_SHAKEN   0.7f  /* running */
#define PULSE_NONE      0.25f /* mean trust in the heart rate: noise stays below */
#define PULSE_FULL      0.5f
#define MUCH_WORSE      0.8 /* of the best channel's samples: below, a channel is not used */

struct sink {
	vitals_sink *call;
	void *self;
};

size_t vitals_size(size_t channels)
{
	return sizeof(struct vitals) + channels * sizeof(struct pulse);
}

void vitals_init(struct vitals *vitals, size_t channels, bool has_limb)
{
	vitals->channels = (uint32_t)channels;
	vitals->has_limb = has_limb;
	vitals->heart = heart_new();
	vitals->breath = breath_new();
	for (size_t a = 0; a < HEART_AXES; a++)
		vitals->limb.highpass[a] = biquad_highpass(HIGHPASS_HZ, FRONT_HZ);
	for (size_t c = 0; c < channels; c++)
		vitals->pulse[c] = pulse_new();
}

void vitals_limb_second(struct vitals *vitals, const struct front_second *second,
                        const double *reference)
{
	struct limb *limb = &vitals->limb;
	size_t old = ARRAY_LEN(limb->axis[0]) - FRONT_HZ;
	float square[FRONT_HZ] = { 0 }, sum = 0;

	memmove(limb->gravity, limb->gravity + 1, sizeof(limb->gravity) - sizeof(float));
	memmove(limb->valid, limb->valid + 1, (PULSE_VALID_S - 1) * sizeof(*limb->valid));
	limb->valid[PULSE_VALID_S - 1] = second->valid;
	for (size_t a = 0; a < HEART_AXES; a++) {
		memmove(limb->axis[a], limb->axis[a] + FRONT_HZ, old * sizeof(float));
		for (size_t j = 0; j < FRONT_HZ; j++) {
			float whole = (float)(reference[a] + (double)second->sample[a][j]);

			limb->axis[a][old + j] =
			        biquad_push(&limb->highpass[a], second->sample[a][j]);
			square[j] += whole * whole;
		}
	}
	for (size_t j = 0; j < FRONT_HZ; j++)
		sum += sqrtf(square[j]);
	limb->gravity[HEART_WINDOW_S - 1] = sum / FRONT_HZ;
}

/* Seconds of the window that lie behind the beginning of the signal. */
static double span_s(const struct vitals *vitals, double window_s)
{
	return fmin(window_s, (double)vitals->began / FRONT_HZ);
}

static double filled(const struct vitals *vitals, const uint32_t *valid, size_t window_s)
{
	double span = span_s(vitals, (double)window_s) * FRONT_HZ;

	return span > 0 ? fmin(1, pulse_valid(valid, window_s) / span) : 0;
}

static void answer(const struct sink *sink, enum vital vital, const float *value_confidence)
{
	struct vital_answer out = { vital, value_confidence[0], value_confidence[1] };

	if (!isfinite(out.value) || !isfinite(out.confidence))
		return;
	sink->call(sink->self, &out);
}

static float confidence(const struct vitals *vitals, double window_s, double fill, float quality)
{
	return (float)(span_s(vitals, window_s) / window_s * fill) * fminf(1, fmaxf(0, quality));
}

/* Mean |a| of the newest seconds that have samples. */
static float limb_gravity(const struct limb *limb, size_t seconds)
{
	float sum = 0;
	size_t used = 0;

	for (size_t s = 0; s < seconds; s++)
		if (limb->valid[PULSE_VALID_S - 1 - s] != 0) {
			sum += limb->gravity[HEART_WINDOW_S - 1 - s];
			used++;
		}
	return used > 0 ? sum / (float)used : 0;
}

static float limb_sway(const struct vitals *vitals, size_t window_s)
{
	const struct limb *limb = &vitals->limb;
	double span = span_s(vitals, (double)window_s);
	size_t count = (size_t)(span * FRONT_HZ);
	const float *axis[HEART_AXES];

	for (size_t a = 0; a < HEART_AXES; a++)
		axis[a] = limb->axis[a] + ARRAY_LEN(limb->axis[a]) - count;
	return motion_sway(axis, count, limb_gravity(limb, (size_t)ceil(span)));
}

/* The channels worth using, with the fill of the worst of them. */
static double choose_channels(const struct vitals *vitals, struct heart_window *window)
{
	double fill[VITALS_CHANNELS], best = 0, worst = 1;

	for (size_t c = 0; c < vitals->channels; c++) {
		fill[c] = pulse_is_there(&vitals->pulse[c], HEART_WINDOW_S)
		                  ? filled(vitals, vitals->pulse[c].valid, HEART_WINDOW_S)
		                  : 0;
		best = fmax(best, fill[c]);
	}
	for (size_t c = 0; c < vitals->channels; c++) {
		if (!(fill[c] > 0) || fill[c] < MUCH_WORSE * best)
			continue;
		worst = fmin(worst, fill[c]);
		window->is_green[window->channels] = vitals->colour[c] == COLOUR_GREEN;
		window->pulse[window->channels++] = pulse_wave(&vitals->pulse[c], HEART_WINDOW_S) +
		                                    HEART_WINDOW_S * FRONT_HZ - window->count;
	}
	return best > 0 ? worst : 0;
}

static void on_heart(struct vitals *vitals, const struct sink *sink)
{
	struct heart_window window = {
		.count = (size_t)(span_s(vitals, HEART_WINDOW_S) * FRONT_HZ),
		.beats_bpm = vitals->beats_bpm,
		.beats_trust = vitals->beats_trust,
		.beats_scatter = vitals->beats_scatter,
	};
	double fill = choose_channels(vitals, &window), limb_fill;
	struct heart_rate rate;

	if (fill < LEAST_FILLED || window.count < FRONT_HZ) {
		vitals->heart_trust *= 1 - TRUST_SHARE;
		return;
	}
	limb_fill = vitals->has_limb ? filled(vitals, vitals->limb.valid, HEART_WINDOW_S) : 0;
	if (limb_fill >= MUCH_WORSE * fill) {
		window.sway = limb_sway(vitals, HEART_WINDOW_S);
		for (size_t a = 0; a < HEART_AXES; a++)
			window.axis[a] =
			        vitals->limb.axis[a] + HEART_WINDOW_S * FRONT_HZ - window.count;
		fill = fmin(fill, limb_fill);
	}
	rate = heart_update(&vitals->heart, &window);
	vitals->heart_bpm = rate.bpm;
	vitals->heart_trust += TRUST_SHARE * (rate.quality - vitals->heart_trust);
	if (rate.bpm > 0 && span_s(vitals, HEART_WINDOW_S) >= HEART_FIRST_S)
		answer(sink, VITAL_HR,
		       (float[]){ rate.bpm,
		                  confidence(vitals, HEART_WINDOW_S, fill, rate.quality) });
}

/* The channel whose beats have been best for a while; NULL: there is no light. */
static struct pulse *beat_channel(struct vitals *vitals)
{
	struct pulse *best = NULL;

	for (size_t c = 0; c < vitals->channels; c++)
		if (best == NULL || vitals->pulse[c].trust > best->trust)
			best = &vitals->pulse[c];
	return best;
}

/* Breathing shows only in a pulse that is one: by its beats or by its spectrum. */
static float pulse_trust(const struct vitals *vitals, const struct pulse *pulse)
{
	return ramp(fmaxf(pulse->trust, vitals->heart_trust), PULSE_NONE, PULSE_FULL);
}

static void on_breath(struct vitals *vitals, const struct sink *sink)
{
	struct pulse *pulse = beat_channel(vitals);
	size_t seconds = (size_t)span_s(vitals, BREATH_WINDOW_S);
	struct breath_rate rate;
	double fill;
	float trust;

	if (pulse == NULL || seconds < BREATH_FIRST_S)
		return;
	fill = filled(vitals, pulse->valid, BREATH_WINDOW_S);
	if (fill < LEAST_FILLED)
		return;
	rate = breath_update(&vitals->breath, &pulse->beats,
	                     pulse->level + PULSE_LEVEL - seconds * BREATH_HZ, seconds,
	                     (double)vitals->second, vitals->heart_bpm);
	trust = rate.quality * pulse_trust(vitals, pulse);
	if (vitals->heart_bpm > 0)
		answer(sink, VITAL_RR,
		       (float[]){ rate.per_min, confidence(vitals, BREATH_WINDOW_S, fill, trust) });
}

static const struct pulse *find_colour(const struct vitals *vitals, enum colour colour)
{
	for (size_t c = 0; c < vitals->channels; c++)
		if (vitals->colour[c] == colour)
			return &vitals->pulse[c];
	return NULL;
}

/* The window of one colour; its constant part over the seconds that have samples. */
static struct oxygen_light oxygen_window(const struct pulse *pulse)
{
	struct oxygen_light light = {
		.ac = pulse_wave(pulse, OXYGEN_WINDOW_S),
		.valid = pulse->valid + PULSE_VALID_S - OXYGEN_WINDOW_S,
	};
	float sum = 0;
	size_t seconds = 0;

	for (size_t s = 0; s < OXYGEN_WINDOW_S; s++)
		if (light.valid[s] != 0) {
			sum += pulse->dc[PULSE_WAVE_S - OXYGEN_WINDOW_S + s];
			seconds++;
		}
	light.dc = seconds > 0 ? sum / (float)seconds : 0;
	return light;
}

static void on_oxygen(struct vitals *vitals, const struct sink *sink)
{
	const struct pulse *red = find_colour(vitals, COLOUR_RED);
	const struct pulse *infrared = find_colour(vitals, COLOUR_IR);
	struct oxygen_light lights[2];
	struct oxygen oxygen;
	double fill;

	if (red == NULL || infrared == NULL || span_s(vitals, OXYGEN_WINDOW_S) < OXYGEN_FIRST_S)
		return;
	fill = fmin(filled(vitals, red->valid, OXYGEN_WINDOW_S),
	            filled(vitals, infrared->valid, OXYGEN_WINDOW_S));
	if (fill < LEAST_FILLED)
		return;
	lights[0] = oxygen_window(red);
	lights[1] = oxygen_window(infrared);
	oxygen = oxygen_estimate(&lights[0], &lights[1], vitals->calibration);
	oxygen.quality *= ramp(limb_sway(vitals, OXYGEN_WINDOW_S), OXYGEN_SHAKEN, OXYGEN_STILL);
	if (oxygen.quality > 0)
		answer(sink, VITAL_SPO2,
		       (float[]){ oxygen.percent,
		                  confidence(vitals, OXYGEN_WINDOW_S, fill, oxygen.quality) });
}

static void on_hrv(struct vitals *vitals, const struct sink *sink)
{
	struct pulse *pulse = beat_channel(vitals);
	struct hrv hrv;
	double fill;
	float trust;

	if (pulse == NULL || span_s(vitals, HRV_WINDOW_S) < HRV_FIRST_S)
		return;
	fill = filled(vitals, pulse->valid, HRV_WINDOW_S);
	if (fill < LEAST_FILLED)
		return;
	hrv = hrv_estimate(&pulse->beats, (double)(vitals->second - HRV_WINDOW_S));
	trust = confidence(vitals, HRV_WINDOW_S, fill, hrv.quality * vitals->heart_trust);
	if (hrv.quality > 0) {
		answer(sink, VITAL_RMSSD, (float[]){ hrv.rmssd_ms, trust });
		answer(sink, VITAL_SDNN, (float[]){ hrv.sdnn_ms, trust });
	}
}

static void on_motion(struct vitals *vitals, const struct sink *sink)
{
	double fill = filled(vitals, vitals->limb.valid, MOTION_STEP_S);

	if (!vitals->has_limb || fill < LEAST_FILLED)
		return;
	answer(sink, VITAL_MOTION,
	       (float[]){ motion_level(limb_sway(vitals, MOTION_STEP_S)),
	                  confidence(vitals, MOTION_STEP_S, fill, 1) });
}

static float trust_in(const struct peaks *peaks)
{
	return ramp(peaks->likeness, LIKENESS_NONE, LIKENESS_FULL) *
	       ramp(peaks->steadiness, STEADINESS_NONE, STEADINESS_FULL);
}

static void find_beats(struct vitals *vitals)
{
	size_t count = (size_t)(span_s(vitals, PULSE_WAVE_S) * FRONT_HZ);
	float still = 1 - motion_level(limb_sway(vitals, HEART_WINDOW_S));

	vitals->beats_trust = 0;
	vitals->beats_scatter = 1;
	for (size_t c = 0; c < vitals->channels; c++) {
		struct pulse *pulse = &vitals->pulse[c];
		struct peaks peaks = { .count = 0 };
		float trust;

		if (pulse_is_there(pulse, PULSE_WAVE_S))
			peaks_find(pulse->wave + PULSE_WAVE - count, count, pulse_sign(pulse),
			           &peaks);
		beats_keep(&pulse->beats, &peaks, count, (double)vitals->second);
		beats_forget(&pulse->beats, (double)(vitals->second - PULSE_VALID_S));
		trust = still * trust_in(&peaks);
		pulse->trust += TRUST_SHARE * (trust - pulse->trust);
		if (trust > vitals->beats_trust) {
			vitals->beats_trust = trust;
			vitals->beats_bpm = peaks.bpm;
			vitals->beats_scatter = peaks.scatter;
		}
	}
}

/* Who speaks how often, in the order of enum vital. */
static const struct {
	int64_t step_s, window_s;
	void (*estimate)(struct vitals *, const struct sink *);
} schedule[] = {
	{HEART_STEP_S,   HEART_WINDOW_S,  on_heart },
	{ OXYGEN_STEP_S, OXYGEN_WINDOW_S, on_oxygen},
	{ BREATH_STEP_S, BREATH_WINDOW_S, on_breath},
	{ HRV_STEP_S,    HRV_WINDOW_S,    on_hrv   },
	{ MOTION_STEP_S, MOTION_STEP_S,   on_motion},
};

static void count_signal(struct vitals *vitals)
{
	uint32_t any = vitals->has_limb ? vitals->limb.valid[PULSE_VALID_S - 1] : 0;

	for (size_t c = 0; c < vitals->channels; c++)
		any |= vitals->pulse[c].valid[PULSE_VALID_S - 1];
	if (vitals->began > 0)
		vitals->began += FRONT_HZ;
	else if (any != 0)
		vitals->began = FRONT_HZ - __builtin_ctz(any);
}

void vitals_tick(struct vitals *vitals, int64_t second, vitals_sink *call, void *self)
{
	struct sink sink = { call, self };

	vitals->second = second;
	count_signal(vitals);
	if (second % HEART_STEP_S == 0)
		find_beats(vitals);
	for (size_t i = 0; i < ARRAY_LEN(schedule) && second > 0; i++)
		if (second % schedule[i].step_s == 0)
			schedule[i].estimate(vitals, &sink);
}

void vitals_finish(struct vitals *vitals, int64_t second, vitals_sink *call, void *self)
{
	struct sink sink = { call, self };

	int64_t spoken = vitals->second; /* who was due then has just spoken */

	if (second > vitals->second) {
		vitals->second = second;
		count_signal(vitals);
	}
	for (size_t i = 0; i < ARRAY_LEN(schedule); i++)
		if (vitals->began < schedule[i].window_s * FRONT_HZ &&
		    spoken % schedule[i].step_s != 0)
			schedule[i].estimate(vitals, &sink);
}
