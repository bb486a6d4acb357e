#include "services/edge/fake_net.h"

#define PUBLISHERS 3

static void open_rest(void)
{
	edge_open(PUBLISHERS);
	give_lease(4);
	feed_stands(PUBLISHERS);
	turn();
}

TestSuite(rest, .init = open_rest, .fini = edge_close);

#define BEARER "Bearer " FAKE_KEY

static struct conn *get(const char *path, const char *query)
{
	return client_asks((struct net_request){
	        .method = "GET", .path = path, .query = query, .authorization = BEARER });
}

static struct conn *post(const char *path, const char *body)
{
	return client_asks((struct net_request){ .method = "POST",
	                                         .path = path,
	                                         .authorization = BEARER,
	                                         .has_length = true,
	                                         .body = BYTES(body, strlen(body)) });
}

static struct conn *send_method(const char *method, const char *path)
{
	return client_asks((struct net_request){ .method = method, .path = path });
}

static void assert_answer(const struct conn *conn, int status, const char *part)
{
	cr_assert_eq(conn->status, status, "%d %s", conn->status, (char *)conn->body.data);
	cr_assert(strstr((char *)conn->body.data, part) != NULL, "%s", (char *)conn->body.data);
}

static bool has_header(const struct conn *conn, const char *line)
{
	return conn->headers.data && strstr((char *)conn->headers.data, line) != NULL;
}

static Publisher__PublisherRequest *publisher_asked(unsigned number)
{
	char name[BUS_NAME_MAX];

	(void)snprintf(name, sizeof name, "publisher-%u", number);
	return (Publisher__PublisherRequest *)question_as(
	        asked(name), &publisher__publisher_request__descriptor);
}

/* A list of n insights whose ids are prefix-999, prefix-998 … (newest first). */
static void insights_from(unsigned publisher, const char *prefix, size_t n)
{
	Publisher__PublisherReply reply = PUBLISHER__PUBLISHER_REPLY__INIT;
	Publisher__InsightList list = PUBLISHER__INSIGHT_LIST__INIT;
	Publisher__Insight insight[8], *all[8];
	char id[8][32], name[BUS_NAME_MAX];

	for (size_t i = 0; i < n; i++) {
		publisher__insight__init(&insight[i]);
		(void)snprintf(id[i], sizeof id[i], "%s-%03zu", prefix, 999 - i);
		insight[i].type = insight[i].unit = insight[i].session_id = (char *)"x";
		insight[i].device_id = insight[i].sqi_class = (char *)"x";
		insight[i].id = id[i];
		all[i] = &insight[i];
	}
	list.n_items = n;
	list.items = all;
	reply.result_case = PUBLISHER__PUBLISHER_REPLY__RESULT_INSIGHTS;
	reply.insights = &list;
	(void)snprintf(name, sizeof name, "publisher-%u", publisher);
	world_answer(asked(name), &reply.base);
}

/* ---- routes ---- */

Test(rest, matches_a_path_to_its_form_and_nothing_else)
{
	static const struct {
		const char *pattern, *path, *value;
		bool matches;
	} cases[] = {
		{"/v1/sessions",                "/v1/sessions",            NULL, true },
		{ "/v1/sessions",               "/v1/sessions/",           NULL, false},
		{ "/v1/sessions",               "/v1/session",             NULL, false},
		{ "/v1/sessions",               "/v1/sessionsx",           NULL, false},
		{ "/v1/sessions/{id}",          "/v1/sessions/a",          "a",  true },
		{ "/v1/sessions/{id}",          "/v1/sessions/",           NULL, false},
		{ "/v1/sessions/{id}",          "/v1/sessions/a/b",        NULL, false},
		{ "/v1/sessions/{id}/insights", "/v1/sessions/a/insights", "a",  true },
		{ "/v1/sessions/{id}/insights", "/v1/sessions//insights",  NULL, false},
		{ "/v1/sessions/{id}/insights", "/v1/sessions/a/insight",  NULL, false},
		{ "/{a}/{b}/{c}",               "/1/2/3",                  NULL, false}, /* more than may be */
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rest_param params[REST_PATH_PARAMS];
		size_t n = 0;
		bool matches = rest_path_matches(cases[i].pattern, cases[i].path, params, &n);

		cr_assert_eq(matches, cases[i].matches, "%s %s", cases[i].pattern, cases[i].path);
		if (!matches)
			continue;
		cr_assert_eq(n, cases[i].value ? 1 : 0);
		if (cases[i].value) {
			cr_assert_eq(params[0].len, strlen(cases[i].value));
			cr_assert(memcmp(params[0].value, cases[i].value, params[0].len) == 0);
			cr_assert(params[0].name_len == 2 && memcmp(params[0].name, "id", 2) == 0);
		}
	}
}

Test(rest, names_every_service_s_command_in_its_table)
{
	for (size_t i = 0; i < rest_route_count; i++) {
		const struct rest_route *route = &rest_routes[i];
		char path[128] = "";
		struct conn *conn;

		if (route->scope == 0) /* answered at once */
			continue;
		for (const char *p = route->path; *p; p++) /* "{id}" -> "x" */
			if (*p == '{') {
				(void)strcat(path, "x");
				p = strchr(p, '}');
			} else {
				(void)strncat(path, p, 1);
			}
		conn = client_asks((struct net_request){ .method = route->method,
		                                         .path = path,
		                                         .authorization = BEARER,
		                                         .has_length = true,
		                                         .body = BYTES("{}", 2) });
		/* Without a key nobody is asked before the body is looked at. */
		cr_assert(conn->status == 0 || (route->scope == 0 && conn->status == 400),
		          "%s %s: %d", route->method, path, conn->status);
	}
}

Test(rest, has_a_sentence_about_every_row_of_its_table)
{
	for (size_t i = 0; i < rest_route_count; i++) {
		const struct rest_route *route = &rest_routes[i];
		size_t len = route->about ? strlen(route->about) : 0;

		cr_assert(len > 10 && route->about[len - 1] == '.', "%s %s", route->method,
		          route->path);
	}
}

Test(rest, says_405_with_the_methods_that_a_path_has)
{
	struct conn *conn = send_method("POST", "/v1/device-models/x");

	assert_answer(conn, 405, "not for this path");
	cr_assert(has_header(conn, "Allow: GET, HEAD, PUT, DELETE, OPTIONS\r\n"), "%s",
	          conn->headers.data);
	conn = send_method("DELETE", "/v1/device-models");
	cr_assert(has_header(conn, "Allow: POST, GET, HEAD, OPTIONS\r\n"), "%s",
	          conn->headers.data);
	conn = send_method("POST", "/healthz");
	assert_answer(conn, 405, "expected GET");
	cr_assert(has_header(conn, "Allow: GET, HEAD, OPTIONS\r\n"));
}

Test(rest, says_404_for_a_path_that_it_does_not_have)
{
	assert_answer(send_method("GET", "/v1/nothing"), 404, "no such path");
	assert_answer(send_method("GET", "/metrics"), 404, "no such path");
}

Test(rest, answers_a_preflight_without_a_key)
{
	struct conn *conn = send_method("OPTIONS", "/v1/sessions");

	cr_assert_eq(conn->status, 204);
	cr_assert(has_header(conn, "Access-Control-Allow-Headers: Authorization"));
}

Test(rest, has_little_on_the_admin_address)
{
	struct conn *conn = client_asks((struct net_request){
	        .method = "GET", .path = "/v1/sessions", .listener = REST_ADMIN_LISTENER });

	assert_answer(conn, 404, "admin address");
	conn = client_asks((struct net_request){
	        .method = "GET", .path = "/healthz", .listener = REST_ADMIN_LISTENER });
	assert_answer(conn, 200, "ok");
}

/* ---- who may ---- */

Test(rest, refuses_without_a_key_before_anything_else)
{
	struct conn *conn = client_asks((struct net_request){ .method = "POST",
	                                                      .path = "/v1/device-models",
	                                                      .has_length = true,
	                                                      .body = BYTES("{garbage", 8) });

	assert_answer(conn, 401, "");
	cr_assert(has_header(conn, "WWW-Authenticate: Bearer"));
	conn = client_asks((struct net_request){ .method = "GET",
	                                         .path = "/v1/sessions",
	                                         .query = "api_key=raeht_other",
	                                         .authorization = BEARER });
	assert_answer(conn, 400, "");
	conn = post("/v1/device-models", "{garbage");
	refuse_key(asked_verify(), 401);
	turn();
	assert_answer(conn, 401, GRANT_REFUSED);
}

Test(rest, refuses_a_key_without_the_scope)
{
	struct conn *conn = post("/v1/device-models", "{}");

	verdict((struct fake_key){ .key = 1, .notice = 4, .scopes = SCOPE_READ });
	assert_answer(conn, 403, "lacks the scope write");
	cr_assert_eq(asked_count("router"), 0);
}

Test(rest, says_503_when_auth_does_not_answer)
{
	struct conn *conn = get("/v1/sessions", "");

	pass_leased(6000);
	assert_answer(conn, 503, "auth does not answer");
	cr_assert(has_header(conn, "Retry-After: 1"));
}

Test(rest, tells_what_is_wrong_with_a_body_to_those_who_may_send_it)
{
	struct conn *conn = post("/v1/device-models", "{\"name\": 5}");

	key_is_good();
	assert_answer(conn, 400, "name");
	cr_assert_eq(asked_count("router"), 0);
	conn = get("/v1/sessions", "limit=many");
	assert_answer(conn, 400, "limit");
	conn = get("/v1/sessions/\xff", "");
	assert_answer(conn, 404, "");
}

Test(rest, refuses_a_body_that_is_too_large_or_of_no_length_or_another_type)
{
	struct net_request request = { .method = "POST",
		                       .path = "/v1/device-models",
		                       .authorization = BEARER,
		                       .too_large = true };

	assert_answer(client_asks(request), 413, "262144");
	request.too_large = false;
	assert_answer(client_asks(request), 411, "Content-Length");
	request.path = "/v1/keys/" MODEL_ID "/rotate";
	cr_assert_eq(client_asks(request)->status, 0, "it may go without a body");
	request.path = "/v1/device-models";
	request.has_length = true;
	request.body = BYTES("{}", 2);
	request.content_type = "text/plain";
	assert_answer(client_asks(request), 415, "application/json");
	request.content_type = "application/jsonp";
	assert_answer(client_asks(request), 415, "application/json");
	request.content_type = "Application/JSON; charset=utf-8";
	cr_assert_eq(client_asks(request)->status, 0);
}

/* ---- commands ---- */

Test(rest, asks_the_service_of_the_route_as_the_principal_with_a_fresh_operation)
{
	struct conn *conn = get("/v1/device-models/some-id", "");
	AUTO(wire_free) ProtobufCMessage *message = NULL, *second = NULL;
	const Router__RouterRequest *request, *other;

	key_is_good();
	message = question_as(asked("router"), &router__router_request__descriptor);
	request = (Router__RouterRequest *)message;
	cr_assert_str_eq(request->get_model->id, "some-id");
	cr_assert_eq(request->principal->scopes, SCOPES_ALL);
	cr_assert_eq(request->op_id.len, 16);
	router_refuses(404, 0, "no such device model");
	assert_answer(conn, 404, "no such device model");

	get("/v1/device-models/some-id", "");
	second = question_as(asked("router"), &router__router_request__descriptor);
	other = (Router__RouterRequest *)second;
	cr_assert(memcmp(other->op_id.data, request->op_id.data, 16) != 0);
}

Test(rest, answers_204_without_a_body)
{
	struct conn *conn = client_asks((struct net_request){
	        .method = "DELETE", .path = "/v1/device-models/x", .authorization = BEARER });

	key_is_good();
	router_is_done();
	cr_assert_eq(conn->status, 204);
	cr_assert_eq(conn->body.len, 1);
	cr_assert_eq(fake.edge->metrics.requests_total, 1);
}

Test(rest, says_503_which_service_does_not_answer)
{
	struct conn *conn = get("/v1/sessions", "");

	key_is_good();
	pass(REST_SERVICE_MS);
	assert_answer(conn, 503, "router does not answer");
}

Test(rest, says_500_when_a_service_answers_something_else)
{
	struct conn *conn = get("/v1/sessions", "");

	key_is_good();
	router_is_done();
	assert_answer(conn, 500, "another kind");
}

Test(rest, passes_on_how_long_to_wait)
{
	struct conn *conn = get("/v1/sessions", "");
	Router__RouterReply reply = ROUTER__ROUTER_REPLY__INIT;
	Raeh__Error error = RAEH__ERROR__INIT;

	key_is_good();
	error.status = 429;
	error.detail = (char *)"too many";
	error.has_retry_after_s = 1;
	error.retry_after_s = 7;
	reply.error = &error;
	router_says(&reply);
	assert_answer(conn, 429, "too many");
	cr_assert(has_header(conn, "Retry-After: 7\r\n"));
	cr_assert_not(has_header(conn, "Retry-After: 1\r\n"));
}

Test(rest, asks_the_publisher_that_the_session_id_names)
{
	struct uuid session = uuid_numbered(FAKE_WALL_MS, 5); /* partition 5 of 64, publisher 2 */
	char path[64 + UUID_TEXT], id[UUID_TEXT];
	AUTO(wire_free) ProtobufCMessage *message = NULL;

	uuid_text(&session, id);
	(void)snprintf(path, sizeof path, "/v1/sessions/%s", id);
	get(path, "");
	key_is_good();
	message = (ProtobufCMessage *)publisher_asked(2);
	cr_assert_str_eq(((Publisher__PublisherRequest *)message)->get_session->id, id);
	get("/v1/sessions/garbage", "");
	cr_assert_eq(asked_count("publisher-0"), 1, "no id: the first says that there is none");
}

Test(rest, merges_what_every_publisher_has_newest_first_up_to_the_limit)
{
	struct conn *conn = get("/v1/insights", "limit=4");
	const char *body, *a, *b, *c;

	key_is_good();
	insights_from(0, "a", 3);
	insights_from(2, "c", 2);
	cr_assert_eq(conn->status, 0, "one is still missing");
	insights_from(1, "b", 3);
	assert_answer(conn, 200, "c-999");
	body = (char *)conn->body.data;
	c = strstr(body, "c-998");
	b = strstr(body, "b-998");
	a = strstr(body, "b-997");
	cr_assert(c && b && c < b, "%s", body);
	cr_assert(a == NULL && strstr(body, "a-9") == NULL, "four and no more: %s", body);
}

Test(rest, does_not_pass_off_a_part_as_the_whole_list)
{
	struct conn *conn = get("/v1/insights", "");

	key_is_good();
	insights_from(0, "a", 1);
	world_lose(asked("publisher-1"));
	insights_from(2, "c", 1);
	assert_answer(conn, 503, "publisher-1 does not answer");
}

Test(rest, gathers_the_pages_of_a_session_until_one_is_empty)
{
	struct conn *conn = get("/v1/sessions/x/insights", "type=hr");
	Publisher__PublisherRequest *request;

	key_is_good();
	request = publisher_asked(0);
	cr_assert_str_eq(request->session_insights->type, "hr");
	cr_assert(request->session_insights->after == NULL);
	wire_free(&request->base);
	insights_from(0, "p", 2);
	request = publisher_asked(0);
	cr_assert_str_eq(request->session_insights->after, "p-998");
	wire_free(&request->base);
	insights_from(0, "q", 1);
	cr_assert_eq(conn->status, 0);
	insights_from(0, "r", 0);

	assert_answer(conn, 200, "p-998");
	assert_answer(conn, 200, "},{");
	assert_answer(conn, 200, "q-999");
	cr_assert_eq(conn->body.data[0], '[');
	cr_assert_str_eq((char *)conn->body.data + conn->body.len - 2, "]");
}

/* What other accounts' answers hold. */
Test(rest, refuses_a_long_list_while_too_much_waits_to_be_read)
{
	size_t others = REST_ANSWERS_BYTES - 40000;
	struct conn *conn;

	fake.edge->answer_bytes = others;
	conn = get("/v1/sessions/x/insights", "");
	key_is_good();
	insights_from(0, "p", 8);
	insights_from(0, "q", 0);
	cr_assert_eq(conn->status, 200, "a short one is never refused");
	cr_assert_gt(fake.edge->answer_bytes, others, "it is held until it was read");
	client_goes(conn);
	cr_assert_eq(fake.edge->answer_bytes, others);

	conn = get("/v1/sessions/x/insights", "");
	while (conn->status == 0)
		insights_from(0, "p", 8);
	assert_answer(conn, 503, "too many long answers");
	cr_assert_eq(fake.edge->answer_bytes, others, "what was made of it is gone");
	cr_assert_eq(asked_count("publisher-0"), 0);
	fake.edge->answer_bytes = 0;
}

Test(rest, asks_for_one_page_when_a_limit_is_given)
{
	struct conn *conn = get("/v1/sessions/x/insights", "limit=2");

	key_is_good();
	insights_from(0, "p", 2);
	assert_answer(conn, 200, "p-998");
	cr_assert_eq(asked_count("publisher-0"), 0);
}

Test(rest, answers_an_empty_list_with_two_brackets)
{
	struct conn *conn = get("/v1/sessions/x/insights", "");

	key_is_good();
	insights_from(0, "p", 0);
	cr_assert_eq(conn->status, 200);
	cr_assert_eq(conn->body.data[0], '[');
	cr_assert_eq(conn->body.data[1], ']');
}

/* ---- who goes, and when ---- */

Test(rest, forgets_a_client_that_goes_while_auth_is_asked)
{
	struct conn *conn = get("/v1/sessions", "");

	client_goes(conn);
	key_is_good();
	cr_assert_eq(asked_count("router"), 0);
	cr_assert_eq(conn->status, 0);
}

Test(rest, forgets_a_client_that_goes_while_a_service_is_asked)
{
	struct conn *conn = get("/v1/insights", "");

	key_is_good();
	insights_from(0, "a", 1);
	client_goes(conn);
	insights_from(1, "b", 1);
	world_lose(asked("publisher-2"));
	cr_assert_eq(conn->status, 0);
	cr_assert(list_empty(&fake.edge->leaving));
}

Test(rest, answers_401_when_the_key_dies_while_a_service_works)
{
	struct conn *told = get("/v1/sessions", ""), *asked_for;
	struct notice_of space;
	Auth__Notice *notice = notice_fill(&space, 5, 1);

	key_is_good();
	asked_for = get("/v1/sessions", "");
	lease_take_notices(fake.edge->lease, &notice, 1);
	world_lose(asked("router")); /* in the same turn: its answer is not given away */
	assert_answer(told, 401, GRANT_REFUSED);
	turn();
	assert_answer(asked_for, 401, GRANT_REFUSED);
	router_is_done(); /* nobody waits for it */
	cr_assert(list_empty(&fake.edge->leaving));
}

Test(rest, gives_nothing_away_without_the_lease_and_before_its_key_is_verified_again)
{
	struct conn *late = get("/v1/sessions", ""), *early;

	key_is_good();
	early = get("/v1/sessions", "");
	world.now_us += (int64_t)FAKE_LEASE_MS * 1000;
	router_is_done();
	assert_answer(late, 503, "authentication is away");
	turn();
	give_lease(9);
	router_is_done();
	assert_answer(early, 503, "authentication is away");
	cr_assert(has_header(early, "Retry-After:"));
}

Test(rest, can_end_with_requests_under_way)
{
	get("/v1/sessions", "");
	get("/v1/insights", "");
	key_is_good();
	get("/readyz", "");
	client_goes(get("/v1/sessions", ""));
	/* The end of the test closes the sockets, then frees the edge. */
}

/* ---- readiness ---- */

static void metrics_answered(const char *name)
{
	Auth__AuthReply any = AUTH__AUTH_REPLY__INIT;

	world_answer(asked(name), &any.base);
}

Test(rest, is_ready_when_every_service_answers_and_the_lease_is_held)
{
	struct conn *conn = get("/readyz", "");

	metrics_answered("auth");
	metrics_answered("router");
	metrics_answered("publisher-0");
	metrics_answered("publisher-1");
	cr_assert_eq(conn->status, 0);
	metrics_answered("publisher-2");
	assert_answer(conn, 200, "ready");
}

Test(rest, names_who_is_missing_when_it_is_not_ready)
{
	struct conn *conn = get("/readyz", "");

	metrics_answered("auth");
	metrics_answered("publisher-0");
	metrics_answered("publisher-2");
	pass(1500);
	assert_answer(conn, 503, "router does not answer");
	assert_answer(conn, 503, "publisher-1 does not answer");
}

Test(rest, is_not_ready_without_a_lease)
{
	struct conn *conn;

	world.now_us += (int64_t)FAKE_LEASE_MS * 1000;
	conn = get("/readyz", "");
	metrics_answered("auth");
	metrics_answered("router");
	for (unsigned i = 0; i < PUBLISHERS; i++) {
		char name[BUS_NAME_MAX];

		(void)snprintf(name, sizeof name, "publisher-%u", i);
		metrics_answered(name);
	}
	assert_answer(conn, 503, "no lease");
}

Test(rest, survives_a_client_of_readyz_that_goes)
{
	struct conn *conn = get("/readyz", "");

	client_goes(conn);
	pass(1500);
	cr_assert_eq(conn->status, 0);
	cr_assert(list_empty(&fake.edge->pings));
}
