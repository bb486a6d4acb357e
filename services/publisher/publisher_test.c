/* Insights: broadcast after they are durable, numbered without holes, never twice. */
#include "services/publisher/analysis_fake.h"
#include "services/publisher/publisher_rig.h"

#include <math.h>

#define T0 (RIG_WALL_MS + 777)

/* The n-th insight broadcast, over all messages; NULL behind the last. */
static const Publisher__NumberedInsight *news_at(const struct rig *rig, size_t n)
{
	for (size_t i = 0; i < rig->n_news; i++) {
		if (n < rig->news[i]->n_insights)
			return rig->news[i]->insights[n];
		n -= rig->news[i]->n_insights;
	}
	return NULL;
}

static size_t news_count(const struct rig *rig)
{
	size_t n = 0;

	while (news_at(rig, n))
		n++;
	return n;
}

static void assert_unique(const struct rig *rig)
{
	for (size_t i = 0; news_at(rig, i); i++)
		for (size_t j = 0; j < i; j++) {
			const Publisher__Insight *a = news_at(rig, i)->insight,
			                         *b = news_at(rig, j)->insight;

			cr_assert(a->t != b->t || strcmp(a->type, b->type) != 0 ||
			                  strcmp(a->session_id, b->session_id) != 0,
			          "%s at %lld is out twice", a->type, (long long)a->t);
		}
}

Test(publisher, broadcasts_each_insight_whole_and_rounded)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	const Publisher__Insight *insight;
	char text[UUID_TEXT];
	struct uuid id;

	uuid_text(&session.id, text);
	rig_open(rig, &session);
	(void)rig_second(rig, &session, T0);
	cr_assert_eq(news_count(rig), 0);
	(void)rig_second(rig, &session, T0 + 1000);
	cr_assert_eq(news_count(rig), 1);

	cr_assert_eq(news_at(rig, 0)->number, 1);
	cr_assert_eq(memcmp(news_at(rig, 0)->account.data, &rig->account, 16), 0);
	insight = news_at(rig, 0)->insight;
	cr_assert_str_eq(insight->type, "hr");
	cr_assert_str_eq(insight->unit, "bpm");
	cr_assert_str_eq(insight->session_id, text);
	cr_assert_str_eq(insight->device_id, "watch-1");
	cr_assert_str_eq(insight->sqi_class, "excellent");
	cr_assert_float_eq(insight->confidence, 0.877, 1e-12);
	cr_assert_float_eq(insight->value * 10, round(insight->value * 10), 1e-9);
	cr_assert_eq(insight->t, T0 + 2000);
	cr_assert(insight->ts > RIG_WALL_MS && insight->ts <= clock_wall_ms());
	cr_assert(uuid_parse(insight->id, &id));
	cr_assert_eq(uuid_ms(&id), insight->ts);
	cr_assert_eq(rig->newest, 1);
	rig_free(rig);
}

Test(publisher, broadcasts_nothing_before_it_is_durable)
{
	struct rig *rig = rig_new(50);
	struct rig_session session = rig_session(rig, 5);
	uint8_t bytes[2][RIG_FRAME_BYTES];
	ProtobufCBinaryData frames[2] = {
		{RIG_FRAME_BYTES,  bytes[0]},
                { RIG_FRAME_BYTES, bytes[1]}
	};
	struct rig_run run = {
		.session = &session, .opening = true, .n_frames = 2, .frames = frames
	};
	struct rig_call *call;

	rig_frame(T0, 0, bytes[0]);
	rig_frame(T0 + 1000, 0, bytes[1]);
	rig_run(rig, 60);
	call = rig_send_runs(rig, &run, 1);
	rig_run(rig, 45);
	cr_assert_eq(rig->n_news, 0);
	rig_run(rig, 10);
	cr_assert_eq(rig->n_news, 1);
	wire_free(&rig_reply(call)->base);

	rig_forget_news(rig);
	run.session = &(struct rig_session){ rig->account, rig_id(5), { { 0 } }, 5, "watch-2", 0 };
	call = rig_send_runs(rig, &run, 1);
	rig_run(rig, 10);
	rig_crash(rig);
	(void)rig_reply(call);
	rig_run(rig, 200);
	cr_assert_eq(news_count(rig), 1, "the tail, and nothing of what was lost");
	cr_assert_str_eq(news_at(rig, 0)->insight->device_id, "watch-1");
	rig_free(rig);
}

Test(publisher, publishes_what_is_due_when_a_session_closes)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);

	rig_open(rig, &session);
	(void)rig_second(rig, &session, T0);
	(void)rig_close(rig, &session);
	cr_assert_eq(news_count(rig), 1);
	cr_assert_str_eq(news_at(rig, 0)->insight->type, "rr");
	(void)rig_take(rig, &(struct rig_run){ .session = &session, .first = 2, .closing = true });
	cr_assert_eq(news_count(rig), 1, "the closing came twice");
	rig_free(rig);
}

Test(publisher, publishes_what_is_due_of_a_superseded_session_first)
{
	struct rig *rig = rig_new(1);
	struct rig_session old = rig_session(rig, 5), new = rig_session(rig, 5);
	uint8_t bytes[2][RIG_FRAME_BYTES];
	ProtobufCBinaryData frames[2] = {
		{RIG_FRAME_BYTES,  bytes[0]},
                { RIG_FRAME_BYTES, bytes[1]}
	};
	char old_text[UUID_TEXT];

	rig_frame(T0, 0, bytes[0]);
	rig_frame(T0 + 1000, 0, bytes[1]);
	uuid_text(&old.id, old_text);
	rig_open(rig, &old);
	(void)rig_second(rig, &old, T0);
	rig_crash(rig); /* so that it has to be rebuilt to be closed */
	new.supersedes = old.id;
	(void)rig_take(rig,
	               &(struct rig_run){
	                       .session = &new, .opening = true, .n_frames = 2, .frames = frames });
	cr_assert_eq(news_count(rig), 2);
	cr_assert_str_eq(news_at(rig, 0)->insight->session_id, old_text);
	cr_assert_str_eq(news_at(rig, 0)->insight->type, "rr");
	cr_assert_str_eq(news_at(rig, 1)->insight->type, "hr");
	(void)rig_second(rig, &old, T0 + 9000);
	cr_assert_eq(news_count(rig), 2, "the old one has no insights any more");
	rig_free(rig);
}

Test(publisher, says_every_second_which_insight_is_the_newest)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);

	rig_run(rig, 3500);
	cr_assert_eq(rig->heartbeats, 3);
	cr_assert_eq(rig->newest, 0);
	rig_open(rig, &session);
	for (int i = 0; i < 4; i++)
		(void)rig_second(rig, &session, T0 + i * 1000);
	rig->newest = 0;
	rig_run(rig, 1000);
	cr_assert_eq(rig->newest, 2);
	rig_free(rig);
}

Test(publisher, numbers_insights_without_holes_over_power_cuts_and_never_emits_one_twice)
{
	struct rig *rig = rig_new(2);
	struct rig_session session[3];
	Publisher__PublisherReply *reply;

	for (int s = 0; s < 3; s++) {
		session[s] = rig_session(rig, (uint32_t)s);
		rig_open(rig, &session[s]);
	}
	for (int i = 0; i < 120; i++) {
		(void)rig_second(rig, &session[i % 3], T0 + i / 3 * 1000);
		if (i % 17 == 11) {
			rig_forget_news(rig);
			rig_crash(rig);
		}
	}
	rig_run(rig, 10);
	for (size_t i = 0; news_at(rig, i); i++)
		cr_assert_eq(news_at(rig, i)->number, i + 1);
	assert_unique(rig);
	cr_assert_geq(news_count(rig), 3 * 20, "the tail and what came after it");
	for (int s = 0; s < 3; s++) {
		reply = rig_insights(rig, &session[s], "hr");
		cr_assert_eq(reply->insights->n_items, 20);
		wire_free(&reply->base);
	}
	rig_free(rig);
}

Test(publisher, broadcasts_the_last_minute_again_when_it_starts)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);

	rig_open(rig, &session);
	for (int i = 0; i < 4; i++)
		(void)rig_second(rig, &session, T0 + i * 1000);
	rig_run(rig, 70000);
	for (int i = 4; i < 8; i++)
		(void)rig_second(rig, &session, T0 + i * 1000);
	rig_forget_news(rig);
	rig_crash(rig);
	cr_assert_eq(news_count(rig), 2);
	cr_assert_eq(news_at(rig, 0)->number, 3);
	rig_free(rig);
}

Test(publisher, goes_on_after_a_clock_that_stepped_back_and_repeats_no_time)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	size_t before;

	rig_open(rig, &session);
	for (int i = 0; i < 200; i++)
		(void)rig_second(rig, &session, T0 + i * 1000);
	before = news_count(rig);
	for (int i = 0; i < 20; i++)
		(void)rig_second(rig, &session, T0 + 333 + i * 1000);
	cr_assert_gt(news_count(rig), before + 8, "an hour ago is another time");
	before = news_count(rig);
	for (int i = 300; i < 302; i++)
		(void)rig_second(rig, &session, T0 + i * 1000);
	for (int i = 0; i < 40; i++)
		(void)rig_second(rig, &session, T0 + i * 1000 + (i % 2));
	assert_unique(rig);
	rig_free(rig);
}

/* ---- fetching ---- */

static Publisher__PublisherReply *fetch(struct rig *rig, uint64_t from, uint32_t limit)
{
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__FetchInsights fetch_insights = PUBLISHER__FETCH_INSIGHTS__INIT;
	Publisher__PublisherReply *reply;

	fetch_insights.from = from;
	fetch_insights.limit = limit;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_FETCH_INSIGHTS;
	request.fetch_insights = &fetch_insights;
	reply = rig_ask(rig, &request);
	cr_assert_eq(reply->result_case, PUBLISHER__PUBLISHER_REPLY__RESULT_INSIGHTS_PUBLISHED);
	return reply;
}

Test(publisher, hands_out_what_an_edge_has_missed)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	const struct {
		uint64_t from;
		uint32_t limit;
		size_t n;
		uint64_t first;
	} cases[] = {
		{0,           10,  0, 0},
                { 1,          3,   3, 1},
                { 4,          100, 7, 4},
		{ 11,         5,   0, 0},
                { 900,        5,   0, 0},
                { UINT64_MAX, 5,   0, 0}
	};

	rig_open(rig, &session);
	for (int i = 0; i < 18; i++)
		(void)rig_second(rig, &session, T0 + i * 1000);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		Publisher__PublisherReply *reply = fetch(rig, cases[i].from, cases[i].limit);

		cr_assert_eq(reply->insights_published->newest, 10);
		cr_assert_eq(reply->insights_published->n_insights, cases[i].n, "from %llu",
		             (unsigned long long)cases[i].from);
		if (cases[i].n > 0)
			cr_assert_eq(reply->insights_published->insights[0]->number,
			             cases[i].first);
		wire_free(&reply->base);
	}
	rig_free(rig);
}

static int64_t through_ms(struct rig *rig)
{
	Publisher__PublisherReply *reply = fetch(rig, 0, 0);
	int64_t ms = reply->insights_published->through_ms;

	cr_assert(reply->insights_published->has_through_ms);
	wire_free(&reply->base);
	return ms;
}

Test(publisher, promises_no_time_of_which_something_is_on_its_way_to_the_disk)
{
	struct rig *rig = rig_new(50);
	struct rig_session session = rig_session(rig, 5);
	uint8_t bytes[2][RIG_FRAME_BYTES];
	ProtobufCBinaryData frames[2] = {
		{RIG_FRAME_BYTES,  bytes[0]},
                { RIG_FRAME_BYTES, bytes[1]}
	};
	struct rig_run run = {
		.session = &session, .opening = true, .n_frames = 2, .frames = frames
	};
	int64_t made_ms;
	struct rig_call *call;

	rig_frame(T0, 0, bytes[0]);
	rig_frame(T0 + 1000, 0, bytes[1]);
	rig_run(rig, 60);
	cr_assert_eq(through_ms(rig), clock_wall_ms() - 1);
	made_ms = clock_wall_ms();
	call = rig_send_runs(rig, &run, 1);
	rig_run(rig, 45);
	cr_assert_lt(through_ms(rig), made_ms);
	rig_run(rig, 10);
	cr_assert_eq(news_at(rig, 0)->insight->ts, made_ms);
	cr_assert_geq(through_ms(rig), made_ms);
	wire_free(&rig_reply(call)->base);
	rig_free(rig);
}

Test(publisher, tells_its_numbers)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Raeh__Empty empty = RAEH__EMPTY__INIT;
	Publisher__PublisherReply *reply;

	rig_open(rig, &session);
	(void)rig_second(rig, &session, T0);
	(void)rig_second(rig, &session, T0);
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_METRICS;
	request.metrics = &empty;
	reply = rig_ask(rig, &request);
	cr_assert(strstr(reply->metrics->text,
	                 "raeh_publisher_frames_stored_total{process=\"publisher-0\"} 1\n"));
	cr_assert(strstr(reply->metrics->text,
	                 "raeh_publisher_frames_duplicate_total{process=\"publisher-0\"} 1\n"));
	cr_assert(strstr(reply->metrics->text,
	                 "raeh_publisher_sessions_in_memory{process=\"publisher-0\"} 1\n"));
	wire_free(&reply->base);
	rig_free(rig);
}

/* ---- memory ---- */

Test(publisher, keeps_no_more_sessions_in_memory_than_agreed_and_loses_nothing)
{
	struct rig *rig = rig_new(1);
	struct rig_session session[12];

	rig_stop(rig);
	rig->sessions_most = 4;
	rig_start(rig);
	for (int s = 0; s < 12; s++) {
		session[s] = rig_session(rig, (uint32_t)s);
		rig_open(rig, &session[s]);
	}
	for (int i = 0; i < 10; i++)
		for (int s = 0; s < 12; s++)
			cr_assert_eq(rig_second(rig, &session[s], T0 + i * 1000), (uint64_t)i + 2);
	cr_assert_eq(news_count(rig), 12 * 6);
	assert_unique(rig);
	cr_assert_eq(fake_pushed, 120, "a checkpoint was written: nothing is analysed again");
	rig_free(rig);
}

Test(publisher, lets_idle_sessions_go_and_has_them_back)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);

	rig_open(rig, &session);
	for (int i = 0; i < 3; i++)
		(void)rig_second(rig, &session, T0 + i * 1000);
	rig_run(rig, 605000);
	cr_assert_eq(rig_second(rig, &session, T0 + 3000), 5);
	cr_assert_eq(fake_pushed, 4);
	cr_assert_eq(news_count(rig), 2);
	rig_free(rig);
}

Test(publisher, shows_nothing_before_it_knows_what_is_durable)
{
	struct rig *rig = rig_new(20);
	struct rig_session session = rig_session(rig, 5);
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__FetchInsights newest = PUBLISHER__FETCH_INSIGHTS__INIT;
	struct rig_call *call;
	Publisher__PublisherReply *reply;

	rig_open(rig, &session);
	for (int i = 0; i < 4; i++)
		(void)rig_second(rig, &session, T0 + i * 1000);
	rig_stop(rig);
	rig_start(rig);
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_FETCH_INSIGHTS;
	request.fetch_insights = &newest;
	call = rig_send(rig, &request);
	cr_assert(call->dropped, "0 would make an edge fetch the whole past");
	(void)rig_reply(call);
	rig_run(rig, 30);
	reply = rig_ask(rig, &request);
	cr_assert_eq(reply->insights_published->newest, 2);
	wire_free(&reply->base);
	rig_free(rig);
}
