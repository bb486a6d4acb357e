#include "integration/load/client.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES 65536
#define OUT_MOST   (256u * 1024)

static const uint8_t mask[4] = { 0x37, 0xfa, 0x21, 0x3d };

int64_t now_us(void)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	return (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

static void gone(struct client *client, int code)
{
	if (client->state == CLIENT_GONE)
		return;
	if (client->code == 0)
		client->code = (uint16_t)code;
	client->gone_us = now_us();
	client->state = CLIENT_GONE;
	(void)close(client->fd);
	client->fd = -1;
	buf_free(&client->in);
	buf_free(&client->out);
}

void client_drop(struct client *client)
{
	gone(client, 1000);
	mem_free(TAKE(client->sent_us));
	mem_free(TAKE(client->end_ms));
}

bool client_connect(struct client *client, int epoll_fd, const struct sockaddr_in *to)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = client };
	int on = 1;

	client->state = CLIENT_CONNECTING;
	client->asked_us = now_us();
	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (client->fd < 0)
		return false;
	(void)setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(client->fd, (const struct sockaddr *)to, sizeof *to) != 0 &&
	    errno != EINPROGRESS) {
		(void)close(client->fd);
		return false;
	}
	MUST(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, client->fd, &event) == 0);
	return true;
}

/* ---- writing ---- */

size_t client_frame(uint8_t *ret, const uint8_t *payload, size_t len)
{
	size_t head = len < 126 ? 2 : 4;

	MUST(len < 65536);
	ret[0] = 0x82;
	if (len < 126) {
		ret[1] = (uint8_t)(0x80 | len);
	} else {
		ret[1] = 0x80 | 126;
		ret[2] = (uint8_t)(len >> 8);
		ret[3] = (uint8_t)len;
	}
	memcpy(ret + head, mask, 4);
	for (size_t i = 0; i < len; i++)
		ret[head + 4 + i] = payload[i] ^ mask[i & 3];
	return head + 4 + len;
}

static ssize_t write_some(struct client *client, const uint8_t *data, size_t len)
{
	ssize_t n = send(client->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0)
		return n;
	if (errno != EAGAIN && errno != EWOULDBLOCK)
		client->code = 0; /* reading says what happened */
	return 0;
}

static void flush(struct client *client)
{
	ssize_t n;

	if (client->out.len == 0)
		return;
	n = write_some(client, client->out.data, client->out.len);
	client->out.len -= (size_t)n;
	memmove(client->out.data, client->out.data + n, client->out.len);
}

size_t client_send_raw(struct client *client, const uint8_t *data, size_t len)
{
	if (client->state != CLIENT_OPEN)
		return 0;
	flush(client);
	return client->out.len > 0 ? 0 : (size_t)write_some(client, data, len);
}

bool client_send(struct client *client, const uint8_t *payload, size_t len)
{
	uint8_t wire[4096];
	size_t total, n;

	MUST(len + 8 <= sizeof wire);
	total = client_frame(wire, payload, len);
	n = client_send_raw(client, wire, total);
	if (n == 0)
		return false;
	if (n < total)
		buf_append(&client->out, wire + n, total - n);
	return true;
}

/* ---- reading ---- */

static void pong(struct client *client, const uint8_t *payload, size_t len)
{
	uint8_t wire[256];
	size_t total = client_frame(wire, payload, len);

	wire[0] = 0x8a;
	if (client->out.len < OUT_MOST)
		buf_append(&client->out, wire, total);
	flush(client);
}

/* Bytes of one whole frame of the server; 0 = more is needed. */
static size_t take_frame(struct client *client, uint8_t *data, size_t len, client_text_fn *fn,
                         void *ctx)
{
	size_t head = 2, payload;

	if (len < 2)
		return 0;
	payload = data[1] & 0x7f;
	if (payload == 126) {
		head = 4;
		if (len < head)
			return 0;
		payload = (size_t)data[2] << 8 | data[3];
	}
	MUST(payload != 127); /* the server sends nothing that long */
	if (len < head + payload)
		return 0;
	if (data[0] == 0x81) {
		fn(ctx, client, BYTES(data + head, payload));
		client->greeted = true;
	} else if (data[0] == 0x89) {
		pong(client, data + head, payload);
	} else if (data[0] == 0x88 && payload >= 2) {
		client->code = (uint16_t)(data[head] << 8 | data[head + 1]);
		gone(client, client->code);
	}
	return head + payload;
}

static size_t take_answer(struct client *client, const uint8_t *data, size_t len)
{
	const uint8_t *end = memmem(data, len, "\r\n\r\n", 4);

	if (!end)
		return 0;
	if (len < 12 || memcmp(data, "HTTP/1.1 101", 12) != 0) {
		gone(client, 1002);
		return len;
	}
	client->state = CLIENT_OPEN;
	return (size_t)(end + 4 - data);
}

static void take(struct client *client, uint8_t *data, size_t len, client_text_fn *fn, void *ctx)
{
	size_t at = 0, n = 1;

	while (at < len && n > 0 && client->state != CLIENT_GONE) {
		n = client->state == CLIENT_OPEN ? take_frame(client, data + at, len - at, fn, ctx)
		                                 : take_answer(client, data + at, len - at);
		at += n;
	}
	if (client->state == CLIENT_GONE)
		return;
	if (data == client->in.data) {
		client->in.len = len - at;
		memmove(data, data + at, client->in.len);
		if (client->in.len == 0)
			buf_free(&client->in);
	} else {
		buf_append(&client->in, data + at, len - at);
	}
}

static void read_all(struct client *client, client_text_fn *fn, void *ctx)
{
	static uint8_t scratch[READ_BYTES];

	/* Edge-triggered: to the end, which may be that of the stream. */
	while (client->state != CLIENT_GONE) {
		ssize_t n = recv(client->fd, scratch, sizeof scratch, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n <= 0) {
			gone(client, 1006);
		} else if (client->in.len > 0) {
			buf_append(&client->in, scratch, (size_t)n);
			take(client, client->in.data, client->in.len, fn, ctx);
		} else {
			take(client, scratch, (size_t)n, fn, ctx);
		}
	}
}

void client_serve(struct client *client, uint32_t events, const char *request, client_text_fn *fn,
                  void *ctx)
{
	if (client->state == CLIENT_CONNECTING && (events & EPOLLOUT) && !(events & EPOLLERR)) {
		client->state = CLIENT_UPGRADING;
		if (send(client->fd, request, strlen(request), MSG_NOSIGNAL) < 0)
			gone(client, 1006);
	}
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		read_all(client, fn, ctx);
	if (client->state == CLIENT_OPEN)
		flush(client);
}
