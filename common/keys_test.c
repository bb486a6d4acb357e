#include "common/keys.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct uuid account = { { 0xaa, 1 } }, other = { { 0xaa, 2 } };

static int compare(const struct key *a, const struct key *b)
{
	size_t shorter = a->len < b->len ? a->len : b->len;
	int order = memcmp(a->data, b->data, shorter);

	return order ? order : (a->len > b->len) - (a->len < b->len);
}

static struct key numbered(uint16_t partition, const struct uuid *of, uint64_t number)
{
	struct key key;

	key_start(&key, partition, of, 'f');
	key_add_u64(&key, number);
	return key;
}

Test(keys, begin_with_partition_account_and_table)
{
	struct key key;

	key_start(&key, 0x0102, &account, 'S');
	cr_assert_eq(key.len, 19);
	cr_assert_arr_eq(key.data, "\1\2", 2);
	cr_assert_arr_eq(key.data + 2, account.byte, 16);
	cr_assert_eq(key.data[18], 'S');
	key_start(&key, 0, NULL, 'n');
	for (size_t i = 0; i < 18; i++)
		cr_assert_eq(key.data[i], 0);
}

Test(keys, sort_as_their_numbers_do)
{
	const uint64_t numbers[] = { 0, 1, 255, 256, 65535, 65536, UINT64_C(1) << 32, UINT64_MAX };

	for (size_t i = 1; i < ARRAY_LEN(numbers); i++) {
		struct key low = numbered(1, &account, numbers[i - 1]);
		struct key high = numbered(1, &account, numbers[i]);

		cr_assert_lt(compare(&low, &high), 0, "%zu", i);
	}
}

Test(keys, give_back_what_was_put_in)
{
	struct key key = numbered(7, &account, UINT64_C(0x0102030405060708));
	struct bytes row = key_row(key_bytes(&key));
	struct uuid found;

	cr_assert_eq(row.len, 8);
	cr_assert_eq(key_read_u64(row.data), UINT64_C(0x0102030405060708));
	cr_assert(key_account(key_bytes(&key), &found));
	cr_assert(uuid_equal(&found, &account));
}

Test(keys, that_are_too_short_have_no_row_and_no_account)
{
	struct key key = numbered(7, &account, 1);
	struct uuid found;

	for (size_t len = 0; len < 19; len++) {
		cr_assert_eq(key_row(BYTES(key.data, len)).len, 0);
		cr_assert_not(key_account(BYTES(key.data, len), &found));
	}
}

/* The range of a prefix holds all keys that begin with it, and no other. */
Test(keys, of_one_account_and_table_are_a_range_of_their_own)
{
	struct key prefix, end, inside, outside;

	key_start(&prefix, 3, &account, 'f');
	key_end_of(&prefix, &end);
	inside = numbered(3, &account, UINT64_MAX);
	cr_assert(compare(&prefix, &inside) <= 0 && compare(&inside, &end) < 0);
	outside = numbered(3, &other, 0);
	cr_assert_geq(compare(&outside, &end), 0);
	outside = numbered(4, &account, 0);
	cr_assert_geq(compare(&outside, &end), 0);
	key_start(&outside, 3, &account, 'g');
	cr_assert_geq(compare(&outside, &end), 0);
	key_start(&outside, 3, &account, 'e');
	key_add_u64(&outside, UINT64_MAX);
	cr_assert_lt(compare(&outside, &prefix), 0);
}

Test(keys, that_end_in_ff_have_an_end_too)
{
	struct key prefix = numbered(1, &account, UINT64_C(0x12ffffffffffffff)), end, longer;

	key_end_of(&prefix, &end);
	cr_assert_eq(end.len, prefix.len - 7);
	cr_assert_lt(compare(&prefix, &end), 0);
	longer = prefix;
	key_add_u64(&longer, UINT64_MAX);
	cr_assert_lt(compare(&longer, &end), 0);
}

Test(keys, of_ff_alone_have_no_end, .signal = SIGABRT)
{
	struct key prefix = { { 0xff, 0xff }, 2 }, end;

	key_end_of(&prefix, &end);
}

Test(keys, are_never_longer_than_their_bound, .signal = SIGABRT)
{
	uint8_t row[KEY_MAX] = { 0 };
	struct key key;

	key_start(&key, 1, &account, 'v');
	key_add(&key, row, sizeof row);
}

Test(keys, put_each_device_into_one_of_the_partitions_and_fill_all)
{
	int n[PARTITIONS] = { 0 };

	for (int i = 0; i < 64 * PARTITIONS; i++) {
		char device[32];
		uint16_t partition;

		(void)snprintf(device, sizeof device, "device-%d", i);
		partition = partition_of(&account, &other, device);
		cr_assert_lt(partition, PARTITIONS);
		cr_assert_eq(partition, partition_of(&account, &other, device));
		n[partition]++;
	}
	for (int i = 0; i < PARTITIONS; i++)
		cr_assert(n[i] > 20 && n[i] < 150, "partition %d got %d of 64 expected", i, n[i]);
}

/* What is stored under a partition is found there by every later version. The numbers are
 * of another implementation of BLAKE2b. */
Test(keys, never_move_a_device_to_another_partition)
{
	const struct uuid nil = { { 0 } };

	cr_assert_eq(partition_of(&nil, &nil, ""), 63);
	cr_assert_eq(partition_of(&account, &other, "xyz-watch-a3b5"), 43);
}
