/* Frame heads and close bodies from bytes: only the shortest form of a length is accepted,
 * unmasking is its own inverse, and a close frame of ours is one that we would accept. */
#include "services/edge/net_frame.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_unmasking(const uint8_t *data, size_t len, const uint8_t mask[4])
{
	uint8_t *twice = xcalloc(1, len + 1);
	size_t half = len / 3;

	if (len > 0)
		memcpy(twice, data, len);
	net_frame_unmask(twice, len, mask, 0);
	net_frame_unmask(twice, half, mask, 0);
	net_frame_unmask(twice + half, len - half, mask, half);
	MUST(len == 0 || memcmp(twice, data, len) == 0);
	mem_free(twice);
}

static void check_close(int code, const char *reason)
{
	uint8_t body[NET_FRAME_CONTROL_MAX];
	char again[124];
	size_t n = net_frame_close_write(code, reason, body);
	int read;

	MUST(n <= sizeof body);
	if (code != 1005)
		MUST(net_frame_close_parse(body, n, &read, again) && read == code &&
		     strcmp(reason, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct net_frame frame;
	const char *why = NULL;
	char reason[124];
	uint8_t again[NET_FRAME_HEAD_MAX];
	int code, n = net_frame_head_parse(data, len, false, &frame, &why);

	MUST(n <= (int)len && (n >= 0 || why));
	MUST(n <= 0 || !frame.compressed);
	if (net_frame_head_parse(data, len, true, &frame, &why) > 0)
		check_unmasking(data, len, frame.mask);
	n = net_frame_head_parse(data, len, false, &frame, &why);
	if (n > 0 && frame.final) {
		size_t head = net_frame_head_write(frame.opcode, frame.len, again);

		MUST((int)head + 4 == n); /* only the shortest form is accepted */
		MUST(again[0] == data[0] && (again[1] | 0x80) == data[1]);
	}
	if (net_frame_close_parse(data, len, &code, reason))
		check_close(code, reason);
	else
		MUST(code == 1002 || code == 1007);
	return 0;
}
