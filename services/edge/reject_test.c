#include "services/edge/fake_net.h"

TestSuite(reject, .init = edge_serves, .fini = edge_close);

#define POLITE "&reject=http"

static struct conn *ingest_upgrade(void)
{
	return client_upgrades(NET_INGEST, DEVICE POLITE);
}

static bool says(const struct conn *conn, const char *part)
{
	return strstr((const char *)conn->body.data, part) != NULL;
}

Test(reject, is_for_those_who_ask_for_it)
{
	struct conn *conn = conn_new(NET_HTTP);
	const struct net_request request = { .endpoint = NET_INGEST, .query = DEVICE };

	cr_assert_not(edge_net_events.hold_upgrade(fake.edge, conn, &request));
}

Test(reject, makes_a_websocket_of_it_with_the_first_message)
{
	struct conn *conn = ingest_upgrade();

	key_is_good();
	router_opens();
	turn();
	cr_assert_eq(conn->endpoint, NET_HTTP, "the opening is not durable yet");
	publisher_takes(0);
	cr_assert_eq(conn->endpoint, NET_INGEST);
	cr_assert(has_sent(conn, "\"session_id\":"));
	cr_assert_eq(fake.edge->held.count, 0);
	cr_assert_not(conn->paused);
}

Test(reject, tells_what_the_router_refuses_as_a_status)
{
	static const struct {
		unsigned close_code;
		int status;
	} row[] = {
		{4004,  404},
                { 4009, 409},
                { 1013, 503}
	};

	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct conn *conn = ingest_upgrade();

		if (asked("auth"))
			key_is_good();
		router_refuses(400, row[i].close_code, "device_model_id: no such device model");
		cr_assert_eq(conn->status, row[i].status);
		cr_assert(says(conn, "no such device model"));
		turn();
		cr_assert(conn->over);
	}
	cr_assert_eq(fake.edge->held.count, 0);
	cr_assert_eq(fake.edge->metrics.sockets_ingest, 0);
}

Test(reject, answers_401_without_a_good_key)
{
	struct conn *bad = ingest_upgrade();

	refuse_key(asked_verify(), 401);
	turn();
	cr_assert_eq(bad->status, 401);
	cr_assert_eq(client_upgrades(NET_INGEST, "reject=http")->status, 401);
}

Test(reject, answers_403_to_a_key_without_the_right)
{
	struct conn *poor = client_upgrades(NET_SUBSCRIBE, "api_key=" FAKE_KEY POLITE);

	verdict((struct fake_key){ .key = 1, .scopes = SCOPE_READ, .notice = 4 });
	cr_assert_eq(poor->status, 403);
	cr_assert(says(poor, "subscribe"));
}

Test(reject, tells_of_a_key_that_dies_meanwhile)
{
	struct conn *conn = ingest_upgrade();
	struct notice_of space;
	Auth__Notice *notice;

	key_is_good();
	notice = notice_fill(&space, lease_applied(fake.edge->lease) + 1, 1);
	lease_take_notices(fake.edge->lease, &notice, 1);
	turn();
	cr_assert_eq(conn->status, 401);
	router_opens();
	cr_assert(asked("router") != NULL, "what was opened is closed again");
}

Test(reject, leaves_nothing_of_a_client_that_goes_meanwhile)
{
	struct conn *conn = ingest_upgrade();

	key_is_good();
	client_goes(conn);
	cr_assert_eq(fake.edge->held.count, 0);
	router_opens();
	cr_assert(asked("router") != NULL, "what was opened is closed again");
}

Test(reject, answers_503_when_nobody_says_who_asks)
{
	struct conn *conn = ingest_upgrade();

	pass_leased(10000);
	cr_assert_eq(conn->status, 503);
}
