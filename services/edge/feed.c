#include "services/edge/feed.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/map.h"
#include "common/wire.h"
#include "services/edge/feed_queue.h"

#include <stdio.h>
#include <string.h>

#define FETCH_MOST 1000 /* insights in one answer                       */
#define FETCH_MS   2000
#define RETRY_MS   200
#define ASK_MS     10     /* between two questions how far a publisher is */
#define CLOCKS_MS  600000 /* by which a publisher's clock may be behind ours, at most */

/* One publisher's numbers. */
struct source {
	struct feed *feed;
	char name[BUS_NAME_MAX];
	uint64_t next;   /* the number to take next; 0 = not known yet */
	uint64_t newest; /* the newest number heard of                 */
	struct feed_queue queue;
	bool fetching;
	int64_t asked_ms; /* boot time */
	struct timer retry;
};

/* The subscribers of one account. */
struct audience {
	struct map_node node;
	struct uuid account;
	struct list subscribers;
};

struct feed {
	struct loop *loop;
	struct bus *bus;
	unsigned n_sources;
	struct source *source;
	struct map audiences;
	struct list waiting; /* subscribers before the feed is ready */
	bool ready;
	int64_t start_ms;  /* the feed begins behind what was made then */
	int64_t told_ms;   /* the latest ts that was delivered         */
	struct timer hold; /* runs while somebody is waited for         */
	struct feed_counts counts;
};

static void fetch(void *ctx);

bool feed_ready(const struct feed *feed)
{
	return feed->ready;
}

static struct audience *audience_of(struct feed *feed, const void *account)
{
	return MAP_OWNER(map_find(&feed->audiences, account), struct audience, node);
}

static void deliver(struct source *source, const Publisher__NumberedInsight *numbered, bool fast)
{
	struct feed *feed = source->feed;
	struct audience *audience = NULL;
	struct feed_item item = { .insight = numbered->insight,
		                  .source = (unsigned)(source - feed->source),
		                  .number = numbered->number,
		                  .fetched = fast };
	char *json;
	struct list turn;

	feed->counts.insights++;
	if (numbered->account.len == sizeof(struct uuid))
		audience = audience_of(feed, numbered->account.data);
	if (!audience || list_empty(&audience->subscribers))
		return;
	json = json_of_message(&numbered->insight->base);
	item.json = BYTES(json, strlen(json));
	item.text = net_shared_new(item.json);
	/* A subscriber may leave, and with the last the audience: move each over as it is told. */
	list_init(&turn);
	while (!list_empty(&audience->subscribers))
		list_append(&turn, list_first(&audience->subscribers));
	while (!list_empty(&turn)) {
		struct feed_subscriber *subscriber =
		        LIST_OWNER(list_first(&turn), struct feed_subscriber, link);

		list_append(&audience->subscribers, &subscriber->link);
		subscriber->on_insight(subscriber, &item);
		audience = audience_of(feed, numbered->account.data);
		MUST(audience != NULL || list_empty(&turn));
	}
	net_shared_unref(item.text);
	mem_free(json);
}

/* ---- the order of all publishers ---- */

static struct source *oldest(struct feed *feed)
{
	struct source *oldest = NULL;
	int64_t oldest_ts = 0;

	for (unsigned i = 0; i < feed->n_sources; i++) {
		const Publisher__NumberedInsight *head = feed_queue_head(&feed->source[i].queue);

		if (head && (!oldest || head->insight->ts < oldest_ts)) {
			oldest = &feed->source[i];
			oldest_ts = head->insight->ts;
		}
	}
	return oldest;
}

/* How far is it? */
static void ask(struct source *source)
{
	int64_t wait = source->asked_ms + ASK_MS - clock_boot_ms();

	if (source->fetching || source->retry.place != 0)
		return;
	if (wait > 0)
		timer_set(source->feed->loop, &source->retry, wait, fetch, source);
	else
		fetch(source);
}

/* May it still make something that comes before what publisher `of` made at ts? */
static bool is_short_of(const struct source *source, unsigned of, int64_t ts)
{
	unsigned own = (unsigned)(source - source->feed->source);

	return own != of && !source->queue.is_behind && !feed_queue_head(&source->queue) &&
	       source->queue.through_ms < ts - (own > of);
}

static void on_hold_over(void *ctx);

/* True: somebody is asked, and waited for. */
static bool must_wait(struct feed *feed, unsigned of, int64_t ts)
{
	bool waits = false;

	for (unsigned i = 0; i < feed->n_sources; i++)
		if (is_short_of(&feed->source[i], of, ts)) {
			ask(&feed->source[i]);
			waits = true;
		}
	if (!waits)
		timer_stop(feed->loop, &feed->hold);
	else if (feed->hold.place == 0)
		timer_set(feed->loop, &feed->hold, FEED_HOLD_MS, on_hold_over, feed);
	return waits;
}

static bool knows_all(const struct feed *feed)
{
	for (unsigned i = 0; i < feed->n_sources; i++)
		if (feed->source[i].next == 0)
			return false;
	return true;
}

static void become_ready(struct feed *feed)
{
	struct list *link;

	feed->ready = true;
	while ((link = list_first(&feed->waiting)) != NULL) {
		struct feed_subscriber *subscriber = LIST_OWNER(link, struct feed_subscriber, link);

		list_remove(link);
		feed_join(feed, subscriber);
	}
}

/* What the feed waits for next: an insight's turn, or, before it is ready, its place to begin.
 * NULL: the place; *ret_ts: when. False: nothing. */
static bool next_wait(struct feed *feed, struct source **ret, int64_t *ret_ts)
{
	struct source *source = oldest(feed);

	*ret = source;
	*ret_ts = source ? feed_queue_head(&source->queue)->insight->ts : INT64_MAX;
	if (!feed->ready && knows_all(feed) && *ret_ts > feed->start_ms) {
		*ret = NULL;
		*ret_ts = feed->start_ms;
		return true;
	}
	return source != NULL;
}

static void deliver_next(struct feed *feed, struct source *source)
{
	bool fast;
	const Publisher__NumberedInsight *numbered = feed_queue_pop(&source->queue, &fast);

	if (numbered->insight->ts > feed->told_ms)
		feed->told_ms = numbered->insight->ts;
	deliver(source, numbered, fast);
	feed_queue_tidy(&source->queue);
}

static void deliver_all(struct feed *feed)
{
	struct source *source;
	int64_t ts;

	while (next_wait(feed, &source, &ts)) {
		unsigned of = source ? (unsigned)(source - feed->source) : feed->n_sources;

		if (must_wait(feed, of, ts))
			return;
		if (source)
			deliver_next(feed, source);
		else
			become_ready(feed);
	}
}

/* Who is waited for is waited for no longer, until it has caught up. */
static void on_hold_over(void *ctx)
{
	struct feed *feed = ctx;
	struct source *source;
	int64_t ts;

	if (!next_wait(feed, &source, &ts))
		return;
	for (unsigned i = 0; i < feed->n_sources; i++) {
		if (!is_short_of(&feed->source[i],
		                 source ? (unsigned)(source - feed->source) : feed->n_sources, ts))
			continue;
		feed->source[i].queue.is_behind = true;
		feed->counts.away++;
		log_warn("publisher-away", "publisher=%s", feed->source[i].name);
	}
	deliver_all(feed);
}

/* ---- what publishers say ---- */

static void catch_up(struct source *source)
{
	if (source->next > 0 && source->next <= source->newest && !source->fetching &&
	    source->retry.place == 0 && source->queue.bytes < FEED_HELD_BYTES) {
		source->feed->counts.holes++;
		fetch(source);
	}
}

/* Delivers what may go, and fetches what there is room for. */
static void go_on(struct feed *feed)
{
	deliver_all(feed);
	for (unsigned i = 0; i < feed->n_sources; i++)
		catch_up(&feed->source[i]);
}

/* Nothing that it has made is on its way: its word counts. One that gives none is not waited
 * for. */
static void take_word(struct source *source, const Publisher__InsightsPublished *published)
{
	int64_t through_ms = published->has_through_ms ? published->through_ms : INT64_MAX;

	if (source->next <= published->newest || through_ms < source->queue.through_ms)
		return;
	source->queue.through_ms = through_ms;
	if (through_ms >= source->feed->told_ms)
		source->queue.is_behind = false;
}

/* Takes the message. */
static void take(struct source *source, ProtobufCMessage *message,
                 const Publisher__InsightsPublished *published, size_t bytes, bool fetched)
{
	size_t first = 0, end;

	while (first < published->n_insights && published->insights[first]->number < source->next)
		first++;
	source->feed->counts.repeated += first;
	end = first;
	if (source->queue.bytes < FEED_HELD_BYTES)
		while (end < published->n_insights &&
		       published->insights[end]->number == source->next) {
			source->next++;
			end++;
		}
	if (published->newest > source->newest)
		source->newest = published->newest;
	take_word(source, published);
	if (end > first)
		feed_queue_add(&source->queue, message, published, first, end, bytes, fetched);
	else
		wire_free(message);
	go_on(source->feed);
}

/* Where it stands at the start. */
static void begin(struct source *source, const Publisher__InsightsPublished *published)
{
	struct feed *feed = source->feed;

	source->newest = source->queue.told = published->newest;
	source->next = source->newest + 1;
	source->queue.made_ms = clock_wall_ms() - CLOCKS_MS;
	if (feed->n_sources > 1 && published->has_through_ms &&
	    published->through_ms >= feed->start_ms)
		feed->start_ms = published->through_ms + 1;
}

static void on_fetched(void *ctx, enum err err, struct bytes data)
{
	struct source *source = ctx;
	ProtobufCMessage *message = NULL;
	const Publisher__PublisherReply *reply;
	const Publisher__InsightsPublished *published;

	source->fetching = false;
	if (err == OK)
		message = wire_unpack(&publisher__publisher_reply__descriptor, data);
	reply = (const Publisher__PublisherReply *)message;
	if (!reply || reply->error ||
	    reply->result_case != PUBLISHER__PUBLISHER_REPLY__RESULT_INSIGHTS_PUBLISHED) {
		wire_free(message);
		timer_set(source->feed->loop, &source->retry, RETRY_MS, fetch, source);
		return;
	}
	published = reply->insights_published;
	if (source->next == 0)
		begin(source, published);
	/* What the publisher keeps no more is gone: go on behind it. */
	if (published->n_insights > 0 && published->insights[0]->number > source->next) {
		log_warn("insights-missed", "publisher=%s from=%llu to=%llu", source->name,
		         (unsigned long long)source->next,
		         (unsigned long long)published->insights[0]->number);
		source->next = published->insights[0]->number;
	}
	if (published->n_insights == 0 && source->next <= published->newest)
		timer_set(source->feed->loop, &source->retry, RETRY_MS, fetch, source);
	take(source, message, published, data.len, true);
}

static void fetch(void *ctx)
{
	struct source *source = ctx;
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__FetchInsights want = PUBLISHER__FETCH_INSIGHTS__INIT;
	struct buf buf = { 0 };

	want.from = source->next;
	want.limit = source->queue.bytes < FEED_HELD_BYTES ? FETCH_MOST : 0;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_FETCH_INSIGHTS;
	request.fetch_insights = &want;
	source->fetching = true;
	source->asked_ms = clock_boot_ms();
	bus_request(source->feed->bus, source->name, wire_pack(&buf, &request.base), FETCH_MS,
	            on_fetched, source);
	buf_free(&buf);
}

static void on_broadcast(void *ctx, struct bytes event)
{
	struct source *source = ctx;
	ProtobufCMessage *message;

	if (source->next == 0)
		return; /* it does not know yet where it stands */
	message = wire_unpack(&publisher__insights_published__descriptor, event);
	if (message)
		take(source, message, (const Publisher__InsightsPublished *)message, event.len,
		     false);
	else
		log_warn("bad-broadcast", "publisher=%s bytes=%zu", source->name, event.len);
}

void feed_join(struct feed *feed, struct feed_subscriber *subscriber)
{
	struct audience *audience;

	if (!feed_ready(feed)) {
		list_append(&feed->waiting, &subscriber->link);
		return;
	}
	audience = audience_of(feed, &subscriber->account);
	if (!audience) {
		audience = xcalloc(1, sizeof *audience);
		audience->account = subscriber->account;
		list_init(&audience->subscribers);
		map_add(&feed->audiences, &audience->node, &audience->account);
	}
	list_append(&audience->subscribers, &subscriber->link);
	feed->counts.subscribers++;
	subscriber->joined = true;
	subscriber->on_ready(subscriber);
}

/* The audience stays, though empty: accounts are few, and deliver() may stand on it. */
void feed_leave(struct feed *feed, struct feed_subscriber *subscriber)
{
	if (!subscriber->link.next)
		return;
	if (subscriber->joined)
		feed->counts.subscribers--;
	subscriber->joined = false;
	list_remove(&subscriber->link);
}

unsigned feed_sources(const struct feed *feed)
{
	return feed->n_sources;
}

struct feed_place feed_place(const struct feed *feed, unsigned source)
{
	MUST(source < feed->n_sources && feed->source[source].next > 0);
	return (struct feed_place){ feed->source[source].queue.told,
		                    feed->source[source].queue.made_ms };
}

bool feed_is_past(const struct feed *feed, unsigned source, int64_t ms)
{
	const struct feed_queue *queue = &feed->source[source].queue;
	const Publisher__NumberedInsight *head = feed_queue_head(queue);

	if (head)
		return head->insight->ts >= ms;
	return queue->is_behind || queue->through_ms >= ms - 1;
}

const struct feed_counts *feed_counts(const struct feed *feed)
{
	return &feed->counts;
}

struct feed *feed_new(struct loop *loop, struct bus *bus, unsigned publishers)
{
	struct feed *feed = xcalloc(1, sizeof *feed);

	feed->loop = loop;
	feed->bus = bus;
	feed->n_sources = publishers;
	feed->start_ms = feed->told_ms = INT64_MIN;
	feed->source = xcalloc(publishers, sizeof *feed->source);
	map_init(&feed->audiences, sizeof(struct uuid));
	list_init(&feed->waiting);
	for (unsigned i = 0; i < publishers; i++) {
		struct source *source = &feed->source[i];
		char channel[BUS_NAME_MAX];

		source->feed = feed;
		source->asked_ms = INT64_MIN / 2;
		feed_queue_init(&source->queue);
		(void)snprintf(source->name, sizeof source->name, "publisher-%u", i);
		(void)snprintf(channel, sizeof channel, "publisher-%u.insights", i);
		if (bus_subscribe(bus, channel, 1, on_broadcast, source) != OK)
			log_error("subscribe", "channel=%s why=\"%s\"", channel, bus_why(bus));
		fetch(source);
	}
	return feed;
}

static void free_audience(void *ctx, struct map_node *node)
{
	(void)ctx;
	mem_free(MAP_OWNER(node, struct audience, node));
}

void feed_free(struct feed *feed)
{
	if (!feed)
		return;
	timer_stop(feed->loop, &feed->hold);
	for (unsigned i = 0; i < feed->n_sources; i++) {
		timer_stop(feed->loop, &feed->source[i].retry);
		feed_queue_done(&feed->source[i].queue);
	}
	map_each(&feed->audiences, free_audience, NULL);
	map_done(&feed->audiences);
	mem_free(feed->source);
	mem_free(feed);
}
