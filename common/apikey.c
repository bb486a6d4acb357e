#include "common/apikey.h"

#include <sodium.h>
#include <stdint.h>
#include <string.h>
#include <zlib.h>

#define PREFIX          "raeh_"
#define PREFIX_LEN      5
#define RANDOM_CHARS    30
#define BODY_LEN        (PREFIX_LEN + RANDOM_CHARS)
#define CHECK_CHARS     (APIKEY_LEN - BODY_LEN)
#define RANDOM_LEAST    28 /* who has so many of them finds the rest */
#define SIGNATURE_LEAST 80 /* of 86 */

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static void checksum_of(const char *body, char ret[CHECK_CHARS])
{
	uint32_t crc = (uint32_t)crc32(0, (const Bytef *)body, BODY_LEN);

	for (int i = CHECK_CHARS - 1; i >= 0; i--) {
		ret[i] = digits[crc % 62];
		crc /= 62;
	}
}

enum apikey_fault apikey_check(const char *text, size_t len)
{
	char check[CHECK_CHARS];

	if (len == 0)
		return APIKEY_MISSING;
	if (len < PREFIX_LEN || memcmp(text, PREFIX, PREFIX_LEN) != 0)
		return APIKEY_PREFIX;
	if (len != APIKEY_LEN)
		return APIKEY_LENGTH;
	for (size_t i = PREFIX_LEN; i < len; i++)
		if (text[i] == '\0' || !strchr(digits, text[i]))
			return APIKEY_ALPHABET;
	checksum_of(text, check);
	if (memcmp(text + BODY_LEN, check, CHECK_CHARS) != 0)
		return APIKEY_CHECKSUM;
	return APIKEY_GOOD;
}

const char *apikey_fault_text(enum apikey_fault fault)
{
	static const char *const texts[] = {
		[APIKEY_GOOD] = "the key is well formed",
		[APIKEY_MISSING] = "no API key was given",
		[APIKEY_PREFIX] = "an API key begins with raeh_",
		[APIKEY_LENGTH] = "an API key has 41 characters",
		[APIKEY_ALPHABET] = "an API key has only letters and digits after raeh_",
		[APIKEY_CHECKSUM] = "the checksum of the API key does not match: it is mistyped",
	};

	return texts[fault];
}

void apikey_make(char ret[APIKEY_TEXT])
{
	memcpy(ret, PREFIX, PREFIX_LEN);
	for (int i = PREFIX_LEN; i < BODY_LEN; i++)
		ret[i] = digits[randombytes_uniform(62)];
	checksum_of(ret, ret + BODY_LEN);
	ret[APIKEY_LEN] = '\0';
}

static const char secret_prefix[] = "raeh?_";
#define SECRET_PREFIX (sizeof secret_prefix - 1)
#define SECRET_KIND   4 /* where the '?' stands */

void apikey_make_secret(char kind, char ret[SECRET_TEXT])
{
	memcpy(ret, secret_prefix, SECRET_PREFIX);
	ret[SECRET_KIND] = kind;
	for (size_t i = SECRET_PREFIX; i < SECRET_LEN; i++)
		ret[i] = digits[randombytes_uniform(62)];
	ret[SECRET_LEN] = '\0';
}

bool apikey_is_secret(char kind, const char *text, size_t len)
{
	char prefix[sizeof secret_prefix];

	memcpy(prefix, secret_prefix, sizeof prefix);
	prefix[SECRET_KIND] = kind;
	if (len != SECRET_LEN || memcmp(text, prefix, SECRET_PREFIX) != 0)
		return false;
	for (size_t i = SECRET_PREFIX; i < len; i++)
		if (text[i] == '\0' || !strchr(digits, text[i]))
			return false;
	return true;
}

/* Claims, '.' and most of an Ed25519 signature, in base64url. */
static bool is_token_body(const char *text)
{
	static const char chars[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                            "abcdefghijklmnopqrstuvwxyz-_";
	size_t claims = strspn(text, chars);

	return text[claims] == '.' && strspn(text + claims + 1, chars) >= SIGNATURE_LEAST;
}

/* Most of the random characters, and in both cases, as they come out of 62: an id in hexadecimal
 * is none. */
static bool is_random_body(const char *text)
{
	size_t len = strspn(text, digits);

	return len >= RANDOM_LEAST && strcspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") < len &&
	       strcspn(text, "abcdefghijklmnopqrstuvwxyz") < len;
}

bool text_has_secret(const char *text)
{
	for (text = strstr(text, "raeh"); text; text = strstr(text, "raeh")) {
		char kind = '_';

		text += strlen("raeh");
		if (*text == 't' || *text == SECRET_LOGIN || *text == SECRET_INVITE)
			kind = *text++;
		if (*text != '_')
			continue;
		if (kind == 't' ? is_token_body(text + 1) : is_random_body(text + 1))
			return true;
	}
	return false;
}

bool apikey_is_token_form(const char *text, size_t len)
{
	static const char prefix[] = "raeht_";

	if (len <= sizeof prefix - 1 || len > TOKEN_MAX ||
	    memcmp(text, prefix, sizeof prefix - 1) != 0)
		return false;
	for (size_t i = sizeof prefix - 1; i < len; i++)
		if (text[i] == '\0' || (!strchr(digits, text[i]) && !strchr("-_.", text[i])))
			return false;
	return true;
}
