#include "services/publisher/session.h"

#include "common/clock.h"
#include "common/frame.h"
#include "common/wire.h"
#include "services/publisher/session_rows.h"
#include "services/publisher/session_work.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DEVICE_ID_BYTES 128

struct session *session_new(const struct session_name *name)
{
	struct session *session = xcalloc(1, sizeof *session);

	session->name = *name;
	uuid_text(&name->id, session->text);
	memset(session->slot_index, SESSION_NO_SLOT, sizeof session->slot_index);
	for (size_t i = 0; i < ANALYSIS_MAX_SLOTS; i++)
		session->newest_t0_ms[i] = INT64_MIN;
	session->checkpoint_ms = clock_boot_ms();
	return session;
}

void session_free(struct session *session)
{
	if (!session)
		return;
	if (session->opening)
		wire_free(&session->opening->base);
	session_work_drop(session);
	analysis_free(session->analysis);
	recent_free(session->recent);
	ledger_done(&session->ledger);
	mem_free(session->timing);
	mem_free(session);
}

/* ---- the opening ---- */

static const char *slot_fault(const Raeh__Slot *slot)
{
	if (slot->slot_id > UINT8_MAX)
		return "slots: slot_id over 255";
	if (strlen(slot->modality) >= sizeof((struct analysis_slot *)0)->modality)
		return "slots: modality too long";
	if (!(slot->sample_rate_hz >= 0.1 && slot->sample_rate_hz <= 10000))
		return "slots: sample_rate_hz outside 0.1 to 10000";
	if (slot->bit_depth < 1 || slot->bit_depth > 32)
		return "slots: bit_depth outside 1 to 32";
	if (slot->num_channels < 1 || slot->num_channels > 16)
		return "slots: num_channels outside 1 to 16";
	return NULL;
}

static const char *slots_fault(const Publisher__Opening *opening)
{
	bool seen[256] = { false };

	if (opening->n_slots < 1 || opening->n_slots > ANALYSIS_MAX_SLOTS)
		return "slots: expected 1 to 64";
	for (size_t i = 0; i < opening->n_slots; i++) {
		const char *fault = slot_fault(opening->slots[i]);

		if (fault)
			return fault;
		if (seen[opening->slots[i]->slot_id])
			return "slots: a slot_id twice";
		seen[opening->slots[i]->slot_id] = true;
	}
	return NULL;
}

const char *session_opening_fault(const Publisher__Opening *opening)
{
	size_t len = strlen(opening->device_id);
	struct uuid model;

	if (len < 1 || len > DEVICE_ID_BYTES)
		return "device_id: expected 1 to 128 bytes";
	if (!uuid_parse(opening->device_model_id, &model))
		return "device_model_id: expected a UUID";
	if (opening->n_spo2_calibration != 0 && opening->n_spo2_calibration != 3)
		return "spo2_calibration: expected none or 3 numbers";
	for (size_t i = 0; i < opening->n_spo2_calibration; i++)
		if (!isfinite(opening->spo2_calibration[i]))
			return "spo2_calibration: expected finite numbers";
	return slots_fault(opening);
}

void session_set_opening(struct session *session, Events__StoredOpening *opening)
{
	session->opening = opening;
	mem_free(session->timing);
	session->timing = xcalloc(opening->n_slots, sizeof *session->timing);
	for (size_t i = 0; i < opening->n_slots && i < ANALYSIS_MAX_SLOTS; i++)
		session->slot_index[(uint8_t)opening->slots[i]->slot_id] = (uint8_t)i;
}

struct analysis *session_new_analysis(const struct session *session)
{
	const Events__StoredOpening *opening = session->opening;
	struct analysis_slot slots[ANALYSIS_MAX_SLOTS] = { 0 };
	struct analysis_config config = { .slots = slots };

	for (; config.n_slots < opening->n_slots && config.n_slots < ANALYSIS_MAX_SLOTS;
	     config.n_slots++) {
		const Raeh__Slot *from = opening->slots[config.n_slots];
		struct analysis_slot *to = &slots[config.n_slots];

		(void)snprintf(to->modality, sizeof to->modality, "%s", from->modality);
		to->sample_rate_hz = from->sample_rate_hz;
		to->bit_depth = from->bit_depth;
		to->num_channels = from->num_channels;
	}
	config.has_spo2_calibration = opening->n_spo2_calibration == 3;
	for (size_t i = 0; i < 3 && config.has_spo2_calibration; i++)
		config.spo2_calibration[i] = opening->spo2_calibration[i];
	return analysis_new(&config);
}

void session_start_analysis(struct session *session)
{
	session->analysis = session_new_analysis(session);
}

void session_open(struct session *session, struct store_batch *batch,
                  const Publisher__Opening *opening)
{
	Events__StoredOpening stored = EVENTS__STORED_OPENING__INIT;
	struct buf row = { 0 };
	struct key key;

	MUST(session->next == 0 && !session->opening);
	if (session->erased) {
		session->next = 1;
		session_save(session, batch);
		return;
	}
	stored.device_id = opening->device_id;
	stored.device_model_id = opening->device_model_id;
	stored.n_slots = opening->n_slots;
	stored.slots = opening->slots;
	stored.started_at = opening->started_at;
	stored.n_spo2_calibration = opening->n_spo2_calibration;
	stored.spo2_calibration = opening->spo2_calibration;
	session_key(&key, &session->name, 'S');
	batch_put(batch, key_bytes(&key), wire_pack(&row, &stored.base));
	buf_free(&row);
	session_set_opening(session, (Events__StoredOpening *)wire_copy(&stored.base));
	session->next = 1;
	session_save(session, batch);
}

/* ---- frames ---- */

bool session_analyse(struct session *session, struct bytes message)
{
	struct analysis_placed placed;
	struct frame frame;
	char why[124];

	if (!session->analysis && session->opening && !session->closed)
		session_start_analysis(session);
	if (!session->analysis || !frame_parse(message, &frame) ||
	    frame_refusal(message, session->opening->slots, session->opening->n_slots, why) != 0)
		return session->closed;
	session->unsaved_s += session_frame_s(session, message);
	if (!session_work_take(session, session->next - 1, &placed))
		placed = analysis_push(session->analysis, session->slot_index[frame.slot_id],
		                       frame.t0_epoch_ms, frame.payload.data, frame.sample_count);
	return placed.late > 0;
}

void session_note(struct session *session, struct bytes message, bool late)
{
	struct frame frame;
	char why[124];
	unsigned slot;

	session->late += late;
	if (!session->opening || !frame_parse(message, &frame) ||
	    frame_refusal(message, session->opening->slots, session->opening->n_slots, why) != 0)
		return;
	slot = session->slot_index[frame.slot_id];
	ledger_note(&session->ledger, slot, session->opening->slots[slot]->sample_rate_hz,
	            frame.t0_epoch_ms, frame.sample_count, late);
}

/* The newest t0 of the frame's slot, or NULL when it has none. */
static int64_t *newest_of(struct session *session, const struct frame *frame)
{
	uint8_t index = session->slot_index[frame->slot_id];

	return index == SESSION_NO_SLOT ? NULL : &session->newest_t0_ms[index];
}

void session_count(struct session *session, uint64_t number, struct bytes message)
{
	struct frame frame;
	int64_t *newest = frame_parse(message, &frame) ? newest_of(session, &frame) : NULL;

	session->next = number + 1;
	session->frames++;
	session->bytes += message.len;
	session->unsaved++;
	if (newest && frame.t0_epoch_ms > *newest)
		*newest = frame.t0_epoch_ms;
}

void session_time(struct session *session, uint64_t number, struct bytes message,
                  int64_t arrived_ms)
{
	struct frame frame;
	char why[124];
	unsigned slot;

	if (number < session->timed_next || !session->opening || !frame_parse(message, &frame) ||
	    frame_refusal(message, session->opening->slots, session->opening->n_slots, why) != 0)
		return;
	session->timed_next = number + 1;
	slot = session->slot_index[frame.slot_id];
	timing_note(&session->timing[slot], session->opening->slots[slot]->sample_rate_hz,
	            frame.t0_epoch_ms, frame.sample_count, arrived_ms);
}

static bool may_be_duplicate(struct session *session, struct bytes message)
{
	struct frame frame;
	const int64_t *newest = frame_parse(message, &frame) ? newest_of(session, &frame) : NULL;

	return !newest || frame.t0_epoch_ms <= *newest;
}

static void frame_key(struct key *key, const struct session_name *name, uint64_t number)
{
	session_key(key, name, 'f');
	key_add_u64(key, number);
}

static void remember_stored(struct session *session, struct store *store)
{
	struct key from, to;
	struct store_scan *scan;
	struct bytes row, frame;
	uint32_t(*found)[2] = xcalloc(SESSION_RECENT, sizeof *found);
	size_t n = 0;

	session_key(&from, &session->name, 'f');
	key_end_of(&from, &to);
	scan = scan_open(store, key_bytes(&from), key_bytes(&to), true);
	while (n < SESSION_RECENT && scan_next(scan, &row, &frame)) {
		uint64_t number = key_read_u64((const uint8_t *)row.data + row.len - 8);

		found[n][0] = recent_fingerprint(session->recent, frame);
		found[n++][1] = (uint32_t)number;
	}
	scan_close(scan);
	while (n-- > 0)
		recent_add(session->recent, found[n][0], found[n][1]);
	mem_free(found);
}

static void make_recent(struct session *session, struct store *store,
                        const struct session_pendings *pendings)
{
	session->recent = recent_new();
	remember_stored(session, store);
	for (size_t i = 0; i < pendings->n; i++)
		if (pendings->at[i].session == session)
			recent_add(session->recent,
			           recent_fingerprint(session->recent, pendings->at[i].frame),
			           pendings->at[i].number);
}

static bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static bool is_same_frame(const struct session *session, struct store *store,
                          const struct session_pendings *pendings, uint64_t number,
                          struct bytes frame)
{
	struct buf row = { 0 };
	struct key key;
	bool same;

	for (size_t i = 0; i < pendings->n; i++)
		if (pendings->at[i].session == session && pendings->at[i].number == number)
			return bytes_equal(pendings->at[i].frame, frame);
	frame_key(&key, &session->name, number);
	same = store_get(store, key_bytes(&key), &row) == OK &&
	       bytes_equal(BYTES(row.data, row.len), frame);
	buf_free(&row);
	return same;
}

static bool is_duplicate(struct session *session, struct store *store,
                         const struct session_pendings *pendings, struct bytes frame)
{
	uint32_t fingerprint;
	uint64_t number;

	if (!may_be_duplicate(session, frame))
		return false;
	if (!session->recent)
		make_recent(session, store, pendings);
	fingerprint = recent_fingerprint(session->recent, frame);
	for (size_t place = 0;
	     recent_find(session->recent, fingerprint, session->next, &place, &number);)
		if (is_same_frame(session, store, pendings, number, frame))
			return true;
	return false;
}

static void add_pending(struct session_pendings *pendings, const struct session *session,
                        struct bytes frame)
{
	if (pendings->n == pendings->cap) {
		pendings->cap = pendings->cap ? 2 * pendings->cap : 64;
		pendings->at = xrealloc(pendings->at, pendings->cap, sizeof *pendings->at);
	}
	pendings->at[pendings->n++] = (struct session_pending){ session, session->next, frame };
}

enum session_frame session_take_frame(struct session *session, struct store *store,
                                      struct store_batch *batch, struct session_pendings *pendings,
                                      struct bytes frame)
{
	struct key key;

	if (session->erased) {
		session->next++;
		session->must_save = true;
		return SESSION_DROPPED;
	}
	if (is_duplicate(session, store, pendings, frame)) {
		session->next++;
		session->duplicates++;
		session->must_save = true;
		session_work_drop(session);
		return SESSION_DUPLICATE;
	}
	frame_key(&key, &session->name, session->next);
	batch_put(batch, key_bytes(&key), frame);
	if (session->recent)
		recent_add(session->recent, recent_fingerprint(session->recent, frame),
		           session->next);
	add_pending(pendings, session, frame);
	session_count(session, session->next, frame);
	session->must_save = session->unsaved >= SESSION_UNSAVED_MAX;
	session_time(session, session->next - 1, frame, clock_wall_ms());
	session_note(session, frame, session_analyse(session, frame));
	return SESSION_STORED;
}

/* ---- the closing ---- */

void session_set_closing(struct session *session, const Publisher__Closing *closing, bool fenced)
{
	size_t len = strlen(closing->close_reason);

	if (len > SESSION_REASON_BYTES) /* cut between characters */
		for (len = SESSION_REASON_BYTES;
		     len > 0 && ((uint8_t)closing->close_reason[len] & 0xc0) == 0x80;)
			len--;
	session->closed = true;
	session->fenced = fenced;
	session->close_code = closing->close_code;
	session->ended_at = closing->ended_at;
	session->has_refused = closing->refused != NULL;
	if (closing->refused)
		session->refused = *closing->refused; /* flat */
	memcpy(session->close_reason, closing->close_reason, len);
	session->close_reason[len] = '\0';
}

void session_close(struct session *session, const Publisher__Closing *closing, bool fenced)
{
	session->must_save = true;
	session->whole = session->whole || !fenced;
	if (session->closed)
		return;
	session_set_closing(session, closing, fenced);
	session_work_drop(session);
	if (session->analysis)
		analysis_finish(session->analysis);
}

void session_erase(struct session *session, const Publisher__Closing *closing)
{
	session_work_drop(session);
	analysis_free(TAKE(session->analysis));
	recent_free(TAKE(session->recent));
	if (session->opening)
		wire_free(&session->opening->base);
	session->opening = NULL;
	mem_free(TAKE(session->timing));
	memset(session->slot_index, SESSION_NO_SLOT, sizeof session->slot_index);
	memset(session->last_number, 0, sizeof session->last_number);
	session->frames = session->bytes = session->duplicates = session->late = 0;
	session->rejected = session->rate_limited = 0;
	ledger_done(&session->ledger);
	session->ledger = (struct ledger){ 0 };
	session->has_refused = false;
	session_set_closing(session, closing, true);
	session->erased = session->must_save = true;
}
