#include "services/edge/net_test.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

struct fixture seen;

TestSuite(net_tls, .timeout = 60);

static char folder[] = "/tmp/net_tls_test.XXXXXX";
static char cert[64], key[64];

static void start_tls(void)
{
	AUTO_MEM char *command = NULL;

	cr_assert(mkdtemp(folder));
	(void)snprintf(cert, sizeof cert, "%s/cert.pem", folder);
	(void)snprintf(key, sizeof key, "%s/key.pem", folder);
	command = xasprintf("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 "
	                    "-nodes -subj /CN=localhost -keyout %s -out %s 2>/dev/null",
	                    key, cert);
	cr_assert_eq(system(command), 0); /* NOLINT(cert-env33-c): our own words */
	seen.config.tls_cert = cert;
	seen.config.tls_key = key;
	start();
}

static void stop_tls(void)
{
	stop();
	(void)unlink(cert);
	(void)unlink(key);
	(void)rmdir(folder);
}

struct client {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
};

static struct client dial_tls(void)
{
	struct client client = { .ctx = SSL_CTX_new(TLS_client_method()), .fd = dial_with(8192) };
	struct timeval limit = { .tv_sec = 5 };

	(void)setsockopt(client.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	(void)SSL_CTX_set_alpn_protos(client.ctx, (const uint8_t *)"\2h2\x8http/1.1", 12);
	client.ssl = SSL_new(client.ctx);
	(void)SSL_set_fd(client.ssl, client.fd);
	cr_assert_eq(SSL_connect(client.ssl), 1);
	return client;
}

static void hang_up(struct client *client)
{
	SSL_free(client->ssl);
	SSL_CTX_free(client->ctx);
	(void)close(client->fd);
}

static void tls_get(struct client *client, void *ret, size_t len)
{
	for (size_t at = 0; at < len;) {
		int n = SSL_read(client->ssl, (char *)ret + at, (int)(len - at));

		cr_assert(n > 0, "closed after %zu of %zu", at, len);
		at += (size_t)n;
	}
}

static struct client dial_tls_ws(void)
{
	static const char upgrade[] = "GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
	                              "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
	                              "Sec-WebSocket-Key: " WS_KEY "\r\n\r\n";
	struct client client = dial_tls();
	char answer[1024] = "";
	size_t len = 0;

	cr_assert_gt(SSL_write(client.ssl, upgrade, sizeof upgrade - 1), 0);
	while (!strstr(answer, "\r\n\r\n")) {
		tls_get(&client, answer + len, 1);
		answer[++len] = '\0';
	}
	cr_assert_eq(strncmp(answer, "HTTP/1.1 101", 12), 0, "%s", answer);
	return client;
}

Test(net_tls, speaks_http_1_1_alone)
{
	struct client client;
	const uint8_t *protocol;
	unsigned len;
	char answer[64];

	start_tls();
	client = dial_tls();
	SSL_get0_alpn_selected(client.ssl, &protocol, &len);
	cr_assert(len == 8 && memcmp(protocol, "http/1.1", 8) == 0);
	cr_assert_gt(SSL_write(client.ssl, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27), 0);
	tls_get(&client, answer, 15);
	cr_assert_eq(memcmp(answer, "HTTP/1.1 200 OK", 15), 0);
	hang_up(&client);
	stop_tls();
}

Test(net_tls, echoes_large_messages_to_a_reader_that_lags)
{
	const size_t len = 1000000;
	uint8_t head[14] = { 0x82, 0xff, 0, 0, 0, 0, 0, 0x0f, 0x42, 0x40 }, got[10];
	uint8_t *data = xcalloc(2, len), *back = data + len;
	struct client client;

	seen.config.echo = seen.echo = true;
	start_tls();
	client = dial_tls_ws();
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 31 >> 3);
	cr_assert_eq(SSL_write(client.ssl, head, 14), 14); /* its mask is 0 */
	cr_assert_eq(SSL_write(client.ssl, data, (int)len), (int)len);
	wait_until(&seen.messages, 1);
	tls_get(&client, got, 10);
	cr_assert(got[0] == 0x82 && got[1] == 127 && memcmp(got + 2, head + 2, 8) == 0);
	tls_get(&client, back, len);
	cr_assert_eq(memcmp(data, back, len), 0);
	hang_up(&client);
	mem_free(data);
	wait_until(&seen.closed, 1);
	stop_tls();
}

static void close_4001(void)
{
	net_close(seen.conn, 4001, "authentication failed");
}

Test(net_tls, lets_a_client_that_floods_read_the_code_and_ends_the_session_properly)
{
	static uint8_t frame[8 + 16000] = { 0x82, 0xfe, 16000 >> 8, 16000 & 0xff };
	uint8_t got[32];
	struct client client;

	seen.config.echo = true;
	start_tls();
	client = dial_tls_ws();
	for (int i = 0; i < 100; i++)
		cr_assert_gt(SSL_write(client.ssl, frame, sizeof frame), 0);
	on_loop(close_4001);
	for (int i = 0; i < 100; i++)
		cr_assert_gt(SSL_write(client.ssl, frame, sizeof frame), 0);
	tls_get(&client, got, 2 + 2 + 21);
	cr_assert(got[0] == 0x88 && got[1] == 23 && (got[2] << 8 | got[3]) == 4001);
	cr_assert_eq(SSL_read(client.ssl, got, 1), 0);
	cr_assert_eq(SSL_get_shutdown(client.ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
	hang_up(&client);
	wait_until(&seen.closed, 1);
	stop_tls();
}

Test(net_tls, drops_who_does_not_speak_tls_or_not_in_time)
{
	char byte;
	int fd;

	seen.times.request = 100;
	start_tls();
	fd = dial();
	say(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	while (get_some(fd, &byte, 1) > 0)
		; /* an alert, maybe */
	(void)close(fd);
	fd = dial();
	put(fd, "\x16\x03\x01", 3);
	assert_closed(fd);
	stop_tls();
}

Test(net_tls, says_what_is_wrong_with_a_certificate)
{
	static const struct net_events events = { .on_open = see_open,
		                                  .on_message = see_message,
		                                  .on_request = see_request,
		                                  .on_closed = see_closed };
	struct net_config config = { .tls_cert = "/nonexistent",
		                     .tls_key = "/nonexistent",
		                     .max_conns = 1 };
	struct loop *loop = loop_new();
	struct net *net = NULL;
	char why[256] = "";

	cr_assert_eq(net_open(&config, loop, &events, NULL, why, &net), ERR_MALFORMED);
	cr_assert(strstr(why, "certificate"), "%s", why);
	loop_free(loop);
}
