#include "services/edge/replay.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/wire.h"

#include <stdio.h>
#include <string.h>

#define PAGE_MS     2000
#define RETRY_MS    200
#define HELD_ITEM   96 /* what a held insight costs besides its text, about */
#define NUMBER_BITS 56 /* of an insight id's low 62; the partition is above */
#define NUMBERS     ((UINT64_C(1) << NUMBER_BITS) - 1)

enum phase { PAGES, JOINING, HOLDING };

/* One publisher's part of the history. */
struct source {
	struct replay *replay;
	struct list waiting; /* in replays->waiting */
	struct asked *asked;
	struct replay_from from; /* of the next page */
	int64_t begin_ms;        /* nothing that was made earlier is told */
	Publisher__PublisherReply *reply;
	size_t at;     /* in its page */
	uint64_t upto; /* the number that is told last */
	bool done;     /* every number up to `upto` is told, or in the page */
	bool begun;    /* a page was there */
	bool has_back; /* history has numbers above `upto`, the first from this ms */
	int64_t back_ms;
};

/* A page on its way. */
struct asked {
	struct list link; /* in replays->in_air */
	struct replays *replays;
	struct source *source; /* NULL: nobody waits for it any more */
};

struct held {
	struct held *next;
	unsigned source;
	uint64_t number;
	int64_t ts;
	char id[UUID_TEXT];
	size_t len;
	char json[];
};

struct replay {
	struct replays *replays;
	struct feed_subscriber *subscriber;
	const struct filter *filter;
	const struct replay_owner *owner;
	void *ctx;
	enum phase phase;
	bool has_place; /* the sources know up to where */
	struct held *first, **end;
	size_t held_bytes;
	struct timer timer;
	int64_t heard_ms; /* boot time of the last answer */
	unsigned n;
	struct source source[];
};

static void go_on(struct replay *replay);
static void ask_some(struct replays *replays);

/* ---- where to begin ---- */

static struct uuid first_of_ms(int64_t ms)
{
	const int64_t most = (INT64_C(1) << 48) - 1;

	return uuid_numbered(ms < 0 ? 0 : ms > most ? most : ms, 0);
}

/* What is told is in the order of (ts, publisher, number). */
struct replay_from replay_after(const struct uuid *id, unsigned source, unsigned sources)
{
	uint64_t number = uuid_number(id);
	unsigned made_by = (unsigned)(number >> NUMBER_BITS) % sources;

	if (made_by == source)
		return (struct replay_from){ first_of_ms(uuid_ms(id)), number & NUMBERS };
	return (struct replay_from){ first_of_ms(uuid_ms(id) + (source < made_by)), 0 };
}

struct replay_from replay_since(int64_t ms)
{
	return (struct replay_from){ first_of_ms(ms), 0 };
}

/* ---- pages ---- */

static void drop_page(struct source *source)
{
	if (source->reply)
		wire_free(&source->reply->base);
	source->reply = NULL;
	source->at = 0;
}

static void forget(struct asked *asked)
{
	asked->replays->n_in_air--;
	list_remove(&asked->link);
	mem_free(asked);
}

static void on_retry(void *ctx)
{
	go_on(ctx);
}

static void wait_a_little(struct replay *replay)
{
	if (clock_boot_ms() - replay->heard_ms > REPLAY_AWAY_MS) {
		replay->heard_ms = clock_boot_ms();
		replay->owner->on_away(replay->ctx);
		return;
	}
	timer_set(replay->replays->loop, &replay->timer, RETRY_MS, on_retry, replay);
}

/* Up to where the feed stands. */
static void take_place(struct replay *replay)
{
	for (unsigned i = 0; i < replay->n; i++) {
		struct source *source = &replay->source[i];

		source->upto = feed_place(replay->replays->feed, i).number;
		source->done = source->begun && source->from.above >= source->upto;
		if (source->has_back)
			source->from.id = first_of_ms(source->back_ms);
		source->has_back = false;
	}
	replay->has_place = true;
}

/* A number that the publisher has not made is no insight's: its time alone counts, asked anew. */
static bool is_nothing_of_its(struct source *source, const Publisher__ReplayPage *page)
{
	bool is_first = !source->begun;

	source->begun = true;
	if (!is_first || source->from.above <= page->newest)
		return false;
	source->from.above = 0;
	return true;
}

/* False: it is no page. */
static bool take_page(struct source *source, struct bytes data)
{
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&publisher__publisher_reply__descriptor, data);
	Publisher__PublisherReply *reply = (Publisher__PublisherReply *)message;
	const Publisher__ReplayPage *page;
	struct uuid next;

	if (!reply || reply->error ||
	    reply->result_case != PUBLISHER__PUBLISHER_REPLY__RESULT_REPLAY_PAGE ||
	    !wire_id(reply->replay_page->next, &next))
		return false;
	page = reply->replay_page;
	if (is_nothing_of_its(source, page))
		return true;
	source->reply = (Publisher__PublisherReply *)TAKE(message);
	source->at = 0;
	source->from.id = next;
	source->done = !page->more;
	if (source->done && source->upto > source->from.above)
		source->from.above = source->upto;
	return true;
}

static void on_page(void *ctx, enum err err, struct bytes data)
{
	struct asked *asked = ctx;
	struct replays *replays = asked->replays;
	struct source *source = asked->source;
	struct replay *replay = source ? source->replay : NULL;

	forget(asked);
	if (source)
		source->asked = NULL;
	if (source && err == OK && take_page(source, data)) {
		replay->heard_ms = clock_boot_ms();
		go_on(replay);
	} else if (source) {
		wait_a_little(replay);
	}
	ask_some(replays);
}

static void ask(struct source *source, const Raeh__Principal *principal)
{
	struct replay *replay = source->replay;
	struct replays *replays = replay->replays;
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__ReplayInsights want = PUBLISHER__REPLAY_INSIGHTS__INIT;
	struct asked *asked = xcalloc(1, sizeof *asked);
	const char *types[FILTER_TYPES];
	char name[BUS_NAME_MAX];
	struct buf buf = { 0 };

	asked->replays = replays;
	asked->source = source;
	source->asked = asked;
	list_append(&replays->in_air, &asked->link);
	replays->n_in_air++;
	want.from = wire_bytes_of(&source->from.id);
	want.has_above = 1;
	want.above = source->from.above;
	want.n_types = filter_types(replay->filter, types);
	want.types = (char **)types;
	request.principal = (Raeh__Principal *)principal;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_REPLAY_INSIGHTS;
	request.replay_insights = &want;
	(void)snprintf(name, sizeof name, "publisher-%u", (unsigned)(source - replay->source));
	bus_request(replays->bus, name, wire_pack(&buf, &request.base), PAGE_MS, on_page, asked);
	buf_free(&buf);
}

static void ask_some(struct replays *replays)
{
	struct list *link;

	while (replays->n_in_air < REPLAY_IN_AIR && (link = list_first(&replays->waiting))) {
		struct source *source = LIST_OWNER(link, struct source, waiting);
		struct replay *replay = source->replay;
		const Raeh__Principal *principal = replay->owner->principal(replay->ctx);

		list_remove(link);
		if (principal)
			ask(source, principal);
		else
			timer_set(replays->loop, &replay->timer, RETRY_MS, on_retry, replay);
	}
}

/* Pages that are due and not asked for. */
static void want_pages(struct replay *replay)
{
	for (unsigned i = 0; i < replay->n; i++) {
		struct source *source = &replay->source[i];

		if (!source->done && !source->reply && !source->asked &&
		    !list_linked(&source->waiting))
			list_append(&replay->replays->waiting, &source->waiting);
	}
	ask_some(replay->replays);
}

/* ---- telling ---- */

static uint64_t number_of(const Publisher__Insight *insight)
{
	struct uuid id;

	return uuid_parse(insight->id, &id) ? uuid_number(&id) & NUMBERS : 0;
}

/* What the feed had not come to is left for later. */
static const Publisher__Insight *head_of(struct source *source)
{
	const Publisher__ReplayPage *page = source->reply ? source->reply->replay_page : NULL;

	for (; page && source->at < page->n_items; source->at++) {
		const Publisher__Insight *insight = page->items[source->at];

		if (number_of(insight) <= source->upto)
			return insight;
		if (!source->has_back || insight->ts < source->back_ms)
			source->back_ms = insight->ts;
		source->has_back = true;
	}
	drop_page(source);
	return NULL;
}

/* The source whose insight is next; NULL: none, or a page must come first (*ret_wait). */
static struct source *next_source(struct replay *replay, bool *ret_wait)
{
	struct source *oldest = NULL;

	*ret_wait = false;
	for (unsigned i = 0; i < replay->n; i++) {
		struct source *source = &replay->source[i];
		const Publisher__Insight *insight = head_of(source);

		*ret_wait |= !insight && !source->done;
		if (insight && (!oldest || insight->ts < head_of(oldest)->ts))
			oldest = source;
	}
	return *ret_wait ? NULL : oldest;
}

static void tell(struct replay *replay, const Publisher__Insight *insight)
{
	char *json;

	if (!replay->owner->wants(replay->ctx, insight))
		return;
	json = json_of_message(&insight->base);
	replay->owner->on_insight(replay->ctx, insight->id, BYTES(json, strlen(json)));
	mem_free(json);
}

/* False: no room, or pages are awaited. */
static bool tell_pages(struct replay *replay)
{
	for (;;) {
		bool wait;
		struct source *source = next_source(replay, &wait);

		if (wait)
			want_pages(replay);
		if (!source)
			return !wait;
		if (!replay->owner->has_room(replay->ctx))
			return false;
		tell(replay, head_of(source));
		source->at++;
	}
}

/* ---- from history to live ---- */

static void drop_held(struct replay *replay)
{
	struct held *held = replay->first;

	replay->held_bytes -= HELD_ITEM + held->len;
	replay->first = held->next;
	if (!replay->first)
		replay->end = &replay->first;
	mem_free(held);
}

static bool was_told(const struct source *source, const struct held *held)
{
	return held->number <= source->from.above || held->ts < source->begin_ms;
}

/* False: no room. */
static bool tell_held(struct replay *replay)
{
	while (replay->first) {
		struct held *held = replay->first;
		struct source *source = &replay->source[held->source];

		if (!was_told(source, held)) {
			if (!replay->owner->has_room(replay->ctx))
				return false;
			replay->owner->on_insight(replay->ctx, held->id,
			                          BYTES(held->json, held->len));
			source->from.above = held->number;
		}
		drop_held(replay);
	}
	return true;
}

void replay_joined(struct replay *replay)
{
	take_place(replay);
}

/* What was to be told up to joining still is, before it joins again. */
static void leave_and_begin_again(struct replay *replay)
{
	feed_leave(replay->replays->feed, replay->subscriber);
	while (replay->first)
		drop_held(replay);
	replay->phase = PAGES;
	timer_set(replay->replays->loop, &replay->timer, 0, on_retry, replay);
}

/* The feed may be behind where the replay began: what it still has from before that is dropped. */
static bool feed_has_met(struct replay *replay)
{
	const struct feed *feed = replay->replays->feed;

	for (unsigned i = 0; i < replay->n; i++)
		if (feed_place(feed, i).number < replay->source[i].from.above ||
		    !feed_is_past(feed, i, replay->source[i].begin_ms))
			return false;
	return true;
}

/* May end the replay. */
static void tell_last(struct replay *replay)
{
	if (!tell_held(replay))
		return;
	if (feed_has_met(replay))
		replay->owner->on_live(replay->ctx);
	else
		timer_set(replay->replays->loop, &replay->timer, RETRY_MS, on_retry, replay);
}

void replay_hold(struct replay *replay, const struct feed_item *item)
{
	size_t cost = HELD_ITEM + item->json.len;
	struct held *held;

	if (!replay->owner->wants(replay->ctx, item->insight))
		return;
	if (replay->held_bytes + cost > REPLAY_HELD_BYTES) {
		leave_and_begin_again(replay);
		return;
	}
	held = xcalloc(1, sizeof *held + item->json.len);
	held->source = item->source;
	held->number = item->number;
	held->ts = item->insight->ts;
	(void)snprintf(held->id, sizeof held->id, "%s", item->insight->id);
	held->len = item->json.len;
	memcpy(held->json, item->json.data, item->json.len);
	*replay->end = held;
	replay->end = &held->next;
	replay->held_bytes += cost;
	if (replay->phase == HOLDING)
		tell_last(replay);
}

/* The feed is ready: that was waited for. */
static void join(struct replay *replay)
{
	replay->phase = JOINING;
	feed_join(replay->replays->feed, replay->subscriber);
	MUST(replay->subscriber->joined);
}

static void go_on(struct replay *replay)
{
	if (!replay->has_place && !feed_ready(replay->replays->feed)) {
		wait_a_little(replay);
		return;
	}
	if (!replay->has_place)
		take_place(replay);
	if (!tell_pages(replay))
		return;
	if (replay->phase == PAGES) {
		join(replay);
		if (!tell_pages(replay))
			return;
	}
	replay->phase = HOLDING;
	tell_last(replay);
}

void replay_go_on(struct replay *replay)
{
	go_on(replay);
}

/* ---- life ---- */

/* What is to come is not waited for. */
static int64_t begin_ms(const struct replay_from *from)
{
	int64_t ms = uuid_ms(&from->id), now = clock_wall_ms();

	return ms < now ? ms : now;
}

struct replay *replay_new(struct replays *replays, const struct replay_from *from,
                          struct feed_subscriber *subscriber, const struct filter *filter,
                          const struct replay_owner *owner, void *ctx)
{
	unsigned n = feed_sources(replays->feed);
	struct replay *replay = xcalloc(1, sizeof *replay + n * sizeof replay->source[0]);

	replay->replays = replays;
	replay->subscriber = subscriber;
	replay->filter = filter;
	replay->owner = owner;
	replay->ctx = ctx;
	replay->end = &replay->first;
	replay->heard_ms = clock_boot_ms();
	replay->n = n;
	for (unsigned i = 0; i < n; i++) {
		replay->source[i].replay = replay;
		replay->source[i].from = from[i];
		replay->source[i].begin_ms = begin_ms(&from[i]);
	}
	if (feed_ready(replays->feed)) {
		take_place(replay);
		want_pages(replay);
	} else {
		wait_a_little(replay);
	}
	return replay;
}

void replay_free(struct replay *replay)
{
	if (!replay)
		return;
	timer_stop(replay->replays->loop, &replay->timer);
	while (replay->first)
		drop_held(replay);
	for (unsigned i = 0; i < replay->n; i++) {
		struct source *source = &replay->source[i];

		list_remove(&source->waiting);
		drop_page(source);
		if (source->asked)
			source->asked->source = NULL;
	}
	mem_free(replay);
}

void replays_init(struct replays *replays, struct loop *loop, struct bus *bus, struct feed *feed)
{
	*replays = (struct replays){ .loop = loop, .bus = bus, .feed = feed };
	list_init(&replays->waiting);
	list_init(&replays->in_air);
}

void replays_done(struct replays *replays)
{
	while (!list_empty(&replays->in_air))
		forget(LIST_OWNER(list_first(&replays->in_air), struct asked, link));
}
