/* Frames of minutes, and runs of hours: taken in slices, the other sessions served meanwhile. */
#include "services/publisher/analysis_fake.h"
#include "services/publisher/publisher_rig.h"
#include "services/publisher/items.h"

#define T0           (RIG_WALL_MS + 777)
#define LONG_SAMPLES 5000 /* 200 s: an hr every 2 s, an hrv every 10 s, in three slices */
#define LONG_NEWS    120

static uint8_t long_bytes[FRAME_HEAD_BYTES + 2 * LONG_SAMPLES];
static const ProtobufCBinaryData long_frame = { sizeof long_bytes, long_bytes };
static uint8_t second_bytes[300][RIG_FRAME_BYTES];
static ProtobufCBinaryData seconds[300];

static struct rig *rig;
static struct rig_session busy, other;

static void begin(void)
{
	frame_head(&(struct frame){ .sample_count = LONG_SAMPLES, .t0_epoch_ms = T0 }, long_bytes);
	for (size_t i = 0; i < ARRAY_LEN(seconds); i++) {
		rig_frame(T0 + (int64_t)i * 1000, 0, second_bytes[i]);
		seconds[i] = (ProtobufCBinaryData){ RIG_FRAME_BYTES, second_bytes[i] };
	}
	rig = rig_new(0);
	rig_run(rig, 5);
	busy = rig_session(rig, 5);
	other = rig_session(rig, 6);
	other.device_id = "watch-2";
	rig_open(rig, &busy);
	rig_open(rig, &other);
}

static void end(void)
{
	rig_free(rig);
}

TestSuite(session_work, .init = begin, .fini = end);

static struct rig_run long_run(void)
{
	return (struct rig_run){
		.session = &busy, .first = 1, .n_frames = 1, .frames = &long_frame
	};
}

static size_t news_of(const struct rig_session *session)
{
	char text[UUID_TEXT];
	size_t n = 0;

	uuid_text(&session->id, text);
	for (size_t i = 0; i < rig->n_news; i++)
		for (size_t k = 0; k < rig->news[i]->n_insights; k++)
			n += strcmp(rig->news[i]->insights[k]->insight->session_id, text) == 0;
	return n;
}

/* What its edge does: asks again until the long frame is taken. */
static void send_until_taken(void)
{
	struct rig_run run = long_run();
	struct rig_taken taken = { .later = true };

	for (int i = 0; i < 10 && taken.later; i++) {
		taken = rig_take(rig, &run);
		rig_run(rig, 5);
	}
	cr_assert_eq(taken.next, 2);
}

Test(session_work, serves_the_others_while_a_frame_of_minutes_is_analysed)
{
	struct rig_run runs[2] = {
		long_run(), {.session = &other, .first = 1, .n_frames = 3, .frames = seconds}
	};
	struct rig_call *call = rig_send_runs(rig, runs, 2);
	Publisher__PublisherReply *reply;

	loop_dispatch(rig->loop);
	loop_dispatch(rig->loop);
	reply = rig_reply(call);
	cr_assert_eq(rig_taken(reply, 0).next, 1);
	cr_assert(rig_taken(reply, 0).later);
	cr_assert_eq(rig_taken(reply, 1).next, 4);
	cr_assert_not(rig_taken(reply, 1).later);
	cr_assert_eq(news_of(&other), 1);
	wire_free(&reply->base);

	rig_run(rig, 10);
	cr_assert_eq(news_of(&busy), 0, "nothing is said of a frame that is not stored");
	cr_assert_eq(rig_take(rig, &runs[0]).next, 2);
	rig_run(rig, 5);
	cr_assert_eq(news_of(&busy), LONG_NEWS);
	cr_assert_eq(rig_take(rig, &runs[0]).next, 2, "it came twice");
	cr_assert_eq(news_of(&busy), LONG_NEWS);
}

Test(session_work, says_the_same_after_a_power_cut_in_the_middle_of_it)
{
	struct rig_run run = long_run();

	cr_assert(rig_take(rig, &run).later);
	rig_crash(rig);
	send_until_taken();
	cr_assert_eq(news_of(&busy), LONG_NEWS);
	rig_forget_news(rig);
	rig_crash(rig);
	run.first = 2;
	run.frames = &seconds[250];
	cr_assert_eq(rig_take(rig, &run).next, 3);
}

Test(session_work, is_dropped_when_the_session_is_superseded)
{
	struct rig_session newer = rig_session(rig, 5);
	struct rig_run run = long_run();

	cr_assert(rig_take(rig, &run).later);
	newer.supersedes = busy.id;
	rig_open(rig, &newer);
	cr_assert_eq(rig_take(rig, &run).next, 2, "stored, and not analysed");
	rig_run(rig, 20);
	cr_assert_eq(news_of(&busy), 0);
}

Test(session_work, begins_again_when_another_frame_has_the_number)
{
	struct rig_run run = long_run();

	cr_assert(rig_take(rig, &run).later);
	rig_run(rig, 10);
	frame_head(&(struct frame){ .sample_count = LONG_SAMPLES, .t0_epoch_ms = T0 + 40 },
	           long_bytes);
	cr_assert(rig_take(rig, &run).later);
	send_until_taken();
	cr_assert_eq(news_of(&busy), LONG_NEWS);
}

Test(session_work, takes_some_minutes_of_a_run_at_a_time)
{
	struct rig_run run = { .session = &busy, .first = 1, .n_frames = 300, .frames = seconds };
	struct rig_taken taken = rig_take(rig, &run);

	cr_assert_eq(taken.next, 1 + ITEMS_RUN_S);
	cr_assert(taken.later);
	run.first = 290; /* it was on its way */
	run.frames = seconds + 289;
	run.n_frames = 11;
	taken = rig_take(rig, &run);
	cr_assert_eq(taken.next, 1 + ITEMS_RUN_S);
	cr_assert(taken.later);
	run.first = 1 + ITEMS_RUN_S;
	run.frames = seconds + ITEMS_RUN_S;
	run.n_frames = 50;
	taken = rig_take(rig, &run);
	cr_assert_eq(taken.next, 301);
	cr_assert_not(taken.later);
	cr_assert_eq(news_of(&busy), 150 + 30);
}

Test(session_work, holds_a_bounded_number_of_frames)
{
	static struct rig_session many[SESSION_WORKS_MOST + 1];
	struct rig_run run = long_run();

	for (size_t i = 0; i < ARRAY_LEN(many); i++) {
		many[i] = rig_session(rig, 5);
		rig_open(rig, &many[i]);
		run.session = &many[i];
		cr_assert(rig_take(rig, &run).later);
	}
	rig_run(rig, 1000);
	cr_assert(rig_take(rig, &run).later, "it was not begun");
	run.session = &many[0];
	cr_assert_eq(rig_take(rig, &run).next, 2);
	run.session = &many[ARRAY_LEN(many) - 1];
	cr_assert(rig_take(rig, &run).later);
	rig_run(rig, 10);
	cr_assert_eq(rig_take(rig, &run).next, 2);
}
