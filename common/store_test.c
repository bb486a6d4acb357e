#include "common/keys.h"
#include "common/store.h"

#include "common/clock.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEADLINE_MS 20000

/* ---- one suite, two engines ---- */

static struct loop *loop;
static struct store *store;
static struct store_batch *batch;
static char directory[64];

static void remove_directory(const char *path)
{
	AUTO_MEM char *command = xasprintf("rm -rf '%s'", path);

	cr_assert_eq(system(command), 0);
}

static void open_disk(const char *path)
{
	char why[256] = "";

	cr_assert_eq(store_open(path, KEY_RUN_TABLE, loop, why, &store), OK, "%s", why);
}

static void given_a_disk_store(void)
{
	strcpy(directory, "/tmp/store_test.XXXXXX");
	cr_assert(mkdtemp(directory));
	loop = loop_new();
	batch = batch_new();
	open_disk(directory);
}

static void given_a_memory_store(void)
{
	directory[0] = '\0';
	loop = loop_new();
	batch = batch_new();
	store = store_open_memory(loop, 2);
}

static void done(void)
{
	store_close(store);
	batch_free(batch);
	loop_free(loop);
	if (directory[0])
		remove_directory(directory);
}

TestSuite(store_disk, .init = given_a_disk_store, .fini = done);
TestSuite(store_memory, .init = given_a_memory_store, .fini = done);

#define EITHER(name)                                                                               \
	static void name(void);                                                                    \
	Test(store_disk, name)                                                                     \
	{                                                                                          \
		name();                                                                            \
	}                                                                                          \
	Test(store_memory, name)                                                                   \
	{                                                                                          \
		name();                                                                            \
	}                                                                                          \
	static void name(void)

/* ---- words to say it with ---- */

static struct bytes text(const char *words)
{
	return BYTES(words, strlen(words));
}

static void put(const char *key, const char *value)
{
	batch_clear(batch);
	batch_put(batch, text(key), text(value));
	cr_assert_eq(store_write(store, batch), OK);
}

static bool has(const char *key, const char *value)
{
	struct buf got = { 0 };
	enum err err = store_get(store, text(key), &got);
	bool same = err == OK && got.len == strlen(value) &&
	            (got.len == 0 || memcmp(got.data, value, got.len) == 0);

	cr_assert(err == OK || err == ERR_NOT_FOUND, "%s", store_why(store));
	buf_free(&got);
	return same;
}

static bool is_absent(const char *key)
{
	struct buf got = { 0 };
	enum err err = store_get(store, text(key), &got);

	buf_free(&got);
	return err == ERR_NOT_FOUND;
}

/* "a=1 b=2 " */
static void collect(struct store_scan *scan, char ret[512])
{
	struct bytes key, value;

	*ret = '\0';
	while (scan_next(scan, &key, &value))
		sprintf(ret + strlen(ret), "%.*s=%.*s ", (int)key.len, (const char *)key.data,
		        (int)value.len, (const char *)value.data);
	cr_assert_eq(scan_err(scan), OK);
	cr_assert_not(scan_next(scan, &key, &value), "a scan that has ended stays so");
}

static void expect_scan(const char *from, const char *to, bool backwards, const char *expected)
{
	AUTO(scan_close)
	struct store_scan *scan = scan_open(store, text(from), text(to), backwards);
	char got[512];

	collect(scan, got);
	cr_assert_str_eq(got, expected);
}

static void turn(int64_t deadline_ms)
{
	struct pollfd one = { .fd = loop_fd(loop), .events = POLLIN };

	cr_assert_lt(clock_boot_ms(), deadline_ms, "nothing came");
	(void)poll(&one, 1, 100);
	loop_dispatch(loop);
}

static void set_true(void *flag)
{
	*(bool *)flag = true;
}

static void sync_now(void)
{
	int64_t deadline_ms = clock_boot_ms() + DEADLINE_MS;
	bool synced = false;

	store_sync(store, set_true, &synced);
	cr_assert_not(synced, "a sync calls back from a later turn");
	while (!synced)
		turn(deadline_ms);
}

/* ---- what both promise ---- */

EITHER(gives_back_what_was_put)
{
	put("a", "1");
	put("a", "2");
	put("b", "");

	cr_assert(has("a", "2"));
	cr_assert(has("b", ""));
	cr_assert(is_absent("c"));
	cr_assert(is_absent(""));
}

EITHER(leaves_the_result_empty_when_nothing_is_found)
{
	struct buf got = { 0 };

	buf_append(&got, "old", 3);
	cr_assert_eq(store_get(store, text("absent"), &got), ERR_NOT_FOUND);
	cr_assert_eq(got.len, 0);
	buf_free(&got);
}

EITHER(keeps_keys_and_values_of_any_bytes)
{
	uint8_t key[300], value[70000];
	struct buf got = { 0 };

	memset(key, 0xff, sizeof key);
	key[0] = 0;
	for (size_t i = 0; i < sizeof value; i++)
		value[i] = (uint8_t)(i * 7);
	batch_put(batch, BYTES(key, sizeof key), BYTES(value, sizeof value));
	cr_assert_eq(store_write(store, batch), OK);

	cr_assert_eq(store_get(store, BYTES(key, sizeof key), &got), OK);
	cr_assert_eq(got.len, sizeof value);
	cr_assert_arr_eq(got.data, value, sizeof value);
	buf_free(&got);
}

EITHER(does_the_operations_of_a_batch_in_their_order)
{
	batch_put(batch, text("a"), text("1"));
	batch_delete(batch, text("a"));
	batch_put(batch, text("b"), text("1"));
	batch_delete_range(batch, text("a"), text("c"));
	batch_put(batch, text("b"), text("2"));
	cr_assert_eq(store_write(store, batch), OK);

	cr_assert(is_absent("a"));
	cr_assert(has("b", "2"));
}

EITHER(takes_the_same_batch_many_times)
{
	cr_assert_eq(batch_bytes(batch), 0);
	cr_assert_eq(store_write(store, batch), OK, "an empty batch is none");
	batch_put(batch, text("a"), text("1"));
	cr_assert_geq(batch_bytes(batch), 2);
	cr_assert_eq(store_write(store, batch), OK);
	cr_assert_eq(store_write(store, batch), OK);
	batch_clear(batch);
	cr_assert_eq(batch_bytes(batch), 0);
	batch_delete(batch, text("a"));
	cr_assert_eq(store_write(store, batch), OK);

	cr_assert(is_absent("a"));
}

EITHER(deletes_a_range_up_to_but_not_with_its_end)
{
	const char *keys[] = { "a", "b", "ba", "c", "d" };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		put(keys[i], "1");
	batch_clear(batch);
	batch_delete_range(batch, text("b"), text("c"));
	batch_delete_range(batch, text("d"), text("a"));
	batch_delete_range(batch, text("d"), text("d"));
	cr_assert_eq(store_write(store, batch), OK);

	expect_scan("a", "z", false, "a=1 c=1 d=1 ");
}

EITHER(scans_in_order_and_backwards_between_its_bounds)
{
	const char *keys[] = { "b", "a", "aa", "d", "c", "e" };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		put(keys[i], keys[i]);

	expect_scan("a", "z", false, "a=a aa=aa b=b c=c d=d e=e ");
	expect_scan("a", "z", true, "e=e d=d c=c b=b aa=aa a=a ");
	expect_scan("aa", "d", false, "aa=aa b=b c=c ");
	expect_scan("aa", "d", true, "c=c b=b aa=aa ");
	expect_scan("ab", "cc", true, "c=c b=b ");
	expect_scan("f", "z", true, "");
}

EITHER(scans_nothing_when_the_range_ends_before_it_begins)
{
	put("a", "1");
	put("b", "1");

	expect_scan("b", "a", false, "");
	expect_scan("b", "a", true, "");
	expect_scan("a", "a", false, "");
	expect_scan("", "", true, "");
	expect_scan("a", "", false, "");
}

EITHER(scans_what_stood_there_when_the_scan_was_opened)
{
	struct store_scan *scan;
	char got[512];

	put("a", "1");
	put("b", "1");
	put("d", "1");
	scan = scan_open(store, text("a"), text("z"), false);
	put("a", "2");
	put("c", "2");
	batch_clear(batch);
	batch_delete(batch, text("b"));
	cr_assert_eq(store_write(store, batch), OK);

	collect(scan, got);
	scan_close(scan);

	cr_assert_str_eq(got, "a=1 b=1 d=1 ");
	expect_scan("a", "z", true, "d=1 c=2 a=2 ");
}

/* A plain array of 512 keys is the model; every step is compared now and then. */
static void compare_with(const int values[512])
{
	AUTO(scan_close) struct store_scan *scan = scan_open(store, text("k"), text("l"), false);
	struct bytes key, value;

	for (int i = 0; i < 512; i++) {
		char name[16], number[16];

		if (values[i] == 0)
			continue;
		sprintf(name, "k%03d", i);
		sprintf(number, "%d", values[i]);
		cr_assert(scan_next(scan, &key, &value), "%s is missing", name);
		cr_assert(key.len == 4 && memcmp(key.data, name, 4) == 0, "not %s", name);
		cr_assert(value.len == strlen(number) && !memcmp(value.data, number, value.len));
		cr_assert(has(name, number));
	}
	cr_assert_not(scan_next(scan, &key, &value));
}

EITHER(agrees_with_a_plain_array_after_any_operations)
{
	static int values[512];
	unsigned seed = 7;

	for (int step = 1; step <= 6000; step++) {
		int kind = rand_r(&seed) % 20, at = rand_r(&seed) % 512;
		int to = at + rand_r(&seed) % 40;
		char from_name[16], to_name[16], number[16];

		sprintf(from_name, "k%03d", at);
		sprintf(to_name, "k%03d", to);
		sprintf(number, "%d", step);
		if (kind == 0) {
			batch_delete_range(batch, text(from_name), text(to_name));
			for (int i = at; i < to && i < 512; i++)
				values[i] = 0;
		} else if (kind < 6) {
			batch_delete(batch, text(from_name));
			values[at] = 0;
		} else {
			batch_put(batch, text(from_name), text(number));
			values[at] = step;
		}
		if (step % 50 == 0) {
			cr_assert_eq(store_write(store, batch), OK);
			batch_clear(batch);
		}
		if (step % 1000 == 0)
			compare_with(values);
	}
}

static void append_name(void *name)
{
	static char trace[16];

	strcat(trace, name);
	if (strcmp(trace, "abc") == 0)
		loop_stop(loop);
}

EITHER(calls_back_everyone_who_waits_in_order)
{
	store_sync(store, append_name, "a");
	store_sync(store, append_name, "b");
	store_sync(store, append_name, "c");

	loop_run(loop);
}

struct again {
	struct store *store;
	int left;
};

static void sync_again(void *ctx)
{
	struct again *again = ctx;

	if (again->left-- == 0)
		loop_stop(loop);
	else
		store_sync(again->store, sync_again, again);
}

EITHER(can_be_asked_to_sync_from_the_callback_of_a_sync)
{
	struct again again = { store, 20 };

	sync_again(&again);
	loop_run(loop);

	cr_assert_eq(again.left, -1);
}

EITHER(forgets_only_the_callbacks_of_the_ctx_named)
{
	bool first = false, second = false, third = false;
	int64_t deadline_ms = clock_boot_ms() + DEADLINE_MS;

	store_sync(store, set_true, &first);
	store_sync(store, set_true, &second);
	store_sync(store, set_true, &third);
	store_forget(store, &second);
	while (!third)
		turn(deadline_ms);

	cr_assert(first);
	cr_assert_not(second);
}

EITHER(closes_while_somebody_waits_for_a_sync)
{
	static bool synced;

	for (int i = 0; i < 100; i++)
		store_sync(store, set_true, &synced);
	store_close(store);
	store = NULL;
	loop_dispatch(loop);

	cr_assert_not(synced);
}

EITHER(has_room_on_a_disk_that_is_not_full)
{
	cr_assert_eq(store_room(store), OK);
	put("a", "1");
	cr_assert_not_null(store_why(store));
}

static void close_with_a_scan(void)
{
	(void)scan_open(store, text("a"), text("b"), false);
	store_close(store);
}

/* The numbers of n frames, each once and in no order: k * step mod n. */
static void put_runs(unsigned sessions, unsigned n, unsigned step)
{
	for (unsigned k = 0; k < n; k++) {
		batch_clear(batch);
		for (unsigned session = 0; session < sessions; session++) {
			char key[64];

			(void)snprintf(key, sizeof key, "%035u%08u", session, k * step % n);
			batch_put(batch, text(key), text("frame"));
		}
		cr_assert_eq(store_write(store, batch), OK);
	}
}

EITHER(keeps_the_runs_of_many_sessions_in_order_however_they_come)
{
	const unsigned sessions = 7, n = 1000;
	struct bytes key, value;
	struct store_scan *scan;
	unsigned seen = 0;

	put_runs(sessions, n, 1);
	put_runs(sessions, n, 7);

	scan = scan_open(store, text("0"), text("1"), false);
	for (; scan_next(scan, &key, &value); seen++) {
		char expected[64];

		(void)snprintf(expected, sizeof expected, "%035u%08u", seen / n, seen % n);
		cr_assert_eq(key.len, strlen(expected));
		cr_assert_eq(memcmp(key.data, expected, key.len), 0, "%s", expected);
	}
	scan_close(scan);
	cr_assert_eq(seen, sessions * n);
}

Test(store_memory, does_not_close_under_an_open_scan, .signal = SIGABRT)
{
	close_with_a_scan();
}

/* ---- the twin ---- */

Test(store_memory, forgets_in_a_crash_what_was_not_synced)
{
	put("a", "1");
	put("b", "1");
	sync_now();
	put("a", "2");
	put("c", "2");
	batch_clear(batch);
	batch_delete(batch, text("b"));
	cr_assert_eq(store_write(store, batch), OK);

	store_memory_crash(store);

	expect_scan("a", "z", false, "a=1 b=1 ");
	put("d", "3");
	sync_now();
	store_memory_crash(store);
	expect_scan("a", "z", false, "a=1 b=1 d=3 ");
}

Test(store_memory, forgets_in_a_crash_those_who_wait)
{
	static bool synced;

	put("a", "1");
	store_sync(store, set_true, &synced);
	store_memory_crash(store);
	sync_now();

	cr_assert_not(synced);
	cr_assert(is_absent("a"));
}

static int64_t fake_us;

static int64_t read_fake(void *ctx)
{
	(void)ctx;
	return fake_us;
}

static void advance(int64_t ms)
{
	fake_us += ms * 1000;
	loop_dispatch(loop);
}

/* A sync asked for while one runs must not be answered by that one. */
Test(store_twin, covers_only_what_was_written_before_the_sync_was_asked_for)
{
	bool first = false, second = false;

	clock_set_source(read_fake, NULL, 0);
	loop = loop_new_virtual();
	store = store_open_memory(loop, 10);
	batch = batch_new();
	put("a", "1");
	store_sync(store, set_true, &first);
	put("b", "1");
	advance(9);
	store_sync(store, set_true, &second);
	cr_assert_not(first);
	advance(1);
	cr_assert(first);
	cr_assert_not(second);
	advance(9);
	cr_assert_not(second);
	put("c", "1");
	advance(1);
	cr_assert(second);
	store_memory_crash(store);
	expect_scan("a", "z", false, "a=1 b=1 ");
	directory[0] = '\0';
	done();
	clock_set_source(NULL, NULL, 0);
}

/* As auth erases an account, a router and a publisher a session, while new rows come. */
EITHER(erases_the_runs_of_a_table_while_others_are_written)
{
	struct uuid account = { { 7 } };
	struct buf got = { 0 };

	for (uint64_t n = 0; n < 400; n++) {
		struct key key, from, to;

		key_start(&key, PARTITION_OWN, &account, "abc"[n % 3]);
		key_add_u64(&key, n);
		batch_put(batch, key_bytes(&key), BYTES(&n, sizeof n));
		if (n % 10 == 9) {
			key_start(&from, PARTITION_OWN, &account, 'b');
			key_end_of(&from, &to);
			batch_delete_range(batch, key_bytes(&from), key_bytes(&to));
		}
		cr_assert_eq(store_write(store, batch), OK);
		batch_clear(batch);
		cr_assert_eq(store_get(store, key_bytes(&key), &got),
		             n % 10 == 9 && n % 3 == 1 ? ERR_NOT_FOUND : OK);
	}
	buf_free(&got);
}
