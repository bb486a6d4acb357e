#include "common/journal.h"

#include "common/clock.h"
#include "common/keys.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a service whose view is a count and the last event, and a virtual clock ---- */

#define SYNC_MS 5

static struct loop *loop;
static struct store *store;
static struct journal *journal;
static int64_t fake_us;
static uint64_t applied_seq;
static char trace[512];

static int64_t read_fake(void *ctx)
{
	(void)ctx;
	return fake_us;
}

static void advance(int64_t ms)
{
	for (int64_t i = 0; i < ms; i++) {
		fake_us += 1000;
		loop_dispatch(loop);
	}
}

static struct bytes text(const char *words)
{
	return BYTES(words, strlen(words));
}

static struct key view_key(uint64_t seq)
{
	struct key key;

	key_start(&key, 1, NULL, 'V');
	key_add_u64(&key, seq);
	return key;
}

static void apply(void *ctx, uint64_t seq, struct bytes event, struct store_batch *view)
{
	struct key key = view_key(seq);

	cr_assert_eq(ctx, &applied_seq);
	cr_assert_eq(seq, applied_seq + 1, "every event, once, in order");
	applied_seq = seq;
	batch_put(view, key_bytes(&key), event);
}

static void open_journal(void)
{
	journal = journal_open(store, loop, apply, &applied_seq);
}

static void given_a_journal(void)
{
	clock_set_source(read_fake, NULL, 0);
	fake_us = 1000000;
	loop = loop_new_virtual();
	store = store_open_memory(loop, SYNC_MS);
	open_journal();
}

static void done(void)
{
	journal_close(journal);
	store_close(store);
	loop_free(loop);
	clock_set_source(NULL, NULL, 0);
}

TestSuite(journal, .init = given_a_journal, .fini = done);

/* Notes "name:err " in the trace. */
static void note(void *name, enum err err)
{
	sprintf(trace + strlen(trace), "%s:%s ", (const char *)name, err_name(err));
}

static void append(const char *name)
{
	struct bytes event = text(name);

	journal_append(journal, &event, 1, note, (void *)name);
}

static bool append_to_text(void *ctx, uint64_t seq, struct bytes event)
{
	sprintf((char *)ctx + strlen(ctx), "%d=%.*s ", (int)seq, (int)event.len,
	        (const char *)event.data);
	return strlen(ctx) < 100;
}

static void expect_events(uint64_t from_seq, const char *expected)
{
	char got[512] = "";

	journal_read(journal, from_seq, append_to_text, got);
	cr_assert_str_eq(got, expected);
}

static void expect_view(uint64_t seq, const char *expected)
{
	struct key key = view_key(seq);
	struct buf got = { 0 };
	enum err err = store_get(store, key_bytes(&key), &got);

	if (expected)
		cr_assert(err == OK && got.len == strlen(expected) &&
		                  memcmp(got.data, expected, got.len) == 0,
		          "row %d of the view", (int)seq);
	else
		cr_assert_eq(err, ERR_NOT_FOUND);
	buf_free(&got);
}

static void expect_whole(void)
{
	uint64_t bad = 0;

	cr_assert_eq(journal_verify(journal, &bad), OK, "bad at %d", (int)bad);
}

static void crash(void)
{
	journal_close(journal);
	store_memory_crash(store);
	journal = NULL;
}

/* The view as the store has it, after a restart. */
static void reopen(uint64_t already_applied)
{
	if (journal)
		journal_close(journal);
	applied_seq = already_applied;
	open_journal();
}

/* ---- appending ---- */

Test(journal, answers_when_the_event_is_durable_and_not_before)
{
	append("a");
	cr_assert_str_eq(trace, "");
	advance(SYNC_MS - 1);
	cr_assert_str_eq(trace, "");
	advance(1);

	cr_assert_str_eq(trace, "a:ok ");
	cr_assert_eq(journal_last_seq(journal), 1);
	expect_view(1, "a");
}

Test(journal, answers_in_the_order_of_the_appends)
{
	append("a");
	advance(2);
	append("b");
	append("c");
	advance(20);

	cr_assert_str_eq(trace, "a:ok b:ok c:ok ");
	expect_events(0, "1=a 2=b 3=c ");
	expect_events(2, "2=b 3=c ");
	expect_events(4, "");
}

Test(journal, takes_the_events_of_an_append_together)
{
	struct bytes events[] = { text("a"), text(""), text("c") };

	journal_append(journal, events, ARRAY_LEN(events), note, "abc");
	advance(SYNC_MS);

	cr_assert_str_eq(trace, "abc:ok ");
	expect_events(0, "1=a 2= 3=c ");
	expect_whole();
}

static bool stop_at_once(void *ctx, uint64_t seq, struct bytes event)
{
	(void)event;
	*(uint64_t *)ctx += seq;
	return false;
}

Test(journal, reads_until_the_reader_has_enough)
{
	uint64_t sum = 0;

	append("a");
	append("b");
	journal_read(journal, 0, stop_at_once, &sum);

	cr_assert_eq(sum, 1);
}

static void append_next(void *name, enum err err)
{
	note(name, err);
	append("b");
	append("c");
}

Test(journal, takes_appends_from_the_answer_to_an_append)
{
	struct bytes event = text("a");

	journal_append(journal, &event, 1, append_next, "a");
	advance(20);

	cr_assert_str_eq(trace, "a:ok b:ok c:ok ");
}

static void append_again(void *ctx, uint64_t seq, struct bytes event, struct store_batch *view)
{
	(void)ctx;
	(void)seq;
	(void)view;
	journal_append(journal, &event, 1, note, "x");
}

Test(journal, does_not_take_an_append_from_apply, .signal = SIGABRT)
{
	journal_close(journal);
	journal = journal_open(store, loop, append_again, NULL);
	append("a");
}

Test(journal, gives_no_answer_after_it_was_closed)
{
	append("a");
	journal_set_faults(journal, 100, 0);
	append("b");
	journal_close(journal);
	journal = NULL;
	advance(200);

	cr_assert_str_eq(trace, "");
}

/* ---- faults ---- */

Test(journal, applies_later_and_in_order_when_it_is_slow)
{
	journal_set_faults(journal, 50, 0);
	append("a");
	advance(10);
	append("b");
	cr_assert_eq(applied_seq, 0);
	advance(39);
	cr_assert_eq(applied_seq, 0);
	advance(1);
	cr_assert_eq(applied_seq, 1);
	cr_assert_str_eq(trace, "");
	journal_set_faults(journal, 0, 0);
	append("c");
	cr_assert_eq(applied_seq, 1, "a quick append does not overtake a slow one");
	advance(20);

	cr_assert_str_eq(trace, "a:ok b:ok c:ok ");
	expect_events(0, "1=a 2=b 3=c ");
}

Test(journal, copies_what_it_applies_later)
{
	char words[] = "abc";
	struct bytes event = text(words);

	journal_set_faults(journal, 10, 0);
	journal_append(journal, &event, 1, note, "a");
	memset(words, 'x', 3);
	advance(20);

	expect_events(0, "1=abc ");
}

Test(journal, applies_nothing_of_an_append_in_conflict)
{
	journal_set_faults(journal, 10, 3);
	append("a");
	append("b");
	append("c");
	append("d");
	advance(30);

	cr_assert_str_eq(trace, "a:ok b:ok c:conflict d:ok ");
	expect_events(0, "1=a 2=b 3=d ");
	expect_view(4, NULL);
	expect_whole();
}

Test(journal, answers_a_conflict_from_a_later_turn)
{
	journal_set_faults(journal, 0, 1);
	append("a");
	cr_assert_str_eq(trace, "");
	advance(SYNC_MS);

	cr_assert_str_eq(trace, "a:conflict ");
	cr_assert_eq(journal_last_seq(journal), 0);
}

/* ---- restart ---- */

Test(journal, continues_after_its_last_record)
{
	append("a");
	append("b");
	reopen(2);
	append("c");

	expect_events(0, "1=a 2=b 3=c ");
	expect_whole();
}

Test(journal, agrees_with_its_view_after_a_crash_at_any_moment)
{
	for (int ms = 0; ms < 20; ms++) {
		uint64_t durable, answered;

		trace[0] = '\0';
		append("a");
		advance(ms % 7);
		append("b");
		advance(ms % 4);
		answered = (uint64_t)(strlen(trace) / strlen("a:ok "));
		durable = applied_seq - 2 + answered;
		crash();
		for (applied_seq += 1; applied_seq > 0; applied_seq--) {
			struct key key = view_key(applied_seq);
			struct buf row = { 0 };
			enum err err = store_get(store, key_bytes(&key), &row);

			buf_free(&row);
			if (err == OK)
				break;
		}
		open_journal();

		cr_assert_geq(journal_last_seq(journal), durable, "an answered event is gone");
		cr_assert_eq(journal_last_seq(journal), applied_seq);
		expect_whole();
	}
}

static void set_position(uint64_t seq)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();
	struct key key, value = { 0 };

	key_start(&key, PARTITION_OWN, NULL, 'p');
	key_add_u64(&value, seq);
	batch_put(batch, key_bytes(&key), key_bytes(&value));
	cr_assert_eq(store_write(store, batch), OK);
}

Test(journal, applies_at_open_what_the_view_has_not_seen)
{
	append("a");
	append("b");
	append("c");
	set_position(1);
	reopen(1);

	cr_assert_eq(applied_seq, 3);
	cr_assert_eq(journal_last_seq(journal), 3);
	reopen(3);
	cr_assert_eq(applied_seq, 3, "the new position was stored");
}

Test(journal, applies_everything_again_when_its_position_is_gone)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();
	char event[6000];
	struct key key;

	memset(event, 'x', sizeof event);
	for (int i = 0; i < 1000; i++) {
		struct bytes bytes = BYTES(event, sizeof event);

		journal_append(journal, &bytes, 1, note, "");
		trace[0] = '\0';
	}
	key_start(&key, PARTITION_OWN, NULL, 'p');
	batch_delete(batch, key_bytes(&key));
	cr_assert_eq(store_write(store, batch), OK);
	reopen(0);

	cr_assert_eq(applied_seq, 1000);
	reopen(1000);
	expect_whole();
}

/* ---- the chain ---- */

static struct key record_key(uint64_t seq)
{
	struct key key;

	key_start(&key, PARTITION_OWN, NULL, 'j');
	key_add_u64(&key, seq);
	return key;
}

static void put_record(uint64_t seq, const struct buf *record)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();
	struct key key = record_key(seq);

	if (record)
		batch_put(batch, key_bytes(&key), BYTES(record->data, record->len));
	else
		batch_delete(batch, key_bytes(&key));
	cr_assert_eq(store_write(store, batch), OK);
}

static void get_record(uint64_t seq, struct buf *ret)
{
	struct key key = record_key(seq);

	cr_assert_eq(store_get(store, key_bytes(&key), ret), OK);
}

static void expect_bad(uint64_t expected, const char *what, size_t at)
{
	uint64_t bad = 0;

	cr_assert_eq(journal_verify(journal, &bad), ERR_MALFORMED, "%s %zu of %d", what, at,
	             (int)expected);
	cr_assert_eq(bad, expected, "%s %zu of %d was named %d", what, at, (int)expected, (int)bad);
}

static void given_four_records(void)
{
	append("first event");
	append("second event");
	append("");
	append("the last");
}

Test(journal, names_the_record_in_which_any_bit_of_any_byte_flipped)
{
	struct buf record = { 0 };

	given_four_records();
	for (uint64_t seq = 1; seq <= 4; seq++) {
		get_record(seq, &record);
		for (size_t at = 0; at < record.len; at++) {
			uint8_t bit = (uint8_t)(1 << at % 8);

			record.data[at] ^= bit;
			put_record(seq, &record);
			expect_bad(seq, "byte", at);
			record.data[at] ^= bit;
		}
		put_record(seq, &record);
		expect_whole();
	}
	buf_free(&record);
}

Test(journal, names_the_record_that_was_cut_short_or_made_longer)
{
	struct buf record = { 0 };

	given_four_records();
	for (uint64_t seq = 1; seq <= 4; seq++) {
		size_t whole;

		get_record(seq, &record);
		whole = record.len;
		for (record.len = 0; record.len < whole; record.len++) {
			put_record(seq, &record);
			expect_bad(seq, "length", record.len);
		}
		buf_append(&record, "x", 1);
		put_record(seq, &record);
		expect_bad(seq, "length", record.len);
		record.len--;
		put_record(seq, &record);
	}
	buf_free(&record);
}

Test(journal, names_a_record_that_is_gone_added_or_in_another_s_place)
{
	struct buf first = { 0 }, other = { 0 };

	given_four_records();
	for (uint64_t seq = 1; seq <= 4; seq++) {
		get_record(seq, &first);
		put_record(seq, NULL);
		expect_bad(seq, "without", 0);
		get_record(seq == 1 ? 2 : 1, &other);
		put_record(seq, &other);
		expect_bad(seq, "exchanged", 0);
		put_record(seq, &first);
	}
	put_record(0, &first);
	expect_bad(0, "before", 0);
	put_record(0, NULL);
	put_record(5, &other);
	expect_bad(5, "behind", 0);
	buf_free(&first);
	buf_free(&other);
}

Test(journal, opens_over_broken_records_and_still_names_them)
{
	struct buf record = { 0 };

	given_four_records();
	get_record(4, &record);
	for (size_t len = 0; len < 90; len += 7) {
		record.len = len < record.len ? len : record.len;
		put_record(4, &record);
		reopen(4);
		expect_bad(4, "length", len);
	}
	put_record(4, NULL);
	put_record(3, NULL);
	reopen(4);
	append("five");

	cr_assert_eq(journal_last_seq(journal), 5, "a lost number is not given again");
	expect_bad(3, "without", 0);
	buf_free(&record);
}

Test(journal, gives_the_same_event_another_hash_each_time)
{
	struct buf first = { 0 }, second = { 0 };

	append("same");
	append("same");
	get_record(1, &first);
	get_record(2, &second);

	cr_assert_eq(first.len, 32 + 32 + 16 + 4);
	cr_assert_neq(memcmp(first.data + 32, second.data + 32, 32), 0);
	buf_free(&first);
	buf_free(&second);
}

static void redact(uint64_t seq, enum err expected)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();

	cr_assert_eq(journal_redact(journal, seq, batch), expected);
	cr_assert_eq(store_write(store, batch), OK);
}

Test(journal, forgets_what_was_redacted_and_the_chain_holds)
{
	struct buf event = { 0 }, record = { 0 };
	struct journal_check check;

	given_four_records();
	redact(2, OK);
	redact(2, OK);
	redact(4, OK);
	redact(5, ERR_NOT_FOUND);
	get_record(2, &record);
	cr_assert(memmem(record.data, record.len, "second", 6) == NULL);
	cr_assert_eq(journal_get(journal, 2, &event), ERR_NOT_FOUND);
	cr_assert_eq(event.len, 0);
	cr_assert_eq(journal_get(journal, 1, &event), OK);
	cr_assert(event.len == 11 && memcmp(event.data, "first event", 11) == 0);
	cr_assert_eq(journal_check(store, &check), OK);
	cr_assert(check.last_seq == 4 && check.redacted == 2 && !check.why);
	append("behind it");
	reopen(5);
	expect_whole();
	redact(5, OK);
	record.data[70] ^= 1;
	put_record(2, &record);
	expect_bad(2, "its mark", 70);
	buf_free(&event);
	buf_free(&record);
}
