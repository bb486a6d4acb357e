/* What an export reads: where the frames lie, and the frames. */
#include "services/publisher/analysis_fake.h"
#include "services/publisher/publisher_rig.h"

#define T0 (RIG_WALL_MS + 777)

static Publisher__PublisherReply *ask_runs(struct rig *rig, const struct rig_session *session,
                                           const char *device_id, Publisher__FrameRuns *asked)
{
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	char text[UUID_TEXT];

	uuid_text(&session->id, text);
	asked->id = text;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_FRAME_RUNS;
	request.frame_runs = asked;
	return rig_read(rig, &session->account, device_id, &request);
}

static Publisher__PublisherReply *read_frames(struct rig *rig, const struct rig_session *session,
                                              Publisher__ReadFrames *asked)
{
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	char text[UUID_TEXT];

	uuid_text(&session->id, text);
	asked->id = text;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_READ_FRAMES;
	request.read_frames = asked;
	return rig_read(rig, &session->account, NULL, &request);
}

static void send_at(struct rig *rig, struct rig_session *session, const int *seconds, size_t n)
{
	rig_open(rig, session);
	for (size_t i = 0; i < n; i++)
		(void)rig_second(rig, session, T0 + seconds[i] * 1000);
}

Test(history_frames, says_where_the_frames_lie_in_time_and_where_they_do_not)
{
	static const int seconds[] = { 0, 1, 2, 10, 11, 5 };
	static const int64_t want[][4] = {
  /* numbers, seconds */
		{1,  3, 0,  3 },
		{ 4, 5, 10, 12},
		{ 6, 6, 5,  6 }
	};
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	Publisher__FrameRuns asked = PUBLISHER__FRAME_RUNS__INIT;
	Publisher__PublisherReply *reply;

	send_at(rig, &session, seconds, ARRAY_LEN(seconds));
	reply = ask_runs(rig, &session, NULL, &asked);
	cr_assert_eq(reply->result_case, PUBLISHER__PUBLISHER_REPLY__RESULT_FRAME_RUNS);
	cr_assert(!reply->more);
	cr_assert_eq(reply->frame_runs->n_runs, ARRAY_LEN(want));
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		const Publisher__FrameRun *run = reply->frame_runs->runs[i];

		cr_assert_eq(run->slot_id, 0);
		cr_assert_eq(run->first, (uint64_t)want[i][0]);
		cr_assert_eq(run->last, (uint64_t)want[i][1]);
		cr_assert_eq(run->from_ms, T0 + 1000 * want[i][2]);
		cr_assert_eq(run->to_ms, T0 + 1000 * want[i][3]);
	}
	cr_assert_eq(reply->frame_runs->next, 7);
	cr_assert_eq(reply->frame_runs->n_slots, 2);
	cr_assert_str_eq(reply->frame_runs->device_id, "watch-1");
	wire_free(&reply->base);
	rig_free(rig);
}

Test(history_frames, looks_at_a_bounded_number_of_rows_and_goes_on_from_there)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	Publisher__FrameRuns asked = PUBLISHER__FRAME_RUNS__INIT;
	Publisher__PublisherReply *reply;
	uint8_t bytes[1500][RIG_FRAME_BYTES];
	ProtobufCBinaryData frames[1500];

	rig_open(rig, &session);
	for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
		rig_frame(T0 + 1000 * (int64_t)i, 0, bytes[i]);
		frames[i] = (ProtobufCBinaryData){ RIG_FRAME_BYTES, bytes[i] };
	}
	for (size_t i = 0; i < ARRAY_LEN(frames); i += 100)
		(void)rig_take(rig, &(struct rig_run){ .session = &session,
		                                       .first = 1 + i,
		                                       .frames = frames + i,
		                                       .n_frames = 100 });
	reply = ask_runs(rig, &session, NULL, &asked);
	cr_assert(reply->more);
	cr_assert_eq(reply->frame_runs->next, 1001);
	cr_assert_eq(reply->frame_runs->runs[0]->last, 30, "a run is 30 s long");
	cr_assert_eq(reply->frame_runs->runs[reply->frame_runs->n_runs - 1]->last, 1000);
	wire_free(&reply->base);
	asked.page_case = PUBLISHER__FRAME_RUNS__PAGE_NEXT_NUMBER;
	asked.next_number = 1001;
	reply = ask_runs(rig, &session, NULL, &asked);
	cr_assert(!reply->more);
	cr_assert_eq(reply->frame_runs->runs[0]->first, 1001);
	cr_assert_eq(reply->frame_runs->runs[reply->frame_runs->n_runs - 1]->last, 1500);
	wire_free(&reply->base);
	rig_free(rig);
}

static void first_and_last(struct rig *rig, const struct rig_session *session,
                           Publisher__FrameRuns *asked, uint64_t ret[3])
{
	Publisher__PublisherReply *reply = ask_runs(rig, session, NULL, asked);
	const Publisher__FrameRunList *list = reply->frame_runs;

	cr_assert_eq(reply->result_case, PUBLISHER__PUBLISHER_REPLY__RESULT_FRAME_RUNS);
	ret[0] = list->n_runs > 0 ? list->runs[0]->first : 0;
	ret[1] = list->n_runs > 0 ? list->runs[list->n_runs - 1]->last : 0;
	ret[2] = list->next;
	wire_free(&reply->base);
}

Test(history_frames, begins_behind_a_frame_or_with_the_newest_for_who_looks_on)
{
	static const struct {
		uint64_t after, newest; /* 0: not asked for */
		uint64_t want[3];       /* first, last, next */
	} rows[] = {
		{2,   0,    { 3, 6, 7 } },
                { 0,  2,    { 5, 6, 7 } },
                { 0,  1000, { 1, 6, 7 } },
		{ 2,  2,    { 5, 6, 7 } },
                { 5,  2,    { 6, 6, 7 } },
                { 6,  2,    { 0, 0, 7 } },
		{ 90, 2,    { 0, 0, 91 }},
	};
	static const int seconds[] = { 0, 1, 2, 3, 4, 5 };
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	uint64_t got[3];

	send_at(rig, &session, seconds, ARRAY_LEN(seconds));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		Publisher__FrameRuns asked = PUBLISHER__FRAME_RUNS__INIT;

		asked.has_after = rows[i].after > 0;
		asked.after = rows[i].after;
		asked.has_newest = rows[i].newest > 0;
		asked.newest = (uint32_t)rows[i].newest;
		first_and_last(rig, &session, &asked, got);
		for (size_t n = 0; n < ARRAY_LEN(got); n++)
			cr_assert_eq(got[n], rows[i].want[n], "row %zu, number %zu: %llu", i, n,
			             (unsigned long long)got[n]);
	}
	rig_free(rig);
}

Test(history_frames, of_the_newest_asks_for_a_number_that_fits_a_page)
{
	static const int seconds[] = { 0 };
	static const uint32_t wrong[] = { 0, 1001, UINT32_MAX };
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);

	send_at(rig, &session, seconds, 1);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		Publisher__FrameRuns asked = PUBLISHER__FRAME_RUNS__INIT;
		Publisher__PublisherReply *reply;

		asked.has_newest = 1;
		asked.newest = wrong[i];
		reply = ask_runs(rig, &session, NULL, &asked);
		cr_assert(reply->error && reply->error->status == 400);
		wire_free(&reply->base);
	}
	rig_free(rig);
}

Test(history_frames, gives_the_frames_of_a_stretch_of_time)
{
	static const int seconds[] = { 0, 1, 2, 10, 11, 5 };
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	Publisher__ReadFrames asked = PUBLISHER__READ_FRAMES__INIT;
	Publisher__PublisherReply *reply;
	struct frame frame;

	send_at(rig, &session, seconds, ARRAY_LEN(seconds));
	asked.first = 1;
	asked.last = 6;
	asked.from_ms = T0 + 2500;
	asked.to_ms = T0 + 10000;
	reply = read_frames(rig, &session, &asked);
	cr_assert_eq(reply->result_case, PUBLISHER__PUBLISHER_REPLY__RESULT_FRAMES);
	cr_assert_eq(reply->frames->n_frames, 2, "those that reach into it, and no other");
	cr_assert_eq(reply->frames->n_numbers, 2);
	cr_assert_eq(reply->frames->numbers[0], 3);
	cr_assert_eq(reply->frames->numbers[1], 6);
	cr_assert(frame_parse(BYTES(reply->frames->frames[1].data, reply->frames->frames[1].len),
	                      &frame));
	cr_assert_eq(frame.t0_epoch_ms, T0 + 5000);
	wire_free(&reply->base);

	asked.has_slot = 1;
	asked.slot = 3;
	reply = read_frames(rig, &session, &asked);
	cr_assert_eq(reply->frames->n_frames, 0, "nothing came on that slot");
	wire_free(&reply->base);
	rig_free(rig);
}

Test(history_frames, of_another_account_or_device_are_not_there)
{
	static const int seconds[] = { 0 };
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5), stranger;
	Publisher__FrameRuns asked = PUBLISHER__FRAME_RUNS__INIT;
	Publisher__PublisherReply *reply;

	send_at(rig, &session, seconds, 1);
	stranger = session;
	stranger.account = uuid_new(RIG_WALL_MS);
	reply = ask_runs(rig, &stranger, NULL, &asked);
	cr_assert(reply->error && reply->error->status == 404);
	wire_free(&reply->base);
	reply = ask_runs(rig, &session, "watch-2", &asked);
	cr_assert(reply->error && reply->error->status == 404);
	wire_free(&reply->base);
	rig_free(rig);
}
