#include "services/publisher/session_rows.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/wire.h"
#include "services/publisher/session_work.h"

#include <string.h>

/* Without a checkpoint that can be used, a long session is analysed from so far back. */
#define REPLAY_MOST (4 * SESSION_REPLAY_FRAMES)

void session_key(struct key *key, const struct session_name *name, char table)
{
	key_start(key, name->partition, &name->account, table);
	key_add_uuid(key, &name->id);
}

/* ---- out ---- */

bool session_is_checkpoint_due(const struct session *session)
{
	/* The last byte of the id spreads the checkpoints of sessions that began together. */
	int64_t after = SESSION_CHECKPOINT_MS - 80 * (int64_t)session->name.id.byte[15];

	if (!session->analysis || session->next == session->checkpoint_next)
		return false;
	return session->next - session->checkpoint_next >= SESSION_REPLAY_FRAMES ||
	       session->unsaved_s >= SESSION_CHECKPOINT_S ||
	       clock_boot_ms() - session->checkpoint_ms >= after;
}

static void save_timing(const struct session *session, struct store_batch *batch)
{
	Events__StoredTiming stored = EVENTS__STORED_TIMING__INIT;
	ProtobufCBinaryData slots[ANALYSIS_MAX_SLOTS];
	struct buf row = { 0 };
	struct key key;

	stored.next = session->timed_next;
	stored.n_slots = session->opening->n_slots;
	stored.slots = slots;
	for (size_t i = 0; i < stored.n_slots; i++)
		slots[i] = wire_bytes(BYTES(&session->timing[i], sizeof session->timing[i]));
	session_key(&key, &session->name, 'k');
	batch_put(batch, key_bytes(&key), wire_pack(&row, &stored.base));
	buf_free(&row);
}

void session_checkpoint(struct session *session, struct store_batch *batch)
{
	Events__Checkpoint checkpoint = EVENTS__CHECKPOINT__INIT;
	size_t size = analysis_state_size(session->analysis);
	uint8_t *state = xcalloc(1, size);
	struct buf row = { 0 };
	struct key key;

	analysis_save(session->analysis, state);
	checkpoint.next = session->next;
	checkpoint.state = wire_bytes(BYTES(state, size));
	session_key(&key, &session->name, 'c');
	batch_put(batch, key_bytes(&key), wire_pack(&row, &checkpoint.base));
	buf_free(&row);
	mem_free(state);
	save_timing(session, batch);
	session->checkpoint_next = session->next;
	session->checkpoint_ms = clock_boot_ms();
	session->unsaved_s = 0;
	session->must_save = true;
}

void session_end_analysis(struct session *session, struct store_batch *batch)
{
	struct key key;

	if (!session->analysis)
		return;
	analysis_free(TAKE(session->analysis));
	save_timing(session, batch);
	session_key(&key, &session->name, 'c');
	batch_delete(batch, key_bytes(&key));
}

static void save_ledger(struct session *session, struct store_batch *batch)
{
	const struct ledger *ledger = &session->ledger;
	Events__StoredLedger stored = EVENTS__STORED_LEDGER__INIT;
	Events__StoredGap *gaps = xcalloc(ledger->n, sizeof *gaps);
	Events__StoredGap **places = xcalloc(ledger->n, sizeof *places);
	struct buf row = { 0 };
	struct key key;

	for (size_t i = 0; i < ledger->n; i++) {
		const struct gap *gap = &ledger->gap[i];

		events__stored_gap__init(&gaps[i]);
		gaps[i].slot = gap->slot;
		gaps[i].cause = gap->cause;
		gaps[i].from_ms = gap->from_ms;
		gaps[i].to_ms = gap->to_ms;
		gaps[i].missing_ms = gap->missing_ms;
		gaps[i].frames = gap->frames;
		gaps[i].intervals = gap->intervals;
		places[i] = &gaps[i];
	}
	stored.n_gaps = ledger->n;
	stored.gaps = places;
	session_key(&key, &session->name, 'g');
	batch_put(batch, key_bytes(&key), wire_pack(&row, &stored.base));
	buf_free(&row);
	mem_free(places);
	mem_free(gaps);
}

void session_save(struct session *session, struct store_batch *batch)
{
	Events__StoredSession stored = EVENTS__STORED_SESSION__INIT;
	Publisher__Closing closing = PUBLISHER__CLOSING__INIT;
	struct buf row = { 0 };
	struct key key;

	stored.next = session->next;
	stored.frames = session->frames;
	stored.bytes = session->bytes;
	stored.n_last_t_ms = stored.n_last_number = INSIGHT_TYPES;
	stored.last_t_ms = session->last_t_ms;
	stored.last_number = session->last_number;
	stored.n_newest_t0_ms = session->opening ? session->opening->n_slots : 0;
	stored.newest_t0_ms = session->newest_t0_ms;
	stored.has_fenced = stored.fenced = session->fenced;
	stored.has_duplicates = stored.has_late = true;
	stored.duplicates = session->duplicates;
	stored.late = session->late;
	stored.has_epoch = stored.has_rejected = stored.has_rate_limited = session->epoch > 0;
	stored.epoch = session->epoch;
	stored.rejected = session->rejected;
	stored.rate_limited = session->rate_limited;
	stored.has_whole = true;
	stored.whole = session->whole;
	stored.n_first_t_ms = stored.n_end_t_ms = stored.n_newest_t0_ms;
	stored.first_t_ms = session->ledger.first_ms;
	stored.end_t_ms = session->ledger.end_ms;
	stored.has_erased = stored.erased = session->erased;
	if (session->closed) {
		closing.close_code = session->close_code;
		closing.close_reason = session->close_reason;
		closing.ended_at = session->ended_at;
		closing.refused = session->has_refused ? &session->refused : NULL;
		stored.closing = &closing;
	}
	if (session->ledger.changed)
		save_ledger(session, batch);
	session->ledger.changed = false;
	session_key(&key, &session->name, 's');
	batch_put(batch, key_bytes(&key), wire_pack(&row, &stored.base));
	buf_free(&row);
	session->unsaved = 0;
	session->must_save = false;
}

/* ---- in ---- */

/* ERR_NOT_FOUND; ERR_IO also for a row that is not what it must be. */
static enum err load_row(struct store *store, const struct session_name *name, char table,
                         const ProtobufCMessageDescriptor *type, ProtobufCMessage **ret)
{
	struct buf row = { 0 };
	struct key key;
	enum err err;

	session_key(&key, name, table);
	err = store_get(store, key_bytes(&key), &row);
	if (err == OK) {
		*ret = wire_unpack(type, BYTES(row.data, row.len));
		err = *ret ? OK : ERR_IO;
	}
	buf_free(&row);
	return err;
}

enum err session_load_opening(struct store *store, const struct session_name *name,
                              Events__StoredOpening **ret)
{
	ProtobufCMessage *message;
	enum err err = load_row(store, name, 'S', &events__stored_opening__descriptor, &message);

	if (err == OK)
		*ret = (Events__StoredOpening *)message;
	return err;
}

static void set_counters(struct session *session, const Events__StoredSession *stored)
{
	session->next = stored->next;
	session->frames = stored->frames;
	session->bytes = stored->bytes;
	for (size_t i = 0; i < INSIGHT_TYPES && i < stored->n_last_t_ms; i++)
		session->last_t_ms[i] = stored->last_t_ms[i];
	for (size_t i = 0; i < INSIGHT_TYPES && i < stored->n_last_number; i++)
		session->last_number[i] = stored->last_number[i];
	for (size_t i = 0; i < ANALYSIS_MAX_SLOTS && i < stored->n_newest_t0_ms; i++)
		session->newest_t0_ms[i] = stored->newest_t0_ms[i];
	session->duplicates = stored->duplicates;
	session->late = stored->late;
	session->epoch = stored->epoch;
	session->rejected = stored->rejected;
	session->rate_limited = stored->rate_limited;
	for (size_t i = 0; i < ANALYSIS_MAX_SLOTS && i < stored->n_end_t_ms; i++) {
		session->ledger.first_ms[i] = stored->first_t_ms[i];
		session->ledger.end_ms[i] = stored->end_t_ms[i];
		session->ledger.began[i] = stored->end_t_ms[i] != 0;
	}
	session->erased = stored->erased;
	if (stored->closing)
		session_set_closing(session, stored->closing, stored->fenced);
	session->whole = stored->has_whole ? stored->whole : session->closed && !session->fenced;
}

/* One of another size is of another version: it begins anew. */
static enum err load_timing(struct session *session, struct store *store)
{
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	const Events__StoredTiming *stored;
	enum err err =
	        load_row(store, &session->name, 'k', &events__stored_timing__descriptor, &message);

	if (err != OK)
		return err == ERR_NOT_FOUND ? OK : err;
	stored = (const Events__StoredTiming *)message;
	session->timed_next = stored->next;
	for (size_t i = 0; i < stored->n_slots && i < session->opening->n_slots; i++)
		if (stored->slots[i].len == sizeof session->timing[i])
			memcpy(&session->timing[i], stored->slots[i].data,
			       sizeof session->timing[i]);
	return OK;
}

static enum err load_ledger(struct session *session, struct store *store)
{
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	const Events__StoredLedger *stored;
	enum err err =
	        load_row(store, &session->name, 'g', &events__stored_ledger__descriptor, &message);

	if (err != OK)
		return err == ERR_NOT_FOUND ? OK : err;
	stored = (const Events__StoredLedger *)message;
	for (size_t i = 0; i < stored->n_gaps; i++)
		ledger_restore(&session->ledger,
		               &(struct gap){ .slot = (uint8_t)stored->gaps[i]->slot,
		                              .cause = (uint8_t)stored->gaps[i]->cause,
		                              .from_ms = stored->gaps[i]->from_ms,
		                              .to_ms = stored->gaps[i]->to_ms,
		                              .missing_ms = stored->gaps[i]->missing_ms,
		                              .frames = stored->gaps[i]->frames,
		                              .intervals = stored->gaps[i]->intervals });
	return OK;
}

/* Where an analysis begins that has no checkpoint: far more than it remembers, and bounded work. */
static enum err find_begin(struct session *session, struct store *store, uint64_t *ret)
{
	double seconds = 0;
	unsigned frames = 0;
	struct key from, to;
	struct store_scan *scan;
	struct bytes row, frame;
	enum err err;

	*ret = session->next;
	session_key(&from, &session->name, 'f');
	key_end_of(&from, &to);
	scan = scan_open(store, key_bytes(&from), key_bytes(&to), true);
	while (frames++ < REPLAY_MOST && seconds < SESSION_CHECKPOINT_S &&
	       scan_next(scan, &row, &frame)) {
		seconds += session_frame_s(session, frame);
		*ret = key_read_u64((const uint8_t *)row.data + row.len - 8);
	}
	err = scan_err(scan);
	scan_close(scan);
	return err;
}

/* The analysis as the checkpoint has it; *ret_from is the first item that it has not seen. */
static enum err load_analysis(struct session *session, struct store *store, uint64_t *ret_from)
{
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	const Events__Checkpoint *checkpoint;
	enum err err =
	        load_row(store, &session->name, 'c', &events__checkpoint__descriptor, &message);

	session_start_analysis(session);
	if (err == ERR_NOT_FOUND)
		return find_begin(session, store, ret_from);
	if (err != OK)
		return err;
	checkpoint = (const Events__Checkpoint *)message;
	err = analysis_restore(session->analysis, checkpoint->state.data, checkpoint->state.len);
	*ret_from = checkpoint->next;
	if (err == OK)
		return OK;
	log_warn("checkpoint-unusable", "session=%s err=%s", session->text, err_name(err));
	return find_begin(session, store, ret_from);
}

/* The frames behind the counters row are counted, those from analysed_from on are analysed. */
static enum err load_frames(struct session *session, struct store *store, uint64_t analysed_from,
                            uint64_t *replayed)
{
	uint64_t saved = session->next;
	struct key from, to;
	struct store_scan *scan;
	struct bytes row, frame;
	enum err err;

	session_key(&from, &session->name, 'f');
	key_end_of(&from, &to);
	key_add_u64(&from, analysed_from < saved ? analysed_from : saved);
	scan = scan_open(store, key_bytes(&from), key_bytes(&to), false);
	while (scan_next(scan, &row, &frame)) {
		uint64_t number = key_read_u64((const uint8_t *)row.data + row.len - 8);
		bool late = session->closed;

		if (number >= saved)
			session_count(session, number, frame);
		if (session->analysis && number >= analysed_from) {
			late = session_analyse(session, frame);
			(*replayed)++;
		}
		if (number >= saved)
			session_note(session, frame, late);
		session_time(session, number, frame, 0);
	}
	err = scan_err(scan);
	scan_close(scan);
	return err;
}

static enum err load_into(struct session *session, struct store *store, bool analyse,
                          uint64_t *replayed)
{
	Events__StoredOpening *opening = NULL;
	struct analysis_insight emitted;
	uint64_t from = UINT64_MAX;
	enum err err = session_load_opening(store, &session->name, &opening);

	if (err != OK && err != ERR_NOT_FOUND)
		return err;
	if (opening)
		session_set_opening(session, opening);
	err = load_ledger(session, store);
	if (err == OK && opening)
		err = load_timing(session, store);
	if (err != OK)
		return err;
	if (analyse && opening && !session->closed) {
		err = load_analysis(session, store, &from);
		if (err != OK)
			return err;
	}
	err = load_frames(session, store, from, replayed);
	while (session->analysis && analysis_next(session->analysis, &emitted))
		; /* written with the frames that made them due */
	session->checkpoint_next = from;
	session->written_next = session->next;
	return err;
}

enum err session_load(struct store *store, const struct session_name *name, bool analyse,
                      uint64_t *replayed, struct session **ret)
{
	AUTO(wire_free) ProtobufCMessage *stored = NULL;
	AUTO(session_free) struct session *session = NULL;
	enum err err = load_row(store, name, 's', &events__stored_session__descriptor, &stored);

	if (err == OK) {
		session = session_new(name);
		set_counters(session, (const Events__StoredSession *)stored);
		err = load_into(session, store, analyse, replayed);
	}
	if (err != OK && err != ERR_NOT_FOUND) {
		char text[UUID_TEXT];

		uuid_text(&name->id, text);
		log_error("session-load", "session=%s err=%s why=\"%s\"", text, err_name(err),
		          store_why(store));
	}
	if (err == OK)
		*ret = TAKE(session);
	return err;
}

/* ---- again ---- */

/* What the last frames yield is out already. */
static enum err analyse_again(struct session *session, struct store *store)
{
	uint64_t first;
	struct analysis_insight emitted;
	struct key from, to;
	struct store_scan *scan;
	struct bytes row, frame;
	enum err err;

	session_start_analysis(session);
	err = find_begin(session, store, &first);
	if (err != OK)
		return err;
	session_key(&from, &session->name, 'f');
	key_end_of(&from, &to);
	key_add_u64(&from, first);
	scan = scan_open(store, key_bytes(&from), key_bytes(&to), false);
	while (scan_next(scan, &row, &frame))
		(void)session_analyse(session, frame);
	err = scan_err(scan);
	scan_close(scan);
	while (analysis_next(session->analysis, &emitted))
		;
	return err;
}

void session_skip_epoch(struct session *session, uint64_t epoch)
{
	session->epoch = epoch;
	session->must_save = true;
	if (session->erased)
		return;
	session->next -= session->whole;
	session->whole = false;
}

enum err session_resume(struct session *session, struct store *store, uint64_t epoch)
{
	bool superseded = session->fenced && session->close_code == 4009;

	session_skip_epoch(session, epoch);
	if (!session->closed || superseded || session->erased)
		return OK;
	session->closed = session->fenced = false;
	session->rejected += session->has_refused && !session->refused.rate_limited;
	session->rate_limited += session->has_refused && session->refused.rate_limited;
	session->has_refused = false;
	return session->opening ? analyse_again(session, store) : OK;
}
