/* Tokens from bytes: nothing opens that was not made with the seed, and what is made opens as
 * what it was made of. */
#include "common/token.h"

#include "common/key_limits.h"
#include "common/log.h"
#include "common/wire.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A token whose device is made of these bytes. */
static void make_and_open(const uint8_t *data, size_t len, const uint8_t *seed, const uint8_t *key)
{
	static const uint8_t id[16] = { 1 }, mac[32] = { 2 };
	Raeh__Principal made = RAEH__PRINCIPAL__INIT, *opened;
	Raeh__KeyLimits limits = RAEH__KEY_LIMITS__INIT;
	char device[129] = "", text[TOKEN_TEXT];

	for (size_t i = 0; i < len && i < 128; i++)
		device[i] = (char)('!' + data[i] % 94); /* texts are UTF-8 */
	made.account = made.key = made.session = (ProtobufCBinaryData){ sizeof id, (uint8_t *)id };
	made.mac = (ProtobufCBinaryData){ sizeof mac, (uint8_t *)mac };
	made.has_session = made.has_is_token = made.is_token = made.has_expires_ms = true;
	made.expires_ms = INT64_MAX;
	made.notice = UINT64_MAX;
	made.scopes = made.frames_per_s = UINT32_MAX;
	made.has_frames_per_s = true;
	for (unsigned i = 0; i < KEY_LIMIT_KINDS; i++)
		key_limit_give(&limits, (enum key_limit)i, UINT32_MAX);
	made.limits = &limits;
	made.device_id = device;
	token_make(&made, seed, text);
	opened = token_open(text, key);
	MUST(opened && strcmp(opened->device_id, device) == 0);
	MUST(token_is_within(opened, &made));
	wire_free(&opened->base);
	text[7] = text[7] == 'A' ? 'B' : 'A';
	MUST(token_open(text, key) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t seed[TOKEN_SEED_BYTES] = { 7 };
	uint8_t key[TOKEN_KEY_BYTES];
	char *text = xcalloc(1, len + 1);

	token_key_of(seed, key);
	if (len > 0)
		memcpy(text, data, len);
	MUST(token_open(text, key) == NULL);
	make_and_open(data, len, seed, key);
	mem_free(text);
	return 0;
}
