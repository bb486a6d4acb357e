#include "integration/sim/check_internal.h"

#include "common/frame.h"
#include "common/keys.h"
#include "common/uuid.h"
#include "common/wire.h"
#include "events.pb-c.h"
#include "publisher.pb-c.h"
#include "services/publisher/outbox.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void check_broken(struct check *check, const char *format, ...)
{
	va_list args;

	if (check->result.broken)
		return;
	check->result.broken = true;
	va_start(args, format);
	(void)vsnprintf(check->result.what, sizeof check->result.what, format, args);
	va_end(args);
}

/* ---- frames ---- */

void check_client(struct check *check, unsigned client, long device, uint32_t edge)
{
	check->client[client].used = true;
	check->client[client].device_socket = true;
	check->client[client].device = device;
	check->client[client].edge = edge;
}

struct episode *check_find_session(struct check *check, const struct uuid *id)
{
	return MAP_OWNER(map_find(&check->sessions, id), struct episode, node);
}

void check_session(struct check *check, unsigned client, const char *text, bool resumes)
{
	struct episode *session = xcalloc(1, sizeof *session);
	char id[UUID_TEXT] = "";

	memcpy(id, text, UUID_TEXT - 1);
	if (!uuid_parse(id, &session->id) || check_find_session(check, &session->id)) {
		check_broken(check, "a handshake named %s, no id or one that was used", id);
		mem_free(session);
		return;
	}
	session->client = client;
	session->device = check->client[client].device;
	session->last_t_ms = INT64_MIN;
	session->resumes = resumes;
	check->client[client].session = session;
	map_add(&check->sessions, &session->node, &session->id);
}

uint32_t check_new_frame(struct check *check, unsigned client)
{
	if (check->n_frames == check->cap_frames) {
		check->cap_frames = check->cap_frames ? 2 * check->cap_frames : 1024;
		check->frame = xrealloc(check->frame, check->cap_frames, sizeof *check->frame);
	}
	check->frame[check->n_frames] = (struct sent){ .client = client };
	if (check->client[client].session && check->client[client].session->resumes)
		check_line_add(check->client[client].session, (uint32_t)check->n_frames);
	return (uint32_t)check->n_frames++;
}

void check_taken(struct check *check, unsigned client, uint32_t serial, bool late)
{
	struct sent *frame = &check->frame[serial];

	if (check->client[client].session && check->client[client].session->resumes)
		frame->taken_by = client + 1;
	else
		frame->item = ++check->client[client].items;
	frame->late = late;
	if (late)
		check_broken(check,
		             "P1: frame %u was given to the edge after its key's revoke was "
		             "answered",
		             serial);
}

void check_edge_died(struct check *check, uint32_t edge)
{
	for (size_t i = 0; i < check->n_frames; i++) {
		struct sent *frame = &check->frame[i];
		const struct connection *client = &check->client[frame->client];

		if (client->edge == edge && !client->edge_died && frame->item > 0 &&
		    frame->item >= client->acked)
			frame->may_be_lost = true;
	}
	for (unsigned i = 0; i < CLIENTS_MOST; i++)
		if (check->client[i].used && check->client[i].edge == edge)
			check->client[i].edge_died = true;
}

void check_replied(struct check *check, struct bytes data)
{
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&publisher__publisher_reply__descriptor, data);
	const Publisher__PublisherReply *reply = (const Publisher__PublisherReply *)message;

	if (!reply || reply->result_case != PUBLISHER__PUBLISHER_REPLY__RESULT_ITEMS_TAKEN)
		return;
	for (size_t i = 0; i < reply->items_taken->n_sessions; i++) {
		const Publisher__Taken *taken = reply->items_taken->sessions[i];
		struct episode *session;
		struct uuid id;

		if (!wire_id(taken->session, &id))
			continue;
		session = check_find_session(check, &id);
		if (session && taken->next > check->client[session->client].acked)
			check->client[session->client].acked = taken->next;
	}
}

/* ---- insights ---- */

static uint64_t hash_of(const Publisher__Insight *insight)
{
	uint64_t hash = 1469598103934665603u; /* FNV-1a */

	for (const char *p = insight->id; *p; p++)
		hash = (hash ^ (uint8_t)*p) * 1099511628211u;
	return hash ^ (uint64_t)insight->t;
}

static struct numbered *numbered_at(struct check *check, int publisher, uint64_t number)
{
	size_t n = check->n_numbers[publisher];

	if (number >= n) {
		size_t want = number < 1024 ? 1024 : 2 * number;

		check->number[publisher] =
		        xrealloc(check->number[publisher], want, sizeof(struct numbered));
		memset(check->number[publisher] + n, 0, (want - n) * sizeof(struct numbered));
		check->n_numbers[publisher] = want;
	}
	return &check->number[publisher][number];
}

static void check_new_insight(struct check *check, const Publisher__Insight *insight)
{
	struct episode *session, **current;
	struct uuid id;

	if (!uuid_parse(insight->session_id, &id))
		return;
	session = check_find_session(check, &id);
	if (!session)
		return; /* its handshake did not reach the device: the edge died with it */
	if (insight->t <= session->last_t_ms)
		check_broken(check, "P5: session %s emitted t=%" PRId64 " again, or backwards",
		             insight->session_id, insight->t);
	session->last_t_ms = insight->t;
	current = &check->current[session->device];
	if (*current == session)
		return;
	if (session->past)
		check_broken(check,
		             "P4: an insight of session %s after its device's next session had "
		             "one",
		             insight->session_id);
	if (*current)
		(*current)->past = true;
	*current = session;
}

void check_published(struct check *check, int publisher, struct bytes event)
{
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&publisher__insights_published__descriptor, event);
	const Publisher__InsightsPublished *published =
	        (const Publisher__InsightsPublished *)message;

	for (size_t i = 0; published && i < published->n_insights; i++) {
		const Publisher__NumberedInsight *item = published->insights[i];
		struct numbered *numbered = numbered_at(check, publisher, item->number);
		struct uuid id;
		const struct episode *session;

		if (numbered->seen) {
			if (numbered->hash != hash_of(item->insight))
				check_broken(check,
				             "P5: number %" PRIu64
				             " of publisher %d is two insights",
				             item->number, publisher);
			continue;
		}
		session = uuid_parse(item->insight->session_id, &id)
		                  ? check_find_session(check, &id)
		                  : NULL;
		numbered->seen = true;
		numbered->hash = hash_of(item->insight);
		numbered->account = session ? ACCOUNT_OF(session->device) : 99;
		check->result.insights++;
		check_new_insight(check, item->insight);
	}
}

static bool field_id(struct bytes text, const char *name, struct uuid *ret)
{
	const char *p = memmem(text.data, text.len, name, strlen(name));
	char id[UUID_TEXT] = "";

	if (!p || p + strlen(name) + UUID_TEXT - 1 > (const char *)text.data + text.len)
		return false;
	memcpy(id, p + strlen(name), UUID_TEXT - 1);
	return uuid_parse(id, ret);
}

void check_heard(struct check *check, unsigned client, unsigned account, struct bytes text)
{
	struct connection *app = &check->client[client];
	struct uuid id, session;
	int publisher;
	uint64_t number;

	if (!field_id(text, "\"id\":\"", &id) || !field_id(text, "\"session_id\":\"", &session)) {
		check_broken(check, "P6: an insight without ids");
		return;
	}
	publisher = (int)(uuid_number(&session) % PARTITIONS % PUBLISHERS);
	number = outbox_number(&id);
	app->used = true;
	app->account = account;
	if (number <= app->last_heard[publisher])
		check_broken(check,
		             "P6: app %u heard number %" PRIu64 " of publisher %d after %" PRIu64,
		             client, number, publisher, app->last_heard[publisher]);
	for (uint64_t n = app->last_heard[publisher] + 1;
	     app->first_heard[publisher] > 0 && n < number; n++) {
		const struct numbered *missed = numbered_at(check, publisher, n);

		if (missed->seen && missed->account == account)
			check_broken(check, "P6: app %u missed number %" PRIu64 " of publisher %d",
			             client, n, publisher);
	}
	if (numbered_at(check, publisher, number)->seen &&
	    numbered_at(check, publisher, number)->account == 1 - account)
		check_broken(check, "P6: app %u heard an insight of another account", client);
	if (app->first_heard[publisher] == 0)
		app->first_heard[publisher] = number;
	app->last_heard[publisher] = number;
}

void check_app_left(struct check *check, unsigned client)
{
	(void)check; /* what it heard was judged as it came */
	(void)client;
}

/* ---- the end ---- */

/* | partition 2 | account 16 | table 1 | … */
static char table_of(struct bytes key)
{
	return key.len > 18 ? ((const char *)key.data)[18] : '\0';
}

static void check_stored_frame(struct check *check, struct bytes key, struct bytes value,
                               uint64_t *last_serial, struct uuid *last_session)
{
	struct frame frame;
	struct uuid id;
	uint32_t serial;
	struct bytes row = key_row(key);
	struct episode *session;

	if (row.len != 24 || !frame_parse(value, &frame) || frame.payload.len != sizeof serial) {
		check_broken(check, "P3: a frame row that is none");
		return;
	}
	memcpy(&serial, frame.payload.data, sizeof serial);
	memcpy(id.byte, row.data, sizeof id.byte);
	if (serial >= check->n_frames) {
		check_broken(check, "P3: a stored frame that nobody sent");
		return;
	}
	if (!uuid_equal(&id, last_session))
		*last_serial = 0;
	else if (serial <= *last_serial)
		check_broken(check, "P3: frame %u is stored behind %" PRIu64, serial, *last_serial);
	*last_session = id;
	*last_serial = serial;
	session = check_find_session(check, &id);
	if (session) {
		check_line_stored(check, session, serial);
		session->rows++;
		session->last_row = key_read_u64((const uint8_t *)row.data + sizeof id);
	}
	check->frame[serial].stored++;
	check->result.frames_stored++;
	if (check->frame[serial].late)
		check_broken(check, "P1: frame %u came after the revoke and is stored", serial);
}

/* Frames received = stored + known again. The row may run behind the frames. */
static void check_counters(struct check *check, const struct uuid *id,
                           const Events__StoredSession *stored)
{
	const struct episode *session = check_find_session(check, id);

	if (!session || stored->next == 0)
		return;
	if (stored->next != 1 + stored->frames + stored->duplicates + (stored->whole ? 1 : 0))
		check_broken(check,
		             "P3: of %" PRIu64 " items %" PRIu64 " frames and %" PRIu64
		             " copies are accounted for",
		             stored->next, stored->frames, stored->duplicates);
	if (session->last_row < stored->next && session->rows != stored->frames)
		check_broken(check, "P3: %" PRIu64 " frames are counted, %" PRIu64 " are stored",
		             stored->frames, session->rows);
}

static void check_stored_session(struct check *check, struct bytes key, struct bytes value)
{
	char text[UUID_TEXT] = "?";
	struct uuid id = { 0 };
	struct bytes row = key_row(key);
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&events__stored_session__descriptor, value);
	const Events__StoredSession *stored = (const Events__StoredSession *)message;

	if (row.len == sizeof id.byte) {
		memcpy(id.byte, row.data, sizeof id.byte);
		uuid_text(&id, text);
	}
	if (!stored || !stored->closing)
		check_broken(check, "P7: session %s stays open at its publisher", text);
	else
		check_counters(check, &id, stored);
}

void check_publisher_store(struct check *check, struct store *store)
{
	const uint8_t from[] = { 0 }, to[] = { 0xff, 0xff, 0xff };
	AUTO(scan_close)
	struct store_scan *scan =
	        scan_open(store, BYTES(from, sizeof from), BYTES(to, sizeof to), false);
	struct bytes key, value;
	uint64_t last_serial = 0;
	struct uuid last_session = { { 0 } };

	while (scan_next(scan, &key, &value)) {
		if (table_of(key) == 'f')
			check_stored_frame(check, key, value, &last_serial, &last_session);
		if (table_of(key) == 's')
			check_stored_session(check, key, value);
	}
}

void check_router_store(struct check *check, struct store *store)
{
	const uint8_t from[] = { 0 }, to[] = { 0xff, 0xff, 0xff };
	AUTO(scan_close)
	struct store_scan *scan =
	        scan_open(store, BYTES(from, sizeof from), BYTES(to, sizeof to), false);
	struct bytes key, value;

	while (scan_next(scan, &key, &value)) {
		AUTO(wire_free) ProtobufCMessage *message = NULL;
		const Events__SessionRow *row;

		if (table_of(key) != 's')
			continue;
		message = wire_unpack(&events__session_row__descriptor, value);
		row = (const Events__SessionRow *)message;
		if (row && strcmp(row->session->status, "closed") != 0)
			check_broken(check, "P7: session %s of %s stays open in the directory",
			             row->session->id, row->session->device_id);
	}
}

void check_frames(struct check *check)
{
	check_lines(check);
	for (size_t i = 0; i < check->n_frames; i++) {
		const struct sent *frame = &check->frame[i];
		const struct connection *client = &check->client[frame->client];

		if (frame->stored > 1)
			check_broken(check, "P3: frame %zu is stored %u times", i, frame->stored);
		if (frame->item == 0 || frame->stored > 0)
			continue;
		if (frame->item < client->acked)
			check_broken(check, "P3: frame %zu was acknowledged and is not stored", i);
		else if (!frame->may_be_lost)
			check_broken(check,
			             "P3: frame %zu was taken by an edge that lives and is not "
			             "stored",
			             i);
	}
}

void check_sum(const struct check *check, struct fleet_result *ret)
{
	ret->broken = check->result.broken;
	memcpy(ret->what, check->result.what, sizeof ret->what);
	ret->frames_stored = check->result.frames_stored;
	ret->insights = check->result.insights;
}

struct check *check_new(void)
{
	struct check *check = xcalloc(1, sizeof *check);

	map_init(&check->sessions, sizeof(struct uuid));
	return check;
}

static void free_session(void *ctx, struct map_node *node)
{
	struct episode *session = MAP_OWNER(node, struct episode, node);

	(void)ctx;
	mem_free(session->line);
	mem_free(session);
}

void check_free(struct check *check)
{
	map_each(&check->sessions, free_session, NULL);
	map_done(&check->sessions);
	for (int i = 0; i < PUBLISHERS; i++)
		mem_free(check->number[i]);
	mem_free(check->frame);
	mem_free(check);
}
