/* A session that is resumed: one epoch at a time, each frame once. */
#include "services/publisher/analysis_fake.h"
#include "services/publisher/publisher_rig.h"

#define T0 (RIG_WALL_MS + 777)

struct told {
	uint64_t next;
	uint32_t close_code;
	bool obsolete;
};

/* frames: at seconds from..to of light; opening alone when first is 0. */
static struct told send(struct rig *rig, struct rig_session *session, uint64_t epoch,
                        uint64_t first, int from, int to, bool closes)
{
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__Items items = PUBLISHER__ITEMS__INIT;
	Publisher__SessionItems run = PUBLISHER__SESSION_ITEMS__INIT, *runs = &run;
	Publisher__Closing closing = PUBLISHER__CLOSING__INIT;
	uint8_t bytes[32][RIG_FRAME_BYTES];
	ProtobufCBinaryData frames[32];
	Publisher__PublisherReply *reply;
	const Publisher__Taken *taken;
	struct told told;

	closing.close_code = 1006;
	closing.close_reason = (char *)"gone";
	closing.ended_at = clock_wall_ms();
	run.account = wire_bytes_of(&session->account);
	run.session = wire_bytes_of(&session->id);
	run.partition = session->partition;
	run.has_epoch = true;
	run.epoch = epoch;
	run.first = first;
	run.opening = first == 0 ? rig_opening(rig, session) : NULL;
	for (int i = from; i < to; i++, run.n_frames++) {
		rig_frame(T0 + i * 1000, 0, bytes[run.n_frames]);
		frames[run.n_frames] =
		        (ProtobufCBinaryData){ RIG_FRAME_BYTES, bytes[run.n_frames] };
	}
	run.frames = frames;
	run.closing = closes ? &closing : NULL;
	items.n_sessions = 1;
	items.sessions = &runs;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_ITEMS;
	request.items = &items;
	reply = rig_ask(rig, &request);
	taken = reply->items_taken->sessions[0];
	told = (struct told){ taken->next, taken->close_code, taken->obsolete };
	wire_free(&reply->base);
	if (run.opening)
		wire_free(&run.opening->base);
	return told;
}

static uint64_t stored(struct rig *rig, struct rig_session *session, const char *status)
{
	Publisher__PublisherReply *reply = rig_detail(rig, session);
	uint64_t frames = reply->session->frames;

	cr_assert_str_eq(reply->session->status, status);
	wire_free(&reply->base);
	return frames;
}

Test(resume, goes_on_with_the_number_behind_the_last_frame_and_refuses_the_older_epoch)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	struct told told;

	rig_open(rig, &session);
	cr_assert_eq(send(rig, &session, 0, 1, 0, 10, false).next, 11);
	told = send(rig, &session, 1, 0, 0, 0, false);
	cr_assert_eq(told.next, 11);
	cr_assert_eq(told.close_code, 0);
	cr_assert_eq(send(rig, &session, 1, 0, 0, 0, false).next, 11, "asked again");
	told = send(rig, &session, 0, 11, 10, 12, true);
	cr_assert(told.obsolete);
	cr_assert_eq(told.close_code, 4009);
	cr_assert_eq(stored(rig, &session, "open"), 10, "nothing of it was taken");
	cr_assert_eq(send(rig, &session, 1, 11, 10, 13, true).next, 15);
	cr_assert_eq(stored(rig, &session, "closed"), 13);
	rig_free(rig);
}

Test(resume, opens_a_closed_session_again_and_takes_the_number_of_its_closing_back)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	size_t insights = 0;

	rig_open(rig, &session);
	cr_assert_eq(send(rig, &session, 0, 1, 0, 11, true).next, 13);
	rig_crash(rig);
	cr_assert_eq(send(rig, &session, 1, 0, 0, 0, false).next, 12);
	cr_assert_eq(stored(rig, &session, "open"), 11);
	rig_crash(rig);
	cr_assert_eq(send(rig, &session, 1, 12, 11, 21, false).next, 22);
	cr_assert_eq(stored(rig, &session, "open"), 21);
	rig_forget_news(rig);
	for (int again = 0; again < 2; again++) { /* each insight once, and none is missing */
		Publisher__PublisherReply *reply = rig_insights(rig, &session, "hr");

		insights = reply->insights->n_items;
		for (size_t i = 0; i < insights; i++)
			cr_assert_eq(reply->insights->items[i]->t, T0 + 2000 * ((int64_t)i + 1));
		wire_free(&reply->base);
		rig_crash(rig);
	}
	cr_assert_eq(insights, 10);
	rig_free(rig);
}

Test(resume, is_left_alone_by_an_orphans_closing_that_was_under_way)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__CloseOrphan orphan = PUBLISHER__CLOSE_ORPHAN__INIT;
	Publisher__Closing closing = PUBLISHER__CLOSING__INIT;

	rig_open(rig, &session);
	(void)send(rig, &session, 0, 1, 0, 3, false);
	cr_assert_eq(send(rig, &session, 1, 0, 0, 0, false).next, 4);
	closing.close_code = 1006;
	closing.close_reason = (char *)"edge lost";
	orphan.account = wire_bytes_of(&session.account);
	orphan.session = wire_bytes_of(&session.id);
	orphan.partition = session.partition;
	orphan.closing = &closing;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_CLOSE_ORPHAN;
	request.close_orphan = &orphan;
	wire_free(&rig_ask(rig, &request)->base);
	cr_assert_eq(stored(rig, &session, "open"), 3);
	orphan.has_epoch = true;
	orphan.epoch = 1;
	wire_free(&rig_ask(rig, &request)->base);
	cr_assert_eq(stored(rig, &session, "closed"), 3);
	cr_assert_eq(send(rig, &session, 2, 0, 0, 0, false).next, 4, "and goes on after that");
	cr_assert_eq(stored(rig, &session, "open"), 3);
	rig_free(rig);
}

Test(resume, is_not_opened_by_an_opening_that_comes_behind_its_orphans_closing)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__CloseOrphan orphan = PUBLISHER__CLOSE_ORPHAN__INIT;
	Publisher__Closing closing = PUBLISHER__CLOSING__INIT;

	rig_open(rig, &session);
	cr_assert_eq(send(rig, &session, 0, 1, 0, 3, true).next, 5);
	closing.close_code = 1006;
	closing.close_reason = (char *)"edge lost";
	orphan.account = wire_bytes_of(&session.account);
	orphan.session = wire_bytes_of(&session.id);
	orphan.partition = session.partition;
	orphan.closing = &closing;
	orphan.has_epoch = true;
	orphan.epoch = 1;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_CLOSE_ORPHAN;
	request.close_orphan = &orphan;
	wire_free(&rig_ask(rig, &request)->base);
	rig_crash(rig);
	(void)send(rig, &session, 1, 0, 0, 0, false);
	cr_assert_eq(stored(rig, &session, "closed"), 3);
	cr_assert_eq(send(rig, &session, 2, 0, 0, 0, false).next, 4, "the next one opens it");
	cr_assert_eq(stored(rig, &session, "open"), 3);
	rig_free(rig);
}

Test(resume, is_of_the_same_device_alone)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5), thief;
	struct told told;

	rig_open(rig, &session);
	(void)send(rig, &session, 0, 1, 0, 3, false);
	thief = session;
	thief.device_id = "another";
	told = send(rig, &thief, 1, 0, 0, 0, false);
	cr_assert_eq(told.close_code, 4004);
	cr_assert_eq(told.next, 0);
	cr_assert_eq(send(rig, &session, 0, 4, 3, 4, false).next, 5, "untouched");
	rig_free(rig);
}

Test(resume, of_a_session_that_never_came_opens_it)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);

	cr_assert_eq(send(rig, &session, 1, 0, 0, 0, false).next, 1);
	cr_assert_eq(send(rig, &session, 1, 1, 0, 3, false).next, 4);
	cr_assert(send(rig, &session, 0, 0, 0, 0, false).obsolete, "its first edge wakes up");
	cr_assert_eq(stored(rig, &session, "open"), 3);
	rig_free(rig);
}
