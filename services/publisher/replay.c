#include "services/publisher/replay.h"

#include "common/wire.h"
#include "services/publisher/publisher_raw.h"
#include "services/publisher/publisher_reply.h"

#include <stdlib.h>
#include <string.h>

/* A row that is in the page. */
struct found {
	struct uuid id;
	struct session_name name;
};

struct scan {
	struct store_scan *rows;
	bool ready; /* key and value are the next row */
	struct bytes key, value;
};

struct page {
	struct history *history;
	const struct asker *asker;
	uint64_t above, newest;
	struct scan scan[INSIGHT_TYPES];
	size_t n_scans;
	struct found *found; /* of the current ms */
	size_t n, cap;
	size_t looked_at;
	struct buf items; /* of a ReplayPage */
	struct uuid next;
	bool more;
};

static bool is_wanted(const Publisher__ReplayInsights *replay, enum insight_type type)
{
	for (size_t i = 0; i < replay->n_types; i++)
		if (strcmp(replay->types[i], insight_type_name(type)) == 0)
			return true;
	return false;
}

static void open_scans(struct page *page, const Publisher__ReplayInsights *replay)
{
	for (unsigned type = 0; type < INSIGHT_TYPES; type++) {
		struct key from, to;

		if (!is_wanted(replay, (enum insight_type)type))
			continue;
		outbox_i_key(&from, &page->asker->account, (enum insight_type)type);
		key_end_of(&from, &to);
		key_add_uuid(&from, &page->next);
		page->scan[page->n_scans++].rows =
		        scan_open(page->history->store, key_bytes(&from), key_bytes(&to), false);
	}
}

static struct uuid id_in(const struct scan *scan)
{
	struct uuid id;

	memcpy(&id, (const uint8_t *)scan->key.data + scan->key.len - sizeof id, sizeof id);
	return id;
}

static int by_id(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a, b, sizeof *a);
}

/* The scan whose row is next, or NULL when all have ended. */
static struct scan *next_row(struct page *page, struct uuid *ret_id)
{
	struct scan *oldest = NULL;

	for (size_t i = 0; i < page->n_scans; i++) {
		struct scan *scan = &page->scan[i];
		struct uuid id;

		if (!scan->ready)
			scan->ready = scan_next(scan->rows, &scan->key, &scan->value);
		if (!scan->ready)
			continue;
		id = id_in(scan);
		if (!oldest || by_id(&id, ret_id) < 0) {
			oldest = scan;
			*ret_id = id;
		}
	}
	return oldest;
}

static void note(struct page *page, const struct scan *scan, const struct uuid *id)
{
	const uint8_t *p = scan->value.data;
	struct found *found;

	if (outbox_number(id) <= page->above || scan->value.len != OUTBOX_I_BYTES ||
	    (page->asker->device_id &&
	     key_read_u64(p + 18) != outbox_device_tag(page->asker->device_id)))
		return;
	if (page->n == page->cap) {
		page->cap = page->cap ? 2 * page->cap : 64;
		page->found = xrealloc(page->found, page->cap, sizeof *page->found);
	}
	found = &page->found[page->n++];
	*found = (struct found){ .id = *id, .name.account = page->asker->account };
	found->name.partition = (uint16_t)(p[0] << 8 | p[1]);
	memcpy(&found->name.id, p + 2, sizeof found->name.id);
}

static int by_number(const void *a, const void *b)
{
	uint64_t left = outbox_number(&((const struct found *)a)->id);
	uint64_t right = outbox_number(&((const struct found *)b)->id);

	return left < right ? -1 : left > right;
}

/* One that retention has taken meanwhile is left out. */
static void add_insight(struct page *page, const struct found *found)
{
	struct buf row = { 0 };
	struct key key;

	outbox_x_key(&key, &found->name, outbox_number(&found->id));
	if (store_get(page->history->store, key_bytes(&key), &row) == OK &&
	    row.len >= OUTBOX_X_HEAD)
		raw_add_bytes(&page->items, 1,
		              BYTES(row.data + OUTBOX_X_HEAD, row.len - OUTBOX_X_HEAD));
	buf_free(&row);
}

/* A millisecond is whole: into the page with it, in the order of the numbers. */
static void end_ms(struct page *page)
{
	if (page->n > 1)
		qsort(page->found, page->n, sizeof *page->found, by_number);
	for (size_t i = 0; i < page->n; i++)
		add_insight(page, &page->found[i]);
	page->n = 0;
}

static void read_page(struct page *page)
{
	bool uncommitted = false; /* this ms holds one */
	int64_t ms = INT64_MIN;
	struct scan *scan;
	struct uuid id;

	while ((scan = next_row(page, &id))) {
		if (uuid_ms(&id) != ms) {
			end_ms(page);
			if (uncommitted) /* all that follow are too */
				return;
			ms = uuid_ms(&id);
			page->next = uuid_numbered(ms, 0);
			page->more =
			        page->looked_at >= REPLAY_ROWS || page->items.len >= REPLAY_BYTES;
			if (page->more)
				return;
		}
		if (outbox_number(&id) > page->newest)
			uncommitted = true;
		else
			note(page, scan, &id);
		page->looked_at++;
		page->history->metrics->history_rows_total++;
		scan->ready = false;
	}
	end_ms(page);
}

static enum err close_scans(struct page *page)
{
	enum err err = OK;

	for (size_t i = 0; i < page->n_scans; i++) {
		if (scan_err(page->scan[i].rows) != OK)
			err = ERR_IO;
		scan_close(page->scan[i].rows);
	}
	return err;
}

static void pack_page(struct page *page, struct buf *ret)
{
	raw_add_bytes(&page->items, 2, BYTES(&page->next, sizeof page->next));
	raw_add_u64(&page->items, 3, page->newest);
	raw_add_u64(&page->items, 4, page->more);
	raw_add_bytes(ret, 30, /* PublisherReply.replay_page */
	              BYTES(page->items.data, page->items.len));
}

void replay_answer(struct history *history, const struct asker *asker, struct bus_call *call,
                   const Publisher__ReplayInsights *replay)
{
	struct page page = { .history = history,
		             .asker = asker,
		             .above = replay->above,
		             .newest = history->turns->committed };
	struct buf reply = { 0 };

	if (!wire_id(replay->from, &page.next)) {
		reply_error(&reply, 400, 0, "from: expected 16 bytes");
	} else {
		open_scans(&page, replay);
		read_page(&page);
		if (close_scans(&page) == OK)
			pack_page(&page, &reply);
		else
			reply_error(&reply, 503, 1, "the store does not answer");
	}
	bus_reply(call, BYTES(reply.data, reply.len));
	buf_free(&reply);
	buf_free(&page.items);
	mem_free(page.found);
}
