/* Rows of the edge's own: this table stands in for rest_routes.c. */
#include "services/edge/fake_net.h"
#include "services/edge/rest_handler.h"

static void answers_at_once(struct rest *rest);
static void streams(struct rest *rest);
static void asks_first(struct rest *rest);

/* What a row does not name is 0. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* clang-format off */
const struct rest_route rest_routes[] = {
	{ "GET", "/open", 0, REST_HERE, NULL, NULL, 200, "", 0, answers_at_once },
	{ "GET", "/v1/long/{id}", SCOPE_READ, REST_PUBLISHER, "get_session", "session", 200, "", 0,
	  streams },
	{ "GET", "/v1/asks/{id}", SCOPE_READ, REST_PUBLISHER, "get_session", "session", 200, "", 0,
	  asks_first },
};
/* clang-format on */
const size_t rest_route_count = ARRAY_LEN(rest_routes);

static struct {
	unsigned parts, gone;
	bool ends;
} source;

static void open_rest(void)
{
	edge_open(1);
	give_lease(4);
	feed_stands(1);
	turn();
	memset(&source, 0, sizeof source);
}

TestSuite(rest_handler, .init = open_rest, .fini = edge_close);

static void answers_at_once(struct rest *rest)
{
	rest_answer(rest, 200, "{\"open\":true}", "");
}

static void more(struct rest *rest, void *ctx)
{
	cr_assert_eq(ctx, &source);
	source.parts++;
	cr_assert_eq(rest_stream_write(rest, BYTES("part;", 5)), OK);
	if (source.ends)
		rest_stream_end(rest);
}

static void gone(struct rest *rest, void *ctx)
{
	(void)rest;
	cr_assert_eq(ctx, &source);
	source.gone++;
}

static void streams(struct rest *rest)
{
	static const struct rest_stream stream = { more, gone };

	rest_stream_start(rest, 200, "Content-Type: text/csv\r\n", &stream, &source);
}

static void told(struct rest *rest, const char *name, enum err err, struct bytes data)
{
	(void)data;
	cr_assert_str_eq(name, "publisher-0");
	if (err == OK)
		rest_answer(rest, 200, "[]", "Link: <x>; rel=\"next\"\r\n");
	else
		rest_refuse(rest, 503, "publisher-0 does not answer", "");
}

static void asks_first(struct rest *rest)
{
	struct buf buf = { 0 };
	char name[BUS_NAME_MAX];

	cr_assert_str_eq(((Publisher__GetSession *)rest_command(rest))->id, "x");
	cr_assert(rest_principal(rest) != NULL);
	rest_publisher_of(rest, rest_subject(rest), name);
	rest_ask(rest, name, rest_pack(rest, &buf), 0, told);
	buf_free(&buf);
}

static struct conn *get(const char *method, const char *path)
{
	struct conn *conn = client_asks((struct net_request){
	        .method = method, .path = path, .authorization = "Bearer " FAKE_KEY });

	if (asked_verify())
		key_is_good();
	return conn;
}

Test(rest_handler, needs_no_key_where_its_row_asks_for_none)
{
	struct conn *conn = client_asks((struct net_request){ .method = "GET", .path = "/open" });

	cr_assert_eq(conn->status, 200);
	cr_assert_str_eq((char *)conn->body.data, "{\"open\":true}");
}

Test(rest_handler, asks_a_service_with_the_command_and_answers_from_its_reply)
{
	struct conn *conn = get("GET", "/v1/asks/x");
	AUTO(wire_free)
	ProtobufCMessage *message =
	        question_as(asked("publisher-0"), &publisher__publisher_request__descriptor);

	cr_assert_str_eq(((Publisher__PublisherRequest *)message)->get_session->id, "x");
	cr_assert_eq(conn->status, 0);
	world_answer_bytes(asked("publisher-0"), OK, BYTES("", 0));
	cr_assert_eq(conn->status, 200);
	cr_assert(strstr((char *)conn->headers.data, "Link: <x>") != NULL);
}

Test(rest_handler, is_let_go_when_its_client_goes_while_a_service_is_asked)
{
	struct conn *conn = get("GET", "/v1/asks/x");

	client_goes(conn);
	world_answer_bytes(asked("publisher-0"), OK, BYTES("", 0));
	cr_assert_eq(conn->status, 0);
}

Test(rest_handler, streams_a_part_each_time_that_the_last_one_has_left)
{
	struct conn *conn = get("GET", "/v1/long/x");

	cr_assert_eq(conn->status, 200);
	edge_net_events.on_drained(fake.edge, conn);
	edge_net_events.on_drained(fake.edge, conn);
	cr_assert_eq(source.parts, 2);
	source.ends = true;
	edge_net_events.on_drained(fake.edge, conn);
	turn();
	cr_assert_str_eq((char *)conn->body.data, "part;part;part;");
	cr_assert(conn->over);
	cr_assert_eq(source.gone, 1);
}

Test(rest_handler, tells_a_stream_once_that_its_client_is_gone)
{
	struct conn *conn = get("GET", "/v1/long/x");

	edge_net_events.on_drained(fake.edge, conn);
	client_goes(conn);
	turn();
	cr_assert_eq(source.gone, 1);
}

Test(rest_handler, moves_no_byte_of_a_stream_whose_key_died)
{
	struct conn *conn = get("GET", "/v1/long/x");
	struct notice_of notice;

	cr_assert(may_move(conn));
	grants_apply(fake.edge->grants, notice_fill(&notice, 5, 1));
	cr_assert_not(may_move(conn));
	turn();
	cr_assert(conn->now);
	cr_assert_eq(conn->code, 1006);
	turn();
	cr_assert_eq(source.gone, 1);
}

Test(rest_handler, sends_only_the_head_of_a_stream_that_HEAD_asks_for)
{
	struct conn *conn = get("HEAD", "/v1/long/x");

	cr_assert_eq(conn->status, 200);
	turn();
	cr_assert(conn->over);
	cr_assert_eq(source.parts, 0);
	cr_assert_eq(source.gone, 1);
}
