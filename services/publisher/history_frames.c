/* The raw samples of a session, for an export: history.h has the rules. */
#include "services/publisher/history.h"

#include "common/frame.h"
#include "common/wire.h"
#include "services/publisher/publisher_raw.h"
#include "services/publisher/session_rows.h"

#include <math.h>
#include <string.h>

#define SLICE_ROWS  1000
#define SLICE_BYTES (512u << 10) /* read in one turn; a frame is at most 1 MiB */
#define TIME_LIMIT  (INT64_C(1) << 52)

#define RUN_JOIN_MS 1000
#define RUN_FRAMES  256
#define RUN_SPAN_MS 30000
#define RUN_BYTES   (256u << 10)

/* A frame where it lies in session time. */
struct placed {
	uint64_t number;
	uint32_t slot_id;
	int64_t from_ms, to_ms;
	struct bytes bytes;
};

/* Rows of one session between two numbers. */
struct walk {
	const Events__StoredOpening *opening;
	struct store_scan *scan;
	uint64_t next; /* all numbers below were looked at */
	size_t rows, bytes;
	bool is_cut;
	bool has_slot;
	uint32_t slot;
	int64_t from_ms, to_ms; /* only frames with samples between them */
};

static void walk_start(struct walk *walk, struct store *store, const struct session_name *name,
                       uint64_t first, uint64_t end)
{
	struct key from, to;

	session_key(&from, name, 'f');
	to = from;
	key_add_u64(&from, first);
	key_add_u64(&to, end > first ? end : first);
	walk->next = first;
	walk->scan = scan_open(store, key_bytes(&from), key_bytes(&to), false);
}

static bool place(const struct walk *walk, uint64_t number, struct bytes message,
                  struct placed *ret)
{
	const Events__StoredOpening *opening = walk->opening;
	double period_ms = 0;
	struct frame frame;
	char why[124];

	if (!frame_parse(message, &frame) ||
	    frame_refusal(message, opening->slots, opening->n_slots, why) != 0 ||
	    frame.t0_epoch_ms < -TIME_LIMIT || frame.t0_epoch_ms > TIME_LIMIT)
		return false; /* no place in time: its slot is not of this session */
	for (size_t i = 0; i < opening->n_slots; i++)
		if (opening->slots[i]->slot_id == frame.slot_id)
			period_ms = 1000 / opening->slots[i]->sample_rate_hz;
	ret->number = number;
	ret->slot_id = frame.slot_id;
	ret->from_ms = frame.t0_epoch_ms;
	ret->to_ms = frame.t0_epoch_ms + (int64_t)ceil(frame.sample_count * period_ms);
	ret->bytes = message;
	return true;
}

/* The next frame that is asked for. False: that was the last, or enough for one turn. */
static bool walk_next(struct walk *walk, struct placed *ret)
{
	struct bytes key, value;

	for (;;) {
		walk->is_cut = walk->rows >= SLICE_ROWS || walk->bytes >= SLICE_BYTES;
		if (walk->is_cut || !scan_next(walk->scan, &key, &value))
			return false;
		walk->rows++;
		walk->bytes += value.len;
		walk->next = key_read_u64((const uint8_t *)key.data + key.len - 8) + 1;
		if (place(walk, walk->next - 1, value, ret) &&
		    (!walk->has_slot || ret->slot_id == walk->slot) && ret->to_ms > walk->from_ms &&
		    ret->from_ms < walk->to_ms)
			return true;
	}
}

static enum err walk_end(struct walk *walk, struct history *history)
{
	enum err err = walk->is_cut ? OK : scan_err(walk->scan);

	history->metrics->history_rows_total += walk->rows;
	scan_close(walk->scan);
	return err;
}

/* The session's opening, when the asker may know it. */
static enum err find(struct history *history, const struct asker *asker, const char *id,
                     struct session_name *name, Events__StoredOpening **ret)
{
	enum err err = history_find_session(history, asker, id, name);

	return err == OK ? session_load_opening(history->store, name, ret) : err;
}

static void refuse(struct bus_call *call, enum err err)
{
	if (err == ERR_NOT_FOUND)
		history_refuse(call, 404, HISTORY_NO_SESSION);
	else if (err == ERR_MALFORMED)
		history_refuse(call, 400, "newest: expected 1 to 1000");
	else
		history_refuse(call, 503, HISTORY_NO_STORE);
}

/* ---- where the frames lie ---- */

static void add_run(struct buf *list, Publisher__FrameRun *run)
{
	struct buf packed = { 0 };

	raw_add_bytes(list, 1, wire_pack(&packed, &run->base)); /* FrameRunList.runs */
	buf_free(&packed);
}

/* A run while it grows. */
struct run {
	Publisher__FrameRun message;
	int64_t newest_ms; /* where its last frame begins */
	size_t frames, bytes;
};

/* Near enough to be found together: what is missing between frames is seen when they are read. */
static bool goes_on(const struct run *run, const struct placed *frame)
{
	const Publisher__FrameRun *so_far = &run->message;

	return frame->from_ms >= run->newest_ms && frame->from_ms >= so_far->to_ms - RUN_JOIN_MS &&
	       frame->from_ms <= so_far->to_ms + RUN_JOIN_MS && run->frames < RUN_FRAMES &&
	       frame->to_ms - so_far->from_ms <= RUN_SPAN_MS &&
	       run->bytes + frame->bytes.len <= RUN_BYTES;
}

static void add_frame(struct buf *list, struct run *run, const struct placed *frame)
{
	Publisher__FrameRun *message = &run->message;

	if (run->frames > 0 && !goes_on(run, frame)) {
		add_run(list, message);
		run->frames = 0;
	}
	if (run->frames == 0) {
		publisher__frame_run__init(message);
		message->slot_id = frame->slot_id;
		message->first = frame->number;
		message->from_ms = message->to_ms = frame->from_ms;
		run->bytes = 0;
	}
	message->last = frame->number;
	message->to_ms = frame->to_ms > message->to_ms ? frame->to_ms : message->to_ms;
	run->newest_ms = frame->from_ms;
	run->bytes += frame->bytes.len;
	run->frames++;
}

static void gather_runs(struct walk *walk, struct buf *list)
{
	struct run *runs = xcalloc(256, sizeof *runs); /* by slot */
	struct placed frame;

	while (walk_next(walk, &frame))
		add_frame(list, &runs[frame.slot_id], &frame);
	for (size_t i = 0; i < 256; i++)
		if (runs[i].frames > 0)
			add_run(list, &runs[i].message);
	mem_free(runs);
}

static void answer_runs(struct history *history, struct bus_call *call, const struct walk *walk,
                        const struct buf *runs)
{
	Publisher__FrameRunList tail = PUBLISHER__FRAME_RUN_LIST__INIT;
	struct buf list = { 0 }, packed = { 0 }, reply = { 0 };
	struct bytes fields;

	tail.next = walk->next;
	tail.device_id = walk->opening->device_id;
	tail.started_at = walk->opening->started_at;
	tail.n_slots = walk->opening->n_slots;
	tail.slots = walk->opening->slots;
	fields = wire_pack(&packed, &tail.base);
	buf_append(&list, runs->data, runs->len);
	buf_append(&list, fields.data, fields.len);
	if (walk->is_cut)
		raw_add_u64(&reply, 2, 1);                     /* PublisherReply.more */
	raw_add_bytes(&reply, 40, BYTES(list.data, list.len)); /* .frame_runs */
	buf_free(&packed);
	buf_free(&list);
	turns_answer_read(history->turns, call, &reply);
}

/* The number of the last frame but `newest - 1`, or `first` when there are no more from there on.
 */
static enum err find_newest(struct store *store, const struct session_name *name, uint64_t first,
                            uint32_t newest, uint64_t *ret)
{
	AUTO(scan_close) struct store_scan *scan = NULL;
	struct bytes bytes, value;
	struct key from, to;
	uint64_t number = first;

	session_key(&from, name, 'f');
	to = from;
	key_add_u64(&from, first);
	key_add_u64(&to, UINT64_MAX);
	scan = scan_open(store, key_bytes(&from), key_bytes(&to), true);
	while (newest-- > 0 && scan_next(scan, &bytes, &value))
		number = key_read_u64((const uint8_t *)bytes.data + bytes.len - 8);
	*ret = number;
	return scan_err(scan);
}

/* Where the page begins. Item 0 is the opening. */
static enum err find_first(struct store *store, const struct session_name *name,
                           const Publisher__FrameRuns *asked, uint64_t *ret)
{
	if (asked->page_case == PUBLISHER__FRAME_RUNS__PAGE_NEXT_NUMBER) {
		*ret = asked->next_number;
		return OK;
	}
	*ret = asked->has_after && asked->after < UINT64_MAX ? asked->after + 1 : 1;
	if (!asked->has_newest)
		return OK;
	if (asked->newest < 1 || asked->newest > SLICE_ROWS)
		return ERR_MALFORMED;
	return find_newest(store, name, *ret, asked->newest, ret);
}

void history_frame_runs(struct history *history, const struct asker *asker, struct bus_call *call,
                        const Publisher__FrameRuns *asked)
{
	Events__StoredOpening *opening = NULL;
	struct session_name name;
	struct buf runs = { 0 };
	uint64_t first = 0;
	enum err err = find(history, asker, asked->id, &name, &opening);
	struct walk walk = {
		.opening = opening,
		.has_slot = asked->has_slot,
		.slot = asked->slot,
		.from_ms = asked->has_from_at ? asked->from_at : INT64_MIN,
		.to_ms = asked->has_to_at ? asked->to_at : INT64_MAX,
	};

	if (err == OK)
		err = find_first(history->store, &name, asked, &first);
	if (err == OK) {
		walk_start(&walk, history->store, &name, first, UINT64_MAX);
		gather_runs(&walk, &runs);
		err = walk_end(&walk, history);
	}
	if (err == OK)
		answer_runs(history, call, &walk, &runs);
	else
		refuse(call, err);
	buf_free(&runs);
	if (opening)
		wire_free(&opening->base);
}

/* ---- the frames ---- */

void history_read_frames(struct history *history, const struct asker *asker, struct bus_call *call,
                         const Publisher__ReadFrames *asked)
{
	Events__StoredOpening *opening = NULL;
	struct session_name name;
	struct buf list = { 0 }, numbers = { 0 }, reply = { 0 };
	struct placed frame;
	enum err err = find(history, asker, asked->id, &name, &opening);
	struct walk walk = {
		.opening = opening,
		.has_slot = asked->has_slot,
		.slot = asked->slot,
		.from_ms = asked->from_ms,
		.to_ms = asked->to_ms,
	};

	if (err == OK) {
		walk_start(&walk, history->store, &name, asked->first,
		           asked->last < UINT64_MAX ? asked->last + 1 : UINT64_MAX);
		while (walk_next(&walk, &frame)) {
			raw_add_bytes(&list, 1, frame.bytes); /* FrameList.frames */
			raw_add_varint(&numbers, frame.number);
		}
		err = walk_end(&walk, history);
	}
	if (err == OK) {
		raw_add_bytes(&list, 2, BYTES(numbers.data, numbers.len));
		raw_add_u64(&list, 3, walk.next);
		if (walk.is_cut)
			raw_add_u64(&reply, 2, 1);                     /* PublisherReply.more */
		raw_add_bytes(&reply, 41, BYTES(list.data, list.len)); /* .frames */
		turns_answer_read(history->turns, call, &reply);
	} else {
		refuse(call, err);
	}
	buf_free(&list);
	buf_free(&numbers);
	if (opening)
		wire_free(&opening->base);
}
