/* The fence: what is taken, in which order, what survives, what sockets are told. */
#include "common/keys.h"
#include "common/store_engine.h"
#include "services/publisher/analysis_fake.h"
#include "services/publisher/publisher_rig.h"

#define T0 (RIG_WALL_MS + 777)

static uint64_t frames_of(struct rig *rig, const struct rig_session *session)
{
	Publisher__PublisherReply *reply = rig_detail(rig, session);
	uint64_t frames = reply->session->frames;

	wire_free(&reply->base);
	return frames;
}

Test(items, takes_an_opening_frames_and_a_closing_in_order)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	Publisher__PublisherReply *detail;

	rig_open(rig, &session);
	for (int i = 0; i < 10; i++)
		cr_assert_eq(rig_second(rig, &session, T0 + i * 1000), (uint64_t)i + 2);
	cr_assert_eq(rig_close(rig, &session).next, 12);

	detail = rig_detail(rig, &session);
	cr_assert_eq(detail->session->frames, 10);
	cr_assert_eq(detail->session->bytes, 10 * RIG_FRAME_BYTES);
	cr_assert_str_eq(detail->session->status, "closed");
	cr_assert_eq(detail->session->close_code, 1000);
	cr_assert_str_eq(detail->session->close_reason, "bye");
	cr_assert(detail->session->has_ended_at);
	wire_free(&detail->base);
	rig_free(rig);
}

Test(items, answers_what_is_expected_when_a_run_begins_too_late)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);

	cr_assert_eq(rig_take(rig, &(struct rig_run){ .session = &session, .first = 3 }).next, 0,
	             "nothing of it was ever seen");
	rig_open(rig, &session);
	(void)rig_second(rig, &session, T0);
	session.next = 7;
	cr_assert_eq(rig_second(rig, &session, T0 + 1000), 2);
	cr_assert_eq(frames_of(rig, &session), 1);
	rig_free(rig);
}

Test(items, takes_only_the_new_tail_of_a_run_that_comes_again)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	uint8_t bytes[6][RIG_FRAME_BYTES];
	ProtobufCBinaryData frames[6];
	struct rig_run run = { .session = &session, .opening = true, .frames = frames };

	for (int i = 0; i < 6; i++) {
		rig_frame(T0 + i * 1000, 0, bytes[i]);
		frames[i] = (ProtobufCBinaryData){ RIG_FRAME_BYTES, bytes[i] };
	}
	run.n_frames = 3;
	cr_assert_eq(rig_take(rig, &run).next, 4);
	cr_assert_eq(rig_take(rig, &run).next, 4, "all of it again");
	run.n_frames = 6;
	run.closing = true;
	cr_assert_eq(rig_take(rig, &run).next, 8, "the new tail");
	cr_assert_eq(rig_take(rig, &run).next, 8);
	cr_assert_eq(frames_of(rig, &session), 6);
	rig_free(rig);
}

Test(items, acknowledges_nothing_before_it_is_durable)
{
	struct rig *rig = rig_new(50);
	struct rig_session session = rig_session(rig, 5);
	struct rig_call *call;

	rig_run(rig, 60);
	call = rig_send_runs(rig, &(struct rig_run){ .session = &session, .opening = true }, 1);
	rig_run(rig, 49);
	cr_assert(!call->answered);
	rig_run(rig, 2);
	cr_assert(call->answered);
	wire_free(&rig_reply(call)->base);
	rig_free(rig);
}

Test(items, does_not_acknowledge_what_an_earlier_turn_has_not_yet_synced)
{
	struct rig *rig = rig_new(50);
	struct rig_session session = rig_session(rig, 5);
	struct rig_run run = { .session = &session, .opening = true };
	struct rig_call *first, *again;

	rig_run(rig, 60);
	first = rig_send_runs(rig, &run, 1);
	rig_run(rig, 10);
	again = rig_send_runs(rig, &run, 1);
	rig_run(rig, 30);
	cr_assert(!first->answered && !again->answered);
	rig_run(rig, 80);
	cr_assert(first->answered && again->answered);
	wire_free(&rig_reply(first)->base);
	wire_free(&rig_reply(again)->base);
	rig_free(rig);
}

Test(items, keeps_every_acknowledged_frame_through_a_power_cut)
{
	struct rig *rig = rig_new(3);
	struct rig_session session = rig_session(rig, 5);

	rig_open(rig, &session);
	for (int i = 0; i < 200; i++) {
		uint64_t before = session.next;

		if (i % 7 == 3) {
			uint8_t bytes[RIG_FRAME_BYTES];
			ProtobufCBinaryData frame = { sizeof bytes, bytes };
			struct rig_call *lost;

			rig_frame(T0 + i * 1000, 0, bytes);
			lost = rig_send_runs(rig,
			                     &(struct rig_run){ .session = &session,
			                                        .first = session.next,
			                                        .frames = &frame,
			                                        .n_frames = 1 },
			                     1);
			if (i % 2)
				rig_run(rig, 1);
			rig_crash(rig);
			cr_assert(lost->dropped, "it is neither synced nor answered");
			(void)rig_reply(lost);
		}
		cr_assert_eq(rig_second(rig, &session, T0 + i * 1000), before + 1, "frame %d", i);
	}
	cr_assert_eq(frames_of(rig, &session), 200);
	rig_free(rig);
}

Test(items, never_takes_back_an_acknowledged_number_that_was_a_duplicate)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);

	rig_open(rig, &session);
	(void)rig_second(rig, &session, T0);
	cr_assert_eq(rig_second(rig, &session, T0), 3);
	rig_crash(rig);
	cr_assert_eq(rig_second(rig, &session, T0 + 1000), 4);
	cr_assert_eq(frames_of(rig, &session), 2);
	rig_free(rig);
}

/* ---- duplicates ---- */

static uint64_t take_frame(struct rig *rig, struct rig_session *session, int64_t t0, int16_t seed)
{
	uint8_t bytes[RIG_FRAME_BYTES];
	ProtobufCBinaryData frame = { sizeof bytes, bytes };

	rig_frame(t0, seed, bytes);
	session->next = rig_take(rig, &(struct rig_run){ .session = session,
	                                                 .first = session->next,
	                                                 .frames = &frame,
	                                                 .n_frames = 1 })
	                        .next;
	return frames_of(rig, session);
}

Test(items, stores_an_identical_frame_once_and_every_other_one)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5), other = rig_session(rig, 5);

	other.device_id = "watch-2";
	rig_open(rig, &session);
	rig_open(rig, &other);
	cr_assert_eq(take_frame(rig, &session, T0, 0), 1);
	cr_assert_eq(take_frame(rig, &session, T0, 0), 1, "identical");
	cr_assert_eq(take_frame(rig, &session, T0, 1), 2, "the same time, other samples");
	cr_assert_eq(take_frame(rig, &session, T0 - 5000, 0), 3, "late");
	cr_assert_eq(take_frame(rig, &session, T0 - 5000, 0), 3, "late and identical");
	cr_assert_eq(take_frame(rig, &session, T0, 1), 3);
	cr_assert_eq(take_frame(rig, &other, T0, 0), 1, "identical to one of another session");
	rig_free(rig);
}

Test(items, knows_duplicates_after_a_restart_and_within_one_batch)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	uint8_t bytes[RIG_FRAME_BYTES];
	ProtobufCBinaryData frames[3];

	rig_open(rig, &session);
	for (int i = 0; i < 300; i++)
		(void)rig_second(rig, &session, T0 + i * 1000);
	rig_crash(rig);
	for (int i = 0; i < 300; i += 13)
		cr_assert_eq(take_frame(rig, &session, T0 + i * 1000, 0), 300);
	rig_frame(T0 - 9000, 0, bytes);
	for (int i = 0; i < 3; i++)
		frames[i] = (ProtobufCBinaryData){ sizeof bytes, bytes };
	(void)rig_take(rig, &(struct rig_run){ .session = &session,
	                                       .first = session.next,
	                                       .frames = frames,
	                                       .n_frames = 3 });
	cr_assert_eq(frames_of(rig, &session), 301);
	rig_free(rig);
}

Test(items, knows_the_last_4096_frames_and_no_more)
{
	struct rig *rig = rig_new(0);
	struct rig_session session = rig_session(rig, 5);

	rig_open(rig, &session);
	for (int i = 0; i < 4097; i++)
		(void)rig_second(rig, &session, T0 + i * 1000);
	cr_assert_eq(take_frame(rig, &session, T0 + 1000, 0), 4097, "the oldest of them");
	cr_assert_eq(take_frame(rig, &session, T0, 0), 4098, "the one before it is kept again");
	rig_free(rig);
}

Test(items, takes_frames_that_are_no_frames_without_analysing_them)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	uint8_t slot[RIG_FRAME_BYTES], count[RIG_FRAME_BYTES];
	ProtobufCBinaryData bad[] = {
		{0,             NULL },
                { 5,            slot },
                { sizeof slot,  slot },
                { sizeof count, count}
	};

	rig_frame(T0, 0, slot);
	slot[0] = 9; /* not in the manifest */
	rig_frame(T0, 0, count);
	count[10] = 77; /* samples */
	rig_open(rig, &session);
	cr_assert_eq(rig_take(rig, &(struct rig_run){ .session = &session,
	                                              .first = 1,
	                                              .frames = bad,
	                                              .n_frames = 4 })
	                     .next,
	             5);
	cr_assert_eq(frames_of(rig, &session), 4);
	cr_assert_eq(fake_pushed, 0);
	rig_free(rig);
}

/* ---- who may ---- */

static struct rig_taken open_as(struct rig *rig, struct rig_session *session,
                                Raeh__Principal *principal)
{
	Publisher__Opening *opening = rig_opening(rig, session);
	struct rig_taken taken;

	wire_free(&opening->principal->base);
	opening->principal = principal;
	taken = rig_take(
	        rig, &(struct rig_run){ .session = session, .opening = true, .instead = opening });
	wire_free(&opening->base);
	return taken;
}

Test(items, refuses_an_opening_that_its_principal_does_not_allow)
{
	struct rig *rig = rig_new(1);
	struct uuid stranger = uuid_new(RIG_WALL_MS);
	struct rig_session session = rig_session(rig, 5);
	Raeh__Principal *bad[] = {
		rig_principal(rig, &stranger, SCOPE_INGEST, NULL),
		rig_principal(rig, &rig->account, SCOPE_READ, NULL),
		rig_principal(rig, &rig->account, SCOPE_INGEST, "watch-2"),
		rig_principal(rig, &rig->account, SCOPE_INGEST, NULL),
	};

	bad[3]->mac.data[0] ^= 1;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct rig_taken taken = open_as(rig, &session, bad[i]);

		cr_assert_eq(taken.close_code, 4001, "principal %zu", i);
		cr_assert_eq(taken.next, 0);
	}
	cr_assert_eq(
	        open_as(rig, &session, rig_principal(rig, &rig->account, SCOPE_INGEST, "watch-1"))
	                .next,
	        1);
	rig_free(rig);
}

Test(items, refuses_a_session_whose_id_is_of_another_partition)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);

	session.partition = 6;
	cr_assert_eq(
	        rig_take(rig, &(struct rig_run){ .session = &session, .opening = true }).close_code,
	        4001);
	session.partition = 64 + 5;
	cr_assert_eq(
	        rig_take(rig, &(struct rig_run){ .session = &session, .opening = true }).close_code,
	        4001);
	rig_free(rig);
}

Test(items, refuses_a_description_that_cannot_be_one)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);

	for (int fault = 0; fault < 7; fault++) {
		Publisher__Opening *opening = rig_opening(rig, &session);
		struct rig_taken taken;

		if (fault == 0)
			opening->device_id[0] = '\0';
		if (fault == 1)
			opening->device_model_id[3] = 'x';
		if (fault == 2)
			opening->slots[0]->slot_id = 3;
		if (fault == 3)
			opening->slots[0]->slot_id = 256;
		if (fault == 4)
			opening->slots[1]->num_channels = 17;
		if (fault == 5)
			opening->slots[1]->bit_depth = 33;
		if (fault == 6)
			opening->slots[1]->sample_rate_hz = 0;
		taken = rig_take(rig, &(struct rig_run){ .session = &session,
		                                         .opening = true,
		                                         .instead = opening });
		cr_assert_eq(taken.close_code, 4004, "fault %d", fault);
		cr_assert_eq(taken.next, 0);
		wire_free(&opening->base);
	}
	rig_free(rig);
}

Test(items, survives_requests_that_make_no_sense)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	struct rig_session odd = session;
	struct rig_call *call = xcalloc(1, sizeof *call);
	Publisher__PublisherReply *reply;

	call->call.ops = &rig_bus_ops;
	rig->fn(rig->ctx, &call->call, BYTES("\xff\xfe rubbish", 10));
	reply = rig_reply(call);
	cr_assert_eq(reply->error->status, 400);
	wire_free(&reply->base);

	cr_assert_eq(rig_take(rig, &(struct rig_run){ .session = &session }).next, 0,
	             "item 0 without an opening");
	cr_assert_eq(
	        rig_take(rig, &(struct rig_run){ .session = &session, .first = 4, .opening = true })
	                .next,
	        0, "an opening that is not item 0");
	cr_assert_eq(
	        rig_take(rig, &(struct rig_run){ .session = &session, .first = UINT64_MAX }).next,
	        0);
	rig_open(rig, &session);
	cr_assert_eq(
	        rig_take(rig, &(struct rig_run){ .session = &session, .first = UINT64_MAX }).next,
	        1);
	odd.account = uuid_new(RIG_WALL_MS);
	cr_assert_eq(rig_take(rig, &(struct rig_run){ .session = &odd, .first = 1 }).next, 0,
	             "the same id in another account is another session");
	rig_free(rig);
}

/* ---- takeover ---- */

Test(items, closes_a_superseded_session_before_the_new_one_begins)
{
	struct rig *rig = rig_new(1);
	struct rig_session old = rig_session(rig, 5), new = rig_session(rig, 5);
	Publisher__PublisherReply *detail;
	struct rig_taken taken;

	rig_open(rig, &old);
	(void)rig_second(rig, &old, T0);
	new.supersedes = old.id;
	rig_open(rig, &new);

	detail = rig_detail(rig, &old);
	cr_assert_str_eq(detail->session->status, "closed");
	cr_assert_eq(detail->session->close_code, 4009);
	cr_assert_str_eq(detail->session->close_reason,
	                 "superseded by a newer connection of this device");
	wire_free(&detail->base);

	cr_assert_eq(rig_second(rig, &old, T0 + 1000), 3, "what still comes is stored");
	cr_assert_eq(frames_of(rig, &old), 2);
	cr_assert_eq(fake_pushed, 1, "and not analysed");
	taken = rig_close(rig, &old);
	cr_assert_eq(taken.next, 4);
	cr_assert_eq(taken.close_code, 4009);
	rig_crash(rig);
	cr_assert_eq(rig_second(rig, &old, T0 + 2000), 5);
	cr_assert_eq(frames_of(rig, &old), 3);
	rig_free(rig);
}

Test(items, keeps_the_fence_up_for_a_superseded_session_that_comes_later)
{
	struct rig *rig = rig_new(1);
	struct rig_session old = rig_session(rig, 5), new = rig_session(rig, 5);
	struct rig_taken taken;

	new.supersedes = old.id;
	rig_open(rig, &new);
	rig_crash(rig);
	taken = rig_take(rig, &(struct rig_run){ .session = &old, .first = 3 });
	cr_assert_eq(taken.next, 0);
	cr_assert_eq(taken.close_code, 4009);
	taken = rig_take(rig, &(struct rig_run){ .session = &old, .opening = true });
	cr_assert_eq(taken.next, 1);
	cr_assert_eq(taken.close_code, 4009);
	old.next = 1;
	(void)rig_second(rig, &old, T0);
	cr_assert_eq(fake_pushed, 0);
	cr_assert_eq(frames_of(rig, &old), 1);
	rig_free(rig);
}

Test(items, does_not_close_another_accounts_session_for_a_takeover)
{
	struct rig *rig = rig_new(1);
	struct rig_session theirs = rig_session(rig, 5), mine = rig_session(rig, 5);
	Publisher__PublisherReply *detail;

	theirs.account = uuid_new(RIG_WALL_MS);
	rig_open(rig, &theirs);
	mine.supersedes = theirs.id;
	rig_open(rig, &mine);
	detail = rig_detail(rig, &theirs);
	cr_assert_str_eq(detail->session->status, "open");
	wire_free(&detail->base);
	rig_free(rig);
}

static Publisher__PublisherReply *close_orphan(struct rig *rig, const struct rig_session *session)
{
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__CloseOrphan orphan = PUBLISHER__CLOSE_ORPHAN__INIT;
	Publisher__Closing closing = PUBLISHER__CLOSING__INIT;

	closing.close_code = 1006;
	closing.close_reason = (char *)"edge lost";
	closing.ended_at = RIG_WALL_MS + 5;
	orphan.account = wire_bytes_of(&session->account);
	orphan.session = wire_bytes_of(&session->id);
	orphan.partition = session->partition;
	orphan.closing = &closing;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_CLOSE_ORPHAN;
	request.close_orphan = &orphan;
	return rig_ask(rig, &request);
}

Test(items, closes_an_orphan_once_also_after_a_restart)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5), unseen = rig_session(rig, 5);
	Publisher__PublisherReply *reply;

	rig_open(rig, &session);
	(void)rig_second(rig, &session, T0);
	rig_crash(rig);
	for (int i = 0; i < 2; i++) {
		reply = close_orphan(rig, &session);
		cr_assert_eq(reply->result_case, PUBLISHER__PUBLISHER_REPLY__RESULT_DONE);
		wire_free(&reply->base);
	}
	reply = rig_detail(rig, &session);
	cr_assert_eq(reply->session->close_code, 1006);
	cr_assert_eq(reply->session->ended_at, RIG_WALL_MS + 5);
	wire_free(&reply->base);
	cr_assert_eq(rig->n_news, 1, "the insights of its end are out, once");
	cr_assert_eq(rig_close(rig, &session).close_code, 1013);

	reply = close_orphan(rig, &unseen);
	cr_assert_eq(reply->result_case, PUBLISHER__PUBLISHER_REPLY__RESULT_DONE);
	wire_free(&reply->base);
	cr_assert_eq(
	        rig_take(rig, &(struct rig_run){ .session = &unseen, .opening = true }).close_code,
	        1013);
	unseen.partition = 99;
	reply = close_orphan(rig, &unseen);
	cr_assert_eq(reply->error->status, 400);
	wire_free(&reply->base);
	rig_free(rig);
}

/* ---- a full disk ---- */

static struct store_engine limited;
static const struct store_engine *unlimited;
static int refuse_rooms, refuse_writes;

static enum err limited_room(struct store *store, size_t bytes, bool only_deletes)
{
	return refuse_rooms > 0 && refuse_rooms-- ? ERR_LIMIT
	                                          : unlimited->room(store, bytes, only_deletes);
}

static enum err limited_write(struct store *store, const struct store_batch *batch)
{
	return refuse_writes > 0 && refuse_writes-- ? ERR_LIMIT : unlimited->write(store, batch);
}

static void limit_store(struct rig *rig)
{
	unlimited = rig->store->engine;
	limited = *unlimited;
	limited.room = limited_room;
	limited.write = limited_write;
	rig->store->engine = &limited;
}

Test(items, takes_nothing_while_the_disk_is_full_and_goes_on_when_it_is_not)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5), new = rig_session(rig, 5);
	Publisher__PublisherReply *reply;

	limit_store(rig);
	rig_open(rig, &session);
	new.supersedes = session.id;
	for (int i = 0; i < 40; i++) {
		refuse_rooms = i % 5 == 1;
		refuse_writes = i % 5 == 3;
		if (refuse_rooms || refuse_writes) {
			cr_assert_eq(rig_second(rig, &session, T0 + i * 1000), session.next);
			refuse_rooms = i % 5 == 1;
			refuse_writes = i % 5 == 3;
			cr_assert_eq(
			        rig_take(rig, &(struct rig_run){ .session = &new, .opening = true })
			                .next,
			        0);
		}
		cr_assert_eq(rig_second(rig, &session, T0 + i * 1000), (uint64_t)i + 2);
	}
	cr_assert_eq(frames_of(rig, &session), 40);
	reply = rig_insights(rig, &session, "hr");
	cr_assert_eq(reply->insights->n_items, 20);
	for (size_t i = 0; i < 20; i++)
		cr_assert_eq(reply->insights->items[i]->t, T0 + 2000 * ((int64_t)i + 1));
	wire_free(&reply->base);
	for (size_t i = 0, n = 0; i < rig->n_news; i++)
		for (size_t j = 0; j < rig->news[i]->n_insights; j++)
			cr_assert_eq(rig->news[i]->insights[j]->number, ++n);
	rig_free(rig);
}

/* ---- a session whose rows are damaged ---- */

Test(items, refuses_a_session_that_cannot_be_read_and_takes_the_others)
{
	struct rig *rig = rig_new(1);
	struct rig_session bad = rig_session(rig, 5), good = rig_session(rig, 5),
	                   new = rig_session(rig, 5);
	struct store_batch *batch = batch_new();
	Publisher__PublisherReply *reply;
	struct rig_call *call;
	struct key key;

	rig_open(rig, &bad);
	rig_open(rig, &good);
	rig_stop(rig);
	key_start(&key, 5, &rig->account, 's');
	key_add_uuid(&key, &bad.id);
	batch_put(batch, key_bytes(&key), BYTES("\xff\xff", 2));
	cr_assert_eq(store_write(rig->store, batch), OK);
	batch_free(batch);
	rig_start(rig);

	call = rig_send_runs(rig,
	                     (struct rig_run[]){
	                             {.session = &bad,   .first = 1, .closing = true},
	                             { .session = &good, .first = 1, .closing = true}
        },
	                     2);
	rig_run(rig, 10);
	reply = rig_reply(call);
	cr_assert_eq(rig_taken(reply, 0).close_code, 1013);
	cr_assert_eq(rig_taken(reply, 1).next, 2);
	wire_free(&reply->base);
	new.supersedes = bad.id;
	rig_open(rig, &new);
	rig_free(rig);
}
