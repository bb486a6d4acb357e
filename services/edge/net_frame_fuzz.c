/* Frame heads and close bodies from bytes. */
#include "services/edge/net_frame.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct net_frame frame;
	const char *why = NULL;
	char reason[124];
	uint8_t again[NET_FRAME_HEAD_MAX];
	int code, n = net_frame_head_parse(data, len, false, &frame, &why);

	MUST(n <= (int)len && (n >= 0 || why));
	if (n > 0 && frame.final) {
		size_t head = net_frame_head_write(frame.opcode, frame.len, again);

		MUST((int)head + 4 == n); /* only the shortest form is accepted */
		MUST(again[0] == data[0] && (again[1] | 0x80) == data[1]);
	}
	if (net_frame_close_parse(data, len, &code, reason))
		MUST(strlen(reason) < sizeof reason);
	else
		MUST(code == 1002 || code == 1007);
	return 0;
}
