#include "services/edge/fake_net.h"
#include "services/edge/socket.h"

TestSuite(subscribe, .init = edge_serves, .fini = edge_close);

#define QUERY "api_key=" FAKE_KEY

static void publish(uint64_t number, const char *type, const char *device)
{
	Publisher__InsightsPublished message = PUBLISHER__INSIGHTS_PUBLISHED__INIT;
	Publisher__NumberedInsight numbered = PUBLISHER__NUMBERED_INSIGHT__INIT, *all = &numbered;
	Publisher__Insight insight = PUBLISHER__INSIGHT__INIT;
	struct uuid account = id_of(900);

	insight.type = (char *)type;
	insight.device_id = (char *)device;
	insight.unit = insight.session_id = insight.sqi_class = insight.id = (char *)"x";
	numbered.number = number;
	numbered.account = wire_bytes_of(&account);
	numbered.insight = &insight;
	message.n_insights = 1;
	message.insights = &all;
	message.newest = number;
	world_publish("publisher-0.insights", &message.base);
}

static struct conn *subscribed(struct fake_key key)
{
	struct conn *conn = client_open(NET_SUBSCRIBE, QUERY);

	key.notice = 4;
	key.key = 1;
	if (asked("auth"))
		verdict(key);
	return conn;
}

Test(subscribe, says_that_it_is_subscribed_and_misses_nothing_from_there)
{
	struct conn *conn = subscribed((struct fake_key){ 0 });

	cr_assert(has_sent(conn, "{\"status\":\"subscribed\"}\n"));
	publish(1, "hr", "watch");
	cr_assert_eq(conn->messages, 2);
	cr_assert(has_sent(conn, "\"type\":\"hr\""));
	cr_assert_eq(fake.edge->metrics.sockets_subscribe, 1);
	client_goes(conn);
	cr_assert_eq(fake.edge->metrics.sockets_subscribe, 0);
	publish(2, "hr", "watch");
}

Test(subscribe, says_nothing_before_the_feed_knows_where_it_stands)
{
	struct conn *conn;

	edge_close();
	edge_open(1);
	give_lease(4);
	conn = subscribed((struct fake_key){ 0 });
	cr_assert_eq(conn->messages, 0);
	feed_stands(1);
	cr_assert_eq(conn->messages, 1);
}

Test(subscribe, is_told_1013_when_a_publisher_stays_away)
{
	struct conn *conn;

	edge_close();
	edge_open(1);
	give_lease(4);
	conn = subscribed((struct fake_key){ 0 });
	pass_leased(9100);
	cr_assert_eq(conn->code, 1013);
}

Test(subscribe, tells_a_key_bound_to_a_device_of_that_device_alone)
{
	struct conn *conn = subscribed((struct fake_key){ .device_id = "watch" });

	publish(1, "hr", "other");
	cr_assert_eq(conn->messages, 1);
	publish(2, "hr", "watch");
	cr_assert_eq(conn->messages, 2);
}

Test(subscribe, tells_the_types_of_the_contract_alone)
{
	struct conn *conn = subscribed((struct fake_key){ 0 });

	publish(1, "hrv", "watch");
	cr_assert_eq(conn->messages, 1);
	publish(2, "rr", "watch");
	publish(3, "spo2", "watch");
	cr_assert_eq(conn->messages, 3);
}

Test(subscribe, tells_what_its_query_asks_for)
{
	struct conn *motion = client_open(NET_SUBSCRIBE, QUERY "&type=motion&device_id=watch");
	struct conn *bad;

	verdict((struct fake_key){ .key = 1, .notice = 4 });
	publish(1, "motion", "watch");
	cr_assert_eq(motion->messages, 2);
	publish(2, "motion", "other");
	publish(3, "hr", "watch");
	cr_assert_eq(motion->messages, 2);
	bad = client_open(NET_SUBSCRIBE, QUERY "&type=pulse");
	cr_assert_eq(bad->code, 4004);
	cr_assert(strstr(bad->reason, "type: expected") != NULL);
	bad = client_open(NET_SUBSCRIBE, "type=pulse");
	cr_assert_eq(bad->code, 4001, "the key comes first");
}

Test(subscribe, is_refused_with_4001_without_the_scope)
{
	struct conn *conn = subscribed((struct fake_key){ .scopes = SCOPE_INGEST });

	cr_assert_eq(conn->code, 4001);
	cr_assert(strstr(conn->reason, "subscribe") != NULL);
}

Test(subscribe, is_closed_with_1013_when_it_does_not_read_and_nobody_else_is)
{
	struct conn *slow = subscribed((struct fake_key){ 0 });
	struct conn *other = subscribed((struct fake_key){ 0 });

	slow->clogged = true;
	publish(1, "hr", "watch");
	cr_assert_eq(slow->code, 1013);
	cr_assert(slow->dropped);
	cr_assert_eq(fake.edge->metrics.subscribers_too_slow_total, 1);
	cr_assert_eq(other->messages, 2);
}

Test(subscribe, ignores_what_it_is_sent)
{
	struct conn *conn = subscribed((struct fake_key){ 0 });

	client_sends(conn, false, BYTES("hello", 5));
	client_sends(conn, true, BYTES("\x00", 1));
	cr_assert_not(conn->closing);
	cr_assert_eq(conn->messages, 1);
}

Test(subscribe, goes_with_its_key)
{
	struct conn *conn = subscribed((struct fake_key){ 0 });
	struct notice_of space;
	Auth__Notice *notice = notice_fill(&space, 5, 1);

	lease_take_notices(fake.edge->lease, &notice, 1);
	publish(1, "hr", "watch");
	cr_assert_eq(conn->messages, 1, "no insight from the notice on");
	turn();
	cr_assert_eq(conn->code, 4001);
	cr_assert(conn->now);
}

Test(subscribe, is_told_behind_its_end_only_what_its_key_still_may)
{
	struct conn *conn = subscribed((struct fake_key){ 0 });
	struct notice_of space;
	Auth__Notice *notice = notice_fill(&space, 5, 1);

	publish(1, "hr", "watch");
	socket_end(conn_user(conn), 1013, "reconnect later");
	cr_assert_eq(conn->code, 1013);
	cr_assert_not(conn->dropped);
	cr_assert(may_move(conn), "what is queued goes first");
	lease_take_notices(fake.edge->lease, &notice, 1);
	cr_assert_not(may_move(conn), "but nothing from the notice on");
	turn();
	cr_assert(conn->now);
}

Test(subscribe, is_told_nothing_more_when_it_ends_without_a_lease)
{
	struct conn *conn = subscribed((struct fake_key){ 0 });

	pass(FAKE_LEASE_MS);
	cr_assert_not(may_move(conn));
	publish(1, "hr", "watch");
	socket_end(conn_user(conn), 1013, "reconnect later");
	cr_assert(conn->dropped);
	cr_assert_not(conn->now);
	cr_assert(may_move(conn), "the close frame alone");
}

Test(echo, answers_an_admitted_client_with_what_it_sent, .init = edge_serves, .fini = edge_close)
{
	struct conn *conn = client_open(NET_ECHO, QUERY);

	cr_assert(conn->paused);
	key_is_good();
	cr_assert_not(conn->paused);
	client_sends(conn, false, BYTES("hello", 5));
	cr_assert(has_sent(conn, "hello\n"));
	conn->clogged = true;
	client_sends(conn, true, BYTES("x", 1));
	cr_assert_eq(conn->code, 1013);
	conn = client_open(NET_ECHO, "");
	cr_assert_eq(conn->code, 4001);
}
