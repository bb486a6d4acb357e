#include "services/edge/limit.h"

#include "common/key_limits.h"
#include "services/edge/fake_bus.h"

static struct limits *limits;
static unsigned flushes;

static void open_limits(unsigned edges)
{
	world_open();
	flushes = 0;
	limits = limits_new(&(struct limits_deps){
	        .loop = world.loop,
	        .bus = &world.bus,
	        .settings = {.of_key = { [LIMIT_FRAMES] = 100,
	                                  [LIMIT_BYTES] = 2u << 20,
	                                  [LIMIT_REQUESTS] = 20,
	                                  [LIMIT_CONNECTIONS] = 4,
	                                  [LIMIT_SOCKETS] = 50 },
                             .address_connections = 2,
                             .address_handshakes = 5},
	        .slot = 1,
	        .edges = edges,
	        .incarnation = id_of(77),
	});
}

static void open_one(void)
{
	open_limits(1);
}

static void close_limits(void)
{
	limits_free(limits);
	world_close();
}

TestSuite(limit, .init = open_one, .fini = close_limits);

/* rate 0: the default. */
static struct limit *enter(unsigned key, uint32_t rate)
{
	Raeh__Principal principal = RAEH__PRINCIPAL__INIT;
	struct uuid id = id_of(key);

	principal.key = wire_bytes_of(&id);
	principal.has_frames_per_s = rate != 0;
	principal.frames_per_s = rate;
	return limit_enter(limits, &principal);
}

static unsigned frames(struct limit *limit, size_t bytes)
{
	unsigned n = 0;

	while (n < 100000 && !limit_take_frame(limit, bytes, clock_boot_ms()))
		n++;
	return n;
}

static unsigned requests(struct limit *limit)
{
	unsigned n = 0;

	while (n < 1000 && limit_take_request(limit))
		n++;
	return n;
}

static unsigned sockets(struct limit *limit)
{
	unsigned n = 0;

	while (n < 1000 && !limit_take_socket(limit))
		n++;
	return n;
}

static void assert_headers(struct limit *limit, const char *expected)
{
	char headers[LIMIT_HEADERS_MAX];

	limit_headers(limit, headers);
	cr_assert_str_eq(headers, expected);
}

/* ---- rates ---- */

Test(limit, gives_a_key_its_frames_a_second_and_no_more)
{
	struct limit *limit = enter(1, 0);

	cr_assert_eq(frames(limit, 20), 100);
	pass(50);
	cr_assert_eq(frames(limit, 20), 5);
	pass(100000);
	cr_assert_eq(frames(limit, 20), 100, "what was not used is not saved up");
	limit_leave(limit);
}

Test(limit, gives_a_key_the_rate_of_its_own)
{
	struct limit *limit = enter(1, 7);

	cr_assert_eq(frames(limit, 20), 7);
	limit_leave(limit);
	cr_assert_eq(enter(1, 300), limit, "one for all who use the key");
	pass(1000);
	cr_assert_eq(frames(limit, 20), 300, "the newest holds");
	limit_leave(limit);
}

static Raeh__Principal with_limits(const struct uuid *id, Raeh__KeyLimits *own)
{
	Raeh__Principal principal = RAEH__PRINCIPAL__INIT;

	principal.key = wire_bytes_of(id);
	principal.limits = own;
	return principal;
}

Test(limit, gives_a_key_each_limit_of_its_own_and_the_rest_by_default)
{
	Raeh__KeyLimits own = RAEH__KEY_LIMITS__INIT;
	struct uuid id = id_of(1);
	Raeh__Principal principal = with_limits(&id, &own);
	struct limit *limit;

	key_limit_give(&own, KEY_LIMIT_REQUESTS, 2);
	key_limit_give(&own, KEY_LIMIT_SOCKETS, 3);
	limit = limit_enter(limits, &principal);
	cr_assert_eq(requests(limit), 10);
	assert_headers(limit, "RateLimit-Limit: 10\r\nRateLimit-Remaining: 0\r\n"
	                      "RateLimit-Reset: 5\r\n");
	cr_assert_eq(sockets(limit), 3);
	cr_assert_eq(frames(limit, 20), 100);

	key_limit_give(&own, KEY_LIMIT_SOCKETS, 1);
	key_limit_give(&own, KEY_LIMIT_BYTES, 4u << 20);
	limits_learn(limits, &principal);
	pass(2000);
	cr_assert(strstr(limit_take_socket(limit), "open at once") != NULL, "nobody is kicked");
	cr_assert_eq(frames(limit, 1u << 20), 4);
	limit_leave(limit);
}

Test(limit, of_few_connections_a_second_is_kept)
{
	Raeh__KeyLimits own = RAEH__KEY_LIMITS__INIT;
	struct uuid id = id_of(1);
	Raeh__Principal principal = with_limits(&id, &own);
	struct limit *limit;

	key_limit_give(&own, KEY_LIMIT_CONNECTIONS, 1);
	limit = limit_enter(limits, &principal);
	cr_assert_eq(sockets(limit), 10);
	pass(1000);
	cr_assert_eq(sockets(limit), 1);
	limit_leave(limit);
}

Test(limit, takes_a_change_of_the_rate_for_those_who_are_in_already)
{
	struct limit *limit = enter(1, 50);
	Raeh__Principal principal = RAEH__PRINCIPAL__INIT;
	struct uuid id = id_of(1), other = id_of(2);

	cr_assert_eq(frames(limit, 20), 50);
	principal.key = wire_bytes_of(&id);
	principal.has_frames_per_s = 1;
	principal.frames_per_s = 3;
	limits_learn(limits, &principal);
	pass(1000);
	cr_assert_eq(frames(limit, 20), 3);
	principal.key = wire_bytes_of(&other);
	limits_learn(limits, &principal);
	cr_assert_eq(limits_counts(limits).keys, 1, "one that nobody uses is not kept");
	limit_leave(limit);
}

Test(limit, counts_bytes_and_a_whole_message_always_fits)
{
	struct limit *limit = enter(1, 0);

	cr_assert_eq(frames(limit, 1u << 20), 2);
	cr_assert(strstr(limit_take_frame(limit, 1u << 20, clock_boot_ms()), "bytes") != NULL);
	pass(500);
	cr_assert_eq(frames(limit, 1u << 20), 1);
	limit_leave(limit);
}

Test(limit, tells_a_client_of_rest_what_is_left)
{
	struct limit *limit = enter(1, 0);

	cr_assert(limit_take_request(limit));
	assert_headers(limit, "RateLimit-Limit: 100\r\nRateLimit-Remaining: 99\r\n"
	                      "RateLimit-Reset: 1\r\n");
	cr_assert_eq(requests(limit), 99);
	assert_headers(limit, "RateLimit-Limit: 100\r\nRateLimit-Remaining: 0\r\n"
	                      "RateLimit-Reset: 5\r\n");
	cr_assert_eq(limit_retry_after_s(limit), 1);
	pass(1000);
	cr_assert_eq(requests(limit), 20);
	limit_leave(limit);
}

Test(limit, bounds_the_sockets_of_a_key_and_how_fast_they_come)
{
	struct limit *limit = enter(1, 0);

	cr_assert_eq(sockets(limit), 40, "ten seconds' worth at once");
	pass(2000);
	cr_assert_eq(sockets(limit), 8);
	pass(2000);
	cr_assert_eq(sockets(limit), 2, "fifty are open");
	cr_assert(strstr(limit_take_socket(limit), "open at once") != NULL);
	limit_give_socket(limit);
	cr_assert_eq(sockets(limit), 1);
	limit_leave(limit);
}

Test(limit, does_not_mix_keys)
{
	struct limit *one = enter(1, 0), *two = enter(2, 0);

	cr_assert_eq(frames(one, 20), 100);
	cr_assert_eq(frames(two, 20), 100);
	limit_leave(one);
	limit_leave(two);
}

/* ---- addresses ---- */

static unsigned connections(const char *address)
{
	unsigned n = 0;

	while (n < 1000 && limit_take_connection(limits, address))
		n++;
	return n;
}

Test(limit, bounds_the_connections_of_an_address)
{
	cr_assert_eq(connections("203.0.113.7"), 20);
	cr_assert_eq(connections("203.0.113.8"), 20);
	cr_assert_eq(connections("::ffff:203.0.113.8"), 0, "the same in another form");
	cr_assert_eq(connections("2001:db8:1:2::1"), 20);
	cr_assert_eq(connections("2001:db8:1:2:ffff::2"), 0, "the same network");
	cr_assert_eq(connections("2001:db8:1:3::1"), 20);
	cr_assert_eq(connections("unknown"), 20);
	cr_assert_eq(connections("garbage"), 0, "all that is no address is one");
	pass(1000);
	cr_assert_eq(connections("203.0.113.7"), 2);
}

Test(limit, spares_loopback)
{
	cr_assert_eq(connections("127.0.0.1"), 1000);
	cr_assert_eq(connections("127.8.0.1"), 1000);
	cr_assert_eq(connections("::1"), 1000);
	cr_assert_eq(connections("::ffff:127.0.0.1"), 1000);
	cr_assert_eq(limits_counts(limits).addresses, 0);
}

Test(limit, bounds_the_open_handshakes_of_an_address)
{
	for (int i = 0; i < 5; i++)
		cr_assert(limit_take_handshake(limits, "203.0.113.7"));
	cr_assert_not(limit_take_handshake(limits, "203.0.113.7"));
	cr_assert(limit_take_handshake(limits, "203.0.113.9"));
	limit_shaken(limits, "203.0.113.7");
	cr_assert(limit_take_handshake(limits, "203.0.113.7"));
	cr_assert_eq(limits_counts(limits).addresses_refused, 1);
}

Test(limit, forgets_an_address_that_was_quiet)
{
	cr_assert(limit_take_handshake(limits, "203.0.113.7"));
	(void)connections("203.0.113.8");
	cr_assert_eq(limits_counts(limits).addresses, 2);
	pass(20000);
	cr_assert_eq(limits_counts(limits).addresses, 1, "whose handshake is open");
	limit_shaken(limits, "203.0.113.7");
	pass(6000);
	cr_assert_eq(limits_counts(limits).addresses, 0);
}

/* ---- what is told to auth ---- */

static Auth__AuthRequest *told(struct question *question)
{
	return (Auth__AuthRequest *)question_as(question, &auth__auth_request__descriptor);
}

static void use_a_little(struct limit *limit)
{
	cr_assert_null(limit_take_socket(limit));
	cr_assert(limit_take_request(limit));
	cr_assert_null(limit_take_frame(limit, 30, clock_boot_ms()));
	cr_assert_null(limit_take_frame(limit, 12, clock_boot_ms()));
	limit_count_insight(limit);
}

Test(limit, tells_what_was_done_once_and_numbered)
{
	struct limit *limit = enter(1, 0);
	Auth__AuthRequest *request;
	struct uuid key = id_of(1), id;

	use_a_little(limit);
	pass(LIMIT_REPORT_MS);
	cr_assert_eq(asked_count("auth"), 1);
	request = told(asked("auth"));
	cr_assert(request->keys_used->number == 1 && request->keys_used->slot == 1);
	cr_assert(wire_id(request->keys_used->uses[0]->key, &id) && uuid_equal(&id, &key));
	cr_assert_eq(request->keys_used->n_uses, 1);
	cr_assert_not(request->keys_used->uses[0]->has_user);
	cr_assert_eq(request->keys_used->uses[0]->connections, 1);
	cr_assert_eq(request->keys_used->uses[0]->requests, 1);
	cr_assert_eq(request->keys_used->uses[0]->frames, 2);
	cr_assert_eq(request->keys_used->uses[0]->bytes, 42);
	cr_assert_eq(request->keys_used->uses[0]->insights, 1);
	wire_free(&request->base);
	auth_is_done();
	pass(3 * LIMIT_REPORT_MS);
	cr_assert_eq(asked_count("auth"), 0);
	limit_leave(limit);
}

Test(limit, tells_whose_login_it_was)
{
	struct uuid login = id_of(1), user = id_of(2), id;
	Raeh__Principal principal = with_limits(&login, NULL);
	struct limit *limit;
	Auth__AuthRequest *request;

	principal.has_user = true;
	principal.user = wire_bytes_of(&user);
	limit = limit_enter(limits, &principal);
	use_a_little(limit);
	pass(LIMIT_REPORT_MS);
	request = told(asked("auth"));
	cr_assert(request->keys_used->uses[0]->has_user);
	cr_assert(wire_id(request->keys_used->uses[0]->user, &id) && uuid_equal(&id, &user));
	wire_free(&request->base);
	auth_is_done();
	limit_leave(limit);
}

Test(limit, tells_it_again_as_it_was_until_auth_has_taken_it)
{
	struct limit *limit = enter(1, 0);
	Auth__AuthRequest *request;
	struct buf first = { 0 };

	use_a_little(limit);
	pass(LIMIT_REPORT_MS);
	buf_append(&first, asked("auth")->data.data, asked("auth")->data.len);
	world_lose(asked("auth"));
	use_a_little(limit);
	pass(LIMIT_DEMAND_MS);
	cr_assert_eq(asked("auth")->data.len, first.len);
	cr_assert_eq(memcmp(asked("auth")->data.data, first.data, first.len), 0);
	refuse_key(asked("auth"), 503);
	pass(LIMIT_DEMAND_MS);
	auth_is_done();
	pass(LIMIT_REPORT_MS);
	request = told(asked("auth"));
	cr_assert_eq(request->keys_used->number, 2);
	cr_assert_eq(request->keys_used->uses[0]->frames, 2, "only what is new");
	wire_free(&request->base);
	cr_assert_eq(limits_counts(limits).reports_lost, 2);
	buf_free(&first);
	limit_leave(limit);
}

Test(limit, forgets_a_key_when_all_is_told_and_nobody_uses_it)
{
	struct limit *limit = enter(1, 0);

	use_a_little(limit);
	limit_give_socket(limit);
	limit_leave(limit);
	cr_assert_eq(limits_counts(limits).keys, 1);
	pass(LIMIT_REPORT_MS);
	auth_is_done();
	pass(LIMIT_REPORT_MS);
	cr_assert_eq(limits_counts(limits).keys, 0);
}

Test(limit, of_a_key_that_nobody_uses_makes_room_when_there_are_too_many)
{
	struct limit *told = enter(1, 0), *untold;

	use_a_little(told);
	limit_give_socket(told);
	pass(LIMIT_REPORT_MS);
	auth_is_done();
	cr_assert_not_null(told);
	cr_assert_gt(requests(told), 0);
	untold = enter(2, 0);
	use_a_little(untold);
	limit_give_socket(untold);
	limit_leave(untold);
	for (unsigned i = 3; i <= LIMIT_KEYS_MOST; i++)
		limit_leave(enter(i, 0));
	cr_assert_eq(limits_counts(limits).keys, LIMIT_KEYS_MOST);

	limit_leave(enter(LIMIT_KEYS_MOST + 1, 0));
	cr_assert_eq(limits_counts(limits).keys, LIMIT_KEYS_MOST);
	cr_assert_eq(enter(2, 0), untold, "what it did is not told yet");
	cr_assert_eq(enter(1, 0), told, "one that is used stays");
	cr_assert_not(limit_take_request(told), "and its limits are what they were");
	limit_leave(told);
	limit_leave(told);
	limit_leave(untold);
}

Test(limit, shuts_a_key_out_only_when_as_many_are_in_use)
{
	for (unsigned i = 1; i <= LIMIT_KEYS_MOST; i++)
		(void)enter(i, 0);
	cr_assert_null(enter(LIMIT_KEYS_MOST + 1, 0));
	cr_assert_not_null(enter(1, 0));
}

static void on_flushed(void *ctx)
{
	(void)ctx;
	flushes++;
}

Test(limit, tells_all_before_the_edge_goes)
{
	struct limit *limit = enter(1, 0);

	use_a_little(limit);
	limits_flush(limits, on_flushed, NULL);
	pass(1);
	cr_assert_eq(flushes, 0);
	auth_is_done();
	cr_assert_eq(flushes, 1);
	limits_flush(limits, on_flushed, NULL);
	pass(1);
	cr_assert_eq(flushes, 2, "nothing is left to tell");
	use_a_little(limit);
	limits_flush(limits, on_flushed, NULL);
	pass(700);
	cr_assert_eq(flushes, 3, "auth is away: the edge does not wait for it");
	limit_leave(limit);
}

/* ---- shares ---- */

static void two_edges(void)
{
	open_limits(2);
}

TestSuite(shares, .init = two_edges, .fini = close_limits);

static void auth_shares(unsigned key, enum limit_kind kind, uint64_t may)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Auth__KeyShares shares = AUTH__KEY_SHARES__INIT;
	Auth__KeyShare share = AUTH__KEY_SHARE__INIT, *all[] = { &share };
	struct uuid id = id_of(key);

	share.key = wire_bytes_of(&id);
	share.kind = kind;
	share.may = may;
	shares.n_shares = 1;
	shares.shares = all;
	reply.result_case = AUTH__AUTH_REPLY__RESULT_KEY_SHARES;
	reply.key_shares = &shares;
	world_answer(asked("auth"), &reply.base);
}

Test(shares, are_asked_for_when_much_of_a_limit_is_used)
{
	struct limit *limit = enter(1, 0);
	Auth__AuthRequest *request;

	for (int i = 0; i < 25; i++)
		cr_assert_null(limit_take_frame(limit, 20, clock_boot_ms()));
	pass(LIMIT_DEMAND_MS);
	cr_assert_eq(asked_count("auth"), 0, "a quarter: whatever others do, it is not much");
	for (int i = 0; i < 40; i++)
		cr_assert_null(limit_take_frame(limit, 20, clock_boot_ms()));
	pass(LIMIT_DEMAND_MS);
	request = told(asked("auth"));
	cr_assert_eq(request->keys_used->n_demands, 1);
	cr_assert_eq(request->keys_used->demands[0]->kind, LIMIT_FRAMES);
	cr_assert_eq(request->keys_used->demands[0]->wanted, 40);
	cr_assert_eq(request->keys_used->demands[0]->most, 100);
	wire_free(&request->base);
	limit_leave(limit);
}

Test(shares, bound_this_edge_while_they_are_young)
{
	struct limit *limit = enter(1, 0);

	cr_assert_eq(frames(limit, 20), 100, "until something is told it may use the whole");
	pass(LIMIT_DEMAND_MS);
	auth_shares(1, LIMIT_FRAMES, 30);
	cr_assert_eq(frames(limit, 20), 30);
	pass(LIMIT_SHARE_MS);
	cr_assert_eq(frames(limit, 20), 100, "auth is away");
	limit_leave(limit);
}

static unsigned demands_asked(void)
{
	Auth__AuthRequest *request = told(asked("auth"));
	unsigned n = (unsigned)request->keys_used->n_demands;

	wire_free(&request->base);
	auth_shares(1, LIMIT_FRAMES, 1);
	return n;
}

Test(shares, of_many_keys_are_asked_for_in_turn)
{
	struct limit *limit[1500];

	for (unsigned i = 0; i < ARRAY_LEN(limit); i++)
		limit[i] = enter(i + 1, 1);
	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < ARRAY_LEN(limit); i++)
			(void)limit_take_frame(limit[i], 20, clock_boot_ms());
		pass(LIMIT_DEMAND_MS);
		cr_assert_eq(demands_asked(), round == 1 ? 476 : 1024, "round %d", round);
	}
	for (unsigned i = 0; i < ARRAY_LEN(limit); i++)
		limit_leave(limit[i]);
}

Test(shares, of_a_limit_that_was_changed_are_not_believed)
{
	struct limit *limit = enter(1, 10);

	(void)frames(limit, 20);
	pass(LIMIT_DEMAND_MS);
	auth_shares(1, LIMIT_FRAMES, 5);
	limit_leave(enter(1, 80));
	pass(LIMIT_DEMAND_MS);
	cr_assert_eq(frames(limit, 20), 80);
	limit_leave(limit);
}

Test(shares, of_open_sockets_kick_nobody)
{
	struct limit *limit = enter(1, 0);

	cr_assert_eq(sockets(limit), 40);
	pass(LIMIT_DEMAND_MS);
	auth_shares(1, LIMIT_SOCKETS, 10);
	cr_assert(strstr(limit_take_socket(limit), "open at once") != NULL);
	pass(LIMIT_SHARE_MS);
	cr_assert_null(limit_take_socket(limit));
	limit_leave(limit);
}
