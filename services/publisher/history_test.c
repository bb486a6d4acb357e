/* History: who sees what, in which order, within which bounds. */
#include "services/publisher/analysis_fake.h"
#include "services/publisher/publisher_rig.h"

#define T0 (RIG_WALL_MS + 777)

static struct rig_session streamed(struct rig *rig, uint32_t partition, const char *device_id,
                                   int seconds)
{
	struct rig_session session = rig_session(rig, partition);

	session.device_id = device_id;
	rig_open(rig, &session);
	for (int i = 0; i < seconds; i++)
		(void)rig_second(rig, &session, T0 + i * 1000);
	return session;
}

static void assert_error(Publisher__PublisherReply *reply, uint32_t status, const char *detail)
{
	cr_assert(reply->error, "expected %u %s", status, detail);
	cr_assert_eq(reply->error->status, status);
	cr_assert_str_eq(reply->error->detail, detail);
	wire_free(&reply->base);
}

Test(history, lists_a_session_oldest_first_and_the_account_newest_first)
{
	struct rig *rig = rig_new(1);
	struct rig_session one = streamed(rig, 5, "watch-1", 12),
	                   two = streamed(rig, 9, "watch-2", 8);
	Publisher__ListInsights list = PUBLISHER__LIST_INSIGHTS__INIT;
	Publisher__PublisherReply *reply = rig_insights(rig, &one, NULL);

	cr_assert_eq(reply->insights->n_items, 6);
	for (size_t i = 0; i < 6; i++) {
		cr_assert_str_eq(reply->insights->items[i]->type, "hr");
		cr_assert_eq(reply->insights->items[i]->t, T0 + 2000 * ((int64_t)i + 1));
	}
	wire_free(&reply->base);

	(void)rig_close(rig, &two); /* an rr */
	reply = rig_list(rig, NULL, &list);
	cr_assert_eq(reply->insights->n_items, 11);
	cr_assert_str_eq(reply->insights->items[0]->type, "rr");
	for (size_t i = 1; i < 11; i++)
		cr_assert_leq(reply->insights->items[i]->ts, reply->insights->items[i - 1]->ts);
	wire_free(&reply->base);
	rig_free(rig);
}

Test(history, shows_extra_types_only_to_who_asks_for_them)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = streamed(rig, 5, "watch-1", 25);
	Publisher__ListInsights list = PUBLISHER__LIST_INSIGHTS__INIT;
	Publisher__PublisherReply *reply = rig_insights(rig, &session, "hrv_rmssd");

	cr_assert_eq(reply->insights->n_items, 2);
	wire_free(&reply->base);
	list.type = (char *)"hrv_rmssd";
	reply = rig_list(rig, NULL, &list);
	cr_assert_eq(reply->insights->n_items, 2);
	wire_free(&reply->base);
	list.type = (char *)"spo2";
	reply = rig_list(rig, NULL, &list);
	cr_assert_eq(reply->insights->n_items, 0);
	wire_free(&reply->base);
	reply = rig_detail(rig, &session);
	cr_assert_eq(reply->session->n_last_insights, 1);
	cr_assert_str_eq(reply->session->last_insights[0]->type, "hr");
	cr_assert_eq(reply->session->last_insights[0]->t, T0 + 24000);
	wire_free(&reply->base);
	rig_free(rig);
}

Test(history, filters_by_session_time_and_limit)
{
	struct rig *rig = rig_new(1);
	struct rig_session one = streamed(rig, 5, "watch-1", 12),
	                   two = streamed(rig, 9, "watch-2", 8);
	Publisher__ListInsights list = PUBLISHER__LIST_INSIGHTS__INIT;
	Publisher__PublisherReply *reply = rig_insights(rig, &two, NULL);
	char text[UUID_TEXT];
	int64_t ts[4];

	for (size_t i = 0; i < 4; i++)
		ts[i] = reply->insights->items[i]->ts;
	wire_free(&reply->base);

	list.has_from_at = list.has_to_at = true;
	list.from_at = ts[1];
	list.to_at = ts[2];
	reply = rig_list(rig, NULL, &list);
	cr_assert_eq(reply->insights->n_items, 2, "both ends are included");
	cr_assert_eq(reply->insights->items[0]->ts, ts[2]);
	wire_free(&reply->base);

	uuid_text(&one.id, text);
	list.session_id = text;
	reply = rig_list(rig, NULL, &list);
	cr_assert_eq(reply->insights->n_items, 0, "the other session ended earlier");
	wire_free(&reply->base);

	list.has_from_at = list.has_to_at = false;
	list.has_limit = true;
	list.limit = 2;
	reply = rig_list(rig, NULL, &list);
	cr_assert_eq(reply->insights->n_items, 2);
	cr_assert_eq(reply->insights->items[0]->t, T0 + 12000, "newest first");
	wire_free(&reply->base);

	list.has_from_at = list.has_to_at = true;
	list.from_at = INT64_MAX;
	list.to_at = INT64_MIN;
	list.session_id = NULL;
	reply = rig_list(rig, NULL, &list);
	cr_assert_eq(reply->insights->n_items, 0);
	wire_free(&reply->base);
	list.from_at = INT64_MIN;
	list.to_at = INT64_MAX;
	reply = rig_list(rig, NULL, &list);
	cr_assert_eq(reply->insights->n_items, 2);
	wire_free(&reply->base);
	rig_free(rig);
}

Test(history, filters_by_device)
{
	struct rig *rig = rig_new(1);
	struct rig_session one = streamed(rig, 5, "watch-1", 12);
	Publisher__ListInsights list = PUBLISHER__LIST_INSIGHTS__INIT;
	Publisher__PublisherReply *reply;
	char text[UUID_TEXT];

	(void)streamed(rig, 9, "watch-2", 8);
	list.device_id = (char *)"watch-1";
	reply = rig_list(rig, NULL, &list);
	cr_assert_eq(reply->insights->n_items, 6);
	wire_free(&reply->base);
	reply = rig_list(rig, "watch-2", &list);
	cr_assert_eq(reply->insights->n_items, 0, "a key of another device");
	wire_free(&reply->base);
	uuid_text(&one.id, text);
	list.session_id = text;
	reply = rig_list(rig, NULL, &list);
	cr_assert_eq(reply->insights->n_items, 6);
	wire_free(&reply->base);
	list.device_id = (char *)"watch-2";
	reply = rig_list(rig, NULL, &list);
	cr_assert_eq(reply->insights->n_items, 0, "the session of another device");
	wire_free(&reply->base);
	rig_free(rig);
}

/* How many insights all the pages have; each continues where the one before ended. */
static size_t count_pages(struct rig *rig, Publisher__ListInsights *list)
{
	char cursor[UUID_TEXT];
	bool more = true;
	size_t n = 0;

	while (more) {
		Publisher__PublisherReply *reply = rig_list(rig, NULL, list);

		cr_assert_null(reply->error);
		for (size_t i = 0; i < reply->insights->n_items; i++) {
			const char *id = reply->insights->items[i]->id;

			cr_assert(n == 0 || strcmp(id, cursor) < 0);
			(void)snprintf(cursor, sizeof cursor, "%s", id);
			n++;
		}
		list->cursor = cursor;
		more = reply->more;
		wire_free(&reply->base);
	}
	list->cursor = NULL;
	return n;
}

Test(history, gives_pages_that_together_are_the_whole_list)
{
	struct rig *rig = rig_new(1);
	struct rig_session one = streamed(rig, 5, "watch-1", 12);
	Publisher__ListInsights list = PUBLISHER__LIST_INSIGHTS__INIT;
	Publisher__PublisherReply *reply;
	char text[UUID_TEXT];

	(void)streamed(rig, 9, "watch-2", 8);
	list.has_limit = true;
	list.limit = 3;
	cr_assert_eq(count_pages(rig, &list), 10);
	list.has_to_at = true;
	list.to_at = INT64_MAX - 1;
	cr_assert_eq(count_pages(rig, &list), 10);
	uuid_text(&one.id, text);
	list.session_id = text;
	cr_assert_eq(count_pages(rig, &list), 6);
	list.limit = 6;
	reply = rig_list(rig, NULL, &list);
	cr_assert(!reply->more, "a list that just fits is whole");
	wire_free(&reply->base);
	list.cursor = (char *)"rubbish";
	assert_error(rig_list(rig, NULL, &list), 400, "cursor: expected one from a Link header");
	rig_free(rig);
}

Test(history, names_the_field_that_is_wrong)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = streamed(rig, 5, "watch-1", 2);
	Publisher__ListInsights list = PUBLISHER__LIST_INSIGHTS__INIT;

	list.has_limit = true;
	assert_error(rig_list(rig, NULL, &list), 400, "limit: expected 1 to 200, got 0");
	list.limit = 201;
	assert_error(rig_list(rig, NULL, &list), 400, "limit: expected 1 to 200, got 201");
	list.limit = 200;
	list.type = (char *)"pulse";
	assert_error(rig_list(rig, NULL, &list), 400,
	             "type: expected hr, spo2, rr, hrv_rmssd, hrv_sdnn or motion, got \"pulse\"");
	assert_error(rig_insights(rig, &session, "pulse"), 400,
	             "type: expected hr, spo2, rr, hrv_rmssd, hrv_sdnn or motion, got \"pulse\"");
	rig_free(rig);
}

Test(history, answers_ids_of_others_as_ids_that_were_never_made)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = streamed(rig, 5, "watch-1", 4), never = rig_session(rig, 5);
	struct uuid stranger = uuid_new(RIG_WALL_MS);
	char mine[UUID_TEXT], unknown[UUID_TEXT];
	Publisher__ListInsights list = PUBLISHER__LIST_INSIGHTS__INIT;
	Publisher__PublisherReply *reply;

	uuid_text(&session.id, mine);
	uuid_text(&never.id, unknown);
	assert_error(rig_get(rig, &stranger, NULL, mine), 404, "no such session");
	assert_error(rig_get(rig, &rig->account, "watch-2", mine), 404, "no such session");
	assert_error(rig_get(rig, &rig->account, NULL, unknown), 404, "no such session");
	assert_error(rig_get(rig, &rig->account, NULL, "rubbish"), 404, "no such session");
	rig_crash(rig); /* the same from the store alone */
	assert_error(rig_get(rig, &stranger, NULL, mine), 404, "no such session");
	assert_error(rig_get(rig, &rig->account, "watch-2", mine), 404, "no such session");
	assert_error(rig_insights(rig, &never, NULL), 404, "no such session");
	session.account = stranger;
	assert_error(rig_insights(rig, &session, NULL), 404, "no such session");

	list.session_id = unknown;
	reply = rig_list(rig, NULL, &list);
	cr_assert_eq(reply->insights->n_items, 0);
	wire_free(&reply->base);
	list.session_id = (char *)"rubbish";
	assert_error(rig_list(rig, NULL, &list), 400, "session_id: expected the UUID of a session");
	list.session_id = mine;
	reply = rig_list(rig, "watch-2", &list);
	cr_assert_eq(reply->insights->n_items, 0);
	wire_free(&reply->base);
	rig_free(rig);
}

Test(history, shows_a_key_bound_to_a_device_that_device_alone)
{
	struct rig *rig = rig_new(1);
	Publisher__ListInsights list = PUBLISHER__LIST_INSIGHTS__INIT;
	Publisher__PublisherReply *reply;

	(void)streamed(rig, 5, "watch-1", 12);
	(void)streamed(rig, 9, "watch-2", 8);
	reply = rig_list(rig, "watch-2", &list);
	cr_assert_eq(reply->insights->n_items, 4);
	for (size_t i = 0; i < 4; i++)
		cr_assert_str_eq(reply->insights->items[i]->device_id, "watch-2");
	wire_free(&reply->base);
	rig_free(rig);
}

Test(history, refuses_who_has_no_right_to_read)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = streamed(rig, 5, "watch-1", 2);
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__GetSession get = PUBLISHER__GET_SESSION__INIT;
	char text[UUID_TEXT];

	uuid_text(&session.id, text);
	get.id = text;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_GET_SESSION;
	request.get_session = &get;
	assert_error(rig_ask(rig, &request), 401, "the request is not signed for an account");
	request.principal = rig_principal(rig, &rig->account, SCOPE_INGEST, NULL);
	assert_error(rig_ask(rig, &request), 403, "the key has no scope read");
	request.principal->scopes = SCOPE_READ;
	assert_error(rig_ask(rig, &request), 401, "the request is not signed for an account");
	wire_free(&request.principal->base);
	rig_free(rig);
}

Test(history, shows_nothing_that_is_not_yet_durable)
{
	struct rig *rig = rig_new(100);
	struct rig_session session = rig_session(rig, 5);
	uint8_t bytes[2][RIG_FRAME_BYTES];
	ProtobufCBinaryData frames[2] = {
		{RIG_FRAME_BYTES,  bytes[0]},
                { RIG_FRAME_BYTES, bytes[1]}
	};
	Publisher__PublisherReply *reply;
	struct rig_call *call;

	rig_frame(T0, 0, bytes[0]);
	rig_frame(T0 + 1000, 0, bytes[1]);
	rig_open(rig, &session);
	call = rig_send_runs(
	        rig,
	        &(struct rig_run){
	                .session = &session, .first = 1, .n_frames = 2, .frames = frames },
	        1);
	reply = rig_insights(rig, &session, NULL);
	cr_assert_eq(reply->insights->n_items, 0);
	wire_free(&reply->base);
	rig_run(rig, 300);
	reply = rig_insights(rig, &session, NULL);
	cr_assert_eq(reply->insights->n_items, 1);
	wire_free(&reply->base);
	wire_free(&rig_reply(call)->base);
	rig_free(rig);
}

Test(history, tells_of_a_session_only_when_what_it_tells_is_durable)
{
	struct rig *rig = rig_new(100);
	struct rig_session session = rig_session(rig, 5);
	uint8_t bytes[2][RIG_FRAME_BYTES];
	ProtobufCBinaryData frames[2] = {
		{RIG_FRAME_BYTES,  bytes[0]},
                { RIG_FRAME_BYTES, bytes[1]}
	};
	Publisher__PublisherReply *reply;
	struct rig_call *call;
	char text[UUID_TEXT];

	uuid_text(&session.id, text);
	rig_frame(T0, 0, bytes[0]);
	rig_frame(T0 + 1000, 0, bytes[1]);
	rig_open(rig, &session);
	call = rig_send_runs(
	        rig,
	        &(struct rig_run){
	                .session = &session, .first = 1, .n_frames = 2, .frames = frames },
	        1);
	reply = rig_get(rig, &rig->account, NULL, text);
	cr_assert_eq(reply->session->frames, 2);
	cr_assert_eq(reply->session->n_last_insights, 1);
	wire_free(&reply->base);
	reply = rig_insights(rig, &session, NULL);
	cr_assert_eq(reply->insights->n_items, 1, "its frames were shown, its insight was not");
	wire_free(&reply->base);
	wire_free(&rig_reply(call)->base);
	rig_free(rig);
}

Test(history, reads_a_long_session_in_slices_and_in_pages)
{
	struct rig *rig = rig_new(0);
	struct rig_session session = streamed(rig, 5, "watch-1", 4000);
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__SessionInsights list = PUBLISHER__SESSION_INSIGHTS__INIT;
	Publisher__PublisherReply *whole, *page;
	char text[UUID_TEXT];
	struct rig_call *call;

	uuid_text(&session.id, text);
	list.id = text;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_SESSION_INSIGHTS;
	request.session_insights = &list;
	request.principal = rig_principal(rig, &rig->account, SCOPE_READ, NULL);
	call = rig_send(rig, &request);
	cr_assert(!call->answered, "2400 rows are more than a slice");
	rig_run(rig, 10);
	whole = rig_reply(call);
	cr_assert_eq(whole->insights->n_items, 2000);

	list.has_limit = true;
	list.limit = 700;
	for (size_t got = 0; got < 2000; got += page->insights->n_items, wire_free(&page->base)) {
		page = rig_ask(rig, &request);
		cr_assert_eq(page->insights->n_items, got == 1400 ? 600 : 700);
		for (size_t i = 0; i < page->insights->n_items; i++)
			cr_assert_str_eq(page->insights->items[i]->id,
			                 whole->insights->items[got + i]->id);
		list.after = whole->insights->items[got + page->insights->n_items - 1]->id;
	}
	wire_free(&whole->base);
	wire_free(&request.principal->base);
	rig_free(rig);
}

Test(history, refuses_more_readers_at_once_than_agreed_and_drops_them_when_it_stops)
{
	struct rig *rig = rig_new(0);
	struct rig_session session = streamed(rig, 5, "watch-1", 1500);
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__SessionInsights list = PUBLISHER__SESSION_INSIGHTS__INIT;
	struct rig_call *calls[33];
	char text[UUID_TEXT];

	uuid_text(&session.id, text);
	list.id = text;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_SESSION_INSIGHTS;
	request.session_insights = &list;
	request.principal = rig_principal(rig, &rig->account, SCOPE_READ, NULL);
	for (size_t i = 0; i < 33; i++)
		calls[i] = rig_send(rig, &request);
	wire_free(&request.principal->base);
	assert_error(rig_reply(calls[32]), 503, "too many history requests at once");
	rig_stop(rig);
	for (size_t i = 0; i < 32; i++) {
		cr_assert(calls[i]->dropped);
		(void)rig_reply(calls[i]);
	}
	rig_start(rig);
	rig_free(rig);
}
