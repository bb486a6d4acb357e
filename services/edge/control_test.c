#include "services/edge/control.h"

#include "common/frame.h"
#include "services/edge/fake_net.h"

TestSuite(control, .init = edge_serves, .fini = edge_close);

#define QUERY "api_key=" FAKE_KEY

/* The answer to a question to this edge; free with wire_free. */
static Edge__EdgeReply *ask(Edge__EdgeRequest *request)
{
	unsigned before = world.replies;
	ProtobufCMessage *reply;

	if (!request->incarnation.data)
		request->incarnation = wire_bytes_of(&fake.edge->incarnation);
	world_call("edge-1", &request->base);
	cr_assert_eq(world.replies, before + 1);
	reply = wire_unpack(&edge__edge_reply__descriptor,
	                    BYTES(world.reply.data, world.reply.len));
	cr_assert(reply != NULL);
	return (Edge__EdgeReply *)reply;
}

static Edge__EdgeReply *ask_to_apply(const uint64_t *numbers, size_t n, unsigned key)
{
	Edge__EdgeRequest request = EDGE__EDGE_REQUEST__INIT;
	Auth__Notices notices = AUTH__NOTICES__INIT;
	struct notice_of space[8];
	Auth__Notice *all[8];

	for (size_t i = 0; i < n; i++)
		all[i] = notice_fill(&space[i], numbers[i], key);
	notices.n_notices = n;
	notices.notices = all;
	request.command_case = EDGE__EDGE_REQUEST__COMMAND_APPLY_NOTICES;
	request.apply_notices = &notices;
	return ask(&request);
}

Test(control, applies_notices_and_answers_with_what_each_has_closed)
{
	Edge__EdgeReply *reply;
	struct conn *conn = client_open(NET_SUBSCRIBE, QUERY);

	key_is_good();
	reply = ask_to_apply((const uint64_t[]){ 5, 6 }, 2, 1);
	cr_assert(reply->has_applied && reply->applied == 6);
	cr_assert_eq(reply->n_closed, 2);
	cr_assert_eq(reply->closed[0]->subscribe, 1);
	cr_assert_eq(reply->closed[1]->subscribe, 0);
	cr_assert_not(may_move(conn), "in force before the answer");
	wire_free(&reply->base);
}

Test(control, gives_the_same_answer_when_a_notice_comes_again)
{
	Auth__Notices notices = AUTH__NOTICES__INIT;
	struct notice_of space;
	Auth__Notice *all = notice_fill(&space, 5, 1);
	Edge__EdgeReply *reply;

	client_open(NET_SUBSCRIBE, QUERY);
	key_is_good();
	notices.n_notices = 1;
	notices.notices = &all;
	world_publish("auth.notices", &notices.base); /* the broadcast was faster */
	turn();
	for (int i = 0; i < 2; i++) {
		reply = ask_to_apply((const uint64_t[]){ 5 }, 1, 1);
		cr_assert_eq(reply->applied, 5);
		cr_assert_eq(reply->closed[0]->subscribe, 1);
		wire_free(&reply->base);
	}
}

Test(control, answers_what_is_applied_when_a_notice_before_is_missing)
{
	Edge__EdgeReply *reply = ask_to_apply((const uint64_t[]){ 7 }, 1, 1);

	cr_assert_eq(reply->applied, 4);
	cr_assert_eq(reply->n_closed, 1);
	wire_free(&reply->base);
	turn();
	cr_assert_eq(asked_count("auth.lease"), 1, "and hurries to hear of it");
}

Test(control, is_not_upset_by_a_notice_that_is_none)
{
	struct uuid nobody = id_of(3);
	Auth__Notices notices = AUTH__NOTICES__INIT;
	Auth__Notice notice = AUTH__NOTICE__INIT, *all = &notice;

	notice.number = 5;
	notice.account = wire_bytes_of(&nobody);
	notice.key = wire_bytes(BYTES("short", 5));
	notice.reason = (char *)"revoked";
	notices.n_notices = 1;
	notices.notices = &all;
	world_publish("auth.notices", &notices.base);
	world_publish_bytes("auth.notices", BYTES("\xff", 1));
	cr_assert_eq(lease_applied(fake.edge->lease), 5);
}

Test(control, counts_the_sockets_of_a_key)
{
	Edge__EdgeRequest request = EDGE__EDGE_REQUEST__INIT;
	Edge__SocketsOf of = EDGE__SOCKETS_OF__INIT;
	struct uuid key = id_of(1);
	Edge__EdgeReply *reply;

	client_open(NET_SUBSCRIBE, QUERY);
	client_open(NET_INGEST, DEVICE);
	key_is_good();
	of.key = wire_bytes_of(&key);
	request.command_case = EDGE__EDGE_REQUEST__COMMAND_SOCKETS_OF;
	request.sockets_of = &of;
	reply = ask(&request);
	cr_assert_eq(reply->sockets->ingest, 1);
	cr_assert_eq(reply->sockets->subscribe, 1);
	wire_free(&reply->base);
	of.key = wire_bytes(BYTES("short", 5));
	reply = ask(&request);
	cr_assert(reply->sockets == NULL);
	wire_free(&reply->base);
}

static size_t open_sessions(void)
{
	Edge__EdgeRequest request = EDGE__EDGE_REQUEST__INIT;
	Raeh__Empty empty = RAEH__EMPTY__INIT;
	Edge__EdgeReply *reply;
	size_t n;

	request.command_case = EDGE__EDGE_REQUEST__COMMAND_OPEN_SESSIONS;
	request.open_sessions = &empty;
	reply = ask(&request);
	n = reply->n_sessions;
	wire_free(&reply->base);
	return n;
}

Test(control, lists_sessions_until_the_router_knows_of_their_end)
{
	struct conn *conn = client_open(NET_INGEST, DEVICE);

	cr_assert_eq(open_sessions(), 0);
	key_is_good();
	router_opens();
	turn();
	publisher_takes(0);
	cr_assert_eq(open_sessions(), 1);
	client_goes(conn);
	cr_assert_eq(open_sessions(), 1, "its closing is not durable yet");
	turn();
	publisher_takes(0);
	cr_assert_eq(open_sessions(), 1, "the router does not know yet");
	router_is_done();
	cr_assert_eq(open_sessions(), 0);
}

Test(control, hears_of_ended_slots_when_it_is_asked_what_it_has)
{
	struct conn *conn = client_open(NET_INGEST, DEVICE);
	Edge__EdgeRequest request = EDGE__EDGE_REQUEST__INIT;
	Events__SlotsEnded ended = EVENTS__SLOTS_ENDED__INIT, *all[] = { &ended };
	struct uuid account = id_of(900), model;
	Raeh__Empty empty = RAEH__EMPTY__INIT;
	uint32_t slots[] = { 0 };
	uint8_t frame[FRAME_HEAD_BYTES + 2] = { 0 };

	key_is_good();
	router_opens();
	turn();
	publisher_takes(0);
	cr_assert(uuid_parse(MODEL_ID, &model));
	ended.account = wire_bytes_of(&account);
	ended.model = wire_bytes_of(&model);
	ended.slots = slots;
	ended.n_slots = 1;
	request.command_case = EDGE__EDGE_REQUEST__COMMAND_OPEN_SESSIONS;
	request.open_sessions = &empty;
	request.n_slots_ended = 1;
	request.slots_ended = all;
	for (int again = 0; again < 2; again++)
		wire_free(&ask(&request)->base);
	cr_assert_not(conn->closing, "not before it sends one");
	frame_head(&(struct frame){ .sample_count = 1, .t0_epoch_ms = FAKE_WALL_MS }, frame);
	client_sends(conn, true, BYTES(frame, sizeof frame));
	cr_assert_eq(conn->code, 4004);
}

Test(control, closes_a_superseded_session)
{
	Edge__EdgeRequest request = EDGE__EDGE_REQUEST__INIT;
	Edge__SessionSuperseded superseded = EDGE__SESSION_SUPERSEDED__INIT;
	struct conn *conn = client_open(NET_INGEST, DEVICE);
	struct uuid session;

	key_is_good();
	router_opens();
	cr_assert_eq(uplinks_sessions(fake.edge->uplinks, &session, 1), 1);
	superseded.session = wire_bytes_of(&session);
	request.command_case = EDGE__EDGE_REQUEST__COMMAND_SESSION_SUPERSEDED;
	request.session_superseded = &superseded;
	for (int i = 0; i < 2; i++) {
		Edge__EdgeReply *reply = ask(&request);

		cr_assert(reply->error == NULL);
		wire_free(&reply->base);
		cr_assert_eq(conn->code, 4009);
	}
}

Test(control, refuses_what_is_meant_for_another_incarnation)
{
	Edge__EdgeRequest request = EDGE__EDGE_REQUEST__INIT;
	Raeh__Empty empty = RAEH__EMPTY__INIT;
	struct uuid other = id_of(99);
	Edge__EdgeReply *reply;

	request.command_case = EDGE__EDGE_REQUEST__COMMAND_METRICS;
	request.metrics = &empty;
	request.incarnation = wire_bytes_of(&other);
	reply = ask(&request);
	cr_assert_eq(reply->error->status, 409);
	wire_free(&reply->base);
	request.incarnation = wire_bytes(BYTES("", 0)); /* whoever holds the slot */
	reply = ask(&request);
	cr_assert(strstr(reply->metrics, "raeh_edge_lease_held") != NULL, "%s", reply->metrics);
	wire_free(&reply->base);
}

Test(control, refuses_a_command_that_it_does_not_know)
{
	Edge__EdgeRequest request = EDGE__EDGE_REQUEST__INIT;
	Edge__EdgeReply *reply = ask(&request);

	cr_assert_eq(reply->error->status, 400);
	wire_free(&reply->base);
}
