#include "services/edge/fake_net.h"

TestSuite(edge, .init = edge_serves, .fini = edge_close);

static unsigned closed_with(int code)
{
	unsigned n = 0;

	for (size_t i = 0; i < fake.n_conn; i++)
		n += fake.conn[i].code == code;
	return n;
}

Test(edge, drains_its_sockets_then_what_it_holds_then_its_lease)
{
	struct conn *conn = client_open(NET_INGEST, DEVICE);
	Auth__LeaseReply reply = AUTH__LEASE_REPLY__INIT;

	key_is_good();
	router_opens();
	turn();
	publisher_takes(0);
	edge_drain(fake.edge);
	cr_assert(fake.deaf, "no new connections");
	cr_assert_eq(conn->code, 1001);
	pass(100);
	cr_assert_eq(asked_count("auth.lease"), 0, "its session is not closed yet");
	publisher_takes(0);
	pass(20);
	cr_assert_eq(asked_count("auth.lease"), 0, "the router does not know yet");
	router_is_done();
	pass(20);
	cr_assert_eq(asked_count("auth.lease"), 0, "what its key has done is not told yet");
	auth_is_done();
	pass(20);
	cr_assert_not(fake.stopped);
	world_answer(asked("auth.lease"), &reply.base);

	cr_assert(fake.stopped);
	cr_assert_not(lease_held(fake.edge->lease));
}

Test(edge, drains_in_slices)
{
	for (int i = 0; i < 1050; i++)
		client_open(NET_SUBSCRIBE, "api_key=" FAKE_KEY);
	key_is_good();
	edge_drain(fake.edge);
	edge_drain(fake.edge); /* once is enough */
	cr_assert_eq(closed_with(1001), 512);
	pass(10);
	cr_assert_eq(closed_with(1001), 1024);
	pass(10);
	cr_assert_eq(closed_with(1001), 1050);
}

Test(edge, closes_a_socket_that_opens_while_it_drains)
{
	struct conn *conn;

	edge_drain(fake.edge);
	conn = client_open(NET_SUBSCRIBE, "api_key=" FAKE_KEY);
	cr_assert_eq(conn->code, 1001);
}

Test(edge, waits_no_longer_than_it_said_for_a_publisher_that_is_away)
{
	client_open(NET_INGEST, DEVICE);
	key_is_good();
	router_opens();
	edge_drain(fake.edge);
	pass_leased(7000);
	cr_assert_not(fake.stopped);
	pass(3000);
	cr_assert(fake.stopped);
}

Test(edge, tells_auth_every_few_seconds_which_keys_were_used)
{
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	AUTO(wire_free) ProtobufCMessage *second = NULL;
	const Auth__KeysUsed *used, *done;
	struct uuid id, key = id_of(1);

	client_open(NET_SUBSCRIBE, "api_key=" FAKE_KEY);
	key_is_good();
	pass_leased(5000);
	message = question_as(asked_nth("auth", 0), &auth__auth_request__descriptor);
	second = question_as(asked_nth("auth", 1), &auth__auth_request__descriptor);
	used = ((Auth__AuthRequest *)message)->keys_used;
	done = ((Auth__AuthRequest *)second)->keys_used;
	if (used->n_key == 0) {
		done = used;
		used = ((Auth__AuthRequest *)second)->keys_used;
	}
	cr_assert_eq(used->n_key, 1);
	cr_assert(wire_id(used->key[0], &id) && uuid_equal(&id, &key));
	cr_assert(done->n_uses == 1 && done->uses[0]->connections == 1);
	auth_is_done();
	auth_is_done();
	pass_leased(5000);
	cr_assert_eq(asked_count("auth"), 0, "not used since");
}

Test(edge, offers_no_sockets_on_the_admin_address)
{
	const struct net_request admin = { .listener = REST_ADMIN_LISTENER }, other = { 0 };

	cr_assert_eq(edge_net_events.refuse_upgrade(fake.edge, &admin), 404);
	cr_assert_eq(edge_net_events.refuse_upgrade(fake.edge, &other), 0);
}

Test(edge, lets_a_socket_that_is_over_send_its_close_frame)
{
	struct conn *conn = client_open(NET_SUBSCRIBE, "api_key=" FAKE_KEY);

	cr_assert(may_move(conn), "a pong, before auth has said anything");
	key_is_good();
	world.now_us += (int64_t)FAKE_LEASE_MS * 1000;
	cr_assert_not(may_move(conn));
	fake.edge->draining = true;
	edge_net_events.on_closed(fake.edge, conn, 1006, "", true);
	list_remove(&conn->link);
}
