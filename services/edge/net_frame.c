#include "services/edge/net_frame.h"
#include "common/wire.h"

#include <string.h>

static bool is_control(uint8_t opcode)
{
	return opcode >= NET_CLOSE;
}

static bool is_known(uint8_t opcode)
{
	return opcode <= NET_BINARY || (opcode >= NET_CLOSE && opcode <= NET_PONG);
}

/* Of a message. */
static bool is_first(uint8_t opcode)
{
	return opcode == NET_TEXT || opcode == NET_BINARY;
}

static uint64_t big_endian(const uint8_t *data, size_t len)
{
	uint64_t value = 0;

	for (size_t i = 0; i < len; i++)
		value = value << 8 | data[i];
	return value;
}

static const char *fault_of(const uint8_t data[2], bool may_compress)
{
	uint8_t opcode = data[0] & 0x0f;
	uint8_t reserved = data[0] & (may_compress && is_first(opcode) ? 0x30 : 0x70);

	if (reserved)
		return "reserved bits set without an extension";
	if (!is_known(opcode))
		return "unknown opcode";
	if (!(data[1] & 0x80))
		return "frame not masked";
	if (is_control(opcode) && !(data[0] & 0x80))
		return "fragmented control frame";
	if (is_control(opcode) && (data[1] & 0x7f) > NET_FRAME_CONTROL_MAX)
		return "control frame longer than 125 bytes";
	return NULL;
}

int net_frame_head_parse(const uint8_t *data, size_t len, bool may_compress, struct net_frame *ret,
                         const char **why)
{
	size_t length_bytes, head;
	uint64_t payload;

	if (len < 2)
		return 0;
	*why = fault_of(data, may_compress);
	if (*why)
		return -1;
	payload = data[1] & 0x7f;
	length_bytes = payload == 126 ? 2 : payload == 127 ? 8 : 0;
	head = 2 + length_bytes + 4;
	if (len < head)
		return 0;
	if (length_bytes > 0) {
		payload = big_endian(data + 2, length_bytes);
		*why = "payload length not in its shortest form";
		if (payload < 126 || (length_bytes == 8 && payload <= UINT16_MAX))
			return -1;
		*why = "payload length with its highest bit set";
		if (payload > INT64_MAX)
			return -1;
	}
	*ret = (struct net_frame){ .opcode = data[0] & 0x0f,
		                   .final = data[0] & 0x80,
		                   .compressed = data[0] & 0x40,
		                   .len = payload };
	memcpy(ret->mask, data + head - 4, 4);
	return (int)head;
}

size_t net_frame_head_write(enum net_opcode opcode, size_t len, uint8_t ret[NET_FRAME_HEAD_MAX])
{
	size_t length_bytes = len < 126 ? 0 : len <= UINT16_MAX ? 2 : 8;

	ret[0] = 0x80 | (uint8_t)opcode;
	ret[1] = length_bytes == 0 ? (uint8_t)len : length_bytes == 2 ? 126 : 127;
	for (size_t i = 0; i < length_bytes; i++)
		ret[2 + i] = (uint8_t)(len >> (8 * (length_bytes - 1 - i)));
	return 2 + length_bytes;
}

void net_frame_unmask(uint8_t *data, size_t len, const uint8_t mask[4], size_t at)
{
	uint8_t turned[8];
	uint64_t wide_mask, wide;
	size_t i;

	for (i = 0; i < sizeof turned; i++)
		turned[i] = mask[(at + i) % 4];
	memcpy(&wide_mask, turned, sizeof wide_mask);
	for (i = 0; i + sizeof wide <= len; i += sizeof wide) {
		memcpy(&wide, data + i, sizeof wide);
		wide ^= wide_mask;
		memcpy(data + i, &wide, sizeof wide);
	}
	for (; i < len; i++)
		data[i] ^= turned[i % sizeof turned];
}

static bool may_be_sent(int code)
{
	if (code >= 1000 && code <= 1014)
		return code != 1004 && code != 1005 && code != 1006;
	return code >= 3000 && code <= 4999;
}

bool net_frame_close_parse(const uint8_t *body, size_t len, int *ret_code, char ret_reason[124])
{
	ret_reason[0] = '\0';
	*ret_code = 1005;
	if (len == 0)
		return true;
	*ret_code = 1002;
	if (len < 2 || len > NET_FRAME_CONTROL_MAX || !may_be_sent(body[0] << 8 | body[1]))
		return false;
	*ret_code = 1007;
	if (!utf8_valid(body + 2, len - 2))
		return false;
	*ret_code = body[0] << 8 | body[1];
	memcpy(ret_reason, body + 2, len - 2);
	ret_reason[len - 2] = '\0';
	return true;
}

size_t net_frame_close_write(int code, const char *reason, uint8_t ret[NET_FRAME_CONTROL_MAX])
{
	size_t len = strlen(reason);

	if (len > NET_FRAME_CONTROL_MAX - 2) {
		len = NET_FRAME_CONTROL_MAX - 2;
		while (len > 0 && ((uint8_t)reason[len] & 0xc0) == 0x80)
			len--;
	}
	ret[0] = (uint8_t)(code >> 8);
	ret[1] = (uint8_t)code;
	/* NOLINTNEXTLINE(bugprone-not-null-terminated-result): bytes of the wire */
	memcpy(ret + 2, reason, len);
	return 2 + len;
}
