/* The ledger of a session, as it is asked for and as it survives restarts. */
#include "services/publisher/analysis_fake.h"
#include "services/publisher/publisher_rig.h"

#define T0 (RIG_WALL_MS + 777)

static Publisher__SessionGaps *gaps_of(struct rig *rig, const struct rig_session *session,
                                       Publisher__PublisherReply **ret)
{
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__GetGaps get = PUBLISHER__GET_GAPS__INIT;
	char text[UUID_TEXT];

	uuid_text(&session->id, text);
	get.id = text;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_GET_GAPS;
	request.get_gaps = &get;
	*ret = rig_read(rig, &session->account, NULL, &request);
	cr_assert_eq((*ret)->result_case, PUBLISHER__PUBLISHER_REPLY__RESULT_GAPS);
	cr_assert_eq((*ret)->gaps->received, (*ret)->gaps->stored + (*ret)->gaps->duplicates +
	                                             (*ret)->gaps->rejected +
	                                             (*ret)->gaps->rate_limited);
	return (*ret)->gaps;
}

static void assert_gap(const Publisher__Gap *gap, uint32_t slot, const char *cause, int64_t from,
                       int64_t to)
{
	cr_assert_eq(gap->slot_id, slot);
	cr_assert_str_eq(gap->cause, cause);
	cr_assert_eq(gap->from_t, from, "from %lld", (long long)(gap->from_t - T0));
	cr_assert_eq(gap->to_t, to, "to %lld", (long long)(gap->to_t - T0));
}

Test(gaps, tell_by_slot_what_was_never_sent_over_restarts_too)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	Publisher__PublisherReply *reply;
	Publisher__SessionGaps *gaps;

	rig_open(rig, &session);
	for (int i = 0; i < 30; i++) {
		if (i != 7 && (i < 20 || i >= 23))
			(void)rig_second(rig, &session, T0 + i * 1000);
		if (i == 10)
			(void)rig_second(rig, &session, T0 + i * 1000); /* the same again */
		if (i == 15 || i == 25)
			rig_crash(rig);
	}
	for (int again = 0; again < 2; again++) {
		gaps = gaps_of(rig, &session, &reply);
		cr_assert_eq(gaps->stored, 26);
		cr_assert_eq(gaps->duplicates, 1);
		cr_assert_eq(gaps->received, 27);
		cr_assert_eq(gaps->n_gaps, 3);
		assert_gap(gaps->gaps[0], 0, "never-sent", T0 + 7000, T0 + 8000);
		assert_gap(gaps->gaps[1], 0, "never-sent", T0 + 20000, T0 + 23000);
		cr_assert_eq(gaps->gaps[1]->missing_ms, 3000);
		cr_assert_str_eq(gaps->gaps[1]->modality, "ppg_green");
		assert_gap(gaps->gaps[2], 3, "never-sent", T0, T0 + 30000);
		wire_free(&reply->base);
		(void)rig_close(rig, &session);
		rig_crash(rig);
	}
	rig_free(rig);
}

Test(gaps, tell_that_an_edge_was_lost_until_it_delivers_after_all)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__CloseOrphan orphan = PUBLISHER__CLOSE_ORPHAN__INIT;
	Publisher__Closing closing = PUBLISHER__CLOSING__INIT;
	Publisher__PublisherReply *reply;
	Publisher__SessionGaps *gaps;

	rig_open(rig, &session);
	(void)rig_second(rig, &session, T0);
	closing.close_code = 1006;
	closing.close_reason = (char *)"edge lost";
	orphan.account = wire_bytes_of(&session.account);
	orphan.session = wire_bytes_of(&session.id);
	orphan.partition = session.partition;
	orphan.closing = &closing;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_CLOSE_ORPHAN;
	request.close_orphan = &orphan;
	wire_free(&rig_ask(rig, &request)->base);

	gaps = gaps_of(rig, &session, &reply);
	cr_assert_eq(gaps->n_gaps, 3, "a slot that never began, and two of the edge");
	cr_assert_str_eq(gaps->gaps[0]->cause, "edge-lost");
	cr_assert_eq(gaps->gaps[0]->from_t, T0 + 1000);
	cr_assert_not(gaps->gaps[0]->has_to_t || gaps->gaps[0]->has_frames);
	wire_free(&reply->base);

	(void)rig_second(rig, &session, T0 + 1000); /* it was alive */
	(void)rig_close(rig, &session);
	gaps = gaps_of(rig, &session, &reply);
	cr_assert_eq(gaps->stored, 2);
	cr_assert_eq(gaps->late, 1, "stored, not analysed");
	cr_assert_str_eq(gaps->gaps[0]->cause, "late");
	cr_assert_eq(gaps->gaps[0]->frames, 1);
	for (size_t i = 0; i < gaps->n_gaps; i++)
		cr_assert_str_neq(gaps->gaps[i]->cause, "edge-lost");
	wire_free(&reply->base);
	rig_free(rig);
}

Test(gaps, tell_of_the_frame_for_which_the_socket_was_closed)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__Items items = PUBLISHER__ITEMS__INIT;
	Publisher__SessionItems run = PUBLISHER__SESSION_ITEMS__INIT, *runs = &run;
	Publisher__Closing closing = PUBLISHER__CLOSING__INIT;
	Publisher__Refused refused = PUBLISHER__REFUSED__INIT;
	Publisher__PublisherReply *reply;
	Publisher__SessionGaps *gaps;

	rig_open(rig, &session);
	refused.rate_limited = true;
	refused.has_slot_id = refused.has_t0 = refused.has_samples = true;
	refused.slot_id = 3;
	refused.t0 = T0;
	refused.samples = 25;
	closing.close_code = 4029;
	closing.close_reason = (char *)"rate";
	closing.refused = &refused;
	run.account = wire_bytes_of(&session.account);
	run.session = wire_bytes_of(&session.id);
	run.partition = session.partition;
	run.first = 1;
	run.closing = &closing;
	items.n_sessions = 1;
	items.sessions = &runs;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_ITEMS;
	request.items = &items;
	wire_free(&rig_ask(rig, &request)->base);
	rig_crash(rig);
	gaps = gaps_of(rig, &session, &reply);
	cr_assert_eq(gaps->received, 1);
	cr_assert_eq(gaps->rate_limited, 1);
	cr_assert_eq(gaps->n_gaps, 1);
	assert_gap(gaps->gaps[0], 3, "rate-limited", T0, T0 + 1000);
	wire_free(&reply->base);
	rig_free(rig);
}
