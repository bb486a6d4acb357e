/* The part of export that writes EDF+ and BDF+: records of all slots, stretch by stretch. */
#include "services/edge/export.h"

#include "services/edge/export_csv.h"

#include <math.h>

#define WINDOW_BYTES   (256u << 10) /* of the records of a window, in memory */
#define WINDOW_RECORDS 60

static enum edf_format format_of(const struct export *export)
{
	return export->format == EXPORT_BDF ? EDF_24 : EDF_16;
}

static bool has_frames(const struct export *export, uint32_t slot_id)
{
	for (size_t i = 0; i < export->runs.n; i++)
		if (export->runs.run[i].slot_id == slot_id)
			return true;
	return false;
}

/* Slots on which nothing came are no signals; of a session without any frame all are. */
static void plan(struct export *export)
{
	bool all = export->runs.n == 0;
	Raeh__Slot slots[EDF_SLOTS];
	size_t n = 0;

	for (size_t i = 0; i < export->about->n_slots && n < EDF_SLOTS; i++) {
		const Raeh__Slot *slot = export->about->slots[i];

		if (export->one_slot ? slot->slot_id == export->slot
		                     : all || has_frames(export, slot->slot_id))
			slots[n++] = *slot;
	}
	edf_plan(&export->edf, format_of(export), slots, n);
}

/* ---- which records there are ---- */

static int64_t record_at(const struct export *export, int64_t ms)
{
	return (ms - export->origin_ms) / export->edf.record_ms;
}

/* Runs come in the order of their beginnings. */
static void add_stretch(struct export *export, int64_t first, int64_t last)
{
	struct export_stretch *newest =
	        export->n_stretches > 0 ? &export->stretches[export->n_stretches - 1] : NULL;

	if (newest && first <= newest->last + 1) {
		newest->last = last > newest->last ? last : newest->last;
		return;
	}
	export->stretches[export->n_stretches++] = (struct export_stretch){ first, last };
}

static uint64_t find_stretches(struct export *export)
{
	uint64_t records = 0;

	export->stretches = xcalloc(export->runs.n + 1, sizeof *export->stretches);
	for (size_t i = 0; i < export->runs.n; i++) {
		const struct export_run *run = &export->runs.run[i];
		int64_t from_ms = run->from_ms < export->from_ms ? export->from_ms : run->from_ms;
		int64_t to_ms = run->to_ms > export->to_ms ? export->to_ms : run->to_ms;

		if (from_ms >= to_ms)
			continue;
		if (export->n_stretches == 0)
			export->origin_ms = from_ms;
		add_stretch(export, record_at(export, from_ms), record_at(export, to_ms - 1));
	}
	for (size_t i = 0; i < export->n_stretches; i++)
		records += (uint64_t)(export->stretches[i].last - export->stretches[i].first + 1);
	return records;
}

static void begin(struct export *export)
{
	struct edf_about about = { .device_id = export->about->device_id,
		                   .session_id = export->session_id };

	plan(export);
	export->origin_ms = export->about->started_at;
	about.records = find_stretches(export);
	about.start_ms = export->origin_ms;
	about.is_continuous = export->n_stretches < 2;
	edf_append_header(&export->edf, &about, &export->out);
	export->room_records = WINDOW_BYTES / (export->edf.n_values * 5 + 1);
	if (export->room_records > WINDOW_RECORDS)
		export->room_records = WINDOW_RECORDS;
	if (export->room_records == 0)
		export->room_records = 1;
	export->records = xcalloc(export->room_records, sizeof *export->records);
	for (size_t i = 0; i < export->room_records; i++)
		edf_record_init(&export->edf, &export->records[i]);
}

/* ---- one window ---- */

static bool window(struct export *export)
{
	const struct export_stretch *stretch;
	int64_t left;

	if (export->at_stretch<export->n_stretches &&export->next_record> export
	            ->stretches[export->at_stretch]
	            .last)
		export->at_stretch++;
	if (export->at_stretch == export->n_stretches)
		return false;
	stretch = &export->stretches[export->at_stretch];
	if (export->next_record < stretch->first)
		export->next_record = stretch->first;
	left = stretch->last - export->next_record + 1;
	export->n_records =
	        left < (int64_t) export->room_records ? (size_t)left : export->room_records;
	export->first_record = export->next_record;
	export->next_record += (int64_t) export->n_records;
	export->at_record = 0;
	for (size_t i = 0; i < export->n_records; i++)
		edf_record_clear(&export->edf, &export->records[i]);
	export->window_from_ms = export->origin_ms + export->first_record * export->edf.record_ms;
	export->window_to_ms = export->origin_ms + export->next_record * export->edf.record_ms;
	return true;
}

static const struct edf_slot *edf_slot_of(const struct export *export, uint32_t slot_id)
{
	for (size_t i = 0; i < export->edf.n_slots; i++)
		if (export->edf.slot[i].slot_id == slot_id)
			return &export->edf.slot[i];
	return NULL;
}

/* Onto the grid of the records, the nearest place; who came first stays. */
static void place(struct export *export, const struct edf_slot *to, const struct frame *frame,
                  const Raeh__Slot *slot, uint32_t index)
{
	int64_t us = export_sample_us(frame, slot, index) - export->origin_ms * 1000;
	int64_t k = llround((double)us * to->per_record / (double)export->edf.record_ms / 1000);
	int64_t record = (k - (k < 0 ? to->per_record - 1 : 0)) / to->per_record;
	const struct edf_record *into;
	size_t i;

	if ((export->from_ms != INT64_MIN && us < (export->from_ms - export->origin_ms) * 1000) ||
	    (export->to_ms != INT64_MAX && us >= (export->to_ms - export->origin_ms) * 1000) ||
	    record < export->first_record || record >= export->next_record)
		return;
	into = &export->records[record - export->first_record];
	i = (size_t)(k - record * to->per_record);
	if (into->present[to->presence + i])
		return;
	into->present[to->presence + i] = true;
	for (uint32_t c = 0; c < to->channels; c++)
		into->value[to->values + i * to->channels + c] =
		        export_sample(frame, slot, index, c);
}

static bool take(struct export *export, const struct export_frame *from)
{
	const struct edf_slot *to;
	const Raeh__Slot *slot;
	struct frame frame;
	int64_t end_us;

	(void)frame_parse(from->bytes, &frame); /* as it was when it came */
	slot = export_slot(export, frame.slot_id);
	to = edf_slot_of(export, frame.slot_id);
	if (!slot || !to)
		return true; /* of a slot on which the first frame came after the first reading */
	for (uint32_t i = 0; i < frame.sample_count; i++)
		place(export, to, &frame, slot, i);
	end_us = export_sample_us(&frame, slot, frame.sample_count);
	return end_us <= export->window_to_ms * 1000;
}

static bool part(struct export *export)
{
	if (export->at_record == export->n_records)
		return false;
	while (export->at_record < export->n_records && export->out.len < EXPORT_PART) {
		int64_t record = export->first_record + (int64_t) export->at_record;

		edf_append_record(&export->edf, &export->records[export->at_record],
		                  export->origin_ms, record * export->edf.record_ms, &export->out);
		export->at_record++;
	}
	return true;
}

const struct export_writer export_edf_writer = { begin, window, take, part, SIZE_MAX };
