/* The feed as Server-Sent Events. */
#include "services/edge/events.h"
#include "services/edge/fake_net.h"

#define QUERY "api_key=" FAKE_KEY
#define ID    "0192f0c0-0000-7000-8000-00000000abcd"

TestSuite(events, .init = edge_serves, .fini = edge_close);

static struct conn *get(const char *query, const char *last_event_id)
{
	return client_asks((struct net_request){ .method = "GET",
	                                         .path = "/stream/subscribe",
	                                         .query = query,
	                                         .accept = "text/html, text/event-stream;q=0.9",
	                                         .last_event_id = last_event_id });
}

static struct conn *subscribed(struct fake_key key)
{
	struct conn *conn = get(QUERY, NULL);

	key.notice = 4;
	key.key = 1;
	if (asked_verify())
		verdict(key);
	return conn;
}

static void publish(uint64_t number)
{
	Publisher__InsightsPublished message = PUBLISHER__INSIGHTS_PUBLISHED__INIT;
	Publisher__NumberedInsight numbered = PUBLISHER__NUMBERED_INSIGHT__INIT, *all = &numbered;
	Publisher__Insight insight = PUBLISHER__INSIGHT__INIT;
	struct uuid account = id_of(900);

	insight.type = (char *)"hr";
	insight.unit = insight.session_id = insight.sqi_class = insight.device_id = (char *)"x";
	insight.id = (char *)ID;
	numbered.number = number;
	numbered.account = wire_bytes_of(&account);
	numbered.insight = &insight;
	message.n_insights = 1;
	message.insights = &all;
	message.newest = number;
	world_publish("publisher-0.insights", &message.base);
}

static bool has_body(const struct conn *conn, const char *part)
{
	return memmem(conn->body.data, conn->body.len, part, strlen(part)) != NULL;
}

Test(events, tell_what_a_websocket_is_told)
{
	struct conn *conn = subscribed((struct fake_key){ 0 });

	cr_assert_eq(conn->status, 200);
	cr_assert(strstr((char *)conn->headers.data, "Content-Type: text/event-stream\r\n"));
	cr_assert(has_body(conn, "data: {\"status\":\"subscribed\"}\n\n"));
	cr_assert_leq(conn->silence_ms + EVENTS_BEAT_MS, 40000, "it is not pinged");
	publish(1);
	cr_assert(has_body(conn, "\n\nid: " ID "\ndata: {\"type\":\"hr\","));
	cr_assert_eq(fake.edge->metrics.sockets_subscribe, 1);
	client_goes(conn);
	cr_assert_eq(fake.edge->metrics.sockets_subscribe, 0);
	publish(2);
}

Test(events, are_refused_with_a_status_before_they_begin)
{
	struct conn *conn = get("", NULL);

	cr_assert_eq(conn->status, 401);
	cr_assert(has_body(conn, "\"status\":401"));
	conn = subscribed((struct fake_key){ .scopes = SCOPE_INGEST });
	cr_assert_eq(conn->status, 403);
	cr_assert(has_body(conn, "lacks the scope subscribe"));
	conn = get(QUERY "&type=pulse", NULL);
	cr_assert_eq(conn->status, 403, "the same key: rights come first");
	turn();
	cr_assert_eq(fake.edge->metrics.sockets_subscribe, 0);
}

Test(events, say_400_to_a_filter_or_an_id_that_cannot_be)
{
	struct conn *conn = subscribed((struct fake_key){ 0 });

	conn = get(QUERY "&type=pulse", NULL);
	cr_assert_eq(conn->status, 400);
	conn = get(QUERY, "garbage");
	cr_assert_eq(conn->status, 400);
	cr_assert(has_body(conn, "Last-Event-ID"));
	conn = client_asks((struct net_request){
	        .method = "GET", .path = "/stream/subscribe", .query = QUERY, .accept = "*/*" });
	cr_assert_eq(conn->status, 406);
	conn = client_asks((struct net_request){
	        .method = "HEAD", .path = "/stream/subscribe", .query = QUERY });
	cr_assert_eq(conn->status, 405);
	cr_assert(strstr((char *)conn->headers.data, "Allow: GET"));
	conn = client_asks((struct net_request){
	        .method = "OPTIONS", .path = "/stream/subscribe", .query = "" });
	cr_assert_eq(conn->status, 204, "a browser asks first");
}

Test(events, say_what_a_stream_is_asked_with)
{
	static const char *const paths[] = { "/stream/subscribe", "/stream/ingest" };
	struct conn *conn;

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		conn = client_asks(
		        (struct net_request){ .method = "POST", .path = paths[i], .query = QUERY });
		cr_assert_eq(conn->status, 405);
		cr_assert_not_null(strstr((char *)conn->headers.data, "Allow: GET, OPTIONS\r\n"));
		conn = client_asks(
		        (struct net_request){ .method = "OPTIONS", .path = paths[i], .query = "" });
		cr_assert_eq(conn->status, 204);
	}
	conn = client_asks(
	        (struct net_request){ .method = "GET", .path = "/stream/ingest", .query = QUERY });
	cr_assert_eq(conn->status, 426);
	cr_assert_not_null(strstr((char *)conn->headers.data, "Upgrade: websocket\r\n"));
}

Test(events, go_on_behind_the_last_event_id_whatever_the_query_says)
{
	struct conn *conn;
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	const Publisher__ReplayInsights *replay;
	struct uuid from, id;

	(void)subscribed((struct fake_key){ 0 });
	conn = get(QUERY "&since=5", ID);
	message = question_as(asked("publisher-0"), &publisher__publisher_request__descriptor);
	replay = ((Publisher__PublisherRequest *)message)->replay_insights;
	cr_assert(replay != NULL && wire_id(replay->from, &from) && uuid_parse(ID, &id));
	cr_assert_eq(uuid_ms(&from), uuid_ms(&id));
	cr_assert(has_body(conn, "subscribed"), "at once");
}

Test(events, beat_while_nothing_comes)
{
	struct conn *conn = subscribed((struct fake_key){ 0 });

	pass_leased(EVENTS_BEAT_MS - 1000);
	cr_assert_not(has_body(conn, "\n:\n\n"));
	pass_leased(2000);
	cr_assert(has_body(conn, "\n:\n\n"));
}

Test(events, end_with_their_key_and_move_nothing_from_its_notice_on)
{
	struct conn *conn = subscribed((struct fake_key){ 0 });
	struct notice_of space;
	Auth__Notice *notice = notice_fill(&space, 5, 1);
	size_t before = conn->body.len;

	cr_assert(may_move(conn));
	cr_assert_eq(grants_count(fake.edge->grants, &(struct uuid){ 0 }).subscribe, 0);
	lease_take_notices(fake.edge->lease, &notice, 1);
	cr_assert_not(may_move(conn));
	publish(1);
	cr_assert_eq(conn->body.len, before);
	turn();
	cr_assert(conn->now, "cut at once");
	cr_assert_eq(fake.edge->closed_by[5].counts.subscribe, 1, "and counted in the receipt");
}

Test(events, end_when_their_key_loses_the_right)
{
	struct conn *conn = subscribed((struct fake_key){ 0 });
	Raeh__Principal rights = RAEH__PRINCIPAL__INIT;
	struct uuid account = id_of(900), key = id_of(1);
	struct notice_of space;
	Auth__Notice *notice = notice_fill(&space, 5, 1);

	rights.account = wire_bytes_of(&account);
	rights.key = wire_bytes_of(&key);
	rights.notice = 5;
	rights.scopes = SCOPE_INGEST | SCOPE_SUBSCRIBE;
	notice->rights = &rights;
	lease_take_notices(fake.edge->lease, &notice, 1);
	turn();
	cr_assert_not(conn->now, "another right is gone: it goes on");
	publish(1);
	cr_assert(has_body(conn, "id: " ID));
	notice = notice_fill(&space, 6, 1);
	rights.notice = 6;
	rights.scopes = SCOPE_INGEST;
	notice->rights = &rights;
	lease_take_notices(fake.edge->lease, &notice, 1);
	cr_assert_not(may_move(conn));
	turn();
	cr_assert(conn->now, "cut at once");
	cr_assert_eq(fake.edge->closed_by[6].counts.subscribe, 1);
}

Test(events, say_why_when_the_server_goes)
{
	struct conn *conn = subscribed((struct fake_key){ 0 });

	edge_drain(fake.edge);
	cr_assert(has_body(conn, "event: close\ndata: {\"code\":1001,\"reason\":\"the server"));
	cr_assert_not(conn->streaming, "ended in order");
	conn = get(QUERY, NULL);
	cr_assert_eq(conn->status, 503);
}

Test(events, are_cut_off_when_they_are_not_read)
{
	struct conn *slow = subscribed((struct fake_key){ 0 });
	struct conn *other = subscribed((struct fake_key){ 0 });

	slow->clogged = true;
	publish(1);
	cr_assert(slow->now);
	cr_assert(has_body(other, "id: " ID));
	cr_assert_eq(fake.edge->metrics.subscribers_too_slow_total, 1);
}
