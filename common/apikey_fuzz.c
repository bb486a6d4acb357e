/* Keys and tokens from bytes: a key that is accepted has the form of the contract, and one
 * character changed makes it another. */
#include "common/apikey.h"

#include "common/log.h"
#include "common/mem.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *text = (const char *)data;
	enum apikey_fault fault = apikey_check(text, len);
	char *line = xcalloc(1, len + 1);

	MUST(apikey_fault_text(fault) != NULL);
	if (len == 0) { /* once: what is made is accepted */
		char made[APIKEY_TEXT], secret[SECRET_TEXT];

		apikey_make(made);
		MUST(apikey_check(made, APIKEY_LEN) == APIKEY_GOOD);
		apikey_make_secret(SECRET_LOGIN, secret);
		MUST(apikey_is_secret(SECRET_LOGIN, secret, strlen(secret)));
	}
	if (apikey_is_secret(SECRET_LOGIN, text, len))
		MUST(memcmp(text, "raehs_", 6) == 0 && !apikey_is_token_form(text, len));
	if (fault == APIKEY_GOOD) {
		char other[APIKEY_LEN];

		MUST(len == APIKEY_LEN && memcmp(text, "raeh_", 5) == 0);
		for (size_t i = 5; i < len; i++)
			MUST(isalnum(data[i]));
		memcpy(other, text, sizeof other);
		other[10] = other[10] == 'a' ? 'b' : 'a';
		MUST(apikey_check(other, sizeof other) == APIKEY_CHECKSUM);
	}
	if (apikey_is_token_form(text, len))
		MUST(len <= TOKEN_MAX && memcmp(text, "raeht_", 6) == 0);
	if (len > 0)
		memcpy(line, text, len);
	log_redact(line); /* never longer, and no key in it any more */
	MUST(strlen(line) <= len);
	for (const char *p = line; (p = strstr(p, "raeh_")) != NULL; p += 5)
		MUST(apikey_check(p, strnlen(p, APIKEY_LEN)) != APIKEY_GOOD);
	mem_free(line);
	return 0;
}
