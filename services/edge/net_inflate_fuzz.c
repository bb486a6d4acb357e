/* Messages and offers from bytes: bounded, whatever they are. */
#include "services/edge/net_inflate.h"

#include <string.h>

#define MAX 100000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct inflater *inflater;
	char answer[128], *offers = xcalloc(1, len + 1);
	struct bytes out;

	memcpy(offers, data, len);
	inflate_negotiate(offers, answer);
	mem_free(offers);
	if (!inflater)
		inflater = inflater_new();
	if (inflater_message(inflater, BYTES(data, len), MAX, &out) == OK)
		MUST(out.len <= MAX);
	inflater_done(inflater);
	return 0;
}
