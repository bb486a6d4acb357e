/* A session's data removed on demand. */
#include "services/publisher/analysis_fake.h"
#include "services/publisher/erase.h"
#include "services/publisher/publisher_rig.h"

#define T0 (RIG_WALL_MS + 777)

static Publisher__PublisherReply *erase_part(struct rig *rig, const struct rig_session *session)
{
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__EraseSession erase = PUBLISHER__ERASE_SESSION__INIT;
	Publisher__Closing closing = PUBLISHER__CLOSING__INIT;
	Publisher__PublisherReply *reply;

	closing.close_code = 4004;
	closing.close_reason = (char *)"this device was deleted";
	closing.ended_at = clock_wall_ms();
	erase.account = wire_bytes_of(&session->account);
	erase.session = wire_bytes_of(&session->id);
	erase.partition = session->partition;
	erase.closing = &closing;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_ERASE_SESSION;
	request.erase_session = &erase;
	reply = rig_ask(rig, &request);
	cr_assert_eq(reply->result_case, PUBLISHER__PUBLISHER_REPLY__RESULT_ERASED);
	return reply;
}

static void erase(struct rig *rig, const struct rig_session *session, uint64_t frames,
                  uint64_t insights)
{
	Publisher__PublisherReply *reply = erase_part(rig, session);

	cr_assert(!reply->more);
	cr_assert_eq(reply->erased->frames, frames);
	cr_assert_eq(reply->erased->insights, insights);
	wire_free(&reply->base);
}

static size_t rows_of(struct rig *rig, const struct rig_session *session, char table)
{
	struct session_name name = { session->account, session->id, (uint16_t)session->partition };
	struct key from, to;
	struct store_scan *scan;
	struct bytes key, value;
	size_t n = 0;

	session_key(&from, &name, table);
	key_end_of(&from, &to);
	scan = scan_open(rig->store, key_bytes(&from), key_bytes(&to), false);
	while (scan_next(scan, &key, &value))
		n++;
	scan_close(scan);
	return n;
}

static void assert_gone(struct rig *rig, const struct rig_session *session)
{
	char text[UUID_TEXT];
	Publisher__PublisherReply *reply;

	uuid_text(&session->id, text);
	reply = rig_get(rig, &session->account, NULL, text);
	cr_assert(reply->error && reply->error->status == 404);
	wire_free(&reply->base);
	for (const char *table = "fSacgtx"; *table; table++)
		cr_assert_eq(rows_of(rig, session, *table), 0, "table %c", *table);
}

static struct rig_session streamed(struct rig *rig, uint32_t partition, int seconds)
{
	struct rig_session session = rig_session(rig, partition);

	rig_open(rig, &session);
	for (int i = 0; i < seconds; i++)
		(void)rig_second(rig, &session, T0 + i * 1000);
	return session;
}

Test(erase, removes_every_row_of_a_closed_session_and_says_how_many_and_leaves_the_others)
{
	struct rig *rig = rig_new(1);
	struct rig_session gone = streamed(rig, 5, 12), stays = streamed(rig, 5, 8);
	Publisher__ListInsights list = PUBLISHER__LIST_INSIGHTS__INIT;
	Publisher__PublisherReply *reply;
	size_t stay;

	(void)rig_close(rig, &gone);
	reply = rig_insights(rig, &stays, NULL);
	stay = reply->insights->n_items;
	wire_free(&reply->base);
	cr_assert_gt(rows_of(rig, &gone, 'x'), 6);
	erase(rig, &gone, 12, rows_of(rig, &gone, 'x'));
	assert_gone(rig, &gone);
	reply = rig_list(rig, NULL, &list);
	cr_assert_eq(reply->insights->n_items, stay);
	wire_free(&reply->base);
	reply = rig_detail(rig, &stays);
	cr_assert_eq(reply->session->frames, 8);
	wire_free(&reply->base);
	erase(rig, &gone, 0, 0); /* again */
	rig_free(rig);
}

Test(erase, closes_an_open_session_and_drops_what_still_comes_over_restarts_too)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = streamed(rig, 5, 6);
	uint8_t bytes[RIG_FRAME_BYTES];
	ProtobufCBinaryData frame = { sizeof bytes, bytes };
	struct rig_taken taken;

	erase(rig, &session, 6, 3);
	for (int round = 0; round < 2; round++) {
		rig_frame(T0 + 6000, 0, bytes);
		taken = rig_take(rig, &(struct rig_run){ .session = &session,
		                                         .first = session.next,
		                                         .frames = &frame,
		                                         .n_frames = 1 });
		cr_assert_eq(taken.next, ++session.next, "it is acknowledged");
		cr_assert_eq(taken.close_code, 4004);
		cr_assert_str_eq(taken.reason, "this device was deleted");
		assert_gone(rig, &session);
		rig_crash(rig);
	}
	(void)rig_close(rig, &session);
	assert_gone(rig, &session);
	rig_free(rig);
}

Test(erase, of_a_session_that_never_came_keeps_it_from_coming)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	struct rig_taken taken;

	erase(rig, &session, 0, 0);
	taken = rig_take(rig, &(struct rig_run){ .session = &session, .opening = true });
	cr_assert_eq(taken.next, 1);
	cr_assert_eq(taken.close_code, 4004);
	assert_gone(rig, &session);
	rig_free(rig);
}

Test(erase, leaves_numbers_without_a_hole_and_without_a_word)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = streamed(rig, 5, 6);
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__FetchInsights fetch = PUBLISHER__FETCH_INSIGHTS__INIT;
	Publisher__PublisherReply *reply;

	erase(rig, &session, 6, 3);
	fetch.from = 1;
	fetch.limit = 100;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_FETCH_INSIGHTS;
	request.fetch_insights = &fetch;
	reply = rig_ask(rig, &request);
	cr_assert_eq(reply->insights_published->n_insights, 3);
	for (size_t i = 0; i < 3; i++) {
		const Publisher__NumberedInsight *numbered = reply->insights_published->insights[i];

		cr_assert_eq(numbered->number, i + 1);
		cr_assert_eq(numbered->account.data[0], 0);
		cr_assert_str_eq(numbered->insight->device_id, "");
		cr_assert_eq(numbered->insight->value, 0);
	}
	wire_free(&reply->base);
	rig_free(rig);
}

Test(erase, takes_many_insights_in_slices)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = streamed(rig, 5, 2 * ERASE_SLICE + 40);
	Publisher__PublisherReply *reply = erase_part(rig, &session);
	uint64_t insights = reply->erased->insights;

	cr_assert(reply->more);
	cr_assert_eq(insights, ERASE_SLICE);
	while (reply->more) {
		wire_free(&reply->base);
		reply = erase_part(rig, &session);
		insights += reply->erased->insights;
	}
	wire_free(&reply->base);
	cr_assert_geq(insights, ERASE_SLICE + 20);
	assert_gone(rig, &session);
	rig_free(rig);
}
