#include "services/router/world.h"

TestSuite(reconcile, .init = setup, .fini = teardown);

static char model[UUID_TEXT];

static struct uuid given_device_session(const char *device_id, uint32_t slot, uint8_t incarnation)
{
	struct device device = { model, device_id, slot, incarnation };

	return given_session(&alice, &device);
}

/* ---- what auth, edges and publishers say ---- */

struct living {
	uint32_t slot;
	uint8_t incarnation;
};

static void answer_auth(const struct living *living, size_t n)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Auth__LiveEdges edges = AUTH__LIVE_EDGES__INIT;
	Auth__LiveEdge edge[4] = { AUTH__LIVE_EDGE__INIT, AUTH__LIVE_EDGE__INIT,
		                   AUTH__LIVE_EDGE__INIT, AUTH__LIVE_EDGE__INIT };
	Auth__LiveEdge *places[4];
	struct uuid incarnation[4] = { 0 };
	struct request *request;

	for (int i = 0; i < 60 && !asked("auth"); i++)
		pass(100);
	request = asked("auth");
	cr_assert_not_null(request, "auth was not asked");
	for (size_t i = 0; i < n; i++) {
		incarnation[i].byte[0] = living[i].incarnation;
		edge[i].slot = living[i].slot;
		edge[i].incarnation = wire_bytes_of(&incarnation[i]);
		places[i] = &edge[i];
	}
	edges.n_edges = n;
	edges.edges = places;
	reply.result_case = AUTH__AUTH_REPLY__RESULT_LIVE_EDGES;
	reply.live_edges = &edges;
	answer_request(request, OK, &reply.base);
	pass(1);
}

static void answer_edge(const char *name, const struct uuid *sessions, size_t n)
{
	Edge__EdgeReply reply = EDGE__EDGE_REPLY__INIT;
	ProtobufCBinaryData ids[4];

	cr_assert_not_null(asked(name), "%s was not asked", name);
	for (size_t i = 0; i < n; i++)
		ids[i] = wire_bytes_of(&sessions[i]);
	reply.n_sessions = n;
	reply.sessions = ids;
	answer_request(asked(name), OK, &reply.base);
	pass(1);
}

static void answer_publisher(const char *name, enum err err)
{
	Publisher__PublisherReply reply = PUBLISHER__PUBLISHER_REPLY__INIT;
	Raeh__Empty done = RAEH__EMPTY__INIT;

	reply.result_case = PUBLISHER__PUBLISHER_REPLY__RESULT_DONE;
	reply.done = &done;
	cr_assert_not_null(asked(name), "%s was not asked", name);
	answer_request(asked(name), err, &reply.base);
	pass(5);
}

/* The publisher of a session, by its number's low bits; 4 of them. */
static const char *publisher_of(const struct uuid *session)
{
	static char name[BUS_NAME_MAX];

	(void)snprintf(name, sizeof name, "publisher-%u",
	               (unsigned)(uuid_number(session) % PARTITIONS % 4));
	return name;
}

static Publisher__PublisherRequest *asked_of(const char *name)
{
	struct request *request = asked(name);

	cr_assert_not_null(request, "%s was not asked", name);
	return (Publisher__PublisherRequest *)wire_unpack(
	        &publisher__publisher_request__descriptor,
	        BYTES(request->bytes.data, request->bytes.len));
}

static void assert_closing(const char *publisher, const struct uuid *session, uint32_t code,
                           const char *reason)
{
	Publisher__PublisherRequest *request = asked_of(publisher);
	const Publisher__CloseOrphan *orphan = request->close_orphan;
	struct uuid id;

	cr_assert(wire_id(orphan->session, &id) && uuid_equal(&id, session));
	cr_assert(wire_id(orphan->account, &id) && uuid_equal(&id, &alice.account));
	cr_assert_eq(orphan->partition, uuid_number(session) % PARTITIONS);
	cr_assert_eq(orphan->closing->close_code, code);
	cr_assert_str_eq(orphan->closing->close_reason, reason);
	wire_free(&request->base);
}

static bool any_publisher_asked(void)
{
	return asked("publisher-0") || asked("publisher-1") || asked("publisher-2") ||
	       asked("publisher-3");
}

/* ---- orphans ---- */

Test(reconcile, a_session_whose_edge_is_gone_is_closed_at_its_publisher_and_then_here)
{
	const struct living living = { 1, 1 };
	struct uuid orphan, kept;

	given_model(&alice, "Watch", 1, model);
	answer_auth(NULL, 0);
	orphan = given_device_session("a", 0, 1);
	kept = given_device_session("b", 1, 1);
	pass(10);

	answer_auth(&living, 1);

	assert_closing(publisher_of(&orphan), &orphan, 1006, "edge lost");
	assert_status(&alice, &orphan, "open");
	answer_publisher(publisher_of(&orphan), OK);
	assert_status(&alice, &orphan, "closed");
	assert_status(&alice, &kept, "open");
	cr_assert(!any_publisher_asked());
}

Test(reconcile, an_orphan_is_closed_though_the_clock_was_set_back_since_it_opened)
{
	const struct living living = { 1, 1 };
	struct uuid orphan, missing;

	given_model(&alice, "Watch", 1, model);
	answer_auth(NULL, 0);
	orphan = given_device_session("a", 0, 1);
	missing = given_device_session("b", 1, 1);
	pass(10);
	clock_set_source(world_clock, NULL, WALL_OFFSET_MS - 3600000);

	answer_auth(&living, 1);
	assert_closing(publisher_of(&orphan), &orphan, 1006, "edge lost");
	answer_publisher(publisher_of(&orphan), OK);
	assert_status(&alice, &orphan, "closed");

	answer_edge("edge-1", NULL, 0);
	cr_assert(!any_publisher_asked());
	answer_auth(&living, 1);
	answer_edge("edge-1", NULL, 0);
	assert_closing(publisher_of(&missing), &missing, 1006, "edge lost");
}

Test(reconcile, the_old_incarnation_of_a_slot_is_not_taken_for_the_new_one)
{
	const struct living living = { 0, 2 };
	struct uuid orphan, kept;

	given_model(&alice, "Watch", 1, model);
	answer_auth(NULL, 0);
	orphan = given_device_session("a", 0, 1);
	kept = given_device_session("b", 0, 2);
	pass(10);

	answer_auth(&living, 1);
	answer_publisher(publisher_of(&orphan), OK);

	assert_status(&alice, &orphan, "closed");
	assert_status(&alice, &kept, "open");
}

Test(reconcile, orphans_are_found_after_a_restart_at_once)
{
	struct uuid orphan;

	given_model(&alice, "Watch", 1, model);
	orphan = given_device_session("a", 0, 1);
	pass(10);

	restart();
	pass(1);
	cr_assert_not_null(asked("auth"));
	answer_auth(NULL, 0);
	answer_publisher(publisher_of(&orphan), OK);

	assert_status(&alice, &orphan, "closed");
}

Test(reconcile, nothing_is_concluded_while_auth_is_away_or_talks_nonsense)
{
	Auth__AuthReply refusal = AUTH__AUTH_REPLY__INIT, empty = AUTH__AUTH_REPLY__INIT;
	Raeh__Error error = RAEH__ERROR__INIT;
	struct uuid session;

	refusal.error = &error;
	error.detail = (char *)"";
	given_model(&alice, "Watch", 1, model);
	session = given_device_session("a", 0, 1);
	for (int i = 0; i < 6; i++) {
		for (int n = 0; n < 60 && !asked("auth"); n++)
			pass(100);
		cr_assert_not_null(asked("auth"));
		if (i % 3 == 0)
			answer_request(asked("auth"), ERR_UNAVAILABLE, NULL);
		else
			answer_request(asked("auth"), OK, i % 3 == 1 ? &refusal.base : &empty.base);
		pass(10);
		cr_assert(!any_publisher_asked());
	}

	assert_status(&alice, &session, "open");
}

Test(reconcile, a_session_opened_after_the_question_is_no_orphan)
{
	struct uuid session;

	given_model(&alice, "Watch", 1, model);
	answer_auth(NULL, 0);
	pass(5000);
	cr_assert_not_null(asked("auth"));
	session = given_device_session("a", 0, 1); /* its edge registered a moment ago */

	answer_auth(NULL, 0);

	cr_assert(!any_publisher_asked());
	assert_status(&alice, &session, "open");
}

Test(reconcile, an_orphan_waits_for_a_publisher_that_is_away)
{
	struct uuid orphan;

	given_model(&alice, "Watch", 1, model);
	orphan = given_device_session("a", 0, 1);
	answer_auth(NULL, 0);
	pass(5000);
	for (int i = 0; i < 3; i++) {
		answer_auth(NULL, 0);
		answer_publisher(publisher_of(&orphan), ERR_UNAVAILABLE);
		assert_status(&alice, &orphan, "open");
		pass(5000);
	}
	answer_auth(NULL, 0);
	answer_publisher(publisher_of(&orphan), OK);

	assert_status(&alice, &orphan, "closed");
}

Test(reconcile, a_closing_that_is_refused_keeps_no_other_waiting)
{
	Publisher__PublisherReply refusal = PUBLISHER__PUBLISHER_REPLY__INIT;
	Raeh__Error error = RAEH__ERROR__INIT;
	struct uuid orphan[100];
	int asked_for = 0;

	error.status = 400;
	error.detail = (char *)"";
	refusal.error = &error;
	given_model(&alice, "Watch", 1, model);
	answer_auth(NULL, 0);
	for (int i = 0; i < 100; i++) {
		char name[16];

		(void)snprintf(name, sizeof name, "d%d", i);
		orphan[i] = given_device_session(name, 0, 1);
	}
	pass(10);
	answer_auth(NULL, 0);

	while (any_publisher_asked())
		for (int i = 0; i < 4; i++) {
			char name[BUS_NAME_MAX];

			(void)snprintf(name, sizeof name, "publisher-%d", i);
			if (asked(name)) {
				answer_request(asked(name), OK, &refusal.base);
				pass(1);
				asked_for++;
			}
		}

	cr_assert_eq(asked_for, 100);
	assert_status(&alice, &orphan[99], "open");
}

Test(reconcile, an_orphan_is_closed_with_the_session_that_it_superseded)
{
	struct uuid old, new;

	given_model(&alice, "Watch", 1, model);
	answer_auth(NULL, 0);
	old = given_device_session("a", 0, 1);
	new = given_device_session("a", 1, 1);
	pass(10);
	answer_edge("edge-0", NULL, 0); /* told, then it died as well */

	answer_auth(NULL, 0);

	assert_closing(publisher_of(&old), &old, 4009,
	               "superseded by a newer connection of this device");
	answer_publisher(publisher_of(&old), OK);
	assert_closing(publisher_of(&new), &new, 1006, "edge lost");
	answer_publisher(publisher_of(&new), OK);
	assert_status(&alice, &new, "closed");
}

Test(reconcile, a_device_may_connect_again_while_its_orphan_is_being_closed)
{
	struct uuid orphan, new;

	given_model(&alice, "Watch", 1, model);
	answer_auth(NULL, 0);
	orphan = given_device_session("a", 0, 1);
	pass(10);
	answer_auth(NULL, 0);
	new = given_device_session("a", 1, 1);

	answer_publisher(publisher_of(&orphan), OK);

	assert_status(&alice, &orphan, "closed");
	assert_status(&alice, &new, "open");
}

Test(reconcile, hundreds_of_orphans_are_all_closed)
{
	struct uuid orphan[200];
	int closed = 0;

	given_model(&alice, "Watch", 1, model);
	answer_auth(NULL, 0);
	for (int i = 0; i < 200; i++) {
		char name[16];

		(void)snprintf(name, sizeof name, "d%d", i);
		orphan[i] = given_device_session(name, 0, 1);
	}
	pass(10);
	answer_auth(NULL, 0);

	while (any_publisher_asked())
		for (int i = 0; i < 4; i++) {
			char name[BUS_NAME_MAX];

			(void)snprintf(name, sizeof name, "publisher-%d", i);
			if (asked(name)) {
				answer_publisher(name, OK);
				closed++;
			}
		}

	cr_assert_eq(closed, 200);
	for (int i = 0; i < 200; i += 20)
		assert_status(&alice, &orphan[i], "closed");
}

/* ---- what living edges do not have ---- */

Test(reconcile, a_session_that_its_edge_does_not_list_in_two_rounds_is_closed)
{
	const struct living living = { 0, 1 };
	struct uuid session[2];

	given_model(&alice, "Watch", 1, model);
	answer_auth(&living, 1);
	answer_edge("edge-0", NULL, 0);
	session[0] = given_device_session("kept", 0, 1);
	session[1] = given_device_session("lost", 0, 1);
	pass(11000);

	answer_auth(&living, 1);
	answer_edge("edge-0", session, 1);
	cr_assert(!any_publisher_asked(), "once is not enough");
	answer_auth(&living, 1);
	answer_edge("edge-0", session, 1);

	assert_closing(publisher_of(&session[1]), &session[1], 1006, "edge lost");
	answer_publisher(publisher_of(&session[1]), OK);
	assert_status(&alice, &session[1], "closed");
	assert_status(&alice, &session[0], "open");
}

Test(reconcile, two_rounds_do_not_count_while_the_session_is_young)
{
	const struct living living = { 0, 1 };
	struct uuid session;

	given_model(&alice, "Watch", 1, model);
	answer_auth(&living, 1);
	answer_edge("edge-0", NULL, 0);
	pass(4900);
	session = given_device_session("a", 0, 1);

	answer_auth(&living, 1);
	answer_edge("edge-0", NULL, 0);
	answer_auth(&living, 1);
	answer_edge("edge-0", NULL, 0);

	cr_assert(!any_publisher_asked());
	assert_status(&alice, &session, "open");
}

Test(reconcile, an_edge_that_does_not_answer_breaks_the_two_rounds)
{
	const struct living living = { 0, 1 };

	given_model(&alice, "Watch", 1, model);
	answer_auth(&living, 1);
	answer_edge("edge-0", NULL, 0);
	(void)given_device_session("a", 0, 1);
	pass(11000);
	for (int i = 0; i < 4; i++) {
		answer_auth(&living, 1);
		if (i % 2 == 0)
			answer_edge("edge-0", NULL, 0);
		else
			answer_request(asked("edge-0"), ERR_UNAVAILABLE, NULL);
		pass(10);
		cr_assert(!any_publisher_asked());
	}
}

/* ---- superseded sessions ---- */

Test(reconcile, the_edge_of_a_superseded_session_is_told_until_it_answers)
{
	given_model(&alice, "Watch", 1, model);
	(void)given_device_session("a", 3, 1);
	(void)given_device_session("a", 4, 1);
	answer_request(asked("edge-3"), ERR_UNAVAILABLE, NULL);
	answer_request(asked("edge-3"), ERR_UNAVAILABLE, NULL);
	answer_edge("edge-3", NULL, 0);

	pass(100);
	cr_assert_null(asked("edge-3"));
	cr_assert(!any_publisher_asked());
}

Test(reconcile, a_superseded_session_whose_edge_does_not_answer_is_closed_at_its_publisher)
{
	struct uuid old;

	given_model(&alice, "Watch", 1, model);
	old = given_device_session("a", 3, 1);
	(void)given_device_session("a", 4, 1);
	for (int i = 0; i < 3; i++)
		answer_request(asked("edge-3"), ERR_UNAVAILABLE, NULL);
	pass(10);

	assert_closing(publisher_of(&old), &old, 4009,
	               "superseded by a newer connection of this device");
	answer_publisher(publisher_of(&old), OK);
	assert_status(&alice, &old, "closed");
}

Test(reconcile, a_router_that_stops_with_questions_under_way_leaves_nothing_behind)
{
	given_model(&alice, "Watch", 1, model);
	answer_auth(NULL, 0);
	(void)given_device_session("a", 3, 1);
	(void)given_device_session("a", 4, 1);
	(void)given_device_session("b", 3, 1);
	pass(10);
	answer_auth(NULL, 0);
	cr_assert(any_publisher_asked());

	restart();
	pass(1);

	cr_assert_not_null(asked("auth"));
}
