#include "services/auth/hours.h"

#include "common/clock.h"

#include <criterion/criterion.h>

#define HOUR_MS 3600000

static const struct uuid account = { { 1 } }, key = { { 7 } };
static int64_t wall_ms;
static struct loop *loop;
static struct store *store;

static int64_t fake_us(void *ctx)
{
	(void)ctx;
	return wall_ms * 1000;
}

static void setup(void)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();
	struct key row;

	wall_ms = 1000000 * (int64_t)HOUR_MS;
	clock_set_source(fake_us, NULL, 0);
	loop = loop_new_virtual();
	store = store_open_memory(loop, 1);
	key_start(&row, PARTITION_OWN, NULL, 'K');
	key_add_uuid(&row, &key);
	batch_put(batch, key_bytes(&row), BYTES(account.byte, sizeof account.byte));
	cr_assert_eq(store_write(store, batch), OK);
}

static void teardown(void)
{
	store_close(store);
	loop_free(loop);
	clock_set_source(NULL, NULL, 0);
}

TestSuite(hours, .init = setup, .fini = teardown);

static void report(uint8_t edge, uint64_t number, const struct uuid *whose, uint64_t frames)
{
	Auth__KeysUsed used = AUTH__KEYS_USED__INIT;
	Auth__KeyUse use = AUTH__KEY_USE__INIT, *all[] = { &use };
	struct uuid incarnation = {
		{9, edge}
	};

	use.key = wire_bytes_of(whose);
	use.at_ms = wall_ms;
	use.frames = frames;
	use.bytes = 10 * frames;
	used.has_slot = used.has_incarnation = used.has_number = 1;
	used.incarnation = wire_bytes_of(&incarnation);
	used.number = number;
	used.n_uses = 1;
	used.uses = all;
	cr_assert_eq(hours_add(store, &used), OK);
}

/* -1: there is no such row. */
static int64_t frames_of(const struct uuid *whose, int64_t hours_ago)
{
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	struct buf buf = { 0 };
	struct key row;
	enum err err;

	key_start(&row, PARTITION_OWN, &account, 'h');
	key_add_u64(&row, (uint64_t)(wall_ms / HOUR_MS - hours_ago));
	key_add_uuid(&row, whose);
	err = store_get(store, key_bytes(&row), &buf);
	if (err == OK)
		message = wire_unpack(&events__usage_row__descriptor, BYTES(buf.data, buf.len));
	buf_free(&buf);
	return message ? (int64_t)((Events__UsageRow *)message)->frames : -1;
}

static int64_t frames_in(int64_t hours_ago)
{
	return frames_of(&key, hours_ago);
}

Test(hours, add_up_what_several_edges_report)
{
	report(1, 1, &key, 10);
	report(2, 1, &key, 5);
	report(1, 2, &key, 1);
	cr_assert_eq(frames_in(0), 16);
}

Test(hours, count_a_report_once_however_often_it_comes)
{
	report(1, 1, &key, 10);
	report(1, 1, &key, 10);
	report(1, 2, &key, 1);
	report(1, 1, &key, 10);
	cr_assert_eq(frames_in(0), 11);
}

Test(hours, remember_what_was_counted_over_a_crash)
{
	report(1, 1, &key, 10);
	store_memory_kill(store);
	store_memory_revive(store);
	report(1, 1, &key, 10);
	cr_assert_eq(frames_in(0), 10);
}

Test(hours, are_those_of_the_wall_clock)
{
	report(1, 1, &key, 10);
	wall_ms += HOUR_MS;
	report(1, 2, &key, 3);
	cr_assert_eq(frames_in(1), 10);
	cr_assert_eq(frames_in(0), 3);
}

static Auth__KeyUse use_of(const struct uuid *login, const struct uuid *user, uint64_t frames)
{
	Auth__KeyUse use = AUTH__KEY_USE__INIT;

	use.key = wire_bytes_of(login);
	use.has_user = user != NULL;
	if (user)
		use.user = wire_bytes_of(user);
	use.at_ms = wall_ms;
	use.frames = frames;
	return use;
}

Test(hours, of_a_users_logins_are_one_row_of_the_user)
{
	static const struct uuid user = { { 8 } };
	Auth__KeyUse uses[] = { use_of(&key, &user, 1), use_of(&key, NULL, 10),
		                use_of(&key, &user, 100) };
	Auth__KeyUse *all[] = { &uses[0], &uses[1], &uses[2] };
	struct uuid incarnation = { { 9 } };
	Auth__KeysUsed used = AUTH__KEYS_USED__INIT;

	used.has_slot = used.has_incarnation = used.has_number = 1;
	used.incarnation = wire_bytes_of(&incarnation);
	used.n_uses = 3;
	used.uses = all;
	for (used.number = 1; used.number <= 2; used.number++)
		cr_assert_eq(hours_add(store, &used), OK);
	cr_assert_eq(frames_of(&user, 0), 202);
	cr_assert_eq(frames_of(&key, 0), 20);
}

Test(hours, leave_out_a_key_that_nobody_knows)
{
	const struct uuid unknown = { { 8 } };

	report(1, 1, &unknown, 10);
	cr_assert_eq(frames_in(0), -1);
	report(1, 2, &key, 1);
	cr_assert_eq(frames_in(0), 1);
}

Test(hours, forget_what_is_older_than_they_are_kept)
{
	report(1, 1, &key, 10);
	wall_ms += HOUR_MS;
	report(1, 2, &key, 20);
	wall_ms += HOURS_KEPT * (int64_t)HOUR_MS;
	report(1, 3, &key, 30);
	cr_assert_eq(frames_in(HOURS_KEPT + 1), -1);
	cr_assert_eq(frames_in(HOURS_KEPT), 20);
	cr_assert_eq(frames_in(0), 30);
}

Test(hours, forget_the_numbers_of_edges_that_are_long_gone)
{
	report(1, 1, &key, 10);
	hours_tidy(store);
	report(1, 1, &key, 10);
	cr_assert_eq(frames_in(0), 10);
	wall_ms += 25 * (int64_t)HOUR_MS;
	hours_tidy(store);
	report(1, 1, &key, 4);
	cr_assert_eq(frames_in(0), 4);
}
