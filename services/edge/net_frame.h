/*
 * net_frame - RFC 6455: the head of a frame, and the body of a close frame.
 *
 *     |FIN RSV opcode| MASK length | (length 16 or 64) | mask (4) | payload …
 *
 * Pure: no clock, no allocation, no I/O.
 */
#ifndef EDGE_NET_FRAME_H
#define EDGE_NET_FRAME_H

#include "common/mem.h"

#define NET_FRAME_HEAD_MAX    14
#define NET_FRAME_CONTROL_MAX 125

enum net_opcode {
	NET_CONTINUATION = 0,
	NET_TEXT = 1,
	NET_BINARY = 2,
	NET_CLOSE = 8,
	NET_PING = 9,
	NET_PONG = 10,
};

struct net_frame {
	uint8_t opcode;
	bool final, compressed;
	uint8_t mask[4];
	uint64_t len;
};

/* Of a client's frame; may_compress: permessage-deflate was agreed on, so that RSV1 may be
 * set. Bytes it takes; 0 = more is needed; -1 = why says what is wrong (1002). */
int net_frame_head_parse(const uint8_t *data, size_t len, bool may_compress, struct net_frame *ret,
                         const char **why);
/* Of a final frame of ours (unmasked). Bytes written. */
size_t net_frame_head_write(enum net_opcode opcode, size_t len, uint8_t ret[NET_FRAME_HEAD_MAX]);

/* data ^= mask, whose first byte used is mask[at % 4]. */
void net_frame_unmask(uint8_t *data, size_t len, const uint8_t mask[4], size_t at);

/* The code and reason that a peer closed with (1005 for an empty body). Otherwise false and
 * the code to answer, 1002 or 1007, in *ret_code. ret_reason is NUL-terminated. */
bool net_frame_close_parse(const uint8_t *body, size_t len, int *ret_code, char ret_reason[124]);
/* Bytes written. The reason is cut at a character's border. */
size_t net_frame_close_write(int code, const char *reason, uint8_t ret[NET_FRAME_CONTROL_MAX]);

#endif
