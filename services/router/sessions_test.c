#include "services/router/world.h"

TestSuite(sessions, .init = setup, .fini = teardown);

static struct device a_device(const char *model)
{
	return (struct device){ model, "xyz-watch-a3b5", 0, 1 };
}

/* ---- opening ---- */

Test(sessions, the_answer_to_an_opening_is_the_manifest_of_the_model)
{
	char model[UUID_TEXT];
	struct device device = a_device(model);
	struct uuid id, parsed;
	Router__RouterReply *reply;

	given_model(&alice, "watch", 3, model);
	cr_assert(uuid_parse(model, &parsed));
	id = session_id(&alice, &device, 1);

	reply = open_session(&alice, &device, &id);

	cr_assert_null(reply->error);
	cr_assert_eq(reply->session_opened->partition,
	             partition_of(&alice.account, &parsed, device.id));
	cr_assert_eq(reply->session_opened->n_supersedes, 0);
	cr_assert_geq(reply->session_opened->started_at, WALL_OFFSET_MS);
	cr_assert_eq(reply->session_opened->n_slots, 3);
	for (uint32_t i = 0; i < 3; i++)
		cr_assert_eq(reply->session_opened->slots[i]->slot_id, i);
	cr_assert_str_eq(reply->session_opened->slots[1]->modality, "acc_3axis");
	cr_assert_eq(reply->session_opened->slots[1]->num_channels, 3);
	cr_assert_eq(reply->session_opened->slots[1]->bit_depth, 16);
	cr_assert_eq(reply->session_opened->slots[2]->sample_rate_hz, 25);
	DONE_WITH(reply);
	assert_status(&alice, &id, "open");
}

Test(sessions, an_opening_is_not_answered_before_it_is_committed)
{
	char model[UUID_TEXT];
	struct device device = a_device(model);
	struct question *question;
	struct uuid id;

	given_model(&alice, "watch", 1, model);
	router_set_faults(world.router, 300, 0);
	id = session_id(&alice, &device, 1);

	question = send_open(&alice, &device, &id);
	pass(290);
	cr_assert(!question->answered);
	pass(20);
	cr_assert(question->answered);
}

Test(sessions, an_opening_refuses_what_the_query_of_the_socket_must_not_name)
{
	char model[UUID_TEXT], empty[UUID_TEXT], foreign[UUID_TEXT], long_id[131];
	memset(long_id, 'x', 129);
	long_id[129] = '\0';
	given_model(&alice, "watch", 1, model);
	given_model(&alice, "brick", 0, empty);
	given_model(&bob, "watch", 1, foreign);
	const struct device bad[] = {
		{"",		                      "d",           0, 1},
		{ "no-uuid",		              "d",           0, 1},
		{ "0190f0f0-0000-7000-8000-000000000000", "d",           0, 1},
		{ foreign,		                "d",           0, 1},
		{ empty,		                  "d",           0, 1},
		{ model,		                  "",            0, 1},
		{ model,		                  long_id,       0, 1},
		{ model,		                  "line\nbreak", 0, 1},
		{ model,		                  "del\x7f",     0, 1},
		{ model,		                  "c1\xc2\x85",  0, 1},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct uuid id = session_id(&alice, &bad[i], (uint32_t)i);

		assert_error(open_session(&alice, &bad[i], &id), 404, 4004, NULL);
	}
}

Test(sessions, the_model_of_another_account_answers_as_one_that_was_never_made)
{
	char foreign[UUID_TEXT];
	given_model(&bob, "watch", 1, foreign);
	struct device unknown = a_device("0190f0f0-0000-7000-8000-000000000000");
	struct device other = a_device(foreign);
	struct uuid first = session_id(&alice, &unknown, 1), second = session_id(&alice, &other, 2);
	Router__RouterReply *a = open_session(&alice, &unknown, &first);
	Router__RouterReply *b = open_session(&alice, &other, &second);

	cr_assert_str_eq(a->error->detail, b->error->detail);
	cr_assert_eq(a->error->close_code, b->error->close_code);
	DONE_WITH(a);
	DONE_WITH(b);
}

Test(sessions, a_device_id_may_hold_128_bytes_of_any_script)
{
	char model[UUID_TEXT], id[129] = "";
	struct device device = { model, id, 0, 1 };

	given_model(&alice, "watch", 1, model);
	for (int i = 0; i < 64; i++)
		strcat(id, "\xc3\xa9");

	(void)given_session(&alice, &device);
}

Test(sessions, a_session_id_must_name_the_partition_of_its_device)
{
	char model[UUID_TEXT];
	struct device device = a_device(model);
	struct uuid id;

	given_model(&alice, "watch", 1, model);
	id = session_id(&alice, &device, 1);
	id.byte[15] ^= 1;

	assert_error(open_session(&alice, &device, &id), 400, 1013, NULL);
}

Test(sessions, an_opening_without_a_good_principal_or_scope_is_refused_with_4001)
{
	char model[UUID_TEXT];
	struct device device = a_device(model);
	struct user reader = alice, forger = alice;
	struct uuid id;
	Router__RouterReply *reply;

	given_model(&alice, "watch", 1, model);
	id = session_id(&alice, &device, 1);
	reader.scopes = SCOPE_READ;

	assert_error(open_session(&reader, &device, &id), 403, 4001,
	             "the API key lacks the scope \"ingest\"");
	world.secret[0] ^= 1; /* signs with another secret than the router's */
	reply = open_session(&forger, &device, &id);
	world.secret[0] ^= 1;
	assert_error(reply, 401, 4001, NULL);
}

Test(sessions, a_key_of_one_device_opens_only_that_device)
{
	char model[UUID_TEXT];
	struct device own = { model, "own", 0, 1 }, other = { model, "other", 0, 1 };
	struct user bound = alice;
	struct uuid id;

	bound.device_id = "own";
	given_model(&alice, "watch", 1, model);
	id = session_id(&alice, &other, 1);

	assert_error(open_session(&bound, &other, &id), 403, 4001, NULL);
	(void)given_session(&bound, &own);
}

/* ---- repeats ---- */

Test(sessions, a_repeated_opening_gets_the_first_answer_also_after_a_restart)
{
	char model[UUID_TEXT];
	struct device device = a_device(model);
	struct uuid id;
	struct question *first, *again, *later;
	Router__RouterReply *reply;

	given_model(&alice, "watch", 2, model);
	id = session_id(&alice, &device, 1);

	first = send_open(&alice, &device, &id);
	DONE_WITH(reply_to(first));
	pass(1000);
	again = send_open(&alice, &device, &id);
	DONE_WITH(reply_to(again));
	restart();
	later = send_open(&alice, &device, &id);
	DONE_WITH(reply_to(later));

	cr_assert_eq(first->reply.len, again->reply.len);
	cr_assert_arr_eq(first->reply.data, again->reply.data, first->reply.len);
	cr_assert_eq(first->reply.len, later->reply.len);
	cr_assert_arr_eq(first->reply.data, later->reply.data, first->reply.len);
	reply = list_sessions(&alice, 0, NULL);
	cr_assert_eq(reply->sessions->n_items, 1);
	DONE_WITH(reply);
}

Test(sessions, a_repeat_that_arrives_while_the_first_is_uncommitted_gets_the_same_answer)
{
	char model[UUID_TEXT];
	struct device device = a_device(model);
	struct question *first, *again;
	struct uuid id;

	given_model(&alice, "watch", 1, model);
	id = session_id(&alice, &device, 1);
	router_set_faults(world.router, 200, 0);

	first = send_open(&alice, &device, &id);
	again = send_open(&alice, &device, &id);
	DONE_WITH(reply_to(first));
	DONE_WITH(reply_to(again));

	cr_assert_eq(first->reply.len, again->reply.len);
	cr_assert_arr_eq(first->reply.data, again->reply.data, first->reply.len);
	cr_assert_eq(world.n_events, 1, "only the channel's first event");
}

Test(sessions, a_session_id_of_one_device_is_not_taken_for_another)
{
	char model[UUID_TEXT];
	struct device one = { model, "one", 0, 1 }, two = { model, "two", 0, 1 };
	struct uuid id;

	given_model(&alice, "watch", 1, model);
	id = given_session(&alice, &one);

	assert_error(open_session(&alice, &two, &id), 409, 1013, NULL);
}

Test(sessions, nothing_is_answered_at_start_before_what_was_found_is_synced)
{
	char model[UUID_TEXT];
	struct device device = a_device(model);
	struct router_deps deps = { world.loop, &world.bus, NULL, world.secret, 1 };
	struct router *second = NULL;
	bus_call_fn *served = world.served;
	struct store *slow = store_open_memory(world.loop, 50);

	given_model(&alice, "watch", 1, model);
	(void)given_session(&alice, &device);
	world.served = NULL;
	deps.store = slow;
	cr_assert_eq(router_new(&deps, &second), OK);
	pass(40);
	cr_assert_null(world.served);
	pass(20);
	cr_assert_not_null(world.served);

	router_free(second);
	store_close(slow);
	world.served = served;
	world.served_ctx = world.router;
}

Test(sessions, an_opening_that_was_not_committed_before_a_crash_leaves_nothing)
{
	char model[UUID_TEXT];
	struct device device = a_device(model);
	struct uuid id;
	Router__RouterReply *reply;

	given_model(&alice, "watch", 1, model);
	router_set_faults(world.router, 500, 0);
	id = session_id(&alice, &device, 1);
	(void)send_open(&alice, &device, &id);
	pass(100);

	restart();

	reply = list_sessions(&alice, 0, NULL);
	cr_assert_eq(reply->sessions->n_items, 0);
	DONE_WITH(reply);
}

/* ---- takeover ---- */

Test(sessions, a_newer_connection_of_the_same_device_takes_over)
{
	char model[UUID_TEXT];
	struct device device = a_device(model);
	struct uuid old, new, told;
	Router__RouterReply *reply;
	Events__RouterBroadcast *event;
	Edge__EdgeRequest *request;

	given_model(&alice, "watch", 1, model);
	device.edge_slot = 3;
	old = given_session(&alice, &device);
	device.edge_slot = 5;
	new = session_id(&alice, &device, 999);

	reply = open_session(&alice, &device, &new);

	cr_assert_eq(reply->session_opened->n_supersedes, 1);
	cr_assert(wire_id(reply->session_opened->supersedes[0], &told) && uuid_equal(&told, &old));
	DONE_WITH(reply);
	assert_status(&alice, &old, "closed");
	assert_status(&alice, &new, "open");
	cr_assert_eq(world.n_events, 2);
	event = (Events__RouterBroadcast *)wire_unpack(
	        &events__router_broadcast__descriptor,
	        BYTES(world.event[1].data, world.event[1].len));
	cr_assert(wire_id(event->superseded_session, &told) && uuid_equal(&told, &old));
	wire_free(&event->base);
	cr_assert_not_null(asked("edge-3"));
	request = (Edge__EdgeRequest *)wire_unpack(
	        &edge__edge_request__descriptor,
	        BYTES(asked("edge-3")->bytes.data, asked("edge-3")->bytes.len));
	cr_assert(wire_id(request->session_superseded->session, &told) && uuid_equal(&told, &old));
	cr_assert_eq(request->incarnation.data[0], device.incarnation);
	wire_free(&request->base);
}

Test(sessions, a_repeated_opening_of_a_superseded_session_is_told_4009)
{
	char model[UUID_TEXT];
	struct device device = a_device(model);
	struct uuid old;

	given_model(&alice, "watch", 1, model);
	old = given_session(&alice, &device);
	(void)given_session(&alice, &device);

	assert_error(open_session(&alice, &device, &old), 409, 4009,
	             "superseded by a newer connection of this device");
	restart();
	assert_error(open_session(&alice, &device, &old), 409, 4009, NULL);
}

Test(sessions, openings_of_one_device_wait_for_each_other_in_order)
{
	char model[UUID_TEXT];
	struct device device = a_device(model);
	struct question *question[5];
	struct uuid id[5], superseded;
	Router__RouterReply *reply;

	given_model(&alice, "watch", 1, model);
	router_set_faults(world.router, 100, 0);
	for (uint32_t i = 0; i < 5; i++)
		id[i] = session_id(&alice, &device, i);

	for (int i = 0; i < 5; i++)
		question[i] = send_open(&alice, &device, &id[i]);

	for (int i = 0; i < 5; i++) {
		reply = reply_to(question[i]);
		cr_assert_null(reply->error);
		/* none of them is known to have ended at its publisher */
		cr_assert_eq(reply->session_opened->n_supersedes, (size_t)i);
		if (i > 0)
			cr_assert(wire_id(reply->session_opened->supersedes[0], &superseded) &&
			          uuid_equal(&superseded, &id[i - 1]));
		DONE_WITH(reply);
		for (int behind = i + 1; behind < 5; behind++)
			cr_assert(!question[behind]->answered);
	}
	for (int i = 0; i < 5; i++)
		assert_status(&alice, &id[i], i == 4 ? "open" : "closed");
}

Test(sessions, a_superseded_session_is_named_again_until_its_end_is_reported)
{
	char model[UUID_TEXT];
	struct device device = a_device(model);
	struct uuid first, second, third, fourth, told;
	Router__RouterReply *reply;

	given_model(&alice, "watch", 1, model);
	first = given_session(&alice, &device);
	second = given_session(&alice, &device);
	DONE_WITH(reply_to(send_close(&alice, &second, 1006)));
	third = session_id(&alice, &device, 801);
	reply = open_session(&alice, &device, &third);
	cr_assert_eq(reply->session_opened->n_supersedes, 1,
	             "the second never got to its publisher");
	cr_assert(wire_id(reply->session_opened->supersedes[0], &told) &&
	          uuid_equal(&told, &first));
	DONE_WITH(reply);
	DONE_WITH(reply_to(send_close(&alice, &first, 4009)));
	fourth = session_id(&alice, &device, 802);
	reply = open_session(&alice, &device, &fourth);
	cr_assert_eq(reply->session_opened->n_supersedes, 1);
	cr_assert(wire_id(reply->session_opened->supersedes[0], &told) &&
	          uuid_equal(&told, &third));
	DONE_WITH(reply);
	assert_status(&alice, &fourth, "open");
}

Test(sessions, openings_of_different_devices_do_not_wait_for_each_other)
{
	char model[UUID_TEXT];
	struct device one = { model, "one", 0, 1 }, two = { model, "two", 0, 1 };
	struct question *first, *second;
	struct uuid a, b;

	given_model(&alice, "watch", 1, model);
	router_set_faults(world.router, 100, 0);
	a = session_id(&alice, &one, 1);
	b = session_id(&alice, &two, 2);

	first = send_open(&alice, &one, &a);
	second = send_open(&alice, &two, &b);
	pass(110);

	cr_assert(first->answered && second->answered);
}

Test(sessions, a_conflict_in_the_journal_is_validated_again_and_answered_once)
{
	char model[UUID_TEXT];
	struct device device = a_device(model);

	given_model(&alice, "watch", 1, model);
	router_set_faults(world.router, 5, 2); /* each second append meets another writer */

	for (int i = 0; i < 10; i++)
		(void)given_session(&alice, &device);
	DONE_WITH(list_sessions(&alice, 0, NULL));
}

Test(sessions, a_conflict_that_does_not_end_is_answered_503)
{
	char model[UUID_TEXT];
	struct device device = a_device(model);
	struct uuid id;

	given_model(&alice, "watch", 1, model);
	router_set_faults(world.router, 0, 1);
	id = session_id(&alice, &device, 1);

	assert_error(open_session(&alice, &device, &id), 503, 1013, NULL);
}

Test(sessions, more_openings_of_one_device_than_agreed_are_answered_503)
{
	char model[UUID_TEXT];
	struct device device = a_device(model);
	struct question *last = NULL;

	given_model(&alice, "watch", 1, model);
	router_set_faults(world.router, 100, 0);
	for (uint32_t i = 0; i < 66; i++) {
		struct uuid id = session_id(&alice, &device, i);

		cr_assert(!last || !last->answered);
		last = send_open(&alice, &device, &id);
	}

	assert_error(reply_to(last), 503, 1013, NULL);
}

Test(sessions, the_same_device_id_of_another_model_or_account_is_another_device)
{
	char one[UUID_TEXT], two[UUID_TEXT], foreign[UUID_TEXT];
	struct device a = { one, "d", 0, 1 }, b = { two, "d", 0, 1 }, c = { foreign, "d", 0, 1 };
	struct uuid first, second;

	given_model(&alice, "one", 1, one);
	given_model(&alice, "two", 1, two);
	given_model(&bob, "one", 1, foreign);

	first = given_session(&alice, &a);
	second = given_session(&alice, &b);
	(void)given_session(&bob, &c);

	assert_status(&alice, &first, "open");
	assert_status(&alice, &second, "open");
}

Test(sessions, an_opening_that_was_long_under_way_does_not_take_the_device_back)
{
	char model[UUID_TEXT];
	struct device device = a_device(model), elsewhere;
	struct uuid late, later_elsewhere, new;

	given_model(&alice, "watch", 1, model);
	elsewhere = device;
	elsewhere.incarnation = 2;
	late = session_id(&alice, &device, 901);
	later_elsewhere = session_id(&alice, &elsewhere, 902);
	pass(3000);
	new = given_session(&alice, &device);

	assert_error(open_session(&alice, &device, &late), 409, 1013, NULL);
	assert_status(&alice, &new, "open");
	DONE_WITH(open_session(&alice, &elsewhere, &later_elsewhere)); /* clocks differ that much */
	assert_status(&alice, &new, "closed");
}

Test(sessions, an_old_opening_of_another_edge_does_not_take_the_device_back_either)
{
	char model[UUID_TEXT];
	struct device device = a_device(model), elsewhere;
	struct uuid late, new;

	given_model(&alice, "watch", 1, model);
	elsewhere = device;
	elsewhere.incarnation = 2;
	late = session_id(&alice, &elsewhere, 901);
	pass(15000);
	new = given_session(&alice, &device);

	assert_error(open_session(&alice, &elsewhere, &late), 409, 1013, NULL);
	assert_status(&alice, &new, "open");
}

/* ---- closing ---- */

Test(sessions, a_close_is_done_once_and_answered_each_time)
{
	char model[UUID_TEXT];
	struct device device = a_device(model);
	struct uuid id, unknown = { { 9 } };
	Router__RouterReply *reply;

	given_model(&alice, "watch", 1, model);
	id = given_session(&alice, &device);

	for (int i = 0; i < 2; i++) {
		reply = reply_to(send_close(&alice, &id, 1000));
		cr_assert_null(reply->error);
		DONE_WITH(reply);
	}
	assert_status(&alice, &id, "closed");
	reply = reply_to(send_close(&alice, &unknown, 1000));
	cr_assert_null(reply->error);
	DONE_WITH(reply);
	assert_error(open_session(&alice, &device, &id), 409, 1013, NULL);
}

Test(sessions, a_close_in_the_name_of_another_account_changes_nothing)
{
	char model[UUID_TEXT];
	struct device device = a_device(model);
	struct uuid id;

	given_model(&alice, "watch", 1, model);
	id = given_session(&alice, &device);

	DONE_WITH(reply_to(send_close(&bob, &id, 1000)));

	assert_status(&alice, &id, "open");
}

Test(sessions, a_close_of_the_old_session_leaves_the_new_one_open)
{
	char model[UUID_TEXT];
	struct device device = a_device(model);
	struct uuid old, new, newest;
	Router__RouterReply *reply;

	given_model(&alice, "watch", 1, model);
	old = given_session(&alice, &device);
	new = given_session(&alice, &device);

	DONE_WITH(reply_to(send_close(&alice, &old, 1000)));

	assert_status(&alice, &new, "open");
	newest = session_id(&alice, &device, 777);
	reply = open_session(&alice, &device, &newest);
	cr_assert_eq(reply->session_opened->n_supersedes, 1, "the new one was still known as open");
	DONE_WITH(reply);
}

/* ---- lists ---- */

Test(sessions, lists_give_the_newest_first_by_status_and_limit)
{
	char model[UUID_TEXT], text[UUID_TEXT];
	struct uuid id[60];
	Router__RouterReply *reply;

	given_model(&alice, "watch", 1, model);
	for (int i = 0; i < 60; i++) {
		char name[16];
		struct device device = { model, name, 0, 1 };

		(void)snprintf(name, sizeof name, "d%d", i);
		id[i] = given_session(&alice, &device);
		pass(5);
	}
	for (int i = 0; i < 30; i++)
		DONE_WITH(reply_to(send_close(&alice, &id[2 * i], 1000)));

	reply = list_sessions(&alice, 0, NULL);
	cr_assert_eq(reply->sessions->n_items, 50);
	uuid_text(&id[59], text);
	cr_assert_str_eq(reply->sessions->items[0]->id, text);
	DONE_WITH(reply);
	reply = list_sessions(&alice, 200, "open");
	cr_assert_eq(reply->sessions->n_items, 30);
	uuid_text(&id[1], text);
	cr_assert_str_eq(reply->sessions->items[29]->id, text);
	DONE_WITH(reply);
	reply = list_sessions(&alice, 7, "closed");
	cr_assert_eq(reply->sessions->n_items, 7);
	uuid_text(&id[58], text);
	cr_assert_str_eq(reply->sessions->items[0]->id, text);
	DONE_WITH(reply);
	reply = list_sessions(&bob, 0, NULL);
	cr_assert_eq(reply->sessions->n_items, 0);
	DONE_WITH(reply);
}

Test(sessions, lists_refuse_a_limit_or_a_status_that_is_none)
{
	assert_error(list_sessions(&alice, 201, NULL), 400, 0, "limit: expected 1 to 200, got 201");
	assert_error(list_sessions(&alice, 0, "Open"), 400, 0,
	             "status: expected open or closed, got \"Open\"");
	assert_error(list_sessions(&alice, 0, ""), 400, 0, NULL);
}

static Router__RouterReply *list_as(const struct user *user, Router__ListSessions *list)
{
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;

	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_LIST_SESSIONS;
	request.list_sessions = list;
	return ask_as(user, &request);
}

static void assert_listed(const struct user *user, Router__ListSessions *list, const char *devices)
{
	Router__RouterReply *reply = list_as(user, list);
	char got[64] = "";

	cr_assert_null(reply->error, "%s", reply->error ? reply->error->detail : "");
	for (size_t i = 0; i < reply->sessions->n_items; i++)
		(void)strncat(got, reply->sessions->items[i]->device_id, 1);
	cr_assert_str_eq(got, devices);
	DONE_WITH(reply);
}

Test(sessions, lists_filter_by_device_and_by_the_time_of_the_start)
{
	static const char *const name[] = { "a", "b", "a", "c", "a" };
	Router__ListSessions list = ROUTER__LIST_SESSIONS__INIT;
	char model[UUID_TEXT];
	struct user bound = alice;
	int64_t started[5];

	given_model(&alice, "Watch", 1, model);
	for (int i = 0; i < 5; i++) {
		struct device device = { model, name[i], 0, 1 };

		pass(1000);
		started[i] = clock_wall_ms();
		(void)given_session(&alice, &device);
	}
	assert_listed(&alice, &list, "acaba");
	list.has_from_at = 1;
	list.from_at = started[1];
	list.has_to_at = 1;
	list.to_at = started[4] - 1;
	assert_listed(&alice, &list, "cab");
	list.device_id = (char *)"a";
	assert_listed(&alice, &list, "a");
	list.has_from_at = list.has_to_at = 0;
	assert_listed(&alice, &list, "aaa");
	list.status = (char *)"open";
	assert_listed(&alice, &list, "a");
	bound.device_id = "b";
	list.status = NULL;
	assert_listed(&bound, &list, "");
	assert_listed(&bob, &list, "");
	list.device_id = (char *)"unknown";
	assert_listed(&alice, &list, "");
}

Test(sessions, pages_of_a_list_are_the_whole_list)
{
	Router__ListSessions list = ROUTER__LIST_SESSIONS__INIT;
	char model[UUID_TEXT], got[16] = "", *cursor = NULL;

	given_model(&alice, "Watch", 1, model);
	for (int c = 'a'; c < 'h'; c++) {
		const char name[2] = { c, 0 };
		struct device device = { model, name, 0, 1 };

		(void)given_session(&alice, &device);
		pass(1);
	}
	list.has_limit = 1;
	list.limit = 3;
	do {
		Router__RouterReply *reply;

		list.cursor = cursor;
		reply = list_as(&alice, &list);
		for (size_t i = 0; i < reply->sessions->n_items; i++)
			(void)strncat(got, reply->sessions->items[i]->device_id, 1);
		mem_free(cursor);
		cursor = reply->next ? xstrdup(reply->next) : NULL;
		DONE_WITH(reply);
	} while (cursor);
	cr_assert_str_eq(got, "gfedcba");
	list.limit = 7;
	list.cursor = NULL;
	Router__RouterReply *whole = list_as(&alice, &list);
	cr_assert_null(whole->next, "a list that just fits is whole");
	DONE_WITH(whole);
	list.cursor = (char *)"garbage";
	assert_error(list_as(&alice, &list), 400, 0, "cursor: expected one from a Link header");
}

Test(sessions, a_key_of_one_device_lists_only_its_sessions)
{
	char model[UUID_TEXT];
	struct device own = { model, "own", 0, 1 }, longer = { model, "own2", 0, 1 };
	struct user bound = alice;
	Router__RouterReply *reply;
	struct uuid id;

	bound.device_id = "own";
	given_model(&alice, "watch", 1, model);
	(void)given_session(&alice, &longer);
	id = given_session(&alice, &own);
	(void)given_session(&alice, &longer);

	reply = list_sessions(&bound, 0, NULL);
	cr_assert_eq(reply->sessions->n_items, 1);
	DONE_WITH(reply);
	reply = list_sessions(&bound, 0, "open");
	cr_assert_eq(reply->sessions->n_items, 1);
	DONE_WITH(reply);
	DONE_WITH(reply_to(send_close(&alice, &id, 1000)));
	reply = list_sessions(&bound, 0, "open");
	cr_assert_eq(reply->sessions->n_items, 0);
	DONE_WITH(reply);
}

Test(sessions, the_view_can_be_made_again_from_the_journal_alone)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();
	char model[UUID_TEXT];
	struct device device = a_device(model);
	struct key from, to;
	struct uuid old, new, closed;
	Router__RouterReply *reply;

	given_model(&alice, "watch", 1, model);
	old = given_session(&alice, &device);
	new = given_session(&alice, &device);
	device.id = "another";
	closed = given_session(&alice, &device);
	DONE_WITH(reply_to(send_close(&alice, &closed, 1000)));
	stop_router();
	key_start(&from, PARTITION_OWN, &alice.account, 0);
	key_start(&to, PARTITION_OWN, &alice.account, 'z');
	batch_delete_range(batch, key_bytes(&from), key_bytes(&to));
	key_start(&from, PARTITION_OWN, NULL, 'e');
	key_start(&to, PARTITION_OWN, NULL, 'f');
	batch_delete_range(batch, key_bytes(&from), key_bytes(&to));
	key_start(&from, PARTITION_OWN, NULL, 'p');
	batch_delete(batch, key_bytes(&from));
	cr_assert_eq(store_write(world.store, batch), OK);

	start_router();

	assert_status(&alice, &old, "closed");
	assert_status(&alice, &new, "open");
	assert_status(&alice, &closed, "closed");
	device.id = a_device(model).id;
	assert_error(open_session(&alice, &device, &old), 409, 4009, NULL);
	reply = open_session(&alice, &device, &new);
	cr_assert_null(reply->error);
	DONE_WITH(reply);
}

/* ---- what is no request ---- */

Test(sessions, bytes_that_are_no_request_are_answered_400)
{
	static const char bad[] = "\xff\xff\xff\xff";
	Router__RouterRequest none = ROUTER__ROUTER_REQUEST__INIT;
	struct question *question = xcalloc(1, sizeof *question);

	question->call.ops = &world_ops;
	world.question[world.n_questions++] = question;
	world.served(world.served_ctx, &question->call, BYTES(bad, 4));

	assert_error(reply_to(question), 400, 0, NULL);
	assert_error(ask_as(&alice, &none), 400, 0, NULL);
}

Test(sessions, the_metrics_count_what_happened)
{
	char model[UUID_TEXT];
	struct device device = a_device(model);
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;
	Raeh__Empty empty = RAEH__EMPTY__INIT;
	Router__RouterReply *reply;

	given_model(&alice, "watch", 1, model);
	(void)given_session(&alice, &device);
	(void)given_session(&alice, &device);
	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_METRICS;
	request.metrics = &empty;

	reply = ask_as(NULL, &request);

	cr_assert_not_null(strstr(reply->metrics->text, "sessions_opened_total"));
	cr_assert_not_null(strstr(reply->metrics->text, "takeovers_total{process=\"router\"} 1"),
	                   "%s", reply->metrics->text);
	cr_assert_not_null(strstr(reply->metrics->text, "sessions_open{process=\"router\"} 1"));
	DONE_WITH(reply);
	restart();
	reply = ask_as(NULL, &request);
	cr_assert_not_null(strstr(reply->metrics->text, "sessions_open{process=\"router\"} 1"));
	DONE_WITH(reply);
}
