#include "services/publisher/analysis.h"

#include "services/publisher/dsp/vitals.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STATE_VERSION    7
#define MIN_RATE_HZ      8.0   /* two samples a beat at 240 bpm */
#define LIGHT_CELL_HZ    50.0  /* beats to 8 Hz, with room for the box filter's slope */
#define MOTION_CELL_HZ   25.0  /* arms and legs stay below 10 Hz */
#define LAG_MS           2000  /* a slot further behind does not hold the others up */
#define FRAME_SPAN_MS    10000 /* the longest frame that is waited for */
#define JUMP_MS          60000
#define EARLY_MS         2000 /* before the first frame's t0: frames that it overtook */
#define STEP_BACK_MS     2000
#define STEP_JOIN_MS     500                /* two late frames closer than that belong together */
#define T0_LIMIT_MS      (INT64_C(1) << 52) /* beyond, a double cannot hold a millisecond */
#define UNCALIBRATED_MAX 0.79               /* the top of `acceptable` */
#define CLIP_BITS        8 /* below, the ends of the scale are values like others */
#define MAX_SOURCES      (ANALYSIS_LIGHTS + 1)
#define NO_SOURCE        0xff
#define QUEUE_START      16

static const double default_calibration[3] = { 110, -25, 0 };

/* A slot that is analysed. */
struct source {
	struct grid grid;
	struct front front;
	uint32_t room; /* offset of the grid's room in the state */
	uint32_t is_motion;
	uint32_t slot_channels, sample_bytes;
	int32_t full_scale;   /* a sample there or beyond is clipped */
	uint32_t first_pulse; /* index of its first channel among the vitals' */
};

/* Late frames in a row, one behind the other: has the clock stepped back? */
struct step_back {
	int64_t from_ms, until_ms;
	uint32_t slot, frames;
};

/* The whole of a session in one block, so that a copy is a checkpoint. */
struct state {
	uint32_t version, size;
	uint64_t config_hash;
	uint64_t checksum; /* of a saved state; 0 while it lives */
	uint8_t source_of[ANALYSIS_MAX_SLOTS];
	uint32_t n_sources;
	uint32_t is_calibrated;
	uint32_t vitals; /* offset */
	uint32_t started;
	int64_t base_ms;       /* t0 of the frame that came first. All times below and in the
	                        * grids are from it, so that nothing depends on the epoch */
	int64_t origin_ms;     /* session second 0: a frame that was overtaken may be earlier */
	int64_t second;        /* the newest second computed */
	int64_t frame_span_ms; /* the longest frame seen, at most FRAME_SPAN_MS */
	struct step_back back;
	struct source source[MAX_SOURCES];
	uint64_t room[]; /* the grids' rooms, then the vitals */
};

struct queue {
	struct analysis_insight *item;
	size_t head, len, cap;
};

/* A frame on its way to the grid. */
struct push {
	struct source *source; /* NULL: it is not analysed */
	const uint8_t *payload;
	uint32_t count, at;
	int64_t k; /* of its first sample on the grid */
	struct grid_placed placed;
};

struct analysis {
	struct state *state;
	struct queue queue;
	struct push push;
};

static const struct {
	const char *name, *unit;
} insight_words[INSIGHT_TYPES] = {
	[INSIGHT_HR] = {"hr",         "bpm" },
	[INSIGHT_SPO2] = { "spo2",      "%"   },
	[INSIGHT_RR] = { "rr",        "brpm"},
	[INSIGHT_HRV_RMSSD] = { "hrv_rmssd", "ms"  },
	[INSIGHT_HRV_SDNN] = { "hrv_sdnn",  "ms"  },
	[INSIGHT_MOTION] = { "motion",    ""    },
};

const char *insight_type_name(enum insight_type type)
{
	return insight_words[type].name;
}

const char *insight_unit(enum insight_type type)
{
	return insight_words[type].unit;
}

const char *insight_sqi_class(double confidence)
{
	if (confidence >= 0.8)
		return "excellent";
	return confidence >= 0.5 ? "acceptable" : "unfit";
}

/* What a slot's samples are to us: a colour, motion, or nothing. */
enum kind {
	KIND_GREEN = COLOUR_GREEN,
	KIND_RED = COLOUR_RED,
	KIND_IR = COLOUR_IR,
	KIND_MOTION,
	KIND_NONE
};

static enum kind kind_of(const struct analysis_slot *slot)
{
	static const char *const names[] = {
		[KIND_GREEN] = "ppg_green",
		[KIND_RED] = "ppg_red",
		[KIND_IR] = "ppg_ir",
		[KIND_MOTION] = "acc_3axis",
	};

	if (slot->num_channels == 0 || slot->bit_depth == 0 || slot->bit_depth > 32 ||
	    !(slot->sample_rate_hz >= MIN_RATE_HZ))
		return KIND_NONE;
	for (size_t k = 0; k < ARRAY_LEN(names); k++)
		if (strcmp(slot->modality, names[k]) == 0)
			return (enum kind)k;
	return KIND_NONE;
}

/* How many channels of each slot are used: the first of every colour (spo2 needs
 * two), then others in order, up to ANALYSIS_LIGHTS; one accelerometer. */
static void choose(const struct analysis_config *config, unsigned *use)
{
	unsigned lights = 0;
	bool have[KIND_NONE + 1] = { false };

	for (size_t s = 0; s < config->n_slots; s++) {
		enum kind kind = kind_of(&config->slots[s]);

		if (kind == KIND_NONE || have[kind])
			continue;
		have[kind] = true;
		use[s] = kind == KIND_MOTION ? HEART_AXES : 1;
		lights += kind != KIND_MOTION;
	}
	for (size_t s = 0; s < config->n_slots; s++)
		if (kind_of(&config->slots[s]) < KIND_MOTION)
			while (lights < ANALYSIS_LIGHTS && use[s] < config->slots[s].num_channels) {
				use[s]++;
				lights++;
			}
	for (size_t s = 0; s < config->n_slots; s++)
		if (use[s] > config->slots[s].num_channels)
			use[s] = config->slots[s].num_channels;
}

static struct source source_new(const struct analysis_slot *slot, unsigned channels)
{
	struct source source = {
		.is_motion = kind_of(slot) == KIND_MOTION,
		.slot_channels = slot->num_channels,
		.sample_bytes = (slot->bit_depth + 7) / 8,
		.full_scale = slot->bit_depth < CLIP_BITS
		                      ? INT32_MAX
		                      : (int32_t)((1u << (slot->bit_depth - 1)) - 1),
	};
	double wanted_hz = source.is_motion ? MOTION_CELL_HZ : LIGHT_CELL_HZ;

	source.grid = grid_new(slot->sample_rate_hz, wanted_hz, 8 * source.sample_bytes, channels);
	source.front = front_new(&source.grid);
	return source;
}

/* FNV-1a, 64 bits. */
static uint64_t hash(uint64_t seed, const void *data, size_t size)
{
	const uint8_t *byte = data;

	for (size_t i = 0; i < size; i++)
		seed = (seed ^ byte[i]) * UINT64_C(0x100000001b3);
	return seed;
}

#define HASH_SEED UINT64_C(0xcbf29ce484222325)

static uint64_t config_hash(const struct analysis_config *config)
{
	uint64_t h = hash(HASH_SEED, &config->n_slots, sizeof(config->n_slots));

	for (size_t s = 0; s < config->n_slots; s++) {
		const struct analysis_slot *slot = &config->slots[s];

		h = hash(h, slot->modality, strnlen(slot->modality, sizeof(slot->modality)));
		h = hash(h, &slot->sample_rate_hz, sizeof(slot->sample_rate_hz));
		h = hash(h, &slot->bit_depth, sizeof(slot->bit_depth));
		h = hash(h, &slot->num_channels, sizeof(slot->num_channels));
	}
	if (config->has_spo2_calibration)
		h = hash(h, config->spo2_calibration, sizeof(config->spo2_calibration));
	return h;
}

static void *room_of(const struct state *state, size_t offset)
{
	return (uint8_t *)(uintptr_t)state + offset;
}

static struct vitals *vitals_of(const struct state *state)
{
	return room_of(state, state->vitals);
}

static void set_calibration(struct state *state, const struct analysis_config *config)
{
	const double *abc =
	        config->has_spo2_calibration ? config->spo2_calibration : default_calibration;

	state->is_calibrated = config->has_spo2_calibration;
	memcpy(vitals_of(state)->calibration, abc, sizeof(default_calibration));
}

/* The vitals at rest: nothing seen yet. What the configuration set stays. */
static void reset_vitals(struct state *state)
{
	struct vitals *vitals = vitals_of(state);
	uint32_t channels = vitals->channels, has_limb = vitals->has_limb;
	uint32_t colour[VITALS_CHANNELS];
	double calibration[3];

	memcpy(colour, vitals->colour, sizeof(colour));
	memcpy(calibration, vitals->calibration, sizeof(calibration));
	memset(vitals, 0, vitals_size(channels));
	vitals_init(vitals, channels, has_limb);
	memcpy(vitals->colour, colour, sizeof(colour));
	memcpy(vitals->calibration, calibration, sizeof(calibration));
}

static struct state *state_new(const struct analysis_config *config)
{
	unsigned use[ANALYSIS_MAX_SLOTS] = { 0 };
	struct source source[MAX_SOURCES];
	uint32_t colour[VITALS_CHANNELS] = { 0 };
	uint8_t source_of[ANALYSIS_MAX_SLOTS];
	size_t size = sizeof(struct state), n = 0, lights = 0;
	bool has_limb = false;
	struct state *state;

	memset(source_of, NO_SOURCE, sizeof(source_of));
	choose(config, use);
	for (size_t s = 0; s < config->n_slots; s++) {
		if (use[s] == 0)
			continue;
		source[n] = source_new(&config->slots[s], use[s]);
		source[n].room = (uint32_t)size;
		source[n].first_pulse = (uint32_t)lights;
		size += grid_room(&source[n].grid);
		has_limb |= source[n].is_motion;
		for (unsigned c = 0; !source[n].is_motion && c < use[s]; c++)
			colour[lights++] = (uint32_t)kind_of(&config->slots[s]);
		source_of[s] = (uint8_t)n++;
	}
	state = xcalloc(1, size + vitals_size(lights));
	state->version = STATE_VERSION;
	state->size = (uint32_t)(size + vitals_size(lights));
	state->config_hash = config_hash(config);
	memcpy(state->source_of, source_of, sizeof(source_of));
	state->n_sources = (uint32_t)n;
	memcpy(state->source, source, n * sizeof(*source));
	state->vitals = (uint32_t)size;
	vitals_init(vitals_of(state), lights, has_limb);
	memcpy(vitals_of(state)->colour, colour, sizeof(colour));
	set_calibration(state, config);
	return state;
}

struct analysis *analysis_new(const struct analysis_config *config)
{
	struct analysis *analysis = xcalloc(1, sizeof(*analysis));

	MUST(config->n_slots <= ANALYSIS_MAX_SLOTS);
	analysis->state = state_new(config);
	return analysis;
}

void analysis_free(struct analysis *analysis)
{
	if (analysis == NULL)
		return;
	free(analysis->state);
	free(analysis->queue.item);
	free(analysis);
}

static void enqueue(struct queue *queue, const struct analysis_insight *insight)
{
	if (queue->len == queue->cap) {
		queue->cap = queue->cap == 0 ? QUEUE_START : 2 * queue->cap;
		queue->item = xrealloc(queue->item, queue->cap, sizeof(*queue->item));
	}
	queue->item[queue->len++] = *insight;
}

bool analysis_next(struct analysis *analysis, struct analysis_insight *ret)
{
	struct queue *queue = &analysis->queue;

	if (queue->head == queue->len) {
		free(queue->item);
		*queue = (struct queue){ 0 };
		return false;
	}
	*ret = queue->item[queue->head++];
	return true;
}

/* An answer of the vitals becomes an insight at t_ms. */
struct answering {
	struct analysis *analysis;
	int64_t t_ms;
};

static void on_answer(void *self, const struct vital_answer *answer)
{
	static const enum insight_type type_of[VITALS] = {
		[VITAL_HR] = INSIGHT_HR,         [VITAL_SPO2] = INSIGHT_SPO2,
		[VITAL_RR] = INSIGHT_RR,         [VITAL_RMSSD] = INSIGHT_HRV_RMSSD,
		[VITAL_SDNN] = INSIGHT_HRV_SDNN, [VITAL_MOTION] = INSIGHT_MOTION,
	};
	struct answering *answering = self;
	struct analysis_insight insight = {
		.type = type_of[answer->vital],
		.t_ms = answering->t_ms,
		.value = (double)answer->value,
		.confidence = (double)answer->confidence,
	};

	if (answer->vital == VITAL_SPO2 && !answering->analysis->state->is_calibrated) {
		insight.uncalibrated = true;
		insight.confidence = fmin(insight.confidence, UNCALIBRATED_MAX);
	}
	enqueue(&answering->analysis->queue, &insight);
}

/* Hand each channel the second that ends at session second `second`. */
static void fill_second(struct state *state, int64_t second)
{
	struct vitals *vitals = vitals_of(state);
	double end_ms = (double)(state->origin_ms + second * 1000);

	for (size_t i = 0; i < state->n_sources; i++) {
		struct source *source = &state->source[i];
		struct front_second samples = { .valid = 0 };
		double reference[FRONT_CHANNELS];

		if (source->grid.started)
			front_second(&source->front, &source->grid, room_of(state, source->room),
			             end_ms, &samples);
		for (size_t c = 0; c < FRONT_CHANNELS; c++)
			reference[c] = source->front.channel[c].reference;
		if (source->is_motion)
			vitals_limb_second(vitals, &samples, reference);
		for (size_t c = 0; !source->is_motion && c < source->grid.channels; c++)
			pulse_second(&vitals->pulse[source->first_pulse + c], samples.sample[c],
			             samples.valid, reference[c]);
	}
	state->second = second;
}

static void compute_until(struct analysis *analysis, int64_t second)
{
	struct state *state = analysis->state;

	while (state->second < second) {
		struct answering answering = { analysis, 0 };

		fill_second(state, state->second + 1);
		answering.t_ms = state->base_ms + state->origin_ms + state->second * 1000;
		vitals_tick(vitals_of(state), state->second, on_answer, &answering);
	}
}

/* End of the newest sample of a source; the session's start before its first. */
static double newest_ms(const struct state *state, const struct source *source)
{
	return source->grid.started ? grid_end_ms(&source->grid) : (double)state->origin_ms;
}

static double session_newest_ms(const struct state *state)
{
	double newest = (double)state->origin_ms;

	for (size_t i = 0; i < state->n_sources; i++)
		newest = fmax(newest, newest_ms(state, &state->source[i]));
	return newest;
}

/* The watermark in whole session seconds. */
static int64_t watermark(const struct state *state)
{
	double newest = session_newest_ms(state), mark = INFINITY;

	for (size_t i = 0; i < state->n_sources; i++) {
		const struct source *source = &state->source[i];
		double own = newest_ms(state, source);
		double half_sample_ms = 500 / source->grid.rate_hz;

		if (newest - own <= LAG_MS + (double)state->frame_span_ms)
			mark = fmin(mark, own + half_sample_ms);
	}
	return (int64_t)floor((mark - (double)state->origin_ms) / 1000);
}

/* The last second up to which something is due: between two of them the signals wait,
 * so that late frames within the open window count. */
static int64_t last_due(int64_t second)
{
	while (second > 0 && second % HEART_STEP_S != 0 && second % 5 != 0)
		second--;
	return second > 0 ? second : -EARLY_MS / 1000;
}

static void advance(struct analysis *analysis)
{
	compute_until(analysis, last_due(watermark(analysis->state)));
}

/* Windows begin anew with t0_ms as second 0. */
static void restart(struct state *state, int64_t t0_ms)
{
	for (size_t i = 0; i < state->n_sources; i++) {
		state->source[i].grid.started = 0;
		state->source[i].front = front_new(&state->source[i].grid);
	}
	reset_vitals(state);
	state->started = 1;
	state->base_ms = t0_ms;
	state->origin_ms = 0;
	state->second = -EARLY_MS / 1000;
	state->back = (struct step_back){ 0 };
}

/* A frame that ends more than STEP_BACK_MS behind the windows: late, or the sign of a
 * clock that was set back. True when it is the latter. */
static bool has_stepped_back(struct state *state, unsigned slot, int64_t t_ms, int64_t end_ms)
{
	struct step_back *back = &state->back;

	if (end_ms > state->origin_ms + state->second * 1000 - STEP_BACK_MS) {
		*back = (struct step_back){ 0 };
		return false;
	}
	if (back->frames > 0 && back->slot != slot)
		return false;
	if (back->frames == 0 || t_ms < back->until_ms - STEP_JOIN_MS ||
	    t_ms > back->until_ms + STEP_JOIN_MS)
		*back = (struct step_back){ .from_ms = t_ms, .slot = slot };
	back->until_ms = end_ms;
	back->frames++;
	return back->frames >= 2 && back->until_ms - back->from_ms >= STEP_BACK_MS;
}

static int32_t read_sample(const uint8_t *byte, unsigned bytes)
{
	uint32_t value = 0;

	MUST(bytes >= 1 && bytes <= 4);
	for (unsigned b = 0; b < bytes; b++)
		value |= (uint32_t)byte[b] << (8 * (4 - bytes + b));
	return (int32_t)value >> (8 * (4 - bytes));
}

/* The used channels of one sample; true when one of them is at the end of its scale. */
static bool read_values(const struct source *source, const uint8_t *sample, int32_t *ret)
{
	bool is_clipped = false;

	for (uint32_t c = 0; c < source->grid.channels; c++) {
		ret[c] = read_sample(sample + c * source->sample_bytes, source->sample_bytes);
		is_clipped |= ret[c] >= source->full_scale || ret[c] <= -source->full_scale - 1;
	}
	return is_clipped;
}

static void begin_placing(struct analysis *analysis, struct source *source, int64_t t_ms,
                          const uint8_t *payload, uint32_t sample_count)
{
	struct state *state = analysis->state;

	if (!source->grid.started)
		grid_start(&source->grid, room_of(state, source->room), t_ms,
		           state->origin_ms + state->second * 1000);
	analysis->push = (struct push){ .source = source,
		                        .payload = payload,
		                        .count = sample_count,
		                        .k = grid_index(&source->grid, t_ms) };
}

/* False: so many seconds were computed, and it is not whole. */
static bool place_some(struct analysis *analysis, unsigned seconds)
{
	struct state *state = analysis->state;
	struct push *push = &analysis->push;
	struct source *source = push->source;
	void *room = room_of(state, source->room);
	size_t stride = (size_t)source->slot_channels * source->sample_bytes;

	for (; push->at < push->count; push->at++) {
		int32_t value[FRONT_CHANNELS];
		bool is_clipped = read_values(source, push->payload + push->at * stride, value);

		while (!grid_put(&source->grid, room, push->k + push->at, is_clipped ? NULL : value,
		                 &push->placed)) {
			if (seconds-- == 0)
				return false;
			compute_until(analysis, state->second + 1);
		}
	}
	return true;
}

/* Nothing is computed yet and an earlier frame comes: the session began with it. */
static void begin_earlier(struct state *state, int64_t t_ms)
{
	state->origin_ms = t_ms;
	for (size_t i = 0; i < state->n_sources; i++)
		if (state->source[i].grid.started)
			grid_rewind(&state->source[i].grid, t_ms - EARLY_MS);
}

/* Where a frame of span_ms that begins at t0_ms belongs in the session's time. */
static int64_t follow_time(struct analysis *analysis, unsigned slot, int64_t t0_ms, int64_t span_ms)
{
	struct state *state = analysis->state;
	int64_t t_ms = t0_ms - state->base_ms;

	if (!state->started) {
		restart(state, t0_ms);
	} else if (state->second == -EARLY_MS / 1000 && t_ms < state->origin_ms &&
	           t_ms >= state->origin_ms - EARLY_MS) {
		begin_earlier(state, t_ms);
	} else if ((double)t_ms - session_newest_ms(state) > JUMP_MS) {
		analysis_finish(analysis);
		restart(state, t0_ms);
	} else if (has_stepped_back(state, slot, t_ms, t_ms + span_ms)) {
		restart(state, t0_ms);
	}
	return t0_ms - state->base_ms;
}

void analysis_push_begin(struct analysis *analysis, unsigned slot, int64_t t0_ms,
                         const uint8_t *payload, uint32_t sample_count)
{
	struct state *state = analysis->state;
	struct source *source;
	int64_t span_ms, t_ms;

	analysis->push = (struct push){ 0 };
	if (slot >= ANALYSIS_MAX_SLOTS || state->source_of[slot] == NO_SOURCE || sample_count == 0)
		return;
	if (t0_ms < -T0_LIMIT_MS || t0_ms > T0_LIMIT_MS) {
		analysis->push.placed.late = sample_count;
		return;
	}
	source = &state->source[state->source_of[slot]];
	span_ms = (int64_t)(sample_count * 1000 / (source->grid.rate_hz * source->grid.stride));
	t_ms = follow_time(analysis, slot, t0_ms, span_ms);
	if (span_ms > state->frame_span_ms)
		state->frame_span_ms = span_ms < FRAME_SPAN_MS ? span_ms : FRAME_SPAN_MS;
	begin_placing(analysis, source, t_ms, payload, sample_count);
}

bool analysis_push_some(struct analysis *analysis, unsigned seconds, struct analysis_placed *ret)
{
	const struct push *push = &analysis->push;

	if (push->source) {
		if (!place_some(analysis, seconds))
			return false;
		advance(analysis);
	}
	*ret = (struct analysis_placed){ push->placed.stored, push->placed.overlapped,
		                         push->placed.late };
	return true;
}

struct analysis_placed analysis_push(struct analysis *analysis, unsigned slot, int64_t t0_ms,
                                     const uint8_t *payload, uint32_t sample_count)
{
	struct analysis_placed placed;

	analysis_push_begin(analysis, slot, t0_ms, payload, sample_count);
	MUST(analysis_push_some(analysis, UINT_MAX, &placed));
	return placed;
}

void analysis_finish(struct analysis *analysis)
{
	struct state *state = analysis->state;
	double newest = session_newest_ms(state);
	int64_t last = (int64_t)floor((newest - (double)state->origin_ms) / 1000 + 1e-3);
	struct answering answering = { analysis, state->base_ms + (int64_t)floor(newest) };

	if (!state->started)
		return;
	compute_until(analysis, last);
	if (newest - (double)(state->origin_ms + last * 1000) >= 1)
		fill_second(state, last + 1);
	vitals_finish(vitals_of(state), state->second, on_answer, &answering);
}

size_t analysis_state_size(const struct analysis *analysis)
{
	return analysis->state->size;
}

void analysis_save(const struct analysis *analysis, uint8_t *ret)
{
	uint64_t checksum = hash(HASH_SEED, analysis->state, analysis->state->size);

	memcpy(ret, analysis->state, analysis->state->size);
	memcpy(ret + offsetof(struct state, checksum), &checksum, sizeof(checksum));
}

enum err analysis_restore(struct analysis *analysis, const uint8_t *state, size_t size)
{
	struct state *own = analysis->state;
	struct state head;
	struct state *copy;
	uint64_t checksum;

	if (size != own->size)
		return ERR_MALFORMED;
	memcpy(&head, state, sizeof(head));
	if (head.version != own->version || head.size != own->size ||
	    head.config_hash != own->config_hash)
		return ERR_MALFORMED;
	copy = xmemdup(state, size);
	checksum = copy->checksum;
	copy->checksum = 0;
	if (hash(HASH_SEED, copy, size) != checksum) {
		free(copy);
		return ERR_MALFORMED;
	}
	analysis->state = copy;
	free(own);
	return OK;
}
