/*
 * The local engine: records, view and position in one batch, written when the append
 * is due (at once, but for journal_set_faults()); then one sync for each append, whose
 * callback answers the oldest append. So the order of answers is the order of appends,
 * refused ones included, without further bookkeeping.
 */
#include "common/journal_record.h"

#include "common/clock.h"
#include "common/log.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct append {
	struct append *next;
	int64_t due_ms;
	journal_committed_fn *fn;
	void *ctx;
	enum err err;
	size_t n;
	struct bytes *events; /* then their bytes, in one allocation; NULL once settled */
};

struct queue {
	struct append *first, *last;
};

struct journal {
	struct store *store;
	struct loop *loop;
	journal_apply_fn *apply;
	void *ctx;
	uint64_t last_seq;
	uint8_t last_hash[JOURNAL_HASH]; /* of the record last_seq; zeros before the first */
	struct store_batch *batch;
	struct buf record;
	struct queue delayed, unsynced; /* an append waits in one, then in the other */
	struct timer timer;             /* for the first delayed one */
	int64_t delay_ms;
	unsigned conflict_every, appends;
	bool applying;
};

static void push(struct queue *queue, struct append *append)
{
	append->next = NULL;
	if (queue->first)
		queue->last->next = append;
	else
		queue->first = append;
	queue->last = append;
}

static struct append *pop(struct queue *queue)
{
	struct append *append = queue->first;

	queue->first = append->next;
	return append;
}

static void free_append(struct append *append)
{
	mem_free(append->events);
	mem_free(append);
}

static void put_position(struct store_batch *batch, uint64_t seq)
{
	struct key key = record_position_key(), value = { 0 };

	key_add_u64(&value, seq);
	batch_put(batch, key_bytes(&key), key_bytes(&value));
}

static void add_record(struct journal *journal, uint64_t seq, struct bytes event)
{
	struct key key = record_key(seq);
	struct record_head head;

	memcpy(head.before, journal->last_hash, JOURNAL_HASH);
	randombytes_buf(head.salt, sizeof head.salt);
	record_hash_payload(head.salt, event, head.payload);
	journal->record.len = 0;
	buf_append(&journal->record, &head, sizeof head);
	buf_append(&journal->record, event.data, event.len);
	batch_put(journal->batch, key_bytes(&key),
	          BYTES(journal->record.data, journal->record.len));
	record_link(BYTES(journal->record.data, journal->record.len), journal->last_hash);
}

static void apply_event(struct journal *journal, uint64_t seq, struct bytes event)
{
	journal->applying = true;
	journal->apply(journal->ctx, seq, event, journal->batch);
	journal->applying = false;
}

static enum err write_events(struct journal *journal, const struct bytes *events, size_t n)
{
	uint8_t hash_before[JOURNAL_HASH];
	enum err err = store_room(journal->store);

	if (err != OK)
		return err;
	memcpy(hash_before, journal->last_hash, JOURNAL_HASH);
	batch_clear(journal->batch);
	for (size_t i = 0; i < n; i++) {
		add_record(journal, journal->last_seq + 1 + i, events[i]);
		apply_event(journal, journal->last_seq + 1 + i, events[i]);
	}
	put_position(journal->batch, journal->last_seq + n);
	err = store_write(journal->store, journal->batch);
	if (err == OK)
		journal->last_seq += n;
	else
		memcpy(journal->last_hash, hash_before, JOURNAL_HASH);
	return err;
}

static void on_synced(void *ctx)
{
	struct journal *journal = ctx;
	struct append *append = pop(&journal->unsynced);
	struct append answered = *append;

	free_append(append);
	answered.fn(answered.ctx, answered.err);
}

/* Decides the append's outcome; its answer follows the next sync. */
static void settle(struct journal *journal, struct append *append, const struct bytes *events,
                   size_t n)
{
	journal->appends++;
	if (journal->conflict_every > 0 && journal->appends % journal->conflict_every == 0)
		append->err = ERR_CONFLICT;
	else
		append->err = write_events(journal, events, n);
	push(&journal->unsynced, append);
	store_sync(journal->store, on_synced, journal);
}

static void on_due(void *ctx)
{
	struct journal *journal = ctx;
	struct append *append;

	while (journal->delayed.first && journal->delayed.first->due_ms <= clock_boot_ms()) {
		append = pop(&journal->delayed);
		settle(journal, append, append->events, append->n);
	}
	if (journal->delayed.first)
		timer_set(journal->loop, &journal->timer,
		          journal->delayed.first->due_ms - clock_boot_ms(), on_due, journal);
}

static struct bytes *copy_events(const struct bytes *events, size_t n)
{
	size_t len = n * sizeof *events;
	struct bytes *copies;
	uint8_t *p;

	for (size_t i = 0; i < n; i++)
		len += events[i].len;
	copies = xcalloc(1, len);
	p = (uint8_t *)(copies + n);
	for (size_t i = 0; i < n; i++) {
		copies[i] = BYTES(p, events[i].len);
		if (events[i].len > 0)
			memcpy(p, events[i].data, events[i].len);
		p += events[i].len;
	}
	return copies;
}

void journal_append(struct journal *journal, const struct bytes *events, size_t n,
                    journal_committed_fn *fn, void *ctx)
{
	struct append *append = xcalloc(1, sizeof *append);

	MUST(!journal->applying && n > 0);
	*append = (struct append){ .fn = fn, .ctx = ctx };
	if (journal->delay_ms <= 0 && !journal->delayed.first) {
		settle(journal, append, events, n);
		return;
	}
	append->events = copy_events(events, n);
	append->n = n;
	append->due_ms = clock_boot_ms() + journal->delay_ms;
	if (!journal->delayed.first)
		timer_set(journal->loop, &journal->timer, journal->delay_ms, on_due, journal);
	push(&journal->delayed, append);
}

/* A journal that cannot be read at start cannot be continued either: to number on
 * from a wrong place would overwrite it. */
static void must_read(struct journal *journal, enum err err)
{
	if (err == OK)
		return;
	log_error("journal-open-failed", "err=%s why=\"%s\"", err_name(err),
	          store_why(journal->store));
	_exit(EXIT_FAILURE);
}

static void find_last(struct journal *journal)
{
	AUTO(scan_close) struct store_scan *scan = record_scan(journal->store, 0, true);
	struct bytes record;

	if (record_next(scan, &journal->last_seq, &record))
		record_link(record, journal->last_hash);
	must_read(journal, scan_err(scan));
}

/* 0 when none is kept or it is unreadable: then everything is applied again. */
static enum err read_position(struct journal *journal, uint64_t *ret)
{
	struct key key = record_position_key();
	struct buf value = { 0 };
	enum err err = store_get(journal->store, key_bytes(&key), &value);

	*ret = err == OK && value.len == 8 ? key_read_u64(value.data) : 0;
	buf_free(&value);
	return err == ERR_NOT_FOUND ? OK : err;
}

static void write_applied(struct journal *journal, uint64_t seq)
{
	put_position(journal->batch, seq);
	must_read(journal, store_write(journal->store, journal->batch));
	batch_clear(journal->batch);
}

static void replay_from(struct journal *journal, uint64_t position)
{
	AUTO(scan_close) struct store_scan *scan = record_scan(journal->store, position + 1, false);
	uint64_t seq = position;
	struct bytes record, event;

	batch_clear(journal->batch);
	while (record_next(scan, &seq, &record)) {
		if (record_payload(record, &event))
			apply_event(journal, seq, event);
		write_applied(journal, seq); /* so that the next apply() sees it */
	}
	must_read(journal, scan_err(scan));
}

struct journal *journal_open(struct store *store, struct loop *loop, journal_apply_fn *apply,
                             void *ctx)
{
	struct journal *journal = xcalloc(1, sizeof *journal);
	uint64_t position;

	MUST(sodium_init() >= 0);
	journal->store = store;
	journal->loop = loop;
	journal->apply = apply;
	journal->ctx = ctx;
	journal->batch = batch_new();
	find_last(journal);
	must_read(journal, read_position(journal, &position));
	if (position < journal->last_seq)
		replay_from(journal, position);
	else
		journal->last_seq = position; /* lost records leave a hole for verify to find */
	return journal;
}

void journal_close(struct journal *journal)
{
	if (!journal)
		return;
	timer_stop(journal->loop, &journal->timer);
	store_forget(journal->store, journal);
	while (journal->delayed.first)
		free_append(pop(&journal->delayed));
	while (journal->unsynced.first)
		free_append(pop(&journal->unsynced));
	batch_free(journal->batch);
	buf_free(&journal->record);
	mem_free(journal);
}

uint64_t journal_last_seq(const struct journal *journal)
{
	return journal->last_seq;
}

void journal_read(struct journal *journal, uint64_t from_seq, journal_read_fn *fn, void *ctx)
{
	AUTO(scan_close) struct store_scan *scan = record_scan(journal->store, from_seq, false);
	struct bytes record, event;
	uint64_t seq;

	while (record_next(scan, &seq, &record))
		if (record_payload(record, &event) && !fn(ctx, seq, event))
			return;
}

enum err journal_get(struct journal *journal, uint64_t seq, struct buf *ret)
{
	struct key key = record_key(seq);
	enum err err = store_get(journal->store, key_bytes(&key), ret);
	struct bytes event;

	if (err != OK)
		return err;
	if (!record_payload(BYTES(ret->data, ret->len), &event)) {
		ret->len = 0;
		return ERR_NOT_FOUND;
	}
	memmove(ret->data, event.data, event.len);
	ret->len = event.len;
	return OK;
}

enum err journal_redact(struct journal *journal, uint64_t seq, struct store_batch *batch)
{
	struct key key = record_key(seq);
	struct buf record = { 0 };
	enum err err = store_get(journal->store, key_bytes(&key), &record);

	if (err == OK && record.len >= sizeof(struct record_head)) {
		record.len = RECORD_LINKED;
		buf_append(&record, RECORD_REDACTED, strlen(RECORD_REDACTED));
		batch_put(batch, key_bytes(&key), BYTES(record.data, record.len));
	}
	buf_free(&record);
	return err;
}

void journal_give_back(struct store_batch *batch)
{
	struct key from, to;

	key_start(&from, PARTITION_OWN, NULL, 'j');
	key_end_of(&from, &to);
	batch_give_back(batch, key_bytes(&from), key_bytes(&to));
}

enum err journal_verify(struct journal *journal, uint64_t *ret_bad_seq)
{
	struct journal_check check;
	enum err err = journal_check(journal->store, &check);

	if (err == OK && check.last_seq < journal->last_seq) {
		check.bad_seq = check.last_seq + 1;
		err = ERR_MALFORMED;
	}
	if (err == ERR_MALFORMED)
		*ret_bad_seq = check.bad_seq;
	return err;
}

void journal_set_faults(struct journal *journal, int64_t delay_ms, unsigned conflict_every)
{
	journal->delay_ms = delay_ms;
	journal->conflict_every = conflict_every;
}
