/* Replay: pages that are whole, in order, of one account, and never ahead of the disk. */
#include "services/publisher/analysis_fake.h"
#include "services/publisher/outbox.h"
#include "services/publisher/publisher_rig.h"
#include "services/publisher/replay.h"

#define T0 (RIG_WALL_MS + 777)

static void stream(struct rig *rig, struct rig_session *session, int seconds)
{
	if (session->next == 0)
		rig_open(rig, session);
	for (int i = 0; i < seconds; i++)
		(void)rig_second(rig, session, T0 + (int64_t)session->next * 1000);
}

static Publisher__PublisherReply *ask(struct rig *rig, const char *device_id, struct uuid from,
                                      uint64_t above)
{
	static char *types[] = { (char *)"hr", (char *)"rr", (char *)"spo2" };
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__ReplayInsights replay = PUBLISHER__REPLAY_INSIGHTS__INIT;
	Publisher__PublisherReply *reply;

	replay.from = wire_bytes_of(&from);
	replay.has_above = true;
	replay.above = above;
	replay.n_types = ARRAY_LEN(types);
	replay.types = types;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_REPLAY_INSIGHTS;
	request.replay_insights = &replay;
	request.principal = rig_principal(rig, &rig->account, SCOPE_SUBSCRIBE, device_id);
	reply = rig_ask(rig, &request);
	wire_free(&request.principal->base);
	cr_assert_eq(reply->result_case, PUBLISHER__PUBLISHER_REPLY__RESULT_REPLAY_PAGE);
	return reply;
}

static uint64_t number_of(const Publisher__Insight *insight)
{
	struct uuid id;

	cr_assert(uuid_parse(insight->id, &id));
	return outbox_number(&id);
}

/* All pages from a ms on; asserts that the numbers only rise. Returns how many insights. */
static size_t read_all(struct rig *rig, const char *device_id, int64_t ms, uint64_t above,
                       unsigned *ret_pages)
{
	struct uuid from = uuid_numbered(ms, 0);
	uint64_t last = above;
	bool more = true;
	size_t n = 0;

	for (*ret_pages = 0; more; ++*ret_pages) {
		Publisher__PublisherReply *reply = ask(rig, device_id, from, above);
		const Publisher__ReplayPage *page = reply->replay_page;

		for (size_t i = 0; i < page->n_items; i++) {
			cr_assert_gt(number_of(page->items[i]), last);
			last = number_of(page->items[i]);
			n++;
		}
		more = page->more;
		cr_assert(wire_id(page->next, &from));
		wire_free(&reply->base);
	}
	return n;
}

Test(replay, gives_everything_in_pages_of_bounded_work)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	unsigned pages;

	stream(rig, &session, 1300); /* 650 hr */
	cr_assert_eq(read_all(rig, NULL, 0, 0, &pages), 650);
	cr_assert_geq(pages, 4);
	cr_assert_eq(read_all(rig, NULL, 0, 720, &pages), 50, "10 of the last 60 are hrv");
	cr_assert_eq(read_all(rig, "another", 0, 0, &pages), 0);
	cr_assert_eq(read_all(rig, "watch-1", 0, 0, &pages), 650);
	rig_free(rig);
}

Test(replay, never_parts_a_millisecond_and_orders_it_by_number)
{
	struct rig *rig = rig_new(0);
	struct rig_session session[300];
	struct rig_run runs[300];
	ProtobufCBinaryData frames[300];
	uint8_t bytes[300][RIG_FRAME_BYTES];
	Publisher__PublisherReply *reply;
	struct rig_call *call;

	/* 300 sessions of 64 partitions, all with an insight in the same request. */
	for (unsigned i = 0; i < ARRAY_LEN(session); i++) {
		session[i] = rig_session(rig, (i * 37) % 64);
		stream(rig, &session[i], 1);
		rig_frame(T0 + 2000, 0, bytes[i]);
		frames[i] = (ProtobufCBinaryData){ sizeof bytes[i], bytes[i] };
		runs[i] = (struct rig_run){ .session = &session[i],
			                    .first = session[i].next,
			                    .frames = &frames[i],
			                    .n_frames = 1 };
	}
	call = rig_send_runs(rig, runs, ARRAY_LEN(runs));
	rig_run(rig, 5);
	wire_free(&rig_reply(call)->base);
	reply = ask(rig, NULL, uuid_numbered(0, 0), 0);
	cr_assert_eq(reply->replay_page->n_items, 300);
	for (size_t i = 1; i < 300; i++) {
		cr_assert_eq(reply->replay_page->items[i]->ts, reply->replay_page->items[0]->ts);
		cr_assert_eq(number_of(reply->replay_page->items[i]),
		             number_of(reply->replay_page->items[i - 1]) + 1);
	}
	wire_free(&reply->base);
	rig_free(rig);
}

Test(replay, shows_nothing_that_is_not_durable_and_comes_back_to_it)
{
	struct rig *rig = rig_new(50);
	struct rig_session session = rig_session(rig, 5);
	uint8_t bytes[RIG_FRAME_BYTES];
	ProtobufCBinaryData frame = { sizeof bytes, bytes };
	Publisher__PublisherReply *reply;
	struct uuid next;
	struct rig_call *call;

	stream(rig, &session, 5);
	rig_frame(T0 + 7000, 0, bytes);
	call = rig_send_runs(rig,
	                     &(struct rig_run){ .session = &session,
	                                        .first = session.next,
	                                        .frames = &frame,
	                                        .n_frames = 1 },
	                     1);
	reply = ask(rig, NULL, uuid_numbered(0, 0), 0); /* before the sync */
	cr_assert_eq(reply->replay_page->newest, 2);
	cr_assert_eq(reply->replay_page->n_items, 2);
	cr_assert_not(reply->replay_page->more);
	cr_assert(wire_id(reply->replay_page->next, &next));
	wire_free(&reply->base);
	rig_run(rig, 100);
	wire_free(&rig_reply(call)->base);
	reply = ask(rig, NULL, next, 2);
	cr_assert_eq(reply->replay_page->newest, 3);
	cr_assert_eq(reply->replay_page->n_items, 1);
	cr_assert_eq(number_of(reply->replay_page->items[0]), 3);
	wire_free(&reply->base);
	rig_free(rig);
}

Test(replay, needs_the_scope_subscribe)
{
	struct rig *rig = rig_new(1);
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__ReplayInsights replay = PUBLISHER__REPLAY_INSIGHTS__INIT;
	Publisher__PublisherReply *reply;

	rig_run(rig, 10);
	replay.from = wire_bytes(BYTES("short", 5));
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_REPLAY_INSIGHTS;
	request.replay_insights = &replay;
	request.principal = rig_principal(rig, &rig->account, SCOPE_READ, NULL);
	reply = rig_ask(rig, &request);
	cr_assert_eq(reply->error->status, 403);
	wire_free(&reply->base);
	wire_free(&request.principal->base);
	request.principal = rig_principal(rig, &rig->account, SCOPE_SUBSCRIBE, NULL);
	reply = rig_ask(rig, &request);
	cr_assert_eq(reply->error->status, 400, "ids have 16 bytes");
	wire_free(&reply->base);
	wire_free(&request.principal->base);
	rig_free(rig);
}

Test(replay, ids_do_not_step_back_with_a_clock_that_is_set_back_a_little)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	unsigned pages;

	stream(rig, &session, 9);
	clock_set_source(rig_now_us, rig, RIG_WALL_MS - 30000);
	stream(rig, &session, 10);
	rig_crash(rig);
	clock_set_source(rig_now_us, rig, RIG_WALL_MS - 40000);
	stream(rig, &session, 10);
	cr_assert_eq(read_all(rig, NULL, 0, 0, &pages), 14);
	cr_assert_eq(read_all(rig, NULL, RIG_WALL_MS - 1000, 0, &pages), 14);
	rig_free(rig);
}
