#include "common/token.h"

#include "common/key_limits.h"
#include "common/wire.h"

#include <criterion/criterion.h>
#include <string.h>

static const uint8_t seed[TOKEN_SEED_BYTES] = { 1 }, other_seed[TOKEN_SEED_BYTES] = { 2 };
static uint8_t key[TOKEN_KEY_BYTES], id[16] = { 3 }, mac[32] = { 4 };

static Raeh__Principal principal_of(const char *device)
{
	Raeh__Principal principal = RAEH__PRINCIPAL__INIT;

	principal.account = principal.key = (ProtobufCBinaryData){ sizeof id, id };
	principal.mac = (ProtobufCBinaryData){ sizeof mac, mac };
	principal.scopes = 3;
	principal.device_id = (char *)device;
	principal.has_is_token = principal.is_token = principal.has_expires_ms = true;
	principal.expires_ms = 1000;
	token_key_of(seed, key);
	return principal;
}

Test(token, opens_as_what_it_was_made_of)
{
	Raeh__Principal made = principal_of("watch"), *opened;
	char text[TOKEN_TEXT];

	token_make(&made, seed, text);
	cr_assert(apikey_is_token_form(text, strlen(text)), "%s", text);
	opened = token_open(text, key);
	cr_assert(opened != NULL);
	cr_assert_eq(opened->scopes, 3);
	cr_assert_str_eq(opened->device_id, "watch");
	cr_assert_eq(opened->expires_ms, 1000);
	wire_free(&opened->base);
}

Test(token, of_another_seed_or_with_one_character_changed_does_not_open)
{
	Raeh__Principal made = principal_of(NULL);
	char text[TOKEN_TEXT], changed[TOKEN_TEXT];

	token_make(&made, other_seed, text);
	cr_assert_null(token_open(text, key));
	token_make(&made, seed, text);
	for (size_t i = 0; i < strlen(text); i++) {
		memcpy(changed, text, sizeof changed);
		changed[i] = changed[i] == 'A' ? 'B' : 'A';
		cr_assert_null(token_open(changed, key), "character %zu", i);
	}
	strcat(text, "A");
	cr_assert_null(token_open(text, key));
	cr_assert_null(token_open("raeht_.", key));
	cr_assert_null(token_open("raeht_abc", key));
	cr_assert_null(token_open("", key));
}

Test(token, that_is_no_token_of_a_key_does_not_open)
{
	Raeh__Principal made = principal_of(NULL);
	char text[TOKEN_TEXT];

	made.is_token = false;
	token_make(&made, seed, text);
	cr_assert_null(token_open(text, key), "a principal that auth signed for another use");
	made = principal_of(NULL);
	made.has_expires_ms = false;
	token_make(&made, seed, text);
	cr_assert_null(token_open(text, key), "without an end");
	made = principal_of(NULL);
	made.account.len = 15;
	token_make(&made, seed, text);
	cr_assert_null(token_open(text, key));
}

Test(token, of_the_longest_device_fits)
{
	char device[129], text[TOKEN_TEXT];
	Raeh__KeyLimits limits = RAEH__KEY_LIMITS__INIT;
	Raeh__Principal made, *opened;

	memset(device, 'd', 128);
	device[128] = '\0';
	made = principal_of(device);
	made.has_session = made.has_frames_per_s = true;
	made.session = (ProtobufCBinaryData){ sizeof id, id };
	made.frames_per_s = UINT32_MAX;
	for (unsigned i = 0; i < KEY_LIMIT_KINDS; i++)
		key_limit_give(&limits, (enum key_limit)i, UINT32_MAX);
	made.limits = &limits;
	made.notice = UINT64_MAX;
	made.expires_ms = INT64_MAX;
	token_make(&made, seed, text);
	opened = token_open(text, key);
	cr_assert(opened != NULL);
	wire_free(&opened->base);
}

Test(token, stands_under_rights_that_include_its_own)
{
	Raeh__Principal token = principal_of("watch"), rights = RAEH__PRINCIPAL__INIT;
	Raeh__KeyLimits limits = RAEH__KEY_LIMITS__INIT;

	rights.scopes = 7;
	cr_assert(token_is_within(&token, &rights));
	rights.device_id = (char *)"watch";
	cr_assert(token_is_within(&token, &rights));
	rights.device_id = (char *)"another";
	cr_assert_not(token_is_within(&token, &rights));
	rights.device_id = NULL;
	rights.scopes = 1;
	cr_assert_not(token_is_within(&token, &rights));
	rights.scopes = 3;
	rights.has_expires_ms = true;
	rights.expires_ms = 999;
	cr_assert_not(token_is_within(&token, &rights));
	rights.expires_ms = 1000;
	cr_assert(token_is_within(&token, &rights));
	rights.has_frames_per_s = true;
	rights.frames_per_s = 5;
	cr_assert_not(token_is_within(&token, &rights));
	rights.has_frames_per_s = false;
	rights.frames_per_s = 0;
	key_limit_give(&limits, KEY_LIMIT_SOCKETS, 5);
	rights.limits = &limits;
	cr_assert_not(token_is_within(&token, &rights));
	token.limits = &limits;
	cr_assert(token_is_within(&token, &rights));
}
