/* History, then live: each insight once, in order, at the reader's pace. */
#include "services/edge/fake_net.h"
#include "services/edge/subscribe.h"

#include <stdlib.h>

#define QUERY   "api_key=" FAKE_KEY
#define SOURCES 3
#define MOST    4000

/* What the publishers have: number n of a source is at [n - 1]. */
static struct made {
	int64_t ms;
	char id[UUID_TEXT];
} made[SOURCES][MOST];
static uint64_t newest[SOURCES];
static unsigned sources;
static int64_t now_ms;

static void answer_all(size_t limit);

/* A feed of several begins when each has gone past the place of the others. */
static void stand(void)
{
	for (int i = 0; i < 3; i++) {
		answer_all(1);
		now_ms++;
		pass_leased(10);
	}
}

static void open_edge(unsigned n)
{
	memset(newest, 0, sizeof newest);
	sources = n;
	now_ms = FAKE_WALL_MS;
	edge_open(n);
	give_lease(4);
	stand();
	turn();
}

static void open_one(void)
{
	open_edge(1);
}

TestSuite(replay, .init = open_one, .fini = edge_close);

/* The id of an insight: its partition falls to its source. */
static struct uuid make(unsigned source)
{
	uint64_t number = ++newest[source];
	uint64_t partition = source + sources * (number * 7 % (64 / sources));
	struct uuid id = uuid_numbered(now_ms, partition << 56 | number);

	cr_assert_leq(number, MOST);
	made[source][number - 1].ms = now_ms;
	uuid_text(&id, made[source][number - 1].id);
	return id;
}

struct message {
	Publisher__InsightsPublished base;
	Publisher__NumberedInsight numbered[64], *all[64];
	Publisher__Insight insight[64];
	struct uuid account;
};

static void fill(Publisher__Insight *insight, unsigned source, uint64_t number)
{
	publisher__insight__init(insight);
	insight->type = (char *)"hr";
	insight->unit = insight->session_id = insight->device_id = insight->sqi_class = (char *)"x";
	insight->id = made[source][number - 1].id;
	insight->ts = made[source][number - 1].ms;
}

static void broadcast(unsigned source, uint64_t from, size_t n)
{
	static struct message message;
	char channel[BUS_NAME_MAX];

	MUST(n <= ARRAY_LEN(message.all));
	publisher__insights_published__init(&message.base);
	message.account = id_of(900);
	for (size_t i = 0; i < n; i++) {
		fill(&message.insight[i], source, from + i);
		publisher__numbered_insight__init(&message.numbered[i]);
		message.numbered[i].number = from + i;
		message.numbered[i].account = wire_bytes_of(&message.account);
		message.numbered[i].insight = &message.insight[i];
		message.all[i] = &message.numbered[i];
	}
	message.base.n_insights = n;
	message.base.insights = message.all;
	message.base.newest = newest[source];
	message.base.has_through_ms = true;
	message.base.through_ms = now_ms - 1;
	(void)snprintf(channel, sizeof channel, "publisher-%u.insights", source);
	world_publish(channel, &message.base.base);
}

/* A page of at most `limit`, by the rules of proto/publisher.proto. */
static void answer_page(struct question *question, unsigned source,
                        const Publisher__ReplayInsights *want, size_t limit)
{
	Publisher__PublisherReply reply = PUBLISHER__PUBLISHER_REPLY__INIT;
	Publisher__ReplayPage page = PUBLISHER__REPLAY_PAGE__INIT;
	Publisher__Insight *insights = xcalloc(MOST, sizeof *insights);
	Publisher__Insight **items = xcalloc(MOST, sizeof *items);
	int64_t ms = INT64_MIN;
	struct uuid next;

	cr_assert(wire_id(want->from, &next));
	for (uint64_t n = 1; n <= newest[source] && !page.more; n++) {
		const struct made *it = &made[source][n - 1];

		if (it->ms < uuid_ms(&next) && ms == INT64_MIN)
			continue;
		page.more = it->ms != ms && page.n_items >= limit;
		if (it->ms != ms) {
			ms = it->ms;
			next = uuid_numbered(ms, 0);
		}
		if (page.more || n <= want->above)
			continue;
		fill(&insights[page.n_items], source, n);
		items[page.n_items] = &insights[page.n_items];
		page.n_items++;
	}
	page.items = items;
	page.next = wire_bytes_of(&next);
	page.newest = newest[source];
	reply.result_case = PUBLISHER__PUBLISHER_REPLY__RESULT_REPLAY_PAGE;
	reply.replay_page = &page;
	world_answer(question, &reply.base);
	mem_free(items);
	mem_free(insights);
}

/* Answers whatever publisher `source` is asked first; false: nothing. */
static bool answer(unsigned source, size_t limit)
{
	char name[BUS_NAME_MAX];
	struct question *question;
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	const Publisher__PublisherRequest *request;

	(void)snprintf(name, sizeof name, "publisher-%u", source);
	question = asked(name);
	if (!question)
		return false;
	message = question_as(question, &publisher__publisher_request__descriptor);
	request = (const Publisher__PublisherRequest *)message;
	if (request->command_case == PUBLISHER__PUBLISHER_REQUEST__COMMAND_REPLAY_INSIGHTS) {
		cr_assert_eq(request->replay_insights->n_types, 3);
		answer_page(question, source, request->replay_insights, limit);
	} else {
		static struct message fetched;
		Publisher__PublisherReply reply = PUBLISHER__PUBLISHER_REPLY__INIT;
		uint64_t from = request->fetch_insights->from;

		publisher__insights_published__init(&fetched.base);
		fetched.account = id_of(900);
		for (uint64_t n = from; from > 0 && n <= newest[source] && n < from + 64; n++) {
			size_t i = (size_t)(n - from);

			fill(&fetched.insight[i], source, n);
			publisher__numbered_insight__init(&fetched.numbered[i]);
			fetched.numbered[i].number = n;
			fetched.numbered[i].account = wire_bytes_of(&fetched.account);
			fetched.numbered[i].insight = &fetched.insight[i];
			fetched.all[i] = &fetched.numbered[i];
			fetched.base.n_insights++;
		}
		fetched.base.insights = fetched.all;
		fetched.base.newest = newest[source];
		fetched.base.has_through_ms = true;
		fetched.base.through_ms = now_ms - 1;
		reply.result_case = PUBLISHER__PUBLISHER_REPLY__RESULT_INSIGHTS_PUBLISHED;
		reply.insights_published = &fetched.base;
		world_answer(question, &reply.base);
	}
	return true;
}

static void answer_all(size_t limit)
{
	for (int i = 0; i < 10000; i++) {
		bool any = false;

		for (unsigned source = 0; source < sources; source++)
			any |= answer(source, limit);
		if (!any)
			return;
	}
	cr_assert_fail("it asks for ever");
}

static struct conn *subscriber(const char *query)
{
	struct conn *conn = client_open(NET_SUBSCRIBE, query);

	if (asked("auth"))
		verdict((struct fake_key){ .key = 1, .notice = 4 });
	return conn;
}

/* The ids that it was told, in order; the greeting came first. */
static size_t told(struct conn *conn, char (*ret)[UUID_TEXT], size_t most)
{
	const char *at = (const char *)conn->sent.data, *end = at + conn->sent.len;
	size_t n = 0;

	cr_assert(conn->sent.len > 0 && strncmp(at, "{\"status\":\"subscribed\"}\n", 24) == 0);
	while ((at = memmem(at, (size_t)(end - at), "\"id\":\"", 6)) != NULL) {
		cr_assert_lt(n, most);
		memcpy(ret[n], at + 6, 36);
		ret[n++][36] = '\0';
		at += 6;
	}
	return n;
}

/* Of one source: exactly the numbers from first to the newest. */
static void assert_told_from(struct conn *conn, uint64_t first)
{
	static char ids[MOST][UUID_TEXT];
	size_t n = told(conn, ids, MOST);

	cr_assert_eq(n, newest[0] - first + 1, "told %zu from %llu of %llu", n,
	             (unsigned long long)first, (unsigned long long)newest[0]);
	for (size_t i = 0; i < n; i++)
		cr_assert_str_eq(ids[i], made[0][first - 1 + i].id);
}

static void make_history(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		now_ms += rand() % 3;
		(void)make(0);
	}
	/* The feed has heard of them long ago. */
	for (uint64_t from = 1; from <= newest[0]; from += 64)
		broadcast(0, from, newest[0] - from < 64 ? newest[0] - from + 1 : 64);
	answer_all(64);
}

static char *after(uint64_t number)
{
	return xasprintf(QUERY "&after=%s", made[0][number - 1].id);
}

Test(replay, tells_what_came_after_an_insight_and_then_what_comes)
{
	struct conn *conn;
	AUTO_MEM char *query = NULL;

	make_history(50);
	query = after(20);
	conn = subscriber(query);
	answer_all(10);
	assert_told_from(conn, 21);
	(void)make(0);
	broadcast(0, newest[0], 1);
	assert_told_from(conn, 21);
	cr_assert_eq(fake.edge->metrics.replays_total, 1);
}

Test(replay, tells_what_was_published_since_a_time_inclusively)
{
	struct conn *conn;
	AUTO_MEM char *query = NULL;

	for (int i = 0; i < 10; i++) {
		now_ms += 5;
		(void)make(0);
	}
	broadcast(0, 1, 10);
	query = xasprintf(QUERY "&since=%lld", (long long)made[0][6].ms);
	conn = subscriber(query);
	answer_all(3);
	assert_told_from(conn, 7);
}

Test(replay, refuses_what_is_no_id_and_no_time_with_4004)
{
	static const char *const bad[] = { "&after=x",
		                           "&after=",
		                           "&since=now",
		                           "&since=",
		                           "&since=99999999999999999999",
		                           "&since=1&after=0192f0c0-0000-7000-8000-00000000abcd" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO_MEM char *query = xasprintf(QUERY "%s", bad[i]);
		struct conn *conn = subscriber(query);

		cr_assert_eq(conn->code, 4004, "%s", bad[i]);
		cr_assert(strncmp(conn->reason, bad[i] + 1, 5) == 0 ||
		                  strncmp(conn->reason, "after, since", 12) == 0,
		          "%s: %s", bad[i], conn->reason);
	}
}

Test(replay, holds_what_comes_while_history_is_read_and_tells_nothing_twice)
{
	struct conn *conn;
	AUTO_MEM char *query = NULL;

	make_history(30);
	query = after(10);
	conn = subscriber(query);
	(void)answer(0, 100); /* all of it: now it joins the feed */
	(void)make(0);
	broadcast(0, newest[0], 1);
	answer_all(100);
	(void)make(0);
	broadcast(0, newest[0], 1);
	assert_told_from(conn, 11);
}

Test(replay, is_paced_by_a_reader_that_takes_its_time)
{
	struct conn *conn;
	AUTO_MEM char *query = NULL;
	unsigned rounds = 0;

	make_history(2000);
	query = after(1);
	conn = client_open(NET_SUBSCRIBE, query);
	conn->slow = true;
	verdict((struct fake_key){ .key = 1, .notice = 4 });
	for (; conn->messages < 2000 && rounds < 1000; rounds++) {
		answer_all(100);
		cr_assert_leq(conn->queued, 65 * 1024u + 512);
		client_reads(conn);
	}
	answer_all(100);
	cr_assert_gt(rounds, 3);
	cr_assert_not(conn->closing);
	assert_told_from(conn, 2);
}

Test(replay, gives_up_a_reader_that_takes_nothing_for_long)
{
	struct conn *conn;
	AUTO_MEM char *query = NULL;

	make_history(2000);
	query = after(1);
	conn = client_open(NET_SUBSCRIBE, query);
	conn->slow = true;
	verdict((struct fake_key){ .key = 1, .notice = 4 });
	answer_all(100);
	pass_leased(29000);
	cr_assert_not(conn->closing);
	pass_leased(2000);
	cr_assert_eq(conn->code, 1013);
	cr_assert(conn->dropped);
}

Test(replay, a_hole_that_is_fetched_at_once_does_not_end_a_reader_that_reads)
{
	struct conn *conn = client_open(NET_SUBSCRIBE, QUERY);

	conn->slow = true;
	verdict((struct fake_key){ .key = 1, .notice = 4 });
	client_reads(conn);
	for (unsigned i = 0; i < 3900; i++) {
		now_ms += rand() % 3;
		(void)make(0);
	}
	broadcast(0, newest[0], 1); /* all before it were lost */
	for (unsigned i = 0; i < 1000 && conn->messages <= 3900; i++) {
		answer_all(200);
		cr_assert_leq(conn->queued, SUBSCRIBE_QUEUE_BYTES);
		client_reads(conn);
	}
	answer_all(200);
	cr_assert_not(conn->closing, "%d %s", conn->code, conn->reason);
	cr_assert_eq(fake.edge->metrics.subscribers_behind_total, 1);
	assert_told_from(conn, 1);
	(void)make(0);
	broadcast(0, newest[0], 1);
	assert_told_from(conn, 1);
}

Test(replay, asks_again_while_a_publisher_is_away_and_says_1013_when_it_stays_away)
{
	struct conn *conn;
	AUTO_MEM char *query = NULL;

	make_history(5);
	query = after(1);
	conn = subscriber(query);
	for (int i = 0; i < 20; i++) {
		world_lose(asked("publisher-0"));
		pass_leased(200);
	}
	answer_all(10);
	assert_told_from(conn, 2);
	conn = subscriber(query);
	pass_leased(25000);
	cr_assert_eq(conn->code, 1013);
}

Test(replay, ends_with_its_client_and_with_its_key)
{
	AUTO_MEM char *query = NULL;
	struct conn *gone, *revoked;
	struct notice_of space;
	Auth__Notice *notice = notice_fill(&space, 5, 1);

	make_history(500);
	query = after(1);
	gone = subscriber(query);
	(void)answer(0, 10);
	client_goes(gone);
	(void)answer(0, 10);
	answer_all(10);
	revoked = subscriber(query);
	(void)answer(0, 10);
	lease_take_notices(fake.edge->lease, &notice, 1);
	answer_all(10);
	cr_assert_leq(revoked->messages, 12);
	turn();
	answer_all(10);
	cr_assert_eq(revoked->code, 4001);
}

Test(replay, asks_for_a_bounded_number_of_pages_at_a_time)
{
	AUTO_MEM char *query = NULL;
	struct conn *conn[40];

	make_history(100);
	query = after(1);
	for (size_t i = 0; i < ARRAY_LEN(conn); i++)
		conn[i] = subscriber(query);
	cr_assert_eq(asked_count("publisher-0"), REPLAY_IN_AIR);
	answer_all(30);
	for (size_t i = 0; i < ARRAY_LEN(conn); i++)
		assert_told_from(conn[i], 2);
}

/* An app that goes on, whenever it is cut off, after the last one that it has heard. */
struct reader {
	struct conn *conn;
	char *begin; /* its first query */
	char heard[SOURCES * MOST][UUID_TEXT];
	size_t n;
};

static void note_heard(struct reader *reader)
{
	reader->n +=
	        told(reader->conn, reader->heard + reader->n, ARRAY_LEN(reader->heard) - reader->n);
}

static void connect_reader(struct reader *reader)
{
	AUTO_MEM char *after_last = NULL;

	if (reader->n > 0)
		after_last = xasprintf(QUERY "&after=%s", reader->heard[reader->n - 1]);
	reader->conn = client_open(NET_SUBSCRIBE, after_last ? after_last : reader->begin);
	reader->conn->slow = true;
	if (asked("auth"))
		verdict((struct fake_key){ .key = 1, .notice = 4 });
}

static void reconnect(struct reader *reader)
{
	note_heard(reader);
	client_goes(reader->conn);
	connect_reader(reader);
}

/* Of each source exactly what is numbered above `above`, and all of it in one order. */
static void assert_heard_all(const struct reader *reader, const uint64_t above[SOURCES])
{
	uint64_t next[SOURCES];
	int64_t last_ms = 0;
	unsigned last_source = 0;

	memcpy(next, above, sizeof next);
	for (size_t i = 0; i < reader->n; i++) {
		struct uuid id;
		unsigned source;

		cr_assert(uuid_parse(reader->heard[i], &id));
		source = (unsigned)(uuid_number(&id) >> 56) % sources;
		cr_assert_str_eq(reader->heard[i], made[source][next[source]].id);
		cr_assert(uuid_ms(&id) > last_ms ||
		          (uuid_ms(&id) == last_ms && source >= last_source));
		last_ms = uuid_ms(&id);
		last_source = source;
		next[source]++;
	}
	for (unsigned i = 0; i < sources; i++)
		cr_assert_eq(next[i], newest[i], "source %u: told to %llu of %llu", i,
		             (unsigned long long)next[i], (unsigned long long)newest[i]);
}

/* Something happens: an insight, a broadcast that arrives or is lost, an answer, a read, an
 * app that is cut off. */
static void happen(struct reader *reader, uint64_t sent[SOURCES])
{
	unsigned source = (unsigned)rand() % sources;

	switch (rand() % 7) {
	case 0:
	case 1:
		now_ms += rand() % 2;
		if (newest[source] < MOST - 10)
			(void)make(source);
		break;
	case 2:
		if (sent[source] < newest[source] && rand() % 4 > 0)
			broadcast(source, sent[source] + 1,
			          newest[source] - sent[source] < 64 ? newest[source] - sent[source]
			                                             : 64);
		sent[source] = newest[source];
		break;
	case 3:
	case 4:
		(void)answer(source, 1 + (size_t)rand() % 20);
		break;
	case 5:
		client_reads(reader->conn);
		break;
	case 6:
		if (rand() % 8 == 0)
			reconnect(reader);
		pass_leased(10);
		break;
	}
}

static void let_all_arrive(struct reader *reader)
{
	for (int i = 0; i < 100; i++) {
		now_ms++;
		for (unsigned source = 0; source < sources; source++)
			broadcast(source, newest[source], 1);
		answer_all(20);
		client_reads(reader->conn);
		pass_leased(200);
	}
}

static void run_at_random(unsigned seed, unsigned n)
{
	static struct reader reader;
	uint64_t sent[SOURCES] = { 0 }, above[SOURCES] = { 0 };
	int64_t since_ms;

	srand(seed);
	open_edge(n);
	for (unsigned source = 0; source < n; source++)
		for (unsigned i = 0; i < 100; i++) {
			now_ms += rand() % 3;
			(void)make(source);
		}
	since_ms = made[0][rand() % 100].ms;
	for (unsigned source = 0; source < n; source++)
		while (made[source][above[source]].ms < since_ms)
			above[source]++;
	reader.n = 0;
	reader.begin = xasprintf(QUERY "&since=%lld", (long long)since_ms);
	connect_reader(&reader);
	for (int i = 0; i < 2000; i++)
		happen(&reader, sent);
	let_all_arrive(&reader);
	cr_assert_not(reader.conn->closing, "seed %u: %d %s", seed, reader.conn->code,
	              reader.conn->reason);
	note_heard(&reader);
	assert_heard_all(&reader, above);
	mem_free(reader.begin);
	edge_close();
}

Test(replay_at_random, tells_each_insight_once_and_in_order_whatever_happens)
{
	for (unsigned seed = 1; seed <= 60; seed++)
		run_at_random(seed, 1 + seed % SOURCES);
}
