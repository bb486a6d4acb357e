#include "services/edge/fake_bus.h"
#include "services/edge/feed.h"

#define PUBLISHERS 2

/* In place of net's: one text, counted. */
struct net_shared {
	unsigned refs;
	struct buf text;
};

static unsigned shared_made;

struct net_shared *net_shared_new(struct bytes text)
{
	struct net_shared *shared = xcalloc(1, sizeof *shared);

	shared->refs = 1;
	shared_made++;
	buf_append(&shared->text, text.data, text.len);
	return shared;
}

void net_shared_unref(struct net_shared *shared)
{
	if (--shared->refs > 0)
		return;
	buf_free(&shared->text);
	mem_free(shared);
}

struct listener {
	struct feed_subscriber base;
	unsigned ready, n, fetched;
	int64_t heard[64];       /* t of each insight */
	struct listener *let_go; /* leaves when this one hears */
	struct listener *let_go_too;
	struct listener *let_in;
};

static struct feed *feed;
static struct listener listener[4];

static void on_insight(struct feed_subscriber *base, const struct feed_item *item)
{
	struct listener *told = (struct listener *)base;

	cr_assert(memmem(item->text->text.data, item->text->text.len, "\"hr\"", 4) != NULL);
	cr_assert_eq(item->number, (uint64_t)item->insight->t);
	told->fetched += item->fetched;
	told->heard[told->n++ % ARRAY_LEN(told->heard)] = item->insight->t;
	if (told->let_go)
		feed_leave(feed, &told->let_go->base);
	if (told->let_go_too)
		feed_leave(feed, &told->let_go_too->base);
	if (told->let_in)
		feed_join(feed, &TAKE(told->let_in)->base);
}

static void on_ready(struct feed_subscriber *base)
{
	((struct listener *)base)->ready++;
}

static void open_feed(void)
{
	world_open();
	memset(listener, 0, sizeof listener);
	shared_made = 0;
	for (size_t i = 0; i < ARRAY_LEN(listener); i++) {
		listener[i].base.account = id_of(900);
		listener[i].base.on_insight = on_insight;
		listener[i].base.on_ready = on_ready;
	}
	feed = feed_new(world.loop, &world.bus, PUBLISHERS);
}

static void close_feed(void)
{
	feed_free(feed);
	world_close();
}

TestSuite(feed, .init = open_feed, .fini = close_feed);

struct numbered {
	Publisher__NumberedInsight base;
	Publisher__Insight insight;
	struct uuid account;
};

/* Insights from, from + 1 … as a message; t is the number. */
static Publisher__InsightsPublished *published(uint64_t from, size_t n, uint64_t newest)
{
	static struct numbered insight[32];
	static Publisher__NumberedInsight *all[32];
	static Publisher__InsightsPublished message;

	publisher__insights_published__init(&message);
	for (size_t i = 0; i < n; i++) {
		struct numbered *made = &insight[i];

		publisher__numbered_insight__init(&made->base);
		publisher__insight__init(&made->insight);
		made->account = id_of(900);
		made->insight.type = (char *)"hr";
		made->insight.unit = made->insight.session_id = made->insight.device_id =
		        made->insight.sqi_class = made->insight.id = (char *)"x";
		made->insight.t = (int64_t)(from + i);
		made->base.number = from + i;
		made->base.account = wire_bytes_of(&made->account);
		made->base.insight = &made->insight;
		all[i] = &made->base;
	}
	message.n_insights = n;
	message.insights = all;
	message.newest = newest;
	return &message;
}

static void broadcast(uint64_t from, size_t n)
{
	world_publish("publisher-0.insights", &published(from, n, from + n - 1)->base);
}

static void fetched(const char *publisher, uint64_t from, size_t n, uint64_t newest)
{
	Publisher__PublisherReply reply = PUBLISHER__PUBLISHER_REPLY__INIT;

	reply.result_case = PUBLISHER__PUBLISHER_REPLY__RESULT_INSIGHTS_PUBLISHED;
	reply.insights_published = published(from, n, newest);
	world_answer(asked(publisher), &reply.base);
}

static uint64_t fetched_from(void)
{
	AUTO(wire_free)
	ProtobufCMessage *message =
	        question_as(asked("publisher-0"), &publisher__publisher_request__descriptor);

	return ((Publisher__PublisherRequest *)message)->fetch_insights->from;
}

/* Publisher 0 stands at 10, publisher 1 at 0; the first listener has joined. */
static void make_ready(void)
{
	fetched("publisher-0", 0, 0, 10);
	fetched("publisher-1", 0, 0, 0);
	feed_join(feed, &listener[0].base);
}

static void assert_heard(const struct listener *who, int64_t from, unsigned n)
{
	cr_assert_eq(who->n, n, "heard %u", who->n);
	for (unsigned i = 0; i < n; i++)
		cr_assert_eq(who->heard[i], from + i);
}

Test(feed, is_ready_when_it_knows_where_every_publisher_stands)
{
	feed_join(feed, &listener[0].base);
	cr_assert_eq(fetched_from(), 0);
	fetched("publisher-0", 0, 0, 10);
	cr_assert_not(feed_ready(feed));
	cr_assert_eq(listener[0].ready, 0);
	fetched("publisher-1", 0, 0, 0);

	cr_assert(feed_ready(feed));
	cr_assert_eq(listener[0].ready, 1);
	feed_join(feed, &listener[1].base);
	cr_assert_eq(listener[1].ready, 1, "at once from then on");
	cr_assert_eq(feed_counts(feed)->subscribers, 2);
}

Test(feed, asks_again_while_a_publisher_is_away_or_talks_nonsense)
{
	world_lose(asked("publisher-0"));
	cr_assert_eq(asked_count("publisher-0"), 0);
	pass(200);
	world_answer_bytes(asked("publisher-0"), OK, BYTES("\xff", 1));
	pass(200);
	fetched("publisher-0", 0, 0, 10);
	cr_assert_not(feed_ready(feed));
}

Test(feed, lets_a_subscriber_go_that_waits_for_it)
{
	feed_join(feed, &listener[0].base);
	feed_leave(feed, &listener[0].base);
	feed_leave(feed, &listener[0].base);
	make_ready();
	cr_assert_eq(listener[0].ready, 1);
	cr_assert_eq(feed_counts(feed)->subscribers, 1);
}

Test(feed, says_nothing_of_what_was_before_it)
{
	broadcast(9, 2); /* before it knows */
	make_ready();
	broadcast(9, 2);
	cr_assert_eq(listener[0].n, 0);
	broadcast(11, 2);
	assert_heard(&listener[0], 11, 2);
}

Test(feed, drops_what_it_has_seen)
{
	make_ready();
	broadcast(11, 2);
	broadcast(11, 2);
	broadcast(12, 2);

	assert_heard(&listener[0], 11, 3);
	cr_assert_eq(feed_counts(feed)->repeated, 3);
	cr_assert_eq(feed_counts(feed)->insights, 3);
}

Test(feed, fetches_a_hole_and_goes_on_in_order)
{
	make_ready();
	broadcast(11, 1);
	broadcast(14, 1); /* 12 and 13 are missing */
	assert_heard(&listener[0], 11, 1);
	cr_assert_eq(fetched_from(), 12);
	broadcast(15, 1);
	cr_assert_eq(asked_count("publisher-0"), 1, "one at a time");
	fetched("publisher-0", 12, 3, 15); /* not all that it has */
	cr_assert_eq(fetched_from(), 15);
	fetched("publisher-0", 15, 1, 15);

	assert_heard(&listener[0], 11, 5);
	cr_assert_eq(asked_count("publisher-0"), 0);
}

Test(feed, learns_of_a_hole_from_a_heartbeat)
{
	make_ready();
	world_publish("publisher-0.insights", &published(0, 0, 12)->base);
	cr_assert_eq(fetched_from(), 11);
	fetched("publisher-0", 11, 2, 12);
	assert_heard(&listener[0], 11, 2);
}

Test(feed, fetches_again_what_was_lost_on_the_way)
{
	make_ready();
	broadcast(12, 1);
	world_lose(asked("publisher-0"));
	pass(199);
	cr_assert_eq(asked_count("publisher-0"), 0);
	broadcast(13, 1);
	cr_assert_eq(asked_count("publisher-0"), 0, "not faster for it");
	pass(1);
	fetched("publisher-0", 11, 3, 13);
	assert_heard(&listener[0], 11, 3);
}

Test(feed, waits_when_the_publisher_has_nothing_yet_of_what_it_announced)
{
	make_ready();
	world_publish("publisher-0.insights", &published(0, 0, 12)->base);
	fetched("publisher-0", 0, 0, 12);
	cr_assert_eq(asked_count("publisher-0"), 0, "no flood of questions");
	pass(200);
	fetched("publisher-0", 11, 2, 12);
	assert_heard(&listener[0], 11, 2);
}

Test(feed, goes_on_behind_numbers_that_the_publisher_keeps_no_more)
{
	make_ready();
	broadcast(30, 1);
	cr_assert_eq(fetched_from(), 11);
	fetched("publisher-0", 25, 6, 30);
	assert_heard(&listener[0], 25, 6);
	broadcast(31, 1);
	cr_assert_eq(listener[0].n, 7);
}

Test(feed, numbers_each_publisher_for_itself)
{
	make_ready();
	world_publish("publisher-1.insights", &published(1, 2, 2)->base);
	assert_heard(&listener[0], 1, 2);
	broadcast(11, 1);
	cr_assert_eq(listener[0].n, 3);
}

Test(feed, tells_only_the_account_and_makes_the_text_once)
{
	make_ready();
	listener[1].base.account = id_of(901);
	feed_join(feed, &listener[1].base);
	feed_join(feed, &listener[2].base);
	broadcast(11, 1);

	cr_assert_eq(listener[0].n, 1);
	cr_assert_eq(listener[1].n, 0);
	cr_assert_eq(listener[2].n, 1);
	cr_assert_eq(shared_made, 1);
	feed_leave(feed, &listener[0].base);
	feed_leave(feed, &listener[2].base);
	broadcast(12, 1);
	cr_assert_eq(shared_made, 1, "none when nobody listens");
}

Test(feed, survives_subscribers_that_leave_while_they_are_told)
{
	make_ready();
	feed_join(feed, &listener[1].base);
	feed_join(feed, &listener[2].base);
	listener[0].let_go = &listener[0];
	listener[0].let_go_too = &listener[1];
	broadcast(11, 2);

	cr_assert_eq(listener[0].n, 1);
	cr_assert_eq(listener[1].n, 0, "it left before its turn");
	cr_assert_eq(listener[2].n, 2);
	listener[2].let_go = &listener[2];
	broadcast(13, 2);
	cr_assert_eq(listener[2].n, 3, "the last of the account");
	cr_assert_eq(feed_counts(feed)->subscribers, 0);
}

Test(feed, tells_one_that_came_while_others_are_told_from_the_next_on)
{
	make_ready();
	listener[0].let_in = &listener[1];
	broadcast(11, 2);
	assert_heard(&listener[0], 11, 2);
	assert_heard(&listener[1], 12, 1);
}

Test(feed, is_not_upset_by_a_broadcast_that_is_none)
{
	make_ready();
	world_publish_bytes("publisher-0.insights", BYTES("\xff\xff\xff", 3));
	broadcast(11, 1);
	assert_heard(&listener[0], 11, 1);
}

Test(feed, tells_nobody_of_an_account_that_is_no_id)
{
	Publisher__InsightsPublished *message;

	make_ready();
	message = published(11, 1, 11);
	message->insights[0]->account = wire_bytes(BYTES("short", 5));
	world_publish("publisher-0.insights", &message->base);
	broadcast(12, 1);
	assert_heard(&listener[0], 12, 1);
}

/* ---- the order of several publishers ---- */

/* One of a publisher, made at ts; it says that nothing earlier than this comes of it any more. */
static void made_at(const char *channel, uint64_t number, int64_t ts)
{
	Publisher__InsightsPublished *message = published(number, 1, number);

	message->insights[0]->insight->ts = ts;
	message->has_through_ms = true;
	message->through_ms = ts - 1;
	world_publish(channel, &message->base);
}

/* It has nothing new, and no more before that time. */
static void says(const char *publisher, uint64_t newest, int64_t through_ms)
{
	Publisher__PublisherReply reply = PUBLISHER__PUBLISHER_REPLY__INIT;

	reply.result_case = PUBLISHER__PUBLISHER_REPLY__RESULT_INSIGHTS_PUBLISHED;
	reply.insights_published = published(0, 0, newest);
	reply.insights_published->has_through_ms = true;
	reply.insights_published->through_ms = through_ms;
	world_answer(asked(publisher), &reply.base);
}

/* Both stand at 10, and at 1000 ms. */
static void make_ordered(void)
{
	says("publisher-0", 10, 999);
	says("publisher-1", 10, 999);
	pass(10);
	says("publisher-0", 10, 1000);
	says("publisher-1", 10, 1000);
	cr_assert(feed_ready(feed));
	feed_join(feed, &listener[0].base);
	pass(10);
}

Test(feed, begins_at_a_place_in_the_order_of_all_publishers)
{
	feed_join(feed, &listener[0].base);
	says("publisher-0", 10, 1500);
	says("publisher-1", 10, 999); /* it may still make what comes before */
	cr_assert_not(feed_ready(feed));
	made_at("publisher-1.insights", 11, 1500);
	cr_assert_not(feed_ready(feed));
	made_at("publisher-1.insights", 12, 1502);
	pass(10);
	says("publisher-0", 10, 1501);
	cr_assert(feed_ready(feed));
	cr_assert_eq(feed_place(feed, 1).number, 11, "what lies behind the place is not told");
	pass(10);
	says("publisher-0", 10, 1502);
	assert_heard(&listener[0], 12, 1);
}

Test(feed, holds_an_insight_until_nobody_can_make_an_earlier_one)
{
	make_ordered();
	made_at("publisher-1.insights", 11, 2000);
	cr_assert_eq(listener[0].n, 0);
	says("publisher-0", 10, 1999); /* asked at once; of one ms the first publisher is first */
	cr_assert_eq(listener[0].n, 0);
	made_at("publisher-0.insights", 11, 2000);
	made_at("publisher-0.insights", 12, 2003);
	cr_assert_eq(listener[0].n, 2);
	cr_assert_eq(feed_place(feed, 0).number, 11);
	cr_assert_eq(feed_place(feed, 1).number, 11);
	pass(10);
	says("publisher-1", 11, 2002); /* it comes behind of the same ms */
	cr_assert_eq(listener[0].n, 3);
}

Test(feed, asks_a_publisher_that_is_waited_for_no_faster_than_it_must)
{
	make_ordered();
	made_at("publisher-1.insights", 11, 2000);
	for (int i = 0; i < 5; i++) {
		cr_assert_eq(asked_count("publisher-0"), 1);
		says("publisher-0", 10, 1990 + i);
		cr_assert_eq(asked_count("publisher-0"), 0);
		pass(10);
	}
	says("publisher-0", 10, 2000);
	cr_assert_eq(listener[0].n, 1);
	pass(1000);
	cr_assert_eq(asked_count("publisher-0"), 0, "nothing is held: nothing is asked");
}

Test(feed, believes_a_word_only_when_it_has_all_that_it_speaks_of)
{
	make_ordered();
	made_at("publisher-1.insights", 11, 2000);
	says("publisher-0", 11, 5000); /* 11 is still to come, and may be earlier */
	cr_assert_eq(listener[0].n, 0);
	pass(200);
	fetched("publisher-0", 11, 1, 11);
	cr_assert_eq(listener[0].n, 2);
}

Test(feed, waits_for_a_publisher_that_is_away_once_and_not_for_ever)
{
	make_ordered();
	made_at("publisher-1.insights", 11, 2000);
	pass(FEED_HOLD_MS - 20);
	cr_assert_eq(listener[0].n, 0);
	pass(20);
	cr_assert_eq(listener[0].n, 1);
	cr_assert_eq(listener[0].fetched, 1, "with others, faster than it was made");
	cr_assert_eq(feed_counts(feed)->away, 1);
	made_at("publisher-1.insights", 12, 2500);
	cr_assert_eq(listener[0].n, 2);
	made_at("publisher-0.insights", 11, 1500);
	cr_assert_eq(listener[0].n, 3, "what it still has comes behind its place");
	made_at("publisher-0.insights", 12, 2600);
	cr_assert_eq(listener[0].n, 3);
	made_at("publisher-1.insights", 13, 2700);
	cr_assert_eq(listener[0].n, 4, "it has caught up: it is waited for again");
}

Test(feed, holds_a_bounded_number_of_bytes_and_fetches_the_rest)
{
	static char big[100001];
	const unsigned all = 60;
	unsigned held;

	make_ordered();
	memset(big, 'x', sizeof big - 1);
	for (unsigned i = 0; i < all; i++) {
		Publisher__InsightsPublished *message = published(11 + i, 1, 11 + i);

		message->insights[0]->insight->ts = 2000;
		message->insights[0]->insight->device_id = big;
		world_publish("publisher-1.insights", &message->base);
	}
	cr_assert_eq(listener[0].n, 0);
	cr_assert_eq(asked_count("publisher-1"), 0);
	says("publisher-0", 10, 2000);
	held = listener[0].n;
	cr_assert(held > 0 && held * 100000u < FEED_HELD_BYTES + 100000u, "%u", held);
	fetched("publisher-1", 11 + held, 5, 15 + held);
	assert_heard(&listener[0], 11, held + 5);
}
