/* The half of hours.h that lists. */
#include "services/auth/hours.h"

#include "common/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS    3600000
#define SLICE_ROWS 256
#define LOOKED_MOST                                                                                \
	50000 /* rows for one answer: a key that is seldom used is sought for longer               \
	       */
#define ANSWER_BYTES (BUS_MAX_BYTES - 4096)
#define LISTS_MOST   64
#define ROW_BYTES    (8 + sizeof(struct uuid)) /* of a key: hour, key id */

struct hours_list {
	TAILQ_ENTRY(hours_list) link;
	struct auth *auth;
	struct bus_call *call;
	bool has_key;
	struct uuid key;
	struct store_scan *scan;
	size_t limit, looked, n, cap, bytes;
	Auth__Hour **hour;
	uint8_t last[ROW_BYTES]; /* the row looked at last */
	struct timer timer;
};

static void free_list(struct hours_list *list)
{
	TAILQ_REMOVE(&list->auth->hours_lists, list, link);
	list->auth->n_hours_lists--;
	timer_stop(list->auth->loop, &list->timer);
	for (size_t i = 0; i < list->n; i++)
		wire_free(&list->hour[i]->base);
	mem_free(list->hour);
	scan_close(list->scan);
	mem_free(list);
}

static Auth__Hour *hour_of(struct bytes row, const Events__UsageRow *counts)
{
	Auth__Hour *hour = xcalloc(1, sizeof *hour);
	struct uuid key;

	auth__hour__init(hour);
	memcpy(key.byte, (const uint8_t *)row.data + 8, sizeof key.byte);
	hour->key_id = xcalloc(1, UUID_TEXT);
	uuid_text(&key, hour->key_id);
	hour->hour = xcalloc(1, 25);
	clock_iso8601((int64_t)key_read_u64(row.data) * HOUR_MS, hour->hour);
	hour->requests = counts->requests;
	hour->connections = counts->connections;
	hour->frames = counts->frames;
	hour->bytes = counts->bytes;
	hour->insights = counts->insights;
	return hour;
}

static void add(struct hours_list *list, struct bytes row, struct bytes value)
{
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&events__usage_row__descriptor, value);
	const uint8_t *key = (const uint8_t *)row.data + 8;

	if (row.len != ROW_BYTES || !message) {
		log_error("row-malformed", "table=h");
		return;
	}
	memcpy(list->last, row.data, ROW_BYTES);
	if (list->has_key && memcmp(key, list->key.byte, sizeof list->key.byte) != 0)
		return;
	if (list->n == list->cap) {
		list->cap = list->cap ? 2 * list->cap : 64;
		list->hour = xrealloc(list->hour, list->cap, sizeof(Auth__Hour *));
	}
	list->hour[list->n] = hour_of(row, (const Events__UsageRow *)message);
	list->bytes += 8 + protobuf_c_message_get_packed_size(&list->hour[list->n++]->base);
}

/* is_cut: there is more behind the row looked at last. */
static void answer(struct hours_list *list, bool is_cut)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Auth__HourList hours = AUTH__HOUR_LIST__INIT;
	char next[32 + UUID_TEXT], key[UUID_TEXT];
	struct uuid id;

	memcpy(id.byte, list->last + 8, sizeof id.byte);
	uuid_text(&id, key);
	(void)snprintf(next, sizeof next, "%" PRIu64 ".%s", key_read_u64(list->last), key);
	reply.next = is_cut ? next : NULL;
	hours.n_items = list->n;
	hours.items = list->hour;
	reply.result_case = AUTH__AUTH_REPLY__RESULT_USAGE;
	reply.usage = &hours;
	core_answer(list->auth, TAKE(list->call), &reply);
	free_list(list);
}

static void refuse(struct hours_list *list, enum err err)
{
	struct refusal why = refusal_of(err, REFUSAL_AWAY("the usage cannot be read"));

	core_refuse(list->auth, TAKE(list->call), &why);
	free_list(list);
}

static bool is_full(const struct hours_list *list)
{
	return list->n == list->limit || list->bytes > ANSWER_BYTES - 256 ||
	       list->looked == LOOKED_MOST;
}

static void on_slice(void *self)
{
	struct hours_list *list = self;
	struct bytes key, value;

	for (int i = 0; i < SLICE_ROWS; i++) {
		if (!scan_next(list->scan, &key, &value)) {
			if (scan_err(list->scan) == OK)
				answer(list, false);
			else
				refuse(list, scan_err(list->scan));
			return;
		}
		if (is_full(list)) {
			answer(list, true);
			return;
		}
		list->looked++;
		add(list, key_row(key), value);
	}
	timer_set(list->auth->loop, &list->timer, 0, on_slice, list);
}

/* ---- what is wanted ---- */

static struct key place_of(const struct uuid *account, int64_t ms)
{
	int64_t hour = ms / HOUR_MS;
	struct key place;

	key_start(&place, PARTITION_OWN, account, 'h');
	key_add_u64(&place, hour > 0 ? (uint64_t)hour : 0);
	return place;
}

/* "489000.<key>": the row that the page before ended with. */
static bool read_cursor(const char *cursor, struct key *to)
{
	struct uuid key;
	char *end;
	uint64_t hour = strtoull(cursor, &end, 10);

	if (end == cursor || *end != '.' || !uuid_parse(end + 1, &key))
		return false;
	to->len -= 8;
	key_add_u64(to, hour);
	key_add_uuid(to, &key);
	return true;
}

static bool read_wanted(const Auth__ListUsage *wanted, const struct uuid *account,
                        struct hours_list *list, struct refusal *ret_why)
{
	int64_t most_ms = INT64_MAX / 2;
	int64_t to_ms = wanted->has_to_at && wanted->to_at < most_ms ? wanted->to_at : most_ms;
	struct key from = place_of(account, wanted->has_from_at ? wanted->from_at : 0);
	struct key to = place_of(account, to_ms < 0 ? 0 : to_ms + HOUR_MS);

	list->has_key = wanted->key_id;
	list->limit = wanted->has_limit ? wanted->limit : SIZE_MAX;
	if (wanted->key_id && !uuid_parse(wanted->key_id, &list->key))
		*ret_why = refusal(400, "key_id: expected a UUID");
	else if (wanted->has_limit && wanted->limit == 0)
		*ret_why = refusal(400, "limit: expected 1 or more, got 0");
	else if (wanted->cursor && !read_cursor(wanted->cursor, &to))
		*ret_why = refusal(400, "cursor: expected one from a Link header");
	else {
		list->scan = scan_open(list->auth->store, key_bytes(&from), key_bytes(&to), true);
		return true;
	}
	return false;
}

void hours_wanted(struct auth *auth, struct bus_call *call, const struct uuid *account,
                  const Auth__ListUsage *wanted)
{
	struct hours_list *list;
	struct refusal why;

	if (auth->n_hours_lists >= LISTS_MOST) {
		auth->metrics.dropped_total++;
		bus_drop(call);
		return;
	}
	list = xcalloc(1, sizeof *list);
	list->auth = auth;
	if (!read_wanted(wanted, account, list, &why)) {
		core_refuse(auth, call, &why);
		mem_free(list);
		return;
	}
	list->call = call;
	TAILQ_INSERT_TAIL(&auth->hours_lists, list, link);
	auth->n_hours_lists++;
	on_slice(list);
}

void hours_done(struct auth *auth)
{
	struct hours_list *list;

	while ((list = TAILQ_FIRST(&auth->hours_lists))) {
		bus_drop(list->call);
		free_list(list);
	}
}
