#include "services/edge/ingest.h"

#include "common/apikey.h"
#include "common/clock.h"
#include "common/frame.h"
#include "common/json.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/principal.h"
#include "common/wire.h"
#include "router.pb-c.h"
#include "services/edge/closing.h"
#include "services/edge/query.h"
#include "services/edge/reject.h"
#include "services/edge/socket.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define DEVICE_ID_MAX      128  /* bytes */
#define INGEST_QUEUE_BYTES 1024 /* of acknowledgements: one waits at most */
#define ROUTER_MS          8000
#define AWAY               "a service behind is away: reconnect later"

struct ingest {
	struct socket socket;
	struct uuid session;
	struct map_node by_session;                 /* in edge->opening while asking */
	struct stream *stream;                      /* from OpenSession's answer to the end */
	ProtobufCMessage *manifest;                 /* the router's answer: its slots are ours */
	char *device_id;                            /* as sent */
	char *model_id;                             /* as sent; until the session is open */
	enum err device_err, model_err, resume_err; /* what the query held */
	bool resumes;                               /* session is the client's word */
	uint64_t epoch;                             /* how often the session was resumed */
	int64_t active_ms; /* boot time of the last frame, or of the pause */
	bool asking;       /* the router's answer is under way: keep the memory */
	bool claims;       /* it is in edge->opening */
	bool open, paused;
	bool acks;                  /* the client asked to hear what is durable */
	uint64_t acked, acks_told;  /* frames */
	struct uuid account, model; /* once it is admitted */
	uint64_t ended_slots[4];    /* a bit a slot whose channel was removed meanwhile */
	int code;                   /* how it ended, for the router */
	char *reason;
};

static struct ingest *ingest_of(struct socket *socket)
{
	return (struct ingest *)socket;
}

static Raeh__Slot **slots_of(const struct ingest *ingest, size_t *ret_n)
{
	const Router__RouterReply *reply = (const Router__RouterReply *)ingest->manifest;

	*ret_n = reply->session_opened->n_slots;
	return reply->session_opened->slots;
}

/* ---- the life of an open session ---- */

static void on_timer(void *ctx)
{
	struct ingest *ingest = ctx;
	struct edge *edge = ingest->socket.edge;
	int64_t limit =
	        ingest->paused ? edge->settings.pause_most_ms : edge->settings.idle_timeout_ms;
	int64_t since = ingest->active_ms > edge->revived_ms ? ingest->active_ms : edge->revived_ms;
	int64_t left = since + limit - clock_boot_ms();

	if (!ingest->paused && !grant_good(edge->grants, &ingest->socket.user))
		left = limit; /* it may not be read: nobody knows whether it is idle */
	if (left > 0)
		timer_set(edge->loop, &ingest->socket.timer, left, on_timer, ingest);
	else if (ingest->paused)
		socket_end(&ingest->socket, 1013, AWAY);
	else
		socket_end(&ingest->socket, 1001,
		           "idle: no frame for a while; reconnect when there is data");
}

static void pause_reading(struct ingest *ingest, bool paused)
{
	struct edge *edge = ingest->socket.edge;
	int64_t limit = paused ? edge->settings.pause_most_ms : edge->settings.idle_timeout_ms;

	if (ingest->paused == paused)
		return;
	ingest->paused = paused;
	ingest->active_ms = clock_boot_ms();
	timer_set(edge->loop, &ingest->socket.timer, limit, on_timer, ingest);
	net_pause(ingest->socket.conn, paused);
}

static char *handshake_json(const struct ingest *ingest, char *id)
{
	Raeh__Handshake handshake = RAEH__HANDSHAKE__INIT;
	Raeh__ResumedHandshake resumed = RAEH__RESUMED_HANDSHAKE__INIT;

	resumed.session_id = handshake.session_id = id;
	resumed.slots = handshake.slots = slots_of(ingest, &handshake.n_slots);
	resumed.n_slots = handshake.n_slots;
	resumed.resumed = true;
	resumed.acked = ingest->acked;
	return json_of_message(ingest->resumes ? &resumed.base : &handshake.base);
}

static void send_handshake(struct ingest *ingest)
{
	char id[UUID_TEXT];
	char *json;

	if (!reject_over(&ingest->socket))
		return;
	uuid_text(&ingest->session, id);
	json = handshake_json(ingest, id);
	if (net_send_text(ingest->socket.conn, BYTES(json, strlen(json)), SIZE_MAX) != OK)
		log_warn("handshake", "session=%s why=\"not queued\"", id);
	mem_free(json);
}

static void on_stream_open(void *ctx)
{
	struct ingest *ingest = ctx;

	ingest->open = true;
	ingest->acked = ingest->acks_told = stream_acked(ingest->stream);
	ingest->socket.edge->metrics.sessions_opened_total++;
	send_handshake(ingest);
	pause_reading(ingest, false);
}

/* The newest alone: a client that does not read has one waiting, and hears more when it does. */
static void tell_acked(struct ingest *ingest)
{
	char text[40];
	int len = snprintf(text, sizeof text, "{\"ack\":%llu}", (unsigned long long)ingest->acked);

	if (ingest->acks_told == ingest->acked || net_queued_bytes(ingest->socket.conn) > 0)
		return;
	if (net_send_text(ingest->socket.conn, BYTES(text, (size_t)len), INGEST_QUEUE_BYTES) == OK)
		ingest->acks_told = ingest->acked;
}

static void on_acked(void *ctx, uint64_t frames)
{
	struct ingest *ingest = ctx;

	ingest->acked = frames;
	if (ingest->acks)
		tell_acked(ingest);
}

static void on_room(void *ctx)
{
	struct ingest *ingest = ctx;

	if (ingest->open)
		pause_reading(ingest, false);
}

static void on_refused(void *ctx, int code, const char *reason)
{
	struct ingest *ingest = ctx;

	socket_end(&ingest->socket, code, reason);
}

static const struct stream_events stream_events = {
	.on_open = on_stream_open,
	.on_acked = on_acked,
	.on_room = on_room,
	.on_refused = on_refused,
};

/* ---- opening ---- */

static void start_stream(struct ingest *ingest, const Raeh__Principal *principal)
{
	const Router__RouterReply *reply = (const Router__RouterReply *)ingest->manifest;
	const Router__SessionOpened *opened = reply->session_opened;
	Publisher__Opening opening = PUBLISHER__OPENING__INIT;
	struct stream *older;

	opening.device_id = ingest->device_id;
	opening.device_model_id = ingest->model_id;
	opening.n_slots = opened->n_slots;
	opening.slots = opened->slots;
	opening.n_supersedes = opened->n_supersedes;
	opening.supersedes = opened->supersedes;
	opening.started_at = opened->started_at;
	opening.n_spo2_calibration = opened->n_spo2_calibration;
	opening.spo2_calibration = opened->spo2_calibration;
	opening.principal = (Raeh__Principal *)principal;
	ingest->epoch = opened->epoch;
	older = stream_find(ingest->socket.edge->uplinks, &ingest->session);
	if (older)
		stream_discard(older);
	ingest->stream = stream_new(ingest->socket.edge->uplinks, &ingest->account,
	                            &ingest->session, (uint16_t)opened->partition, ingest->epoch,
	                            &opening, &stream_events, ingest);
	mem_free(TAKE(ingest->model_id));
}

static void ingest_release(struct ingest *ingest)
{
	list_remove(&ingest->socket.link);
	mem_free(ingest->device_id);
	mem_free(ingest->model_id);
	mem_free(ingest->reason);
	wire_free(ingest->manifest);
	mem_free(ingest);
}

/* The socket ended while the router was asked: whatever it opened must close again. One that was
 * resumed its publisher may still call open: the router's reconciliation closes it there too. */
static void close_unopened(struct ingest *ingest)
{
	Publisher__Closing how = PUBLISHER__CLOSING__INIT;

	if (ingest->resumes)
		return;
	how.close_code = (uint32_t)ingest->code;
	how.close_reason = ingest->reason;
	how.ended_at = clock_wall_ms();
	closing_start(ingest->socket.edge, &ingest->account, &ingest->session, 0, &how);
}

/* reply: NULL when none came that can be read. */
static void refused_by_router(struct ingest *ingest, const Router__RouterReply *reply)
{
	const Raeh__Error *error = reply ? reply->error : NULL;

	if (error && error->has_close_code)
		socket_end(&ingest->socket, (int)error->close_code, error->detail);
	else
		socket_end(&ingest->socket, 1013, AWAY);
	if (!error || error->status >= 500)
		close_unopened(ingest); /* nobody knows whether it was opened */
}

/* Its key is dead, but the socket was not told yet. */
static void opened_for_a_dead_key(struct ingest *ingest)
{
	ingest->socket.edge->metrics.revoked_sockets_total++;
	socket_kill(&ingest->socket, 4001, GRANT_REFUSED);
	close_unopened(ingest);
}

static void on_router(void *ctx, enum err err, struct bytes data)
{
	struct ingest *ingest = ctx;
	struct socket *socket = &ingest->socket;
	ProtobufCMessage *message =
	        err == OK ? wire_unpack(&router__router_reply__descriptor, data) : NULL;
	const Router__RouterReply *reply = (const Router__RouterReply *)message;
	bool opened = reply && !reply->error &&
	              reply->result_case == ROUTER__ROUTER_REPLY__RESULT_SESSION_OPENED;

	ingest->asking = false;
	if (ingest->claims)
		map_remove(&socket->edge->opening, &ingest->by_session);
	if (socket->over) {
		if (opened || !reply)
			close_unopened(ingest);
	} else if (opened && grant_principal(&socket->user)) {
		ingest->manifest = TAKE(message);
		start_stream(ingest, grant_principal(&socket->user));
	} else if (opened) {
		opened_for_a_dead_key(ingest);
	} else {
		refused_by_router(ingest, reply);
	}
	wire_free(message);
	if (!socket->conn)
		ingest_release(ingest);
}

static struct uuid new_session_id(uint16_t partition)
{
	uint64_t low;

	randombytes_buf(&low, sizeof low);
	return uuid_numbered(clock_wall_ms(), (low & ~(uint64_t)(PARTITIONS - 1)) | partition);
}

static void ask_router(struct ingest *ingest, const Raeh__Principal *principal)
{
	struct edge *edge = ingest->socket.edge;
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;
	Router__OpenSession open = ROUTER__OPEN_SESSION__INIT;
	Raeh__Origin origin = origin_message(ingest->socket.origin);
	struct uuid attempt;
	struct buf buf = { 0 };

	open.session = wire_bytes_of(&ingest->session);
	open.device_model_id = ingest->model_id;
	open.device_id = ingest->device_id;
	open.edge_slot = edge->settings.slot;
	open.edge_incarnation = wire_bytes_of(&edge->incarnation);
	if (ingest->resumes) {
		randombytes_buf(&attempt, sizeof attempt);
		open.has_resume = 1;
		open.resume = wire_bytes_of(&attempt);
	}
	request.principal = (Raeh__Principal *)principal;
	request.origin = &origin;
	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_OPEN_SESSION;
	request.open_session = &open;
	ingest->asking = true;
	ingest->claims = !map_find(&edge->opening, &ingest->session);
	if (ingest->claims)
		map_add(&edge->opening, &ingest->by_session, &ingest->session);
	bus_request(edge->bus, "router", wire_pack(&buf, &request.base), ROUTER_MS, on_router,
	            ingest);
	buf_free(&buf);
}

static const char *device_fault(const struct ingest *ingest)
{
	if (ingest->device_err == ERR_NOT_FOUND)
		return "device_id: required, 1 to 128 bytes of UTF-8";
	if (ingest->device_err == ERR_LIMIT)
		return "device_id: expected at most 128 bytes";
	if (ingest->device_err != OK || !utf8_valid(ingest->device_id, strlen(ingest->device_id)) ||
	    text_has_control(ingest->device_id))
		return "device_id: expected UTF-8 without control characters";
	if (text_has_secret(ingest->device_id)) /* it would be told to every subscriber */
		return "device_id: an API key or token is no name of a device";
	return ingest->device_id[0] ? NULL : "device_id: required, 1 to 128 bytes of UTF-8";
}

static const char *model_fault(const struct ingest *ingest, struct uuid *ret)
{
	if (ingest->model_err == ERR_NOT_FOUND || !ingest->model_id[0])
		return "device_model_id: required, the UUID of a device model";
	if (ingest->model_err != OK || !uuid_parse(ingest->model_id, ret))
		return "device_model_id: expected a UUID";
	return NULL;
}

/* By this account: another's claim to the same id, which the router will refuse, says nothing. */
static bool is_being_resumed(const struct ingest *ingest)
{
	const struct ingest *other =
	        MAP_OWNER(map_find(&ingest->socket.edge->opening, &ingest->session), struct ingest,
	                  by_session);

	return other && uuid_equal(&other->account, &ingest->account);
}

/* A new id, or the one to go on with. False: the socket was closed. */
static bool choose_session(struct ingest *ingest)
{
	uint16_t partition = partition_of(&ingest->account, &ingest->model, ingest->device_id);

	if (!ingest->resumes) {
		ingest->session = new_session_id(partition);
		return true;
	}
	if (uuid_number(&ingest->session) % PARTITIONS != partition)
		socket_end(&ingest->socket, 4004, "resume: no such session of this device");
	else if (is_being_resumed(ingest))
		socket_end(&ingest->socket, 1013,
		           "this session is being resumed already: reconnect later");
	else
		return true;
	return false;
}

static void admitted(struct socket *socket)
{
	struct ingest *ingest = ingest_of(socket);
	const Raeh__Principal *principal = grant_principal(&socket->user);
	const char *fault;

	if (!socket_has_scope(socket, SCOPE_INGEST))
		return;
	if (principal->device_id && strcmp(principal->device_id, ingest->device_id) != 0) {
		socket_end(socket, 4001, "the API key is bound to another device");
		return;
	}
	fault = device_fault(ingest);
	if (!fault)
		fault = model_fault(ingest, &ingest->model);
	if (!fault && ingest->resume_err != OK)
		fault = "resume: expected the id of a session";
	if (fault) {
		socket_end(socket, 4004, fault);
		return;
	}
	MUST(wire_id(principal->account, &ingest->account)); /* checked with the verdict */
	if (!choose_session(ingest))
		return;
	uuid_text(&ingest->model, ingest->model_id);
	ask_router(ingest, principal);
}

static void on_open_timeout(void *ctx)
{
	struct ingest *ingest = ctx;

	socket_end(&ingest->socket, 1013, AWAY);
}

/* ---- frames ---- */

/* The ledger of the session hears of it: as much as the frame says of itself. */
static void refuse_frame(struct ingest *ingest, struct bytes message, int code, const char *why)
{
	Publisher__Refused refused = PUBLISHER__REFUSED__INIT;
	struct frame frame;

	refused.rate_limited = code == 4029;
	if (frame_parse(message, &frame)) {
		refused.has_slot_id = refused.has_t0 = refused.has_samples = true;
		refused.slot_id = frame.slot_id;
		refused.t0 = frame.t0_epoch_ms;
		refused.samples = frame.sample_count;
	}
	stream_refuse(ingest->stream, &refused);
	ingest->socket.edge->metrics.frames_refused_total++;
	socket_end(&ingest->socket, code, why);
}

static bool slot_ended(const struct ingest *ingest, uint8_t slot)
{
	return ingest->ended_slots[slot / 64] >> (slot % 64) & 1;
}

static void message(struct socket *socket, bool binary, struct bytes message)
{
	struct ingest *ingest = ingest_of(socket);
	struct edge *edge = socket->edge;
	int64_t now_ms = clock_boot_ms();
	const char *over;
	size_t n_slots;
	char why[124];
	int code;

	if (!binary) {
		edge->metrics.frames_refused_total++;
		socket_end(socket, 1003, "text message: frames are binary messages");
		return;
	}
	MUST(ingest->open); /* reading is stopped before */
	Raeh__Slot **slots = slots_of(ingest, &n_slots);

	code = frame_refusal(message, slots, n_slots, why);
	if (code != 0) {
		refuse_frame(ingest, message, code, why);
		return;
	}
	if (slot_ended(ingest, *(const uint8_t *)message.data)) {
		refuse_frame(ingest, message, 4004, "slot_id: this modality channel was removed");
		return;
	}
	over = limit_take_frame(socket->limit, message.len, now_ms);
	if (over) {
		refuse_frame(ingest, message, 4029, over);
		return;
	}
	ingest->active_ms = now_ms;
	edge->metrics.frames_total++;
	edge->metrics.frame_bytes_total += message.len;
	stream_add(ingest->stream, message);
	if (stream_full(ingest->stream)) {
		edge->metrics.backpressure_total++;
		pause_reading(ingest, true);
	}
}

/* ---- the end ---- */

static void ended(struct socket *socket, int code, const char *reason)
{
	struct ingest *ingest = ingest_of(socket);

	socket->edge->metrics.sockets_ingest--;
	ingest->code = code;
	ingest->reason = xstrdup(reason);
	if (ingest->stream)
		stream_close(TAKE(ingest->stream), code, reason, clock_wall_ms());
	wire_free(TAKE(ingest->manifest));
}

static void free_socket(struct socket *socket)
{
	struct ingest *ingest = ingest_of(socket);

	if (ingest->asking)
		list_append(&socket->edge->unopened, &socket->link);
	else
		ingest_release(ingest);
}

static bool may_go_on(const struct socket *socket, const Raeh__Principal *rights)
{
	const struct ingest *ingest = (const struct ingest *)socket;

	return (rights->scopes & SCOPE_INGEST) &&
	       (!rights->device_id || strcmp(rights->device_id, ingest->device_id) == 0);
}

static const struct socket_ops ingest_ops = {
	.admitted = admitted,
	.may_go_on = may_go_on,
	.message = message,
	.ended = ended,
	.free = free_socket,
};

void ingest_free_unopened(struct edge *edge)
{
	while (!list_empty(&edge->unopened))
		ingest_release(
		        ingest_of(LIST_OWNER(list_first(&edge->unopened), struct socket, link)));
}

void ingest_end(struct edge *edge, const struct uuid *session, int code, const char *reason)
{
	struct stream *stream = stream_find(edge->uplinks, session);
	struct ingest *ingest =
	        stream ? stream_owner(stream)
	               : MAP_OWNER(map_find(&edge->opening, session), struct ingest, by_session);

	if (ingest)
		socket_end(&ingest->socket, code, reason);
}

void ingest_superseded(struct edge *edge, const struct uuid *session, uint64_t below_epoch)
{
	const struct stream *stream = stream_find(edge->uplinks, session);

	if (below_epoch == UINT64_MAX || (stream && stream_epoch(stream) < below_epoch))
		ingest_end(edge, session, 4009, INGEST_SUPERSEDED);
}

size_t ingest_devices(struct edge *edge, const struct uuid *key, const char **ret, size_t most)
{
	size_t n = 0;

	LIST_EACH(link, &edge->sockets)
	{
		struct socket *socket = LIST_OWNER(link, struct socket, link);
		const Raeh__Principal *principal = grant_principal(&socket->user);
		struct uuid id;

		if (n == most)
			break;
		if (socket->ops == &ingest_ops && ingest_of(socket)->open && principal &&
		    wire_id(principal->key, &id) && uuid_equal(&id, key))
			ret[n++] = ingest_of(socket)->device_id;
	}
	return n;
}

static void end_slots(struct ingest *ingest, const uint32_t *slots, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (slots[i] < 256)
			ingest->ended_slots[slots[i] / 64] |= UINT64_C(1) << (slots[i] % 64);
}

void ingest_slots_ended(struct edge *edge, const struct uuid *account, const struct uuid *model,
                        const uint32_t *slots, size_t n)
{
	LIST_EACH(link, &edge->sockets)
	{
		struct socket *socket = LIST_OWNER(link, struct socket, link);
		struct ingest *ingest = ingest_of(socket);

		if (socket->ops == &ingest_ops && uuid_equal(&ingest->account, account) &&
		    uuid_equal(&ingest->model, model))
			end_slots(ingest, slots, n);
	}
}

void ingest_drained(struct edge *edge, struct conn *conn)
{
	struct socket *socket = conn_user(conn);

	(void)edge;
	if (socket && !socket->over && ingest_of(socket)->acks)
		tell_acked(ingest_of(socket));
}

static void read_resume(struct ingest *ingest, const char *query)
{
	char text[UUID_TEXT];
	enum err err = query_get(query, "resume", text, sizeof text);

	ingest->resumes = err != ERR_NOT_FOUND;
	if (ingest->resumes && (err != OK || !uuid_parse(text, &ingest->session)))
		ingest->resume_err = ERR_MALFORMED;
}

void ingest_open(struct edge *edge, struct conn *conn, const struct net_request *request)
{
	struct ingest *ingest = xcalloc(1, sizeof *ingest);
	char text[DEVICE_ID_MAX + 1] = "", flag[8];

	ingest->device_err = query_get(request->query, "device_id", text, sizeof text);
	ingest->device_id = xstrdup(ingest->device_err == OK ? text : "");
	text[0] = '\0';
	ingest->model_err = query_get(request->query, "device_model_id", text, sizeof text);
	/* Room for the canonical form. */
	ingest->model_id = xcalloc(1, UUID_TEXT > sizeof text ? UUID_TEXT : sizeof text);
	(void)snprintf(ingest->model_id, sizeof text, "%s", ingest->model_err == OK ? text : "");
	ingest->acks =
	        query_get(request->query, "ack", flag, sizeof flag) == OK && strcmp(flag, "1") == 0;
	read_resume(ingest, request->query);
	ingest->paused = true;
	edge->metrics.sockets_ingest++;
	if (conn_endpoint(conn) != NET_HTTP)
		net_pause(conn, true);
	timer_set(edge->loop, &ingest->socket.timer, INGEST_OPEN_MS, on_open_timeout, ingest);
	socket_open(&ingest->socket, &ingest_ops, edge, conn, request);
}
