#include "services/edge/uplink.h"

#include "common/clock.h"
#include "common/clock.h"
#include "common/list.h"
#include "common/log.h"
#include "common/map.h"
#include "common/wire.h"

#include <stdio.h>
#include <string.h>

#define REQUEST_MS    2000 /* a batch unanswered that long is given up and sent anew      */
#define HOLD_OFF_MS   100  /* a publisher that is away or full is asked again after this  */
#define LATER_MS      20   /* a stream that its publisher has put off is sent again after */
#define BATCH_STREAMS 4096
#define SUPERSEDED    "superseded by a newer connection of this device"

struct item {
	struct item *next;
	size_t len;
	uint8_t data[];
};

struct stream {
	struct uplinks *uplinks;
	struct uplink *uplink;
	struct map_node by_session;
	struct list dirty;  /* in uplink->dirty: something to send */
	struct list hungry; /* in uplinks->hungry: waits for room  */
	struct uuid account, session;
	uint16_t partition;
	uint64_t epoch;
	uint64_t acked, sent, next;
	struct item *first, **end; /* frames numbered from max(acked, 1) */
	struct item *unsent;       /* the frame numbered max(sent, 1); NULL = none */
	size_t held_bytes, unsent_bytes;
	Publisher__Opening *opening; /* until it is acknowledged */
	Publisher__Closing *closing; /* the last item, numbered next - 1 */
	bool has_refused_frame;
	Publisher__Refused refused_frame; /* for the closing */
	struct timer later;               /* set: its publisher has put it off */
	bool careful; /* it was put off: one frame at a time until one is taken */
	struct stream_events events;
	void *ctx;
	bool refused;
};

struct uplink {
	struct uplinks *uplinks;
	char name[BUS_NAME_MAX];
	struct list dirty;
	size_t unsent_bytes;
	unsigned in_air;
	struct timer timer; /* sends a waiting batch */
	int64_t sent_ms;    /* boot time of the last batch */
	bool crowded;       /* it held many frames: the next one gathers for a while */
	bool holding_off;
};

/* The entries of a batch while it is packed; reused from batch to batch. */
struct packing {
	Publisher__SessionItems entry[BATCH_STREAMS];
	Publisher__SessionItems *entries[BATCH_STREAMS];
	ProtobufCBinaryData *frames; /* of all entries, one behind the other */
	size_t n_frames, most_frames;
	size_t offset[BATCH_STREAMS]; /* of an entry's frames */
	size_t n, bytes;
};

struct uplinks {
	struct uplinks_deps deps;
	struct map by_session;
	struct list hungry;
	struct uplink *uplink; /* deps.publishers of them */
	struct uplink_counts counts;
	struct packing *packing;
	struct buf packed;
	struct list batches; /* in the air */
};

/* What was sent to whom, for the answer. */
struct batch {
	struct uplink *uplink;
	struct list link; /* in uplinks->batches */
	size_t n;
	struct part {
		struct uuid session;
		uint64_t epoch, first, end;
	} part[];
};

static void send_or_wait(struct uplink *uplink);
static void flush(struct uplink *uplink);

static void mark_dirty(struct stream *stream);

static void on_later(void *ctx)
{
	struct stream *stream = ctx;

	mark_dirty(stream);
	send_or_wait(stream->uplink);
}

/* The others go on meanwhile. */
static void put_off(struct stream *stream)
{
	stream->careful = true;
	list_remove(&stream->dirty);
	timer_set(stream->uplinks->deps.loop, &stream->later, LATER_MS, on_later, stream);
}

static uint64_t closing_number(const struct stream *stream)
{
	return stream->closing ? stream->next - 1 : UINT64_MAX;
}

/* It goes on behind a number that its publisher has yet to say. */
static bool is_resuming(const struct stream *stream)
{
	return stream->epoch > 0 && stream->acked == 0;
}

static bool something_to_send(const struct stream *stream)
{
	if (stream->later.place != 0 || (stream->careful && stream->sent > stream->acked))
		return false;
	return is_resuming(stream) ? stream->sent == 0 : stream->sent < stream->next;
}

static void mark_dirty(struct stream *stream)
{
	if (something_to_send(stream) && !list_linked(&stream->dirty))
		list_append(&stream->uplink->dirty, &stream->dirty);
}

static void set_unsent_bytes(struct stream *stream, size_t bytes)
{
	stream->uplink->unsent_bytes += bytes - stream->unsent_bytes;
	stream->unsent_bytes = bytes;
}

/* Back to a number that is not acknowledged yet. */
static void go_back(struct stream *stream, uint64_t number)
{
	struct item *item = stream->first;
	size_t bytes = 0;

	if (number < stream->acked)
		number = stream->acked;
	if (number >= stream->sent)
		return;
	stream->uplinks->counts.resent += stream->sent - number;
	for (uint64_t i = stream->acked > 0 ? stream->acked : 1; i < number && item; i++)
		item = item->next;
	stream->sent = number;
	stream->unsent = item;
	for (; item; item = item->next)
		bytes += item->len;
	set_unsent_bytes(stream, bytes);
	mark_dirty(stream);
}

bool stream_full(struct stream *stream)
{
	struct uplinks *uplinks = stream->uplinks;

	if (stream->held_bytes < UPLINK_STREAM_BYTES &&
	    uplinks->counts.held_bytes < uplinks->deps.most_bytes)
		return false;
	if (!list_linked(&stream->hungry)) {
		list_append(&uplinks->hungry, &stream->hungry);
		uplinks->counts.full++;
	}
	return true;
}

/* Half empty before it goes on, so that it does not stop again at the next frame. */
static void feed_hungry(struct uplinks *uplinks)
{
	if (uplinks->counts.held_bytes >= uplinks->deps.most_bytes)
		return;
	LIST_EACH(link, &uplinks->hungry)
	{
		struct stream *stream = LIST_OWNER(link, struct stream, hungry);

		if (stream->held_bytes > UPLINK_STREAM_BYTES / 2)
			continue;
		list_remove(&stream->hungry);
		if (stream->ctx)
			stream->events.on_room(stream->ctx);
	}
}

static void drop_first(struct stream *stream)
{
	struct item *item = stream->first;

	MUST(item != NULL);
	if (stream->unsent == item) {
		stream->unsent = item->next;
		set_unsent_bytes(stream, stream->unsent_bytes - item->len);
	}
	stream->first = item->next;
	if (!stream->first)
		stream->end = &stream->first;
	stream->held_bytes -= item->len;
	stream->uplinks->counts.held_bytes -= item->len;
	mem_free(item);
}

static void stream_free(struct stream *stream)
{
	set_unsent_bytes(stream, 0);
	while (stream->first)
		drop_first(stream);
	timer_stop(stream->uplinks->deps.loop, &stream->later);
	list_remove(&stream->dirty);
	list_remove(&stream->hungry);
	map_remove(&stream->uplinks->by_session, &stream->by_session);
	if (stream->opening)
		wire_free(&stream->opening->base);
	if (stream->closing)
		wire_free(&stream->closing->base);
	mem_free(stream);
}

static void finish(struct stream *stream)
{
	struct uplinks *uplinks = stream->uplinks;
	struct uuid account = stream->account, session = stream->session;
	uint64_t epoch = stream->epoch;
	Publisher__Closing *closing = TAKE(stream->closing);

	stream_free(stream);
	uplinks->deps.on_finished(uplinks->deps.ctx, &account, &session, epoch, closing);
	wire_free(&closing->base);
}

static void tell_opened(struct stream *stream)
{
	wire_free(&stream->opening->base);
	stream->opening = NULL;
	if (stream->ctx)
		stream->events.on_open(stream->ctx);
}

/* Everything below next is durable. May free the stream. */
static void acknowledge(struct stream *stream, uint64_t next)
{
	bool opened = stream->acked == 0;

	if (is_resuming(stream) && next > 0) {
		stream->acked = stream->sent = next;
		stream->next = next + (stream->closing != NULL);
		mark_dirty(stream);
		tell_opened(stream);
		return;
	}
	if (next > stream->next)
		next = stream->next;
	if (next <= stream->acked)
		return;
	if (next > stream->sent)
		stream->sent = next; /* answered before it was sent again */
	for (uint64_t i = stream->acked; i < next; i++)
		if (i > 0 && i != closing_number(stream))
			drop_first(stream);
	stream->acked = next;
	stream->careful = stream->later.place != 0;
	mark_dirty(stream);
	if (!something_to_send(stream))
		list_remove(&stream->dirty);
	if (stream->closing && next == stream->next) {
		finish(stream);
		return;
	}
	if (opened)
		tell_opened(stream);
	if (next > 1 && stream->ctx)
		stream->events.on_acked(stream->ctx, next - 1);
}

static void refuse(struct stream *stream, int code, const char *reason)
{
	if (stream->refused || !stream->ctx)
		return;
	stream->refused = true;
	stream->events.on_refused(stream->ctx, code, reason);
}

static void send_now(void *ctx)
{
	struct uplink *uplink = ctx;

	uplink->holding_off = false;
	flush(uplink);
}

static void hold_off(struct uplink *uplink)
{
	uplink->holding_off = true;
	timer_set(uplink->uplinks->deps.loop, &uplink->timer, HOLD_OFF_MS, send_now, uplink);
}

/* A session that its publisher will never take: its opening is refused for good, or cannot
 * be read there before anything of it was taken. Sending it again would be for ever. */
static bool is_hopeless(const struct stream *stream, const Publisher__Taken *taken)
{
	if (!taken->has_close_code || taken->next > 0)
		return false;
	return taken->close_code == 4001 || taken->close_code == 4004 ||
	       (taken->close_code == 1013 && stream->acked == 0);
}

/* The refusal has closed the socket, and so the stream. */
static void give_up(struct stream *stream)
{
	if (!stream->closing)
		stream_close(stream, 1013, "its publisher refuses the session", clock_wall_ms());
	log_warn("session-refused", "publisher=%s frames=%llu", stream->uplink->name,
	         (unsigned long long)(stream->next - 2));
	finish(stream);
}

void stream_discard(struct stream *stream)
{
	refuse(stream, 4009, SUPERSEDED);
	stream_free(stream);
}

static const struct part *part_of(const struct batch *batch, const struct uuid *session,
                                  size_t hint)
{
	if (hint < batch->n && uuid_equal(&batch->part[hint].session, session))
		return &batch->part[hint];
	for (size_t i = 0; i < batch->n; i++)
		if (uuid_equal(&batch->part[i].session, session))
			return &batch->part[i];
	return NULL;
}

static void on_taken(struct batch *batch, const Publisher__Taken *taken, size_t hint)
{
	struct uplinks *uplinks = batch->uplink->uplinks;
	const struct part *part;
	struct stream *stream;
	struct uuid session;

	if (!wire_id(taken->session, &session))
		return;
	part = part_of(batch, &session, hint);
	stream = stream_find(uplinks, &session);
	if (!part || !stream || stream->epoch != part->epoch)
		return;
	if (taken->obsolete) {
		stream_discard(stream);
		return;
	}
	if (taken->has_close_code)
		refuse(stream, (int)taken->close_code,
		       taken->close_reason ? taken->close_reason : "");
	if (taken->has_ended_at && stream->closing)
		stream->closing->ended_at =
		        taken->ended_at; /* the router is told what stands there */
	if (is_hopeless(stream, taken)) {
		give_up(stream);
		return;
	}
	if (taken->next < part->end) {
		if (!taken->later && taken->next <= part->first && taken->next <= stream->acked)
			hold_off(batch->uplink); /* nothing was taken: it is full */
		go_back(stream, taken->next);
	}
	if (taken->later && taken->next < part->end)
		put_off(stream);
	acknowledge(stream, taken->next);
}

/* Nobody knows what became of it: from the last acknowledged item again. */
static void on_lost(struct batch *batch)
{
	for (size_t i = 0; i < batch->n; i++) {
		struct stream *stream =
		        stream_find(batch->uplink->uplinks, &batch->part[i].session);

		if (stream && stream->epoch == batch->part[i].epoch)
			go_back(stream, stream->acked);
	}
	hold_off(batch->uplink);
}

static void on_reply(void *ctx, enum err err, struct bytes data)
{
	struct batch *batch = ctx;
	struct uplink *uplink = batch->uplink;
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	const Publisher__PublisherReply *reply;

	uplink->in_air--;
	if (err == OK)
		message = wire_unpack(&publisher__publisher_reply__descriptor, data);
	reply = (const Publisher__PublisherReply *)message;
	if (reply && !reply->error &&
	    reply->result_case == PUBLISHER__PUBLISHER_REPLY__RESULT_ITEMS_TAKEN) {
		for (size_t i = 0; i < reply->items_taken->n_sessions; i++)
			on_taken(batch, reply->items_taken->sessions[i], i);
	} else {
		log_warn("batch-lost", "publisher=%s err=%s why=\"%s\"", uplink->name,
		         err_name(err), reply && reply->error ? reply->error->detail : "");
		on_lost(batch);
	}
	list_remove(&batch->link);
	mem_free(batch);
	feed_hungry(uplink->uplinks);
	send_or_wait(uplink);
}

static void pack_frame(struct packing *packing, const struct item *item)
{
	if (packing->n_frames == packing->most_frames) {
		packing->most_frames = packing->most_frames ? 2 * packing->most_frames : 1024;
		packing->frames =
		        xrealloc(packing->frames, packing->most_frames, sizeof *packing->frames);
	}
	packing->frames[packing->n_frames++] =
	        (ProtobufCBinaryData){ item->len, (uint8_t *)item->data };
	packing->bytes += item->len;
}

/* Takes what fits of one stream; its numbers from `sent` on. */
static void pack_stream(struct packing *packing, struct stream *stream)
{
	Publisher__SessionItems *entry = &packing->entry[packing->n];
	size_t before = packing->n_frames;

	publisher__session_items__init(entry);
	packing->offset[packing->n] = before;
	packing->entries[packing->n++] = entry;
	entry->account = wire_bytes_of(&stream->account);
	entry->session = wire_bytes_of(&stream->session);
	entry->partition = stream->partition;
	entry->first = stream->sent;
	entry->has_epoch = stream->epoch > 0;
	entry->epoch = stream->epoch;
	packing->bytes += 64;
	if (stream->sent == 0) {
		entry->opening = stream->opening;
		stream->sent = 1;
		packing->bytes += protobuf_c_message_get_packed_size(&stream->opening->base);
	}
	while (stream->unsent && (packing->n_frames == before ||
	                          (packing->bytes < UPLINK_BATCH_MOST && !stream->careful))) {
		pack_frame(packing, stream->unsent);
		set_unsent_bytes(stream, stream->unsent_bytes - stream->unsent->len);
		stream->unsent = stream->unsent->next;
		stream->sent++;
	}
	entry->n_frames = packing->n_frames - before;
	if (stream->closing && !is_resuming(stream) && stream->sent == stream->next - 1) {
		entry->closing = stream->closing;
		stream->sent++;
	}
}

static void send_batch(struct uplink *uplink, struct packing *packing, struct batch *batch)
{
	struct uplinks *uplinks = uplink->uplinks;
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__Items items = PUBLISHER__ITEMS__INIT;

	for (size_t i = 0; i < packing->n; i++)
		packing->entry[i].frames = packing->frames + packing->offset[i];
	items.n_sessions = packing->n;
	items.sessions = packing->entries;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_ITEMS;
	request.items = &items;
	uplink->in_air++;
	uplinks->counts.batches++;
	bus_request(uplinks->deps.bus, uplink->name, wire_pack(&uplinks->packed, &request.base),
	            REQUEST_MS, on_reply, batch);
}

/* One batch of what is to be sent, or nothing. */
static void flush(struct uplink *uplink)
{
	struct packing *packing = uplink->uplinks->packing;
	struct batch *batch;
	struct list *link;

	if (list_empty(&uplink->dirty) || uplink->in_air >= UPLINK_IN_AIR)
		return;
	timer_stop(uplink->uplinks->deps.loop, &uplink->timer);
	packing->n = packing->n_frames = packing->bytes = 0;
	while (packing->n < BATCH_STREAMS && packing->bytes < UPLINK_BATCH_MOST &&
	       (link = list_first(&uplink->dirty)) != NULL) {
		struct stream *stream = LIST_OWNER(link, struct stream, dirty);

		list_remove(&stream->dirty);
		pack_stream(packing, stream);
		mark_dirty(stream);
	}
	batch = xcalloc(1, sizeof *batch + packing->n * sizeof batch->part[0]);
	batch->uplink = uplink;
	list_append(&uplink->uplinks->batches, &batch->link);
	batch->n = packing->n;
	for (size_t i = 0; i < packing->n; i++) {
		const Publisher__SessionItems *entry = packing->entries[i];

		(void)wire_id(entry->session, &batch->part[i].session); /* always 16 bytes */
		batch->part[i].epoch = entry->epoch;
		batch->part[i].first = entry->first;
		batch->part[i].end = entry->first + (entry->opening != NULL) + entry->n_frames +
		                     (entry->closing != NULL);
	}
	uplink->sent_ms = clock_boot_ms();
	uplink->crowded = packing->n_frames >= UPLINK_CROWD_FRAMES;
	send_batch(uplink, packing, batch);
}

/* A batch costs the publisher a wake-up and a sync: where many frames come, it is worth
 * gathering them; where few come, they go at once. */
static void send_or_wait(struct uplink *uplink)
{
	bool gathers = uplink->crowded && clock_boot_ms() < uplink->sent_ms + UPLINK_BATCH_MS;

	if (list_empty(&uplink->dirty) || uplink->holding_off)
		return;
	if ((uplink->in_air == 0 && !gathers) || uplink->unsent_bytes >= UPLINK_BATCH_BYTES)
		flush(uplink);
	else if (uplink->timer.place == 0)
		timer_set(uplink->uplinks->deps.loop, &uplink->timer, UPLINK_BATCH_MS, send_now,
		          uplink);
}

void uplinks_turn_end(struct uplinks *uplinks)
{
	for (unsigned i = 0; i < uplinks->deps.publishers; i++)
		send_or_wait(&uplinks->uplink[i]);
}

struct stream *stream_new(struct uplinks *uplinks, const struct uuid *account,
                          const struct uuid *session, uint16_t partition, uint64_t epoch,
                          const Publisher__Opening *opening, const struct stream_events *events,
                          void *ctx)
{
	struct stream *stream = xcalloc(1, sizeof *stream);

	stream->uplinks = uplinks;
	stream->uplink = &uplinks->uplink[partition % uplinks->deps.publishers];
	stream->account = *account;
	stream->session = *session;
	stream->partition = partition;
	stream->epoch = epoch;
	stream->next = 1;
	stream->end = &stream->first;
	stream->opening = (Publisher__Opening *)wire_copy(&opening->base);
	stream->events = *events;
	stream->ctx = ctx;
	map_add(&uplinks->by_session, &stream->by_session, &stream->session);
	mark_dirty(stream);
	return stream;
}

void stream_add(struct stream *stream, struct bytes frame)
{
	struct item *item = xrealloc(NULL, 1, sizeof *item + frame.len);

	MUST(!stream->closing);
	item->next = NULL;
	item->len = frame.len;
	memcpy(item->data, frame.data, frame.len);
	*stream->end = item;
	stream->end = &item->next;
	if (!stream->unsent)
		stream->unsent = item;
	stream->next++;
	stream->held_bytes += frame.len;
	set_unsent_bytes(stream, stream->unsent_bytes + frame.len);
	stream->uplinks->counts.held_bytes += frame.len;
	stream->uplinks->counts.frames++;
	stream->uplinks->counts.bytes += frame.len;
	mark_dirty(stream);
}

void stream_refuse(struct stream *stream, const Publisher__Refused *refused)
{
	stream->has_refused_frame = true;
	stream->refused_frame = *refused;
}

void stream_close(struct stream *stream, int code, const char *reason, int64_t ended_at)
{
	Publisher__Closing closing = PUBLISHER__CLOSING__INIT;

	closing.close_code = (uint32_t)code;
	closing.close_reason = (char *)reason;
	closing.ended_at = ended_at;
	closing.refused = stream->has_refused_frame ? &stream->refused_frame : NULL;
	stream->closing = (Publisher__Closing *)wire_copy(&closing.base);
	stream->next++;
	stream->ctx = NULL;
	list_remove(&stream->hungry);
	mark_dirty(stream);
}

struct stream *stream_find(struct uplinks *uplinks, const struct uuid *session)
{
	return MAP_OWNER(map_find(&uplinks->by_session, session), struct stream, by_session);
}

uint64_t stream_acked(const struct stream *stream)
{
	return stream->acked > 0 ? stream->acked - 1 : 0;
}

uint64_t stream_epoch(const struct stream *stream)
{
	return stream->epoch;
}

void *stream_owner(const struct stream *stream)
{
	return stream->ctx;
}

struct listing {
	struct uuid *ids;
	size_t n, most;
};

static void list_one(void *ctx, struct map_node *node)
{
	struct listing *listing = ctx;

	if (listing->n < listing->most)
		listing->ids[listing->n++] = MAP_OWNER(node, struct stream, by_session)->session;
}

size_t uplinks_sessions(struct uplinks *uplinks, struct uuid *ret, size_t most)
{
	struct listing listing = { ret, 0, most };

	map_each(&uplinks->by_session, list_one, &listing);
	return listing.n;
}

size_t uplinks_count(const struct uplinks *uplinks)
{
	return uplinks->by_session.count;
}

const struct uplink_counts *uplinks_counts(const struct uplinks *uplinks)
{
	return &uplinks->counts;
}

struct uplinks *uplinks_new(const struct uplinks_deps *deps)
{
	struct uplinks *uplinks = xcalloc(1, sizeof *uplinks);

	uplinks->deps = *deps;
	map_init(&uplinks->by_session, sizeof(struct uuid));
	list_init(&uplinks->hungry);
	list_init(&uplinks->batches);
	uplinks->packing = xcalloc(1, sizeof *uplinks->packing);
	uplinks->uplink = xcalloc(deps->publishers, sizeof *uplinks->uplink);
	for (unsigned i = 0; i < deps->publishers; i++) {
		uplinks->uplink[i].uplinks = uplinks;
		list_init(&uplinks->uplink[i].dirty);
		(void)snprintf(uplinks->uplink[i].name, BUS_NAME_MAX, "publisher-%u", i);
	}
	return uplinks;
}

static void free_one(void *ctx, struct map_node *node)
{
	(void)ctx;
	stream_free(MAP_OWNER(node, struct stream, by_session));
}

void uplinks_free(struct uplinks *uplinks)
{
	if (!uplinks)
		return;
	map_each(&uplinks->by_session, free_one, NULL);
	while (!list_empty(&uplinks->batches)) {
		struct batch *batch = LIST_OWNER(list_first(&uplinks->batches), struct batch, link);

		list_remove(&batch->link);
		mem_free(batch);
	}
	for (unsigned i = 0; i < uplinks->deps.publishers; i++)
		timer_stop(uplinks->deps.loop, &uplinks->uplink[i].timer);
	map_done(&uplinks->by_session);
	buf_free(&uplinks->packed);
	mem_free(uplinks->packing->frames);
	mem_free(uplinks->packing);
	mem_free(uplinks->uplink);
	mem_free(uplinks);
}
