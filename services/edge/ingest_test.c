#include "services/edge/fake_net.h"

#include "common/frame.h"
#include "common/keys.h"
#include "events.pb-c.h"

TestSuite(ingest, .init = edge_serves, .fini = edge_close);

/* A frame of the one slot: 16 bits, one channel. */
static void send_frame(struct conn *conn, uint16_t samples)
{
	uint8_t frame[FRAME_HEAD_BYTES + 2 * 1000] = { 0 };

	frame_head(&(struct frame){ .sample_count = samples, .t0_epoch_ms = FAKE_WALL_MS }, frame);
	client_sends(conn, true, BYTES(frame, FRAME_HEAD_BYTES + 2u * samples));
}

/* Up to the handshake message. */
static struct conn *open_session(void)
{
	struct conn *conn = client_open(NET_INGEST, DEVICE);

	if (asked("auth"))
		key_is_good();
	router_opens();
	turn();
	publisher_takes(0);
	return conn;
}

static struct uuid session_asked(void)
{
	AUTO(wire_free)
	ProtobufCMessage *message =
	        question_as(asked("router"), &router__router_request__descriptor);
	struct uuid id;

	cr_assert(wire_id(((Router__RouterRequest *)message)->open_session->session, &id));
	return id;
}

static uint32_t close_told_to_router(void)
{
	AUTO(wire_free)
	ProtobufCMessage *message =
	        question_as(asked("router"), &router__router_request__descriptor);
	const Router__RouterRequest *request = (Router__RouterRequest *)message;

	cr_assert_eq(request->command_case, ROUTER__ROUTER_REQUEST__COMMAND_CLOSE_SESSION);
	return request->close_session->close_code;
}

static void revoke(uint64_t number, unsigned key)
{
	struct notice_of space;
	Auth__Notice *notice = notice_fill(&space, number, key);

	lease_take_notices(fake.edge->lease, &notice, 1);
}

Test(ingest, reads_nothing_before_its_handshake_message_is_out)
{
	struct conn *conn = client_open(NET_INGEST, DEVICE);

	cr_assert(conn->paused);
	key_is_good();
	cr_assert(conn->paused);
	router_opens();
	turn();
	cr_assert(conn->paused && conn->messages == 0, "the opening is not durable yet");
	publisher_takes(0);

	cr_assert_not(conn->paused);
	cr_assert_eq(conn->messages, 1);
	cr_assert(has_sent(conn, "\"session_id\":"));
	cr_assert(has_sent(conn, "\"modality_channel_id\":\"c\""));
	cr_assert_eq(fake.edge->metrics.sockets_ingest, 1);
}

Test(ingest, asks_the_router_as_its_incarnation_and_with_the_device_of_the_query)
{
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	const Router__RouterRequest *request;
	struct uuid id;

	client_open(NET_INGEST,
	            "api_key=" FAKE_KEY "&device_id=my%20watch&device_model_id=" MODEL_ID);
	key_is_good();
	message = question_as(asked("router"), &router__router_request__descriptor);
	request = (Router__RouterRequest *)message;
	cr_assert_str_eq(request->open_session->device_id, "my watch");
	cr_assert_str_eq(request->open_session->device_model_id, MODEL_ID);
	cr_assert_eq(request->open_session->edge_slot, 1);
	cr_assert(wire_id(request->open_session->edge_incarnation, &id));
	cr_assert(uuid_equal(&id, &fake.edge->incarnation));
	cr_assert(request->principal != NULL);
}

Test(ingest, is_refused_with_4001_without_a_good_key)
{
	struct conn *none = client_open(NET_INGEST, "device_id=a&device_model_id=" MODEL_ID);
	struct conn *conn;

	cr_assert_eq(none->code, 4001);
	conn = client_open(NET_INGEST, DEVICE);
	refuse_key(asked("auth"), 401);
	turn();
	cr_assert_eq(conn->code, 4001);
	cr_assert_str_eq(conn->reason, GRANT_REFUSED);
	conn = client_open(NET_INGEST, DEVICE);
	verdict((struct fake_key){ .key = 1, .notice = 4, .scopes = SCOPE_READ });
	cr_assert_eq(conn->code, 4001);
	cr_assert(strstr(conn->reason, "ingest") != NULL, "%s", conn->reason);
	cr_assert_eq(fake.edge->metrics.refused_total, 3);
}

Test(ingest, is_refused_with_4001_when_the_key_is_bound_to_another_device)
{
	struct conn *conn = client_open(NET_INGEST, DEVICE);

	verdict((struct fake_key){ .key = 1, .notice = 4, .device_id = "other" });
	cr_assert_eq(conn->code, 4001);
	cr_assert_eq(asked_count("router"), 0);
}

Test(ingest, is_refused_with_4004_when_the_query_is_wrong)
{
	static const char *const bad[] = {
		"device_model_id=" MODEL_ID,
		"device_id=&device_model_id=" MODEL_ID,
		"device_id=%01&device_model_id=" MODEL_ID,
		"device_id=%ff&device_model_id=" MODEL_ID,
		"device_id=%c2%85&device_model_id=" MODEL_ID,
		"device_id=a%00b&device_model_id=" MODEL_ID,
		"device_id=a",
		"device_id=a&device_model_id=",
		"device_id=a&device_model_id=garbage",
		"device_id=a&device_model_id=%zz",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char query[256];
		struct conn *conn;

		(void)snprintf(query, sizeof query, "api_key=" FAKE_KEY "&%s", bad[i]);
		conn = client_open(NET_INGEST, query);
		if (asked("auth"))
			key_is_good();
		cr_assert_eq(conn->code, 4004, "%s: %d %s", bad[i], conn->code, conn->reason);
		cr_assert(strstr(conn->reason, "device_") != NULL, "%s", conn->reason);
	}
	cr_assert_eq(asked_count("router"), 0);
}

Test(ingest, passes_on_what_the_router_refuses)
{
	struct conn *conn = client_open(NET_INGEST, DEVICE);

	key_is_good();
	router_refuses(404, 4004, "no such device model");
	cr_assert_eq(conn->code, 4004);
	cr_assert_str_eq(conn->reason, "no such device model");
	turn();
	cr_assert_eq(asked_count("router"), 0, "nothing was opened: nothing is closed");
}

Test(ingest, closes_what_an_unanswered_router_may_have_opened)
{
	struct conn *conn = client_open(NET_INGEST, DEVICE);

	key_is_good();
	world_lose(asked("router"));
	cr_assert_eq(conn->code, 1013);
	turn();
	cr_assert_eq(close_told_to_router(), 1013);
	world_lose(asked("router")); /* and goes on until the router knows */
	pass(500);
	cr_assert_eq(close_told_to_router(), 1013);
	router_is_done();
	pass(1000);
	cr_assert_eq(asked_count("router"), 0);
}

Test(ingest, closes_what_was_opened_by_an_answer_it_cannot_read)
{
	struct conn *conn = client_open(NET_INGEST, DEVICE);

	key_is_good();
	world_answer_bytes(asked("router"), OK, BYTES("\xff\xff", 2));
	cr_assert_eq(conn->code, 1013);
	cr_assert_eq(close_told_to_router(), 1013);
}

Test(ingest, closes_the_session_of_a_client_that_went_while_the_router_was_asked)
{
	struct conn *conn = client_open(NET_INGEST, DEVICE);

	key_is_good();
	client_goes(conn);
	cr_assert_eq(fake.edge->metrics.sockets_ingest, 0);
	router_opens();

	cr_assert_eq(close_told_to_router(), 1006);
	turn();
	cr_assert_eq(asked_count("publisher-0"), 0, "its publisher never heard of it");
}

Test(ingest, whose_key_dies_while_the_router_is_asked_ends_with_4001_and_is_closed_again)
{
	struct conn *conn = client_open(NET_INGEST, DEVICE);

	key_is_good();
	revoke(5, 1);
	router_opens(); /* in the same turn: nobody has told the socket yet */

	cr_assert_eq(conn->code, 4001, "got %d %s", conn->code, conn->reason);
	cr_assert_str_eq(conn->reason, GRANT_REFUSED);
	cr_assert_eq(close_told_to_router(), 4001);
	cr_assert_eq(fake.edge->metrics.revoked_sockets_total, 1);
}

Test(ingest, is_told_1013_when_nobody_answers_in_time)
{
	struct conn *conn = client_open(NET_INGEST, DEVICE);

	pass_leased(INGEST_OPEN_MS - 100);
	cr_assert_not(conn->closing);
	pass_leased(200);
	cr_assert_eq(conn->code, 1013);
}

Test(ingest, sends_frames_to_the_publisher_and_tells_the_router_of_the_end)
{
	struct conn *conn = open_session();
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	const Publisher__SessionItems *items;

	send_frame(conn, 2);
	send_frame(conn, 3);
	client_goes(conn);
	turn();
	message = question_as(asked("publisher-0"), &publisher__publisher_request__descriptor);
	items = ((Publisher__PublisherRequest *)message)->items->sessions[0];
	cr_assert_eq(items->n_frames, 2);
	cr_assert_eq(items->closing->close_code, 1006);
	cr_assert_eq(asked_count("router"), 0, "not before its publisher has the end");
	publisher_takes(0);
	cr_assert_eq(close_told_to_router(), 1006);
	cr_assert_eq(fake.edge->metrics.frames_total, 2);
}

Test(ingest, refuses_what_is_no_frame_with_the_code_for_it)
{
	static const struct {
		bool binary;
		size_t len;
		uint8_t slot;
		int code;
	} bad[] = {
		{false, 5,  0, 1003},
		{ true, 11, 0, 1007},
		{ true, 13, 0, 1007},
		{ true, 14, 9, 4004}
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct conn *conn = open_session();
		uint8_t frame[32] = { 0 };

		frame_head(&(struct frame){ .sample_count = 1, .slot_id = bad[i].slot }, frame);
		client_sends(conn, bad[i].binary, BYTES(frame, bad[i].len));
		cr_assert_eq(conn->code, bad[i].code, "case %zu: %d", i, conn->code);
		turn();
		publisher_takes(0);
		router_is_done();
	}
	cr_assert_eq(fake.edge->metrics.frames_refused_total, ARRAY_LEN(bad));
	cr_assert_eq(fake.edge->metrics.frames_total, 0);
}

Test(ingest, tells_those_who_ask_how_many_frames_are_durable)
{
	struct conn *silent = open_session(), *conn;

	send_frame(silent, 1);
	turn();
	publisher_takes(0);
	cr_assert_eq(silent->messages, 1);
	conn = client_open(NET_INGEST, DEVICE "&ack=1");
	if (asked("auth"))
		key_is_good();
	router_opens();
	turn();
	publisher_takes(0);
	cr_assert_eq(conn->messages, 1, "the handshake alone: there is no frame yet");
	send_frame(conn, 1);
	send_frame(conn, 2);
	turn();
	publisher_takes(0);
	cr_assert(has_sent(conn, "{\"ack\":2}\n"));
	conn->clogged = true;
	send_frame(conn, 3);
	turn();
	publisher_takes(0);
	send_frame(conn, 4);
	turn();
	publisher_takes(0);
	cr_assert_eq(conn->messages, 2);
	cr_assert_not(conn->closing, "who does not read its acknowledgements is let be");
	conn->clogged = false;
	edge_net_events.on_drained(fake.edge, conn);
	cr_assert_eq(conn->messages, 3, "the newest alone");
	cr_assert(has_sent(conn, "{\"ack\":4}\n"));
	edge_net_events.on_drained(fake.edge, conn);
	cr_assert_eq(conn->messages, 3);
}

Test(ingest, refuses_frames_on_a_slot_whose_channel_was_removed)
{
	struct conn *conn = open_session();
	Events__RouterBroadcast broadcast = EVENTS__ROUTER_BROADCAST__INIT;
	Events__SlotsEnded ended = EVENTS__SLOTS_ENDED__INIT;
	struct uuid account = id_of(900), other = id_of(901), model;
	uint32_t slots[] = { 7, 0, 100000 };

	cr_assert(uuid_parse(MODEL_ID, &model));
	ended.account = wire_bytes_of(&other);
	ended.model = wire_bytes_of(&model);
	ended.slots = slots;
	ended.n_slots = 3;
	broadcast.slots_ended = &ended;
	world_publish("router.events", &broadcast.base);
	send_frame(conn, 1);
	cr_assert_not(conn->closing, "the model of another account");
	ended.account = wire_bytes_of(&account);
	world_publish("router.events", &broadcast.base);
	cr_assert_not(conn->closing, "not before it sends one");
	send_frame(conn, 2);
	cr_assert_eq(conn->code, 4004);
	cr_assert(strstr(conn->reason, "removed") != NULL);
}

Test(ingest, is_closed_with_4029_over_the_rate_of_its_key)
{
	struct conn *conn = client_open(NET_INGEST, DEVICE);

	verdict((struct fake_key){ .key = 1, .notice = 4, .frames_per_s = 10 });
	router_opens();
	turn();
	publisher_takes(0);
	pass(1000);
	for (int i = 0; i < 10; i++)
		send_frame(conn, 1);
	cr_assert_not(conn->closing);
	send_frame(conn, 1);
	cr_assert_eq(conn->code, 4029);
}

Test(ingest, stops_reading_while_too_much_is_unacknowledged)
{
	struct conn *conn = open_session();

	while (!conn->paused)
		send_frame(conn, 1000);
	cr_assert_eq(fake.edge->metrics.backpressure_total, 1);
	cr_assert_geq(uplinks_counts(fake.edge->uplinks)->held_bytes, UPLINK_STREAM_BYTES);
	turn();
	publisher_takes(0);
	cr_assert_not(conn->paused);
	cr_assert_not(conn->closing);
}

Test(ingest, is_told_1013_when_reading_stood_still_for_a_minute)
{
	struct conn *conn = open_session();

	while (!conn->paused)
		send_frame(conn, 1000);
	pass_leased(FAKE_PAUSE_MS - 100);
	cr_assert_not(conn->closing);
	pass_leased(200);
	cr_assert_eq(conn->code, 1013);
}

Test(ingest, is_closed_with_1001_when_no_frame_came_for_long)
{
	struct conn *conn = open_session();

	pass_leased(40000);
	send_frame(conn, 1);
	pass_leased(59000);
	cr_assert_not(conn->closing);
	pass_leased(1100);
	cr_assert_eq(conn->code, 1001);
	cr_assert(strstr(conn->reason, "idle") != NULL);
}

Test(ingest, goes_at_once_when_its_key_is_revoked_and_what_was_taken_stays)
{
	struct conn *conn = open_session();

	send_frame(conn, 1);
	revoke(5, 1);
	cr_assert_not(may_move(conn), "no byte from now on");
	turn();

	cr_assert_eq(conn->code, 4001);
	cr_assert(conn->now, "what was queued is dropped");
	cr_assert_eq(fake.edge->metrics.revoked_sockets_total, 1);
	cr_assert_eq(asked_count("publisher-0"), 1);
	publisher_takes(0);
	cr_assert_eq(close_told_to_router(), 4001);
}

Test(ingest, moves_no_byte_without_a_lease_and_goes_on_with_the_next)
{
	struct conn *conn = open_session();

	world.now_us += (int64_t)FAKE_LEASE_MS * 1000;
	cr_assert_not(may_move(conn));
	turn();
	give_lease(9);
	cr_assert_not(may_move(conn), "its key is asked about again first");
	verdict((struct fake_key){ .key = 1, .notice = 9 });
	cr_assert(may_move(conn));
	cr_assert_eq(fake.woken, 1);
	send_frame(conn, 1);
}

Test(ingest, is_closed_with_1013_when_the_lease_stays_away_for_a_minute)
{
	struct conn *conn = open_session();

	pass(FAKE_LEASE_MS);
	cr_assert_not(conn->closing);
	pass(70000);
	cr_assert_eq(conn->code, 1013);
	cr_assert_eq(fake.edge->metrics.sockets_ingest, 0);
}

Test(ingest, is_not_idle_while_it_may_not_be_read)
{
	struct conn *conn = open_session();

	pass_leased(20000);
	pass(FAKE_LEASE_MS + 15000); /* auth is away: the device's frames stand in the kernel */
	cr_assert_not(conn->closing, "%d %s", conn->code, conn->reason);
	world_lose(asked("auth.lease"));
	pass(200);
	give_lease(4);
	key_is_good();
	pass_leased(59000);
	cr_assert_not(conn->closing, "%d %s", conn->code, conn->reason);
	pass_leased(1100);
	cr_assert_eq(conn->code, 1001);
}

Test(ingest, is_closed_with_4009_when_its_device_connects_elsewhere)
{
	struct conn *conn = client_open(NET_INGEST, DEVICE);
	Events__RouterBroadcast broadcast = EVENTS__ROUTER_BROADCAST__INIT;
	struct uuid session, other = id_of(44);

	key_is_good();
	session = session_asked();
	router_opens();
	turn();
	publisher_takes(0);
	broadcast.has_superseded_session = 1;
	broadcast.superseded_session = wire_bytes_of(&other);
	world_publish("router.events", &broadcast.base);
	cr_assert_not(conn->closing);
	broadcast.superseded_session = wire_bytes_of(&session);
	world_publish("router.events", &broadcast.base);
	cr_assert_eq(conn->code, 4009);
	world_publish("router.events", &broadcast.base);
	world_publish_bytes("router.events", BYTES("\xff", 1));
}

Test(ingest, is_closed_with_4009_though_the_router_s_answer_has_yet_to_come)
{
	struct conn *conn = client_open(NET_INGEST, DEVICE);
	Events__RouterBroadcast broadcast = EVENTS__ROUTER_BROADCAST__INIT;
	struct uuid session;

	key_is_good();
	session = session_asked();
	broadcast.has_superseded_session = 1;
	broadcast.superseded_session = wire_bytes_of(&session);
	world_publish("router.events", &broadcast.base);
	cr_assert_eq(conn->code, 4009);
	router_opens();
	cr_assert_eq(close_told_to_router(), 4009);
	router_is_done();
	world_publish("router.events", &broadcast.base);
}

Test(ingest, is_closed_when_its_publisher_says_so)
{
	struct conn *conn = open_session();

	send_frame(conn, 1);
	turn();
	publisher_takes(4009);
	cr_assert_eq(conn->code, 4009);
	turn();
	publisher_takes(4009);
	cr_assert_eq(close_told_to_router(), 4009);
}

static struct conn *resuming(const char *session)
{
	AUTO_MEM char *query = xasprintf(DEVICE "&resume=%s", session);
	struct conn *conn = client_open(NET_INGEST, query);

	if (asked("auth"))
		key_is_good();
	return conn;
}

/* An id of the device's partition. */
static void id_to_resume(char ret[UUID_TEXT])
{
	struct conn *conn = client_open(NET_INGEST, DEVICE);
	struct uuid id;

	key_is_good();
	id = session_asked();
	uuid_text(&id, ret);
	router_refuses(404, 4004, "no");
	turn();
	cr_assert_eq(conn->code, 4004);
}

Test(ingest, resumes_a_session_and_says_what_is_durable)
{
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	struct conn *conn, *second;
	char id[UUID_TEXT];
	struct uuid asked_for;

	id_to_resume(id);
	conn = resuming(id);
	message = question_as(asked("router"), &router__router_request__descriptor);
	cr_assert(((Router__RouterRequest *)message)->open_session->has_resume);
	asked_for = session_asked();
	cr_assert(memcmp(&asked_for, ((Router__RouterRequest *)message)->open_session->session.data,
	                 16) == 0);
	second = resuming(id);
	cr_assert_eq(second->code, 1013, "one at a time");
	router_opens();
	turn();
	publisher_takes(0);
	cr_assert(has_sent(conn, "\"resumed\":true"));
	cr_assert(has_sent(conn, "\"acked\":0"));
	cr_assert_not(conn->paused);
}

/* Of another account, with a device of the same partition. */
static struct conn *foreigner_resuming(const char *session)
{
	const struct uuid account = id_of(901);
	struct uuid model, id;
	char device[16];
	unsigned n = 0;

	cr_assert(uuid_parse(MODEL_ID, &model) && uuid_parse(session, &id));
	do
		(void)snprintf(device, sizeof device, "thief-%u", n++);
	while (partition_of(&account, &model, device) != uuid_number(&id) % PARTITIONS);
	AUTO_MEM char *query = xasprintf("api_key=raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01243IRMYT&device_"
	                                 "id=%s&device_model_id=" MODEL_ID "&resume=%s",
	                                 device, session);
	struct conn *conn = client_open(NET_INGEST, query);

	verdict((struct fake_key){ .key = 2, .account = 901, .notice = 4 });
	return conn;
}

Test(ingest, another_accounts_claim_to_a_session_is_in_nobodys_way)
{
	struct conn *thief, *conn;
	char id[UUID_TEXT];

	id_to_resume(id);
	thief = foreigner_resuming(id);
	conn = resuming(id);
	cr_assert_eq(thief->code, 0);
	cr_assert_eq(conn->code, 0);
	cr_assert_eq(asked_count("router"), 2);
	router_refuses(404, 4004, "resume: no such session of this device");
	router_opens();
	turn();
	cr_assert_eq(thief->code, 4004);
	publisher_takes(0);
	cr_assert(has_sent(conn, "\"resumed\":true"));
}

Test(ingest, a_session_that_is_being_resumed_is_unknown_to_another_account)
{
	struct conn *thief;
	char id[UUID_TEXT];

	id_to_resume(id);
	(void)resuming(id);
	thief = foreigner_resuming(id);
	cr_assert_eq(thief->code, 0, "the router is asked, as about an id that was never made");
	cr_assert_eq(asked_count("router"), 2);
}

Test(ingest, refuses_to_resume_what_is_no_session_of_the_device)
{
	struct conn *conn = resuming("x");

	cr_assert_eq(conn->code, 4004);
	cr_assert(strncmp(conn->reason, "resume: ", 8) == 0);
	conn = resuming("0192f0c0-0000-7000-8000-00000000abcd");
	if (!conn->closing) { /* one in 64: it is of the partition */
		router_refuses(404, 4004, "resume: no such session of this device");
		turn();
	}
	cr_assert_eq(conn->code, 4004);
}

Test(ingest, does_not_close_at_the_router_what_it_may_have_resumed)
{
	struct conn *conn;
	char id[UUID_TEXT];

	id_to_resume(id);
	conn = resuming(id);
	client_goes(conn);
	router_opens();
	turn();
	cr_assert_eq(asked_count("router"), 0, "the reconciliation closes it everywhere");
}
