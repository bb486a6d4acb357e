/* apt install libwebsockets-dev
 * cc device.c -o device -lwebsockets -lm && RAEH_KEY=raeh_... ./device */
#include <libwebsockets.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RATE 100 /* Hz; as registered for slot 0, at 16 bits */
#define COUNT 20 /* samples a frame */

static int64_t start_ms, n; /* of this stream: when it began, samples sent */

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static size_t put_frame(unsigned char *p)
{
	int64_t t0_ms = start_ms + n * 1000 / RATE;

	p[0] = 0; /* slot */
	for (int i = 0; i < 8; i++)
		p[1 + i] = (unsigned char)(t0_ms >> (56 - 8 * i));
	p[9] = COUNT >> 8;
	p[10] = COUNT & 255;
	p[11] = 0; /* flags */
	for (int i = 0; i < COUNT; i++, n++) { /* a pulse of 72 beats a minute */
		double phase = (fmod(n * 1.2 / RATE, 1) - 0.2) / 0.1;
		int16_t sample = (int16_t)(8000 * exp(-phase * phase));

		memcpy(p + 12 + 2 * i, &sample, 2); /* little-endian */
	}
	return 12 + 2 * COUNT;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons why, void *u, void *in, size_t len)
{
	unsigned char buf[LWS_PRE + 12 + 2 * COUNT];

	(void)u;
	if (why == LWS_CALLBACK_CLIENT_RECEIVE) { /* the handshake, once */
		printf("%.*s\n", (int)len, (char *)in);
		fflush(stdout);
		start_ms = now_ms();
		lws_set_timer_usecs(wsi, 1);
	} else if (why == LWS_CALLBACK_TIMER) {
		lws_callback_on_writable(wsi);
	} else if (why == LWS_CALLBACK_CLIENT_WRITEABLE && start_ms) {
		lws_write(wsi, buf + LWS_PRE, put_frame(buf + LWS_PRE), LWS_WRITE_BINARY);
		int64_t wait_ms = start_ms + n * 1000 / RATE - now_ms();
		lws_set_timer_usecs(wsi, wait_ms > 0 ? wait_ms * 1000 : 1);
	} else if (why == LWS_CALLBACK_WS_PEER_INITIATED_CLOSE && len >= 2) {
		unsigned char *code = in;
		printf("closed with %d: %.*s\n", code[0] << 8 | code[1], (int)len - 2, (char *)in + 2);
	} else if (why == LWS_CALLBACK_CLIENT_CLOSED || why == LWS_CALLBACK_CLIENT_CONNECTION_ERROR) {
		exit(1);
	}
	return 0;
}

int main(void)
{
	static const struct lws_protocols protocols[] = { { .name = "raeh", .callback = on_event }, { 0 } };
	struct lws_context_creation_info info = { .port = CONTEXT_PORT_NO_LISTEN,
		.protocols = protocols, .options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT };
	struct lws_client_connect_info to = { 0 };
	const char *protocol, *path, *key = getenv("RAEH_KEY");
	char url[] = "@URL@/", query[512];

	lws_set_log_level(LLL_ERR, NULL);
	if (lws_parse_uri(url, &protocol, &to.address, &to.port, &path))
		return 1;
	snprintf(query, sizeof query, "/stream/ingest?device_id=my-watch&device_model_id=%s&api_key=%s",
	         "@MODEL_ID@", key ? key : "");
	to.context = lws_create_context(&info);
	to.host = to.address;
	to.path = query;
	to.ssl_connection = strcmp(protocol, "https") ? 0 : LCCSCF_USE_SSL;
	to.local_protocol_name = "raeh";
	if (!lws_client_connect_via_info(&to))
		return 1;
	while (lws_service(to.context, 0) >= 0)
		;
	return 0;
}
