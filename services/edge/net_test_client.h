/*
 * net_test_client - the client's side of net_test.h: bytes over a socket, with deadlines.
 */
#ifndef EDGE_NET_TEST_CLIENT_H
#define EDGE_NET_TEST_CLIENT_H

#include "services/edge/net_test.h"

static inline int dial_with(int receive_buffer)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(seen.port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (receive_buffer > 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
	cr_assert_eq(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
	return fd;
}

static inline int dial(void)
{
	return dial_with(0);
}

static inline void put(int fd, const void *data, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = send(fd, (const char *)data + at, len - at, MSG_NOSIGNAL);

		cr_assert(n > 0, "send: %s", strerror(errno));
		at += (size_t)n;
	}
}

static inline void say(int fd, const char *text)
{
	put(fd, text, strlen(text));
}

/* Bytes; 0 = the server has closed; -1 = reset. */
static inline ssize_t get_some(int fd, void *ret, size_t len)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	cr_assert_eq(poll(&poll_fd, 1, DEADLINE_MS), 1, "nothing came");
	return recv(fd, ret, len, 0);
}

static inline void get(int fd, void *ret, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = get_some(fd, (char *)ret + at, len - at);

		cr_assert(n > 0, "the server closed after %zu of %zu bytes", at, len);
		at += (size_t)n;
	}
}

/* Up to and with mark; NUL-terminated. */
static inline void get_until(int fd, const char *mark, char *ret, size_t cap)
{
	size_t len = 0;

	ret[0] = '\0';
	while (!strstr(ret, mark)) {
		cr_assert_lt(len + 1, cap);
		get(fd, ret + len, 1);
		ret[++len] = '\0';
	}
}

/* All until the server closes. */
static inline void get_all(int fd, char *ret, size_t cap)
{
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0 && len + 1 < cap) {
		n = get_some(fd, ret + len, cap - len - 1);
		len += n > 0 ? (size_t)n : 0;
	}
	ret[len] = '\0';
}

static inline void assert_closed(int fd)
{
	char byte;

	cr_assert_eq(get_some(fd, &byte, 1), 0, "the server did not close");
	(void)close(fd);
}

static inline void say_upgrade(int fd, const char *path, const char *headers)
{
	char text[2048];

	(void)snprintf(text, sizeof text,
	               "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
	               "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
	               "Sec-WebSocket-Key: " WS_KEY "\r\n%s\r\n",
	               path, headers);
	say(fd, text);
}

static inline int dial_ws_with(const char *path, const char *headers, int receive_buffer)
{
	unsigned opened = seen.opened;
	char answer[1024];
	int fd = dial_with(receive_buffer);

	say_upgrade(fd, path, headers);
	get_until(fd, "\r\n\r\n", answer, sizeof answer);
	cr_assert_eq(strncmp(answer, "HTTP/1.1 101 ", 13), 0, "%s", answer);
	wait_until(&seen.opened, opened + 1);
	return fd;
}

static inline int dial_ws(const char *path)
{
	return dial_ws_with(path, "", 0);
}

/* first: FIN, RSV and opcode. */
static inline void put_frame(int fd, uint8_t first, const void *payload, size_t len)
{
	static const uint8_t mask[4] = { 0x12, 0x34, 0x56, 0x78 };
	struct buf buf = { 0 };
	uint8_t head[NET_FRAME_HEAD_MAX];
	size_t head_len = net_frame_head_write(NET_BINARY, len, head);

	head[0] = first;
	head[1] |= 0x80;
	buf_append(&buf, head, head_len);
	buf_append(&buf, mask, sizeof mask);
	buf_append(&buf, payload, len);
	net_frame_unmask(buf.data + head_len + 4, len, mask, 0);
	put(fd, buf.data, buf.len);
	buf_free(&buf);
}

/* A whole frame of the server's, its payload NUL-terminated; its opcode. */
static inline int get_frame(int fd, void *ret, size_t cap, size_t *ret_len)
{
	uint8_t head[2], more[8];
	size_t len, n;

	get(fd, head, 2);
	cr_assert_eq(head[0] & 0xf0, 0x80);
	cr_assert_eq(head[1] & 0x80, 0, "the server masked");
	len = head[1];
	n = len == 126 ? 2 : len == 127 ? 8 : 0;
	get(fd, more, n);
	if (n > 0)
		len = 0;
	for (size_t i = 0; i < n; i++)
		len = len << 8 | more[i];
	cr_assert_lt(len, cap);
	get(fd, ret, len);
	((char *)ret)[len] = '\0';
	*ret_len = len;
	return head[0] & 0x0f;
}

/* The next frame closes with this code and a reason that holds the words. */
static inline void assert_close_frame(int fd, int code, const char *words)
{
	uint8_t body[256];
	size_t len = 0;
	int opcode = get_frame(fd, body, sizeof body, &len);

	cr_assert_eq(opcode, NET_CLOSE, "opcode %d", opcode);
	cr_assert_geq(len, 2);
	cr_assert_eq(body[0] << 8 | body[1], code, "closed with %d \"%s\"", body[0] << 8 | body[1],
	             (char *)body + 2);
	cr_assert(strstr((char *)body + 2, words), "reason \"%s\"", (char *)body + 2);
}

#endif
