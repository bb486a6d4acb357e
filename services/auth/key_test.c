#include "services/auth/key.h"

#include "common/clock.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

#define VECTOR "raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE"

static struct refusal why;
static struct key_wish wish;

static bool wished(const char *label, char **scopes, size_t n_scopes, const char *device_id)
{
	Auth__MintKey mint = AUTH__MINT_KEY__INIT;

	mint.label = (char *)label;
	mint.scopes = scopes;
	mint.n_scopes = n_scopes;
	mint.device_id = (char *)device_id;
	return key_wish_of(&mint, &wish, &why);
}

Test(key, has_ingest_subscribe_read_and_write_by_default)
{
	cr_assert(wished("x", NULL, 0, NULL));
	cr_assert_eq(wish.scopes, SCOPES_DEFAULT);
	cr_assert(wished("x", NULL, 0, "watch"));
	cr_assert_eq(wish.scopes, SCOPE_INGEST | SCOPE_SUBSCRIBE | SCOPE_READ);
}

Test(key, names_the_field_what_was_expected_and_what_came)
{
	char *unknown[] = { (char *)"read", (char *)"fly" }, *write[] = { (char *)"write" };
	char long_label[130], device[130];

	memset(long_label, 'x', sizeof long_label);
	long_label[129] = '\0';
	memset(device, 'd', sizeof device);
	device[129] = '\0';
	cr_assert(!wished("", NULL, 0, NULL));
	cr_assert_str_eq(why.detail, "label: expected 1 to 128 characters, got 0");
	cr_assert(!wished(long_label, NULL, 0, NULL));
	cr_assert_str_eq(why.detail, "label: expected 1 to 128 characters, got 129");
	cr_assert(!wished("x", unknown, 2, NULL));
	cr_assert_str_eq(why.detail, "scopes[1]: expected ingest, subscribe, read, write or keys, "
	                             "got \"fly\"");
	cr_assert(!wished("x", NULL, 0, device));
	cr_assert_str_eq(why.detail, "device_id: expected 1 to 128 bytes, got 129");
	cr_assert(!wished("x", NULL, 0, ""));
	cr_assert(!wished("x", write, 1, "watch"));
	cr_assert_str_eq(why.detail, "scopes[0]: a key bound to a device cannot have write");
	cr_assert_eq(why.status, 400);
}

Test(key, counts_characters_and_not_bytes)
{
	char label[2 * 128 + 1] = "";

	for (int i = 0; i < 128; i++)
		strcat(label, "ä");
	cr_assert(wished(label, NULL, 0, NULL));
}

Test(key, refuses_control_characters_and_keys_in_texts)
{
	const char *bad[] = { "a\nb", "\x7f", "a\xc2\x85", "my key " VECTOR "!" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		cr_assert(!wished(bad[i], NULL, 0, NULL), "label %zu", i);
		cr_assert(!wished("x", NULL, 0, bad[i]), "device_id %zu", i);
		cr_assert_null(strstr(why.detail, "raeh_A"));
	}
	cr_assert(wished("raeh_ is how they begin", NULL, 0, NULL));
}

Test(key, never_repeats_a_key_that_came_as_a_scope)
{
	char *scope[] = { (char *)VECTOR };

	cr_assert(!wished("x", scope, 1, NULL));
	cr_assert_null(strstr(why.detail, "ABCDEFGHIJ"), "%s", why.detail);
}

Test(key, may_be_wished_within_the_callers_own_rights_alone)
{
	struct caller caller = { .scopes = SCOPE_KEYS | SCOPE_READ };
	const struct {
		uint32_t scopes;
		const char *device_id, *bound_to;
		bool allowed;
	} row[] = {
		{SCOPE_READ,                 NULL,    "",      true },
		{ SCOPE_READ | SCOPE_KEYS,   NULL,    "",      true },
		{ SCOPE_READ | SCOPE_INGEST, NULL,    "",      false},
		{ SCOPE_READ,                "watch", "",      true },
		{ SCOPE_READ,                NULL,    "watch", false},
		{ SCOPE_READ,                "other", "watch", false},
		{ SCOPE_READ,                "watch", "watch", true },
	};

	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		wish = (struct key_wish){ .scopes = row[i].scopes,
			                  .label = "x",
			                  .device_id = row[i].device_id };
		strcpy(caller.device_id, row[i].bound_to);
		cr_assert_eq(key_wish_allowed(&wish, &caller, &why), row[i].allowed, "row %zu", i);
	}
	caller = (struct caller){ .scopes = SCOPES_DEFAULT };
	wish = (struct key_wish){ .scopes = SCOPE_READ, .label = "x" };
	cr_assert(!key_wish_allowed(&wish, &caller, &why));
	cr_assert_eq(why.status, 403);
	caller.is_operator = true;
	cr_assert(key_wish_allowed(&wish, &caller, &why));
}

Test(key, is_kept_as_a_digest_that_needs_the_secret)
{
	const uint8_t secret[SECRET_BYTES] = { 1 }, other[SECRET_BYTES] = { 2 };
	uint8_t one[DIGEST_BYTES], two[DIGEST_BYTES];

	key_digest(VECTOR, secret, one);
	key_digest(VECTOR, secret, two);
	cr_assert_eq(memcmp(one, two, sizeof one), 0);
	key_digest(VECTOR, other, two);
	cr_assert_neq(memcmp(one, two, sizeof one), 0);
}

/* ---- what a key may be besides ---- */

static Auth__MintKey labelled(void)
{
	Auth__MintKey mint = AUTH__MINT_KEY__INIT;

	mint.label = (char *)"a label";
	return mint;
}

static void assert_wish_refused(const Auth__MintKey *mint, const char *detail)
{

	cr_assert(!key_wish_of(mint, &wish, &why), "%s", detail);
	cr_assert_eq(why.status, 400);
	cr_assert_str_eq(why.detail, detail);
}

Test(key, extras_are_held_to_their_bounds)
{
	char long_id[130], long_metadata[2050];
	Raeh__KeyLimits limits = RAEH__KEY_LIMITS__INIT;
	Auth__MintKey mint = labelled();

	memset(long_id, 'x', sizeof long_id);
	long_id[129] = 0;
	memset(long_metadata, 'x', sizeof long_metadata);
	long_metadata[2049] = 0;
	mint.external_id = long_id;
	assert_wish_refused(&mint, "external_id: expected 1 to 128 bytes, got 129");
	mint.external_id = (char *)"";
	assert_wish_refused(&mint, "external_id: expected 1 to 128 bytes, got 0");
	mint.external_id = (char *)"raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE";
	assert_wish_refused(&mint,
	                    "external_id: an API key or token is never stored, not even here");
	mint.external_id = (char *)"user 7";
	mint.metadata = long_metadata;
	assert_wish_refused(&mint, "metadata: expected 1 to 2048 bytes, got 2049");
	mint.metadata = (char *)"{}";
	mint.has_rate_limit = 1;
	assert_wish_refused(&mint, "rate_limit: expected 1 to 1000000 frames a second, got 0");
	mint.rate_limit = 7;
	mint.has_expires_at = 1;
	mint.expires_at = clock_wall_ms();
	assert_wish_refused(&mint, "expires_at: expected a time to come");
	mint.expires_at = INT64_MAX;
	mint.limits = &limits;
	limits.has_open_sockets = true;
	assert_wish_refused(&mint, "limits.open_sockets: expected 1 to 1000000, got 0");
	limits.open_sockets = 12;
	limits.has_bytes_per_s = true;
	limits.bytes_per_s = 1000000001;
	assert_wish_refused(&mint, "limits.bytes_per_s: expected 1 to 1000000000, got 1000000001");
	limits.has_bytes_per_s = false;

	cr_assert(key_wish_of(&mint, &wish, &why));
	cr_assert_str_eq(wish.external_id, "user 7");
	cr_assert_eq(wish.rate_limit, 7);
	cr_assert_eq(wish.expires_at, INT64_MAX);
	cr_assert_eq(wish.limits.of[KEY_LIMIT_SOCKETS], 12);
	cr_assert_eq(wish.limits.of[KEY_LIMIT_BYTES], 0);
}

Test(key, lives_no_longer_and_does_no_more_than_the_key_that_made_it)
{
	struct caller caller = { .scopes = SCOPES_ALL, .expires_at = 1000, .rate_limit = 10 };

	wish = (struct key_wish){ .scopes = SCOPE_READ, .label = "x" };
	cr_assert(!key_wish_allowed(&wish, &caller, &why));
	cr_assert_eq(why.status, 403);
	cr_assert_str_eq(why.detail, "expires_at: later than that of the key that asks");
	wish.has_expires_at = true;
	wish.expires_at = 1000;
	cr_assert(!key_wish_allowed(&wish, &caller, &why));
	cr_assert_str_eq(why.detail, "rate_limit: more than that of the key that asks");
	wish.has_rate_limit = true;
	wish.rate_limit = 10;
	cr_assert(key_wish_allowed(&wish, &caller, &why));
	wish.rate_limit = 11;
	cr_assert(!key_wish_allowed(&wish, &caller, &why));
}

Test(key, has_no_limit_above_that_of_the_key_that_made_it)
{
	for (unsigned i = 0; i < KEY_LIMIT_KINDS; i++) {
		struct caller caller = { .scopes = SCOPES_ALL };
		char detail[96];

		caller.limits.of[i] = 10;
		wish = (struct key_wish){ .scopes = SCOPE_READ, .label = "x" };
		cr_assert_not(key_wish_allowed(&wish, &caller, &why), "the default may be more");
		cr_assert_eq(why.status, 403);
		(void)snprintf(detail, sizeof detail,
		               "limits.%s: more than that of the key that asks",
		               key_limit_name((enum key_limit)i));
		cr_assert_str_eq(why.detail, detail);
		wish.limits.of[i] = 11;
		cr_assert_not(key_wish_allowed(&wish, &caller, &why));
		wish.limits.of[i] = 10;
		cr_assert(key_wish_allowed(&wish, &caller, &why));
	}
}
