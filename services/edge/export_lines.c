/* The part of export that writes CSV: frames in the order of their time, a line a sample. */
#include "services/edge/export.h"

#include "services/edge/export_csv.h"

#include <stdlib.h>

#define WINDOW_BYTES (32u << 10) /* of frames, as the slots declare */
#define WINDOW_LEAST 100.0       /* ms */
#define WINDOW_MOST  600000.0
#define GATHER_MOST  (2u << 20)

static const Raeh__Slot *the_slot(const struct export *export)
{
	return export->one_slot ? export_slot(export, export->slot) : NULL;
}

static void begin(struct export *export)
{
	export_csv_header(the_slot(export), &export->out);
}

static int64_t window_ms(const struct export *export)
{
	double bytes_per_s = 0, ms;

	for (size_t i = 0; i < export->about->n_slots; i++) {
		const Raeh__Slot *slot = export->about->slots[i];
		uint32_t sample = (slot->bit_depth + 7) / 8 * slot->num_channels;

		if (!export->one_slot || slot->slot_id == export->slot)
			bytes_per_s += slot->sample_rate_hz * sample;
	}
	ms = WINDOW_BYTES * 1000 / bytes_per_s;
	ms = ms < WINDOW_LEAST ? WINDOW_LEAST : ms;
	return (int64_t)(ms > WINDOW_MOST ? WINDOW_MOST : ms);
}

static bool window(struct export *export)
{
	int64_t at_ms;

	if (!export_runs_next(&export->runs, export->window_to_ms, &at_ms) ||
	    at_ms >= export->to_ms)
		return false;
	export->window_from_ms = at_ms;
	export->window_to_ms = at_ms + window_ms(export);
	if (export->window_to_ms > export->to_ms)
		export->window_to_ms = export->to_ms;
	return true;
}

/* A frame belongs to the window in which it begins. */
static bool take(struct export *export, const struct export_frame *frame)
{
	int64_t from_ms = frame->from_ms < export->from_ms ? export->from_ms : frame->from_ms;

	if (from_ms < export->window_from_ms)
		return true;
	if (export->n_frames == export->cap_frames) {
		export->cap_frames = export->cap_frames ? 2 * export->cap_frames : 64;
		export->frames =
		        xrealloc(export->frames, export->cap_frames, sizeof *export->frames);
	}
	export->frames[export->n_frames++] = *frame;
	return true;
}

static int earlier(const void *a, const void *b)
{
	const struct export_frame *left = a, *right = b;

	if (left->from_ms != right->from_ms)
		return left->from_ms < right->from_ms ? -1 : 1;
	return left->number < right->number ? -1 : left->number > right->number;
}

static bool is_asked_for(const struct export *export, int64_t us)
{
	return (export->from_ms == INT64_MIN || us >= export->from_ms * 1000) &&
	       (export->to_ms == INT64_MAX || us < export->to_ms * 1000);
}

/* Up to a part's length; false: the frame has more. */
static bool append_lines(struct export *export, const struct export_frame *from)
{
	const Raeh__Slot *slot;
	struct frame frame;

	(void)frame_parse(from->bytes, &frame); /* as it was when it came */
	slot = export_slot(export, frame.slot_id);
	MUST(slot != NULL);
	for (; export->at_sample < frame.sample_count; export->at_sample++) {
		if (export->out.len >= EXPORT_PART)
			return false;
		if (is_asked_for(export, export_sample_us(&frame, slot, export->at_sample)))
			export_csv_line(&frame, slot, export->at_sample, export->one_slot,
			                &export->out);
	}
	return true;
}

static bool part(struct export *export)
{
	if (export->at_frame == export->n_frames)
		return false;
	if (export->at_frame == 0 && export->at_sample == 0)
		qsort(export->frames, export->n_frames, sizeof *export->frames, earlier);
	while (export->at_frame < export->n_frames &&
	       append_lines(export, &export->frames[export->at_frame])) {
		export->at_frame++;
		export->at_sample = 0;
	}
	return true;
}

const struct export_writer export_csv_writer = { begin, window, take, part, GATHER_MOST };
