#include "services/publisher/history_job.h"

#include "common/clock.h"
#include "common/wire.h"
#include "services/publisher/publisher_raw.h"

#include <string.h>

#define UUID_MS_MOST ((INT64_C(1) << 48) - 1)

struct history_job *history_job_new(struct history *history, const struct asker *asker,
                                    struct bus_call *call)
{
	struct history_job *job = xcalloc(1, sizeof *job);

	job->history = history;
	job->call = call;
	job->account = asker->account;
	job->device_id = asker->device_id ? xstrdup(asker->device_id) : NULL;
	job->device_tag = asker->device_id ? outbox_device_tag(asker->device_id) : 0;
	job->from_ms = INT64_MIN;
	job->to_ms = INT64_MAX;
	job->limit = SIZE_MAX;
	job->began_ms = clock_boot_ms();
	return job;
}

void history_job_free(struct history_job *job)
{
	for (size_t i = 0; i < job->n_scans; i++)
		scan_close(job->scan[i].scan);
	list_remove(&job->in_jobs);
	buf_free(&job->items);
	mem_free(job->device_id);
	mem_free(job);
}

static void add_scan(struct history_job *job, const struct key *from, const struct key *to,
                     bool backwards)
{
	job->scan[job->n_scans++].scan =
	        scan_open(job->history->store, key_bytes(from), key_bytes(to), backwards);
}

void history_job_scan_session(struct history_job *job, const struct session_name *name,
                              uint64_t after, bool backwards)
{
	struct key from, to;

	job->of_session = true;
	session_key(&from, name, 'x');
	key_end_of(&from, &to);
	if (job->has_before) {
		to = from;
		key_add_u64(&to, outbox_number(&job->before));
	}
	key_add_u64(&from, after + 1);
	add_scan(job, &from, &to, backwards);
}

/* The least id made at that time. */
static void add_time(struct key *key, int64_t ms)
{
	struct uuid least;

	ms = ms < 0 ? 0 : ms;
	least = uuid_numbered(ms > UUID_MS_MOST ? UUID_MS_MOST : ms, 0);
	key_add_uuid(key, &least);
}

/* The end of a scan, not behind the id before which the page lies. */
static void end_before(const struct history_job *job, const struct key *table, struct key *to)
{
	struct key before = *table;
	int order;

	if (!job->has_before)
		return;
	key_add_uuid(&before, &job->before);
	order = memcmp(before.data, to->data, before.len < to->len ? before.len : to->len);
	if (order < 0)
		*to = before;
}

void history_job_scan_account(struct history_job *job)
{
	for (size_t type = 0; type < INSIGHT_TYPES; type++) {
		struct key from, to;

		if (!job->wanted[type])
			continue;
		outbox_i_key(&from, &job->account, (enum insight_type)type);
		key_end_of(&from, &to);
		if (job->to_ms < UUID_MS_MOST) {
			to = from;
			add_time(&to, job->to_ms < 0 ? 0 : job->to_ms + 1);
		}
		end_before(job, &from, &to);
		add_time(&from, job->from_ms);
		add_scan(job, &from, &to, true);
	}
}

/* ---- one row ---- */

static struct bytes id_in(const struct history_scan *scan)
{
	return BYTES((const uint8_t *)scan->key.data + scan->key.len - 16, 16);
}

/* The scan whose row is next, or NULL when all have ended. */
static struct history_scan *next_row(struct history_job *job)
{
	struct history_scan *newest = NULL;

	for (size_t i = 0; i < job->n_scans; i++) {
		struct history_scan *scan = &job->scan[i];

		if (!scan->ready)
			scan->ready = scan_next(scan->scan, &scan->key, &scan->value);
		if (scan->ready &&
		    (!newest || memcmp(id_in(scan).data, id_in(newest).data, 16) > 0))
			newest = scan;
	}
	return newest;
}

/* row: type (1), ts (8), Insight. */
static void add_insight(struct history_job *job, struct bytes row)
{
	const uint8_t *p = row.data;

	raw_add_bytes(&job->items, 1, BYTES(p + OUTBOX_X_HEAD, row.len - OUTBOX_X_HEAD));
	job->found++;
}

static void take_of_session(struct history_job *job, const struct history_scan *scan)
{
	const uint8_t *p = scan->value.data;
	uint64_t number = key_read_u64((const uint8_t *)scan->key.data + scan->key.len - 8);
	int64_t ts;

	if (scan->value.len < OUTBOX_X_HEAD || p[0] >= INSIGHT_TYPES || !job->wanted[p[0]] ||
	    number > job->history->turns->committed)
		return;
	ts = (int64_t)key_read_u64(p + 1);
	if (ts >= job->from_ms && ts <= job->to_ms)
		add_insight(job, scan->value);
}

static bool is_of_device(const struct history_job *job, struct bytes row)
{
	AUTO(wire_free) ProtobufCMessage *message = NULL;

	if (!job->device_id)
		return true;
	message = wire_unpack(
	        &publisher__insight__descriptor,
	        BYTES((const uint8_t *)row.data + OUTBOX_X_HEAD, row.len - OUTBOX_X_HEAD));
	return message &&
	       strcmp(((const Publisher__Insight *)message)->device_id, job->device_id) == 0;
}

static void take_of_account(struct history_job *job, const struct history_scan *scan)
{
	const uint8_t *p = scan->value.data;
	struct session_name name = { .account = job->account };
	struct buf row = { 0 };
	struct uuid id;
	struct key key;

	memcpy(&id, id_in(scan).data, sizeof id);
	if (scan->value.len != OUTBOX_I_BYTES ||
	    outbox_number(&id) > job->history->turns->committed ||
	    (job->device_id && key_read_u64(p + 18) != job->device_tag))
		return;
	name.partition = (uint16_t)(p[0] << 8 | p[1]);
	memcpy(&name.id, p + 2, sizeof name.id);
	outbox_x_key(&key, &name, outbox_number(&id));
	if (store_get(job->history->store, key_bytes(&key), &row) == OK &&
	    row.len >= OUTBOX_X_HEAD && is_of_device(job, BYTES(row.data, row.len)))
		add_insight(job, BYTES(row.data, row.len));
	buf_free(&row);
}

enum history_step history_job_step(struct history_job *job)
{
	for (size_t rows = 0; rows < HISTORY_SLICE; rows++) {
		struct history_scan *scan;

		scan = next_row(job);
		job->is_cut =
		        scan && (job->found >= job->limit || job->items.len >= HISTORY_REPLY_BYTES);
		if (!scan || job->is_cut)
			return HISTORY_ANSWERED;
		if (job->of_session)
			take_of_session(job, scan);
		else
			take_of_account(job, scan);
		scan->ready = false;
		job->history->metrics->history_rows_total++;
		job->rows++;
	}
	if (job->rows >= HISTORY_ROWS || clock_boot_ms() - job->began_ms >= HISTORY_MS)
		return HISTORY_TOO_MUCH;
	return HISTORY_MORE;
}

void history_job_answer(const struct history_job *job, struct buf *ret)
{
	ret->len = 0;
	if (job->is_cut)
		raw_add_u64(ret, 2, 1); /* PublisherReply.more */
	raw_add_bytes(ret, 14,
	              BYTES(job->items.data, job->items.len)); /* PublisherReply.insights */
}
