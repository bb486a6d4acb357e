#include "services/publisher/items.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/principal.h"
#include "common/wire.h"
#include "services/publisher/retention.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNREADABLE "the session's state cannot be read"
#define SUPERSEDED "superseded by a newer connection of this device"
#define RESUMED    "superseded: a newer connection has resumed this session"

/* One entry of the request and what will be said to it. */
struct entry {
	const Publisher__SessionItems *run;
	struct session *session; /* NULL: none is there */
	bool not_resumed;        /* refused: its number is of no use to who asked */
	Publisher__Taken taken;
};

void items_init(struct items *items)
{
	items->batch = batch_new();
	list_init(&items->touched);
	session_works_init(&items->works);
}

void items_done(struct items *items)
{
	batch_free(items->batch);
	mem_free(items->pendings.at);
}

/* ---- the batch ---- */

void items_touch(struct items *items, struct session *session)
{
	if (!list_linked(&session->touched))
		list_append(&items->touched, &session->touched);
}

/* What is due of a session after its items: insights, then the rows. */
static void settle(struct items *items, struct session *session)
{
	struct analysis_insight insight;

	while (session->analysis && analysis_next(session->analysis, &insight))
		if (outbox_add(items->outbox, items->batch, session, &insight))
			items->metrics->insights_total++;
	if (session->closed) {
		session_end_analysis(session, items->batch);
	} else if (session_is_checkpoint_due(session)) {
		session_checkpoint(session, items->batch);
		retention_mark(session, items->batch);
	}
	if (session->must_save)
		session_save(session, items->batch);
}

static struct session *next_touched(struct items *items)
{
	return LIST_OWNER(list_first(&items->touched), struct session, touched);
}

static void forget_touched(struct items *items)
{
	for (struct session *session; (session = next_touched(items));)
		session_table_drop(items->table, session);
}

static void keep_touched(struct items *items)
{
	for (struct session *session; (session = next_touched(items));) {
		session->written_next = session->next;
		list_remove(&session->touched);
	}
}

static void end_batch(struct items *items, bool written)
{
	outbox_settle(items->outbox, written);
	if (written)
		keep_touched(items);
	else
		forget_touched(items);
	batch_clear(items->batch);
	items->pendings.n = 0;
}

enum err items_write(struct items *items)
{
	enum err err;

	outbox_trim(items->outbox, items->batch);
	err = store_write(items->store, items->batch);
	if (err == ERR_IO) { /* it takes no more; the next process finds what was taken */
		log_error("write-failed", "why=\"%s\"", store_why(items->store));
		_exit(EXIT_FAILURE);
	}
	if (err != OK) {
		items->metrics->writes_refused_total++;
		log_warn("write-refused", "err=%s why=\"%s\"", err_name(err),
		         store_why(items->store));
	}
	end_batch(items, err == OK);
	return err;
}

/* ---- fencing ---- */

/* Closes a session for another's sake; one never seen is remembered as closed, so that
 * an opening that comes late finds the fence up. */
static enum err fence(struct items *items, const struct session_name *name,
                      const Publisher__Closing *closing)
{
	struct session *session;
	enum err err = session_table_get(items->table, name, &session);

	if (err == ERR_NOT_FOUND) {
		session = session_table_add(items->table, name);
		err = OK;
	}
	if (err != OK || session->closed)
		return err;
	items_touch(items, session);
	session_close(session, closing, true);
	settle(items, session);
	items->metrics->sessions_fenced_total++;
	return OK;
}

static void fence_superseded(struct items *items, const struct session_name *by,
                             const Publisher__Opening *opening)
{
	Publisher__Closing closing = PUBLISHER__CLOSING__INIT;

	closing.close_code = 4009;
	closing.close_reason = (char *)SUPERSEDED;
	closing.ended_at = opening->started_at; /* as the directory has it */
	for (size_t i = 0; i < opening->n_supersedes; i++) {
		struct session_name old = *by;
		enum err err;

		if (!wire_id(opening->supersedes[i], &old.id) || uuid_equal(&old.id, &by->id) ||
		    uuid_number(&old.id) % PARTITIONS != old.partition)
			continue;
		err = fence(items, &old, &closing);
		if (err != OK) /* nothing is taken of what cannot be read: a fence of its own */
			log_warn("fence", "err=%s", err_name(err));
	}
}

/* ---- openings ---- */

static void refuse(struct entry *entry, uint32_t code, const char *reason)
{
	entry->taken.has_close_code = true;
	entry->taken.close_code = code;
	entry->taken.close_reason = (char *)reason;
}

/* Why the principal may not open this session; NULL when it may. */
static const char *principal_fault(const struct items *items, const struct session_name *name,
                                   const Publisher__Opening *opening)
{
	const Raeh__Principal *principal = opening->principal;
	struct uuid account;

	if (principal_check(principal, items->secret, &account) != OK ||
	    !uuid_equal(&account, &name->account))
		return "this session is not signed for this account";
	if (!(principal->scopes & SCOPE_INGEST))
		return "the key has no scope ingest";
	if (principal->device_id && strcmp(principal->device_id, opening->device_id) != 0)
		return "the key is bound to another device";
	return NULL;
}

/* Item 0 of a session that has none yet. False: it is refused. */
static bool take_opening(struct items *items, const struct session_name *name, struct entry *entry)
{
	const Publisher__Opening *opening = entry->run->opening;
	const char *fault = principal_fault(items, name, opening);

	if (fault) {
		refuse(entry, 4001, fault);
		return false;
	}
	fault = session_opening_fault(opening);
	if (fault) {
		refuse(entry, 4004, fault);
		return false;
	}
	fence_superseded(items, name, opening);
	if (!entry->session)
		entry->session = session_table_add(items->table, name);
	items_touch(items, entry->session);
	entry->session->epoch = entry->run->epoch;
	session_open(entry->session, items->batch, opening);
	items->metrics->sessions_opened_total++;
	return true;
}

static bool is_of_device(const struct session *session, const Publisher__Opening *opening)
{
	return !session->opening ||
	       (strcmp(session->opening->device_id, opening->device_id) == 0 &&
	        strcmp(session->opening->device_model_id, opening->device_model_id) == 0);
}

/* Item 0 of a higher epoch: the session goes on, with the number after what was taken. */
static void take_resume(struct items *items, const struct session_name *name, struct entry *entry)
{
	const Publisher__Opening *opening = entry->run->opening;
	const char *fault = principal_fault(items, name, opening);

	entry->not_resumed = true;
	if (fault) {
		refuse(entry, 4001, fault);
		return;
	}
	if (!is_of_device(entry->session, opening)) {
		refuse(entry, 4004, "resume: no such session of this device");
		return;
	}
	items_touch(items, entry->session);
	if (session_resume(entry->session, items->store, entry->run->epoch) != OK) {
		refuse(entry, 1013, UNREADABLE);
		return;
	}
	if (entry->session->next == 0 && !take_opening(items, name, entry))
		return;
	entry->not_resumed = false;
	settle(items, entry->session);
	items->metrics->sessions_resumed_total++;
}

/* Not of the epoch that is known here. False: it is, go on. */
static bool take_other_epoch(struct items *items, const struct session_name *name,
                             struct entry *entry)
{
	const Publisher__SessionItems *run = entry->run;

	if (!entry->session || run->epoch == entry->session->epoch)
		return false;
	if (run->epoch < entry->session->epoch) {
		refuse(entry, 4009, RESUMED);
		entry->taken.has_obsolete = entry->taken.obsolete = true;
	} else if (run->opening && run->first == 0) {
		take_resume(items, name, entry);
	} else {
		items->metrics->items_out_of_order_total++;
	}
	return true;
}

/* ---- one run of items ---- */

static void take_frame(struct items *items, struct session *session, struct bytes frame)
{
	switch (session_take_frame(session, items->store, items->batch, &items->pendings, frame)) {
	case SESSION_STORED:
		items->metrics->frames_stored_total++;
		items->metrics->frame_bytes_total += frame.len;
		break;
	case SESSION_DUPLICATE:
		items->metrics->frames_duplicate_total++;
		break;
	case SESSION_DROPPED:
		items->metrics->frames_erased_total++;
	}
}

/* Some of a run, and of a request; but at least one frame of a run. */
static bool is_enough(const struct items *items, double run_s)
{
	return run_s >= ITEMS_RUN_S || (run_s > 0 && items->request_s >= ITEMS_REQUEST_S);
}

/* The frames numbered session->next and above; those below were taken before. False: the next one
 * has to wait, and *ret_long is it when it is long. */
static bool take_frames(struct items *items, struct session *session,
                        const Publisher__SessionItems *run, struct bytes *ret_long)
{
	uint64_t first_frame = run->first + (run->opening ? 1 : 0);
	double run_s = 0;

	for (uint64_t number = session->next; number < first_frame + run->n_frames; number++) {
		const ProtobufCBinaryData *data = &run->frames[number - first_frame];
		struct bytes frame = BYTES(data->data, data->len);

		if (is_enough(items, run_s))
			return false;
		if (!session_may_take(session, frame)) {
			*ret_long = frame;
			return false;
		}
		if (session_frame_s(session, frame) < SESSION_LONG_S) {
			run_s += session_frame_s(session, frame);
			items->request_s += session_frame_s(session, frame);
		}
		take_frame(items, session, frame);
	}
	return true;
}

static void take_new(struct items *items, struct session *session, struct entry *entry)
{
	const Publisher__SessionItems *run = entry->run;
	struct bytes waiting = { 0 };
	uint64_t closing = run->first + (run->opening ? 1 : 0) + run->n_frames;
	uint64_t before = session->next;

	if (!take_frames(items, session, run, &waiting))
		entry->taken.has_later = entry->taken.later = true;
	if (run->closing && session->next == closing) {
		if (!session->closed)
			items->metrics->sessions_closed_total++;
		session_close(session, run->closing, false);
		session->next++;
	}
	if (session->next > before || list_linked(&session->touched)) {
		items_touch(items, session);
		settle(items, session);
	}
	if (waiting.data)
		session_work_begin(&items->works, session, waiting);
}

/* When the session ended here; and what its socket must hear when another has closed it. */
static void say_ended(struct entry *entry)
{
	struct session *session = entry->session;

	if (session && session->closed) {
		entry->taken.has_ended_at = 1;
		entry->taken.ended_at = session->ended_at;
	}
	if (session && session->fenced && !entry->taken.has_close_code)
		refuse(entry,
		       session->close_code == 4009 || session->erased ? session->close_code : 1013,
		       session->close_reason);
}

bool items_name(const struct items *items, ProtobufCBinaryData account, ProtobufCBinaryData session,
                uint32_t partition, struct session_name *ret)
{
	*ret = (struct session_name){ .partition = (uint16_t)partition };
	return wire_id(account, &ret->account) && wire_id(session, &ret->id) &&
	       partition < PARTITIONS && partition % items->publishers == items->number &&
	       uuid_number(&ret->id) % PARTITIONS == partition;
}

static bool name_of(const struct items *items, const Publisher__SessionItems *run,
                    struct session_name *ret)
{
	return items_name(items, run->account, run->session, run->partition, ret);
}

/* The run's session as it is: NULL when it was never seen, or when the run is refused. */
static void find_session(struct items *items, const struct session_name *name, struct entry *entry)
{
	enum err err = session_table_get(items->table, name, &entry->session);

	if (err != OK && err != ERR_NOT_FOUND)
		refuse(entry, 1013, UNREADABLE);
}

static void take_run(struct items *items, struct entry *entry)
{
	const Publisher__SessionItems *run = entry->run;
	bool has_opening = run->opening != NULL;
	struct session_name name;

	if (!name_of(items, run, &name)) {
		refuse(entry, 4001, "this session is not of this partition");
		return;
	}
	find_session(items, &name, entry);
	if (entry->taken.has_close_code || take_other_epoch(items, &name, entry))
		return;
	if (has_opening != (run->first == 0) || (!entry->session && !has_opening) ||
	    (entry->session && run->first > entry->session->next)) {
		items->metrics->items_out_of_order_total++;
		entry->taken.has_later = entry->taken.later = entry->session != NULL;
		return;
	}
	if ((entry->session && entry->session->next > 0) || take_opening(items, &name, entry))
		take_new(items, entry->session, entry);
}

/* ---- the request ---- */

static void pack_reply(struct entry *entries, size_t n, struct buf *ret)
{
	Publisher__PublisherReply reply = PUBLISHER__PUBLISHER_REPLY__INIT;
	Publisher__ItemsTaken taken = PUBLISHER__ITEMS_TAKEN__INIT;
	Publisher__Taken **list = xcalloc(n + 1, sizeof(Publisher__Taken *));

	for (size_t i = 0; i < n; i++)
		list[i] = &entries[i].taken;
	taken.n_sessions = n;
	taken.sessions = list;
	reply.result_case = PUBLISHER__PUBLISHER_REPLY__RESULT_ITEMS_TAKEN;
	reply.items_taken = &taken;
	(void)wire_pack(ret, &reply.base);
	mem_free(list);
}

static void take_runs(struct items *items, struct entry *entries, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		take_run(items, &entries[i]);
		items->metrics->items_refused_total += (uint64_t)entries[i].taken.has_close_code;
	}
}

/* Says where each session stands; before the write, for what it says if that is refused. */
static void say_next(struct entry *entries, size_t n, bool written)
{
	for (size_t i = 0; i < n; i++) {
		const struct session *session = entries[i].session;

		bool resumes = entries[i].run->opening && entries[i].run->epoch > 0;

		if (session)
			entries[i].taken.next = written ? session->next : session->written_next;
		if (entries[i].not_resumed || (resumes && !written))
			entries[i].taken.next = 0; /* where it goes on is not known */
		if (written)
			say_ended(&entries[i]);
	}
}

/* A full disk costs no work that would have to be taken back. */
static void look_up_runs(struct items *items, struct entry *entries, size_t n)
{
	struct session_name name;

	items->metrics->writes_refused_total++;
	for (size_t i = 0; i < n; i++)
		if (name_of(items, entries[i].run, &name))
			find_session(items, &name, &entries[i]);
}

static struct entry *make_entries(const Publisher__Items *request)
{
	struct entry *entries = xcalloc(request->n_sessions + 1, sizeof *entries);

	for (size_t i = 0; i < request->n_sessions; i++) {
		entries[i].run = request->sessions[i];
		publisher__taken__init(&entries[i].taken);
		entries[i].taken.session = request->sessions[i]->session;
	}
	return entries;
}

void items_take(struct items *items, const Publisher__Items *request, struct buf *ret)
{
	struct publisher_metrics before = *items->metrics;
	size_t n = request->n_sessions;
	struct entry *entries = make_entries(request);

	items->request_s = 0;
	if (store_room(items->store) != OK)
		look_up_runs(items, entries, n);
	else
		take_runs(items, entries, n);
	say_next(entries, n, false);
	if (items_write(items) == OK) {
		say_next(entries, n, true);
	} else {
		before.writes_refused_total = items->metrics->writes_refused_total;
		*items->metrics = before;
	}
	items->metrics->items_requests_total++;
	pack_reply(entries, n, ret);
	mem_free(entries);
}

static bool was_resumed(struct items *items, const struct session_name *name, uint64_t epoch)
{
	struct session *session;

	return session_table_get(items->table, name, &session) == OK && session->epoch > epoch;
}

/* The opening of this epoch may still be under way: it opens nothing any more. */
static enum err skip_epoch(struct items *items, const struct session_name *name, uint64_t epoch)
{
	struct session *session;
	enum err err = session_table_get(items->table, name, &session);

	if (err != OK || session->epoch >= epoch)
		return err;
	items_touch(items, session);
	session_skip_epoch(session, epoch);
	settle(items, session);
	return OK;
}

enum err items_close_orphan(struct items *items, const Publisher__CloseOrphan *orphan)
{
	struct session_name name;
	enum err err;

	if (!items_name(items, orphan->account, orphan->session, orphan->partition, &name))
		return ERR_MALFORMED;
	if (was_resumed(items, &name, orphan->epoch))
		return OK;
	err = fence(items, &name, orphan->closing);
	if (err == OK)
		err = skip_epoch(items, &name, orphan->epoch);
	if (err != OK) {
		end_batch(items, false);
		return err;
	}
	return items_write(items);
}
