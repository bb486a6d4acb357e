#include "services/edge/feed.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/map.h"
#include "common/wire.h"

#include <stdio.h>
#include <string.h>

#define FETCH_MOST 1000 /* insights in one answer                       */
#define FETCH_MS   2000
#define RETRY_MS   200
#define CLOCKS_MS  600000 /* by which a publisher's clock may be behind ours, at most */

/* One publisher's numbers. */
struct source {
	struct feed *feed;
	char name[BUS_NAME_MAX];
	uint64_t next;   /* the number to deliver next; 0 = not known yet */
	uint64_t newest; /* the newest number heard of                    */
	int64_t made_ms; /* when the newest one delivered was made        */
	bool fetching;
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
	struct feed_counts counts;
};

static void fetch(void *ctx);

bool feed_ready(const struct feed *feed)
{
	for (unsigned i = 0; i < feed->n_sources; i++)
		if (feed->source[i].next == 0)
			return false;
	return true;
}

static struct audience *audience_of(struct feed *feed, const void *account)
{
	return MAP_OWNER(map_find(&feed->audiences, account), struct audience, node);
}

static void deliver(struct source *source, const Publisher__NumberedInsight *numbered, bool fetched)
{
	struct feed *feed = source->feed;
	struct audience *audience = NULL;
	struct feed_item item = { .insight = numbered->insight,
		                  .source = (unsigned)(source - feed->source),
		                  .number = numbered->number,
		                  .fetched = fetched };
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

static void take(struct source *source, const Publisher__InsightsPublished *published, bool fetched)
{
	for (size_t i = 0; i < published->n_insights; i++) {
		const Publisher__NumberedInsight *numbered = published->insights[i];

		if (numbered->number < source->next) {
			source->feed->counts.repeated++;
			continue;
		}
		if (numbered->number > source->next)
			break; /* a hole: fetched from here on */
		source->next++;
		source->made_ms = numbered->insight->ts;
		deliver(source, numbered, fetched);
	}
	if (published->newest > source->newest)
		source->newest = published->newest;
}

static void catch_up(struct source *source)
{
	if (source->next <= source->newest && !source->fetching && source->retry.place == 0) {
		source->feed->counts.holes++;
		fetch(source);
	}
}

static void on_ready(struct feed *feed)
{
	struct list *link;

	while (feed_ready(feed) && (link = list_first(&feed->waiting)) != NULL) {
		struct feed_subscriber *subscriber = LIST_OWNER(link, struct feed_subscriber, link);

		list_remove(link);
		feed_join(feed, subscriber);
	}
}

static void on_fetched(void *ctx, enum err err, struct bytes data)
{
	struct source *source = ctx;
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	const Publisher__PublisherReply *reply;

	source->fetching = false;
	if (err == OK)
		message = wire_unpack(&publisher__publisher_reply__descriptor, data);
	reply = (const Publisher__PublisherReply *)message;
	if (!reply || reply->error ||
	    reply->result_case != PUBLISHER__PUBLISHER_REPLY__RESULT_INSIGHTS_PUBLISHED) {
		timer_set(source->feed->loop, &source->retry, RETRY_MS, fetch, source);
		return;
	}
	if (source->next == 0) {
		source->newest = reply->insights_published->newest;
		source->next = source->newest + 1;
		source->made_ms = clock_wall_ms() - CLOCKS_MS;
		on_ready(source->feed);
		return;
	}
	/* What the publisher keeps no more is gone: go on behind it. */
	if (reply->insights_published->n_insights > 0 &&
	    reply->insights_published->insights[0]->number > source->next) {
		log_warn("insights-missed", "publisher=%s from=%llu to=%llu", source->name,
		         (unsigned long long)source->next,
		         (unsigned long long)reply->insights_published->insights[0]->number);
		source->next = reply->insights_published->insights[0]->number;
	}
	take(source, reply->insights_published, true);
	if (reply->insights_published->n_insights == 0 && source->next <= source->newest)
		timer_set(source->feed->loop, &source->retry, RETRY_MS, fetch, source);
	else
		catch_up(source);
}

static void fetch(void *ctx)
{
	struct source *source = ctx;
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__FetchInsights want = PUBLISHER__FETCH_INSIGHTS__INIT;
	struct buf buf = { 0 };

	want.from = source->next;
	want.limit = FETCH_MOST;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_FETCH_INSIGHTS;
	request.fetch_insights = &want;
	source->fetching = true;
	bus_request(source->feed->bus, source->name, wire_pack(&buf, &request.base), FETCH_MS,
	            on_fetched, source);
	buf_free(&buf);
}

static void on_broadcast(void *ctx, struct bytes event)
{
	struct source *source = ctx;
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&publisher__insights_published__descriptor, event);

	if (!message) {
		log_warn("bad-broadcast", "publisher=%s bytes=%zu", source->name, event.len);
		return;
	}
	if (source->next == 0)
		return; /* it does not know yet where it stands */
	take(source, (const Publisher__InsightsPublished *)message, false);
	catch_up(source);
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
	return (struct feed_place){ feed->source[source].next - 1, feed->source[source].made_ms };
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
	feed->source = xcalloc(publishers, sizeof *feed->source);
	map_init(&feed->audiences, sizeof(struct uuid));
	list_init(&feed->waiting);
	for (unsigned i = 0; i < publishers; i++) {
		struct source *source = &feed->source[i];
		char channel[BUS_NAME_MAX];

		source->feed = feed;
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
	for (unsigned i = 0; i < feed->n_sources; i++)
		timer_stop(feed->loop, &feed->source[i].retry);
	map_each(&feed->audiences, free_audience, NULL);
	map_done(&feed->audiences);
	mem_free(feed->source);
	mem_free(feed);
}
