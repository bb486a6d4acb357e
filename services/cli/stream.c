#include "services/cli/stream.h"

#include "cli.pb-c.h"
#include "common/clock.h"
#include "common/frame.h"
#include "common/json.h"
#include "common/wire.h"
#include "services/cli/cli.h"
#include "services/cli/policy.h"
#include "services/cli/simulated.h"
#include "services/cli/ws_client.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define AT_ONCE     64 /* frames before the loop gets its turn again       */
#define GIVE_UP     10 /* connections in a row that came to nothing        */
#define MODEL_FAULT 4004

/* The frame that is sent next. */
struct cursor {
	uint64_t pass;
	size_t segment, k, slot;
};

struct stream {
	struct stream_plan plan;
	struct stream_result result;
	struct cursor at;
	char *path;
	struct ws *ws;
	uint8_t slot_id[RECORDING_MAX_SLOTS];
	bool ready;        /* the handshake message is in          */
	bool segment_done; /* all of it was sent: we have closed   */
	bool stopping;
	bool started;
	int64_t origin_wall_ms, origin_boot_ms; /* of the first sample of the first pass */
	int64_t ended_boot_ms;
	unsigned attempt;
	uint64_t frames, bytes;
	double sent_ms;     /* of signal */
	struct timer timer; /* the next frame, or the next connection */
	struct buf message;
};

static int64_t pass_ms(const struct stream *stream, uint64_t pass)
{
	return llrint((double)pass * stream->plan.recording->duration_s * 1000);
}

/* ---- frames ---- */

/* The cursor's frame; moves over those without a sample. False: the segment has ended. */
static bool current(struct stream *stream, struct recording_frame *ret)
{
	const struct recording *recording = stream->plan.recording;

	while (recording_frame(recording, stream->at.segment, stream->at.slot, stream->at.k,
	                       stream->plan.frame_ms, ret)) {
		if (ret->sample_count > 0)
			return true;
		stream->at.k++;
	}
	return false;
}

static void advance(struct stream *stream)
{
	stream->at.slot++;
	if (stream->at.slot < stream->plan.recording->n_slots)
		return;
	stream->at.slot = 0;
	stream->at.k++;
}

static bool send(struct stream *stream, const struct recording_frame *frame)
{
	struct frame head = { .slot_id = stream->slot_id[stream->at.slot],
		              .sample_count = (uint16_t)frame->sample_count };
	uint8_t bytes[FRAME_HEAD_BYTES];

	head.t0_epoch_ms = stream->origin_wall_ms + pass_ms(stream, stream->at.pass) + frame->t0_ms;
	frame_head(&head, bytes);
	stream->message.len = 0;
	buf_append(&stream->message, bytes, sizeof bytes);
	buf_append(&stream->message, frame->payload, frame->payload_bytes);
	stream->frames++;
	stream->bytes += stream->message.len;
	return ws_send(stream->ws, BYTES(stream->message.data, stream->message.len));
}

/* How long until the last sample of the frame has been taken. */
static int64_t wait_ms(const struct stream *stream, const struct recording_frame *frame)
{
	double signal_ms = (double)(pass_ms(stream, stream->at.pass) + frame->t0_ms +
	                            (int64_t)stream->plan.frame_ms);

	if (stream->plan.speed <= 0)
		return 0;
	return stream->origin_boot_ms + llrint(signal_ms / stream->plan.speed) - clock_boot_ms();
}

/* Goes on with the next pass within the session. False: the session ends here. */
static bool wrap(struct stream *stream)
{
	if (!stream->plan.loop || stream->plan.recording->n_segments > 1)
		return false;
	stream->at = (struct cursor){ .pass = stream->at.pass + 1 };
	return true;
}

static void on_due(void *self)
{
	struct stream *stream = self;

	if (stream->ws)
		ws_want_write(stream->ws);
}

static void on_writable(void *self)
{
	struct stream *stream = self;
	struct recording_frame frame;

	for (int n = 0; n < AT_ONCE && stream->ready; n++) {
		int64_t delay_ms;

		if (!current(stream, &frame) && (!wrap(stream) || !current(stream, &frame))) {
			stream->segment_done = true;
			stream->ready = false;
			ws_close(stream->ws, 1000, "");
			return;
		}
		delay_ms = wait_ms(stream, &frame);
		if (delay_ms > 0) {
			timer_set(web_loop(stream->plan.web), &stream->timer, delay_ms, on_due,
			          stream);
			return;
		}
		stream->sent_ms =
		        (double)(pass_ms(stream, stream->at.pass) + frame.t0_ms) +
		        frame.sample_count * 1000.0 / stream->plan.recording->sample_rate_hz;
		if (!send(stream, &frame))
			n = AT_ONCE;
		advance(stream);
	}
	ws_want_write(stream->ws);
}

/* ---- the connection ---- */

static void end(struct stream *stream, bool good)
{
	stream->result.good = good;
	stream->result.ended = true;
	stream->ended_boot_ms = clock_boot_ms();
	timer_stop(web_loop(stream->plan.web), &stream->timer);
	web_stop(stream->plan.web);
}

static void refuse(struct stream *stream, int code, const char *why)
{
	stream->stopping = true;
	stream->ready = false;
	cli_say("%s", why);
	ws_close(stream->ws, 1000, "");
	stream->result.close_code = code;
	(void)snprintf(stream->result.close_reason, sizeof stream->result.close_reason, "%s", why);
}

static void take_handshake(struct stream *stream, const Cli__Handshake *handshake)
{
	char why[256];

	if (!simulated_fits(stream->plan.recording, handshake, why)) {
		refuse(stream, MODEL_FAULT, why);
		return;
	}
	for (size_t i = 0; i < handshake->n_slots; i++)
		stream->slot_id[i] = (uint8_t)handshake->slots[i]->slot_id;
	(void)snprintf(stream->result.session_id, sizeof stream->result.session_id, "%s",
	               handshake->session_id);
	stream->result.sessions++;
	stream->attempt = 0;
	if (!stream->started) {
		stream->started = true;
		stream->origin_wall_ms = clock_wall_ms();
		stream->origin_boot_ms = clock_boot_ms();
	}
	stream->ready = true;
	ws_want_write(stream->ws);
}

static void on_text(void *self, struct bytes text)
{
	struct stream *stream = self;
	Cli__Handshake *handshake;
	char why[JSON_WHY];

	if (stream->ready || stream->segment_done || stream->stopping)
		return; /* the first message alone is for us */
	handshake = (Cli__Handshake *)json_new(&cli__handshake__descriptor);
	if (json_to_message(text, &handshake->base, why) == OK)
		take_handshake(stream, handshake);
	else
		refuse(stream, 1002, why);
	wire_free(&handshake->base);
}

static void connect_now(void *self);

static void go_on_after_segment(struct stream *stream)
{
	bool last = stream->at.segment + 1 == stream->plan.recording->n_segments;

	if (last && !stream->plan.loop) {
		end(stream, stream->result.close_code == 1000);
		return;
	}
	stream->at = (struct cursor){ .pass = stream->at.pass + last,
		                      .segment = last ? 0 : stream->at.segment + 1 };
	stream->segment_done = false;
	connect_now(stream);
}

static void connect_again(struct stream *stream, int code, const char *reason)
{
	int64_t delay_ms;

	stream->attempt++;
	if (stream->attempt > GIVE_UP && !stream->plan.loop) {
		end(stream, false);
		return;
	}
	stream->result.reconnects++;
	delay_ms = reconnect_delay_ms(stream->attempt, code, randombytes_random());
	cli_say("closed with %d%s%s; connecting again", code, reason[0] ? ": " : "", reason);
	timer_set(web_loop(stream->plan.web), &stream->timer, delay_ms, connect_now, stream);
}

static void on_closed(void *self, int code, const char *reason)
{
	struct stream *stream = self;
	struct stream_result *result = &stream->result;
	bool refused = stream->stopping && result->close_code >= 1002;

	stream->ws = NULL;
	stream->ready = false;
	timer_stop(web_loop(stream->plan.web), &stream->timer);
	if (refused) {
		end(stream, false);
		return;
	}
	result->close_code = code;
	(void)snprintf(result->close_reason, sizeof result->close_reason, "%s", reason);
	if (stream->stopping)
		end(stream, true);
	else if (stream->segment_done && (code == 1000 || reconnect_allowed(code)))
		go_on_after_segment(stream);
	else if (reconnect_allowed(code))
		connect_again(stream, code, reason);
	else
		end(stream, false);
}

static void on_open(void *self)
{
	(void)self; /* the handshake message says more */
}

static const struct ws_events events = { on_open, on_text, on_writable, on_closed };

static void connect_now(void *self)
{
	struct stream *stream = self;

	stream->ws = ws_open(stream->plan.web, stream->plan.url, stream->path, stream->plan.key,
	                     &events, stream);
}

struct stream *stream_new(const struct stream_plan *plan)
{
	struct stream *stream = xcalloc(1, sizeof *stream);
	struct buf path = { 0 };

	stream->plan = *plan;
	buf_append(&path, "/stream/ingest?device_id=", strlen("/stream/ingest?device_id="));
	url_append_encoded(&path, plan->device_id);
	buf_append(&path, "&device_model_id=", strlen("&device_model_id="));
	url_append_encoded(&path, plan->model_id);
	buf_append(&path, "", 1);
	stream->path = (char *)path.data;
	connect_now(stream);
	return stream;
}

void stream_free(struct stream *stream)
{
	if (!stream)
		return;
	timer_stop(web_loop(stream->plan.web), &stream->timer);
	buf_free(&stream->message);
	mem_free(stream->path);
	mem_free(stream);
}

void stream_stop(struct stream *stream)
{
	bool again = stream->stopping;

	stream->stopping = true;
	stream->ready = false;
	if (stream->ws && !again)
		ws_close(stream->ws, 1000, "");
	else
		end(stream, true);
}

const struct stream_result *stream_result(const struct stream *stream)
{
	return &stream->result;
}

struct progress stream_progress(const struct stream *stream)
{
	int64_t now = stream->result.ended ? stream->ended_boot_ms : clock_boot_ms();
	struct progress progress = { .frames = stream->frames, .bytes = stream->bytes };

	progress.done_s = stream->sent_ms / 1000;
	progress.total_s = stream->plan.loop ? 0 : stream->plan.recording->duration_s;
	if (stream->started)
		progress.elapsed_s = (double)(now - stream->origin_boot_ms) / 1000;
	return progress;
}
