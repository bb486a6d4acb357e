/*
 * client - one WebSocket of the load generator, as cheap as it can be for its maker.
 *
 * Its own framing, over epoll: what is measured is the server, and no client library is
 * measured with it. Frames go out masked, as RFC 6455 asks; pings are answered; a message
 * from the server is borrowed for the call.
 */
#ifndef INTEGRATION_LOAD_CLIENT_H
#define INTEGRATION_LOAD_CLIENT_H

#include "common/mem.h"

#include <netinet/in.h>

enum client_state { CLIENT_CONNECTING, CLIENT_UPGRADING, CLIENT_OPEN, CLIENT_GONE };

struct client {
	int fd;
	uint8_t state;   /* enum client_state                                    */
	bool subscribes; /* /stream/subscribe, else /stream/ingest               */
	bool greeted;    /* the server's first message has come                  */
	uint16_t code;   /* of the server's close frame; 1006 when there was none */
	uint32_t number; /* among its kind: the device is "d<number>"            */
	int64_t asked_us, gone_us;
	struct buf in;             /* a message not whole yet                              */
	struct buf out;            /* what the kernel did not take                         */
	uint8_t slot;              /* of the next frame                                    */
	int64_t t0_ms;             /* of the next frame of every slot                      */
	int64_t *sent_us, *end_ms; /* of the last CLIENT_REMEMBERS frames, for the latency */
	uint32_t frames;
};

#define CLIENT_REMEMBERS 64

/* fn hears each text message of the server. */
typedef void client_text_fn(void *ctx, struct client *client, struct bytes text);

/* path holds the query. False: no descriptor is left (errno). */
bool client_connect(struct client *client, int epoll_fd, const struct sockaddr_in *to);
/* The socket is ready for what epoll says. */
void client_serve(struct client *client, uint32_t events, const char *request, client_text_fn *fn,
                  void *ctx);
/* One binary message. False: the kernel is full, nothing was taken. */
bool client_send(struct client *client, const uint8_t *payload, size_t len);
/* Whole messages, as client_frame() wrote them. Bytes taken; the rest of a message that was
 * begun is kept. */
size_t client_send_raw(struct client *client, const uint8_t *data, size_t len);
size_t client_frame(uint8_t *ret, const uint8_t *payload, size_t len);
void client_drop(struct client *client);

int64_t now_us(void); /* CLOCK_MONOTONIC, as Python's time.monotonic() */

#endif
