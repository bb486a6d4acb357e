#include "services/edge/fake_bus.h"
#include "services/edge/grant.h"

#include <sodium.h>

#define MOST  4
#define USERS 1300

struct user {
	struct grant_user base;
	unsigned answers, deaths;
	enum err err;
	char why[124];
	bool leave; /* on its answer */
};

static struct lease *lease;
static struct grants *grants;
static struct user user[USERS];
static unsigned revived, wiped;
static const char *secret; /* watched: how often it is wiped */

/* In place of libsodium's: sees what is wiped. */
void sodium_memzero(void *data, size_t len)
{
	volatile uint8_t *p = data;

	if (secret && memmem(data, len, secret, strlen(secret)))
		wiped++;
	for (size_t i = 0; i < len; i++)
		p[i] = 0;
}

static void on_answer(struct grant_user *base, enum err err, const char *why)
{
	struct user *told = (struct user *)base;

	told->answers++;
	told->err = err;
	(void)snprintf(told->why, sizeof told->why, "%s", why);
	if (told->leave)
		grant_leave(grants, base);
}

static void on_dead(struct grant_user *base, const char *why)
{
	struct user *told = (struct user *)base;

	told->deaths++;
	(void)snprintf(told->why, sizeof told->why, "%s", why);
}

static void on_notice(void *ctx, const Auth__Notice *notice)
{
	(void)ctx;
	(void)grants_apply(grants, notice);
}

static void on_registered(void *ctx)
{
	(void)ctx;
	grants_forget(grants);
}

static void on_revived(void *ctx)
{
	(void)ctx;
	revived++;
}

static void open_grants(void)
{
	world_open();
	memset(user, 0, sizeof user);
	revived = wiped = 0;
	secret = NULL;
	for (size_t i = 0; i < USERS; i++) {
		user[i].base.kind = i % 2 ? NET_SUBSCRIBE : NET_INGEST;
		user[i].base.on_answer = on_answer;
		user[i].base.on_dead = on_dead;
	}
	lease = lease_new(&(struct lease_deps){
	        .loop = world.loop,
	        .bus = &world.bus,
	        .incarnation = id_of(7),
	        .events = {on_notice, on_registered},
	});
	grants = grants_new(&(struct grants_deps){
	        .loop = world.loop,
	        .bus = &world.bus,
	        .lease = lease,
	        .most = MOST,
	        .on_revived = on_revived,
	});
	turn();
}

static void close_grants(void)
{
	grants_free(grants);
	lease_free(lease);
	world_close();
}

TestSuite(grant, .init = open_grants, .fini = close_grants);

static void enter(unsigned n, const char *credential)
{
	grant_enter(grants, credential, &user[n].base);
}

static bool good(unsigned n)
{
	return grant_good(grants, &user[n].base);
}

static struct grant_counts kill(uint64_t number, unsigned key)
{
	struct notice_of space;

	return grants_apply(grants, notice_fill(&space, number, key));
}

static struct grant_counts count(unsigned key)
{
	struct uuid id = id_of(key);

	return grants_count(grants, &id);
}

static void verdict(unsigned key, uint64_t notice)
{
	give_verdict(asked("auth"), (struct fake_key){ .key = key, .notice = notice });
}

/* The lease is lost and registered anew. */
static void register_anew(uint64_t newest)
{
	while (!asked("auth.lease"))
		pass(1);
	refuse_lease(409);
	turn();
	give_lease(newest);
}

Test(grant, asks_nobody_before_the_lease_is_held)
{
	enter(0, "raeh_one");
	pass(100);

	cr_assert_eq(asked_count("auth"), 0);
	cr_assert_eq(user[0].answers, 0);
	give_lease(0);
	cr_assert_eq(asked_count("auth"), 1);
	verdict(1, 0);
	cr_assert_eq(user[0].answers, 1);
	cr_assert_eq(user[0].err, OK);
	cr_assert(good(0));
}

Test(grant, asks_once_for_all_who_come_with_the_same_credential)
{
	AUTO(wire_free) ProtobufCMessage *message = NULL;

	give_lease(0);
	enter(0, "raeh_one");
	enter(1, "raeh_one");
	enter(2, "raeh_two");
	cr_assert_eq(asked_count("auth"), 2);
	message = question_as(asked("auth"), &auth__auth_request__descriptor);
	cr_assert_str_eq(((Auth__AuthRequest *)message)->verify->credential, "raeh_one");
	verdict(1, 0);

	cr_assert(good(0) && good(1) && !good(2));
	enter(3, "raeh_one");
	cr_assert(good(3), "what is known is answered at once");
	cr_assert_eq(asked_count("auth"), 1);
}

Test(grant, is_not_good_without_the_lease)
{
	give_lease(0);
	enter(0, "raeh_one");
	verdict(1, 0);
	world.now_us += (int64_t)FAKE_LEASE_MS * 1000;

	cr_assert_not(good(0));
	enter(1, "raeh_one");
	cr_assert_eq(user[1].answers, 0, "it waits for the next registration");
}

Test(grant, does_not_believe_a_verdict_that_comes_without_the_lease)
{
	give_lease(0);
	enter(0, "raeh_one");
	world.now_us += (int64_t)FAKE_LEASE_MS * 1000;
	verdict(1, 0);
	cr_assert_eq(user[0].answers, 0);

	turn();
	world_lose(asked("auth.lease"));
	pass(200);
	give_lease(0);
	verdict(1, 0);
	cr_assert(good(0));
}

Test(grant, asks_again_for_a_verdict_older_than_a_revoke_of_its_key)
{
	give_lease(4);
	enter(0, "raeh_one");
	(void)kill(5, 1);
	verdict(1, 4);
	cr_assert_eq(user[0].answers, 0);
	cr_assert_eq(asked_count("auth"), 1, "asked again");
	refuse_key(asked("auth"), 401);
	turn();

	cr_assert_eq(user[0].err, ERR_DENIED);
	cr_assert_str_eq(user[0].why, GRANT_REFUSED);
}

Test(grant, believes_an_old_verdict_of_another_key)
{
	give_lease(4);
	enter(0, "raeh_one");
	(void)kill(5, 2);
	verdict(1, 4);

	cr_assert(good(0));
}

Test(grant, asks_again_for_a_verdict_older_than_the_registration)
{
	give_lease(4);
	enter(0, "raeh_one");
	register_anew(9); /* the answer is still under way */
	cr_assert_eq(asked_count("auth"), 1);
	verdict(1, 8);
	cr_assert_eq(user[0].answers, 0);
	verdict(1, 9);

	cr_assert(good(0));
}

Test(grant, remembers_a_revoke_longer_than_an_answer_can_be_under_way)
{
	struct notice_of space;

	give_lease(4);
	(void)kill(5, 1);
	for (int i = 0; i < 20; i++) { /* the lease stays held */
		pass(1000);
		while (asked("auth.lease"))
			give_lease(4);
	}
	enter(0, "raeh_one");
	(void)grants_apply(grants, notice_fill(&space, 6, 2)); /* forgets what is old */
	verdict(1, 4);
	cr_assert_eq(user[0].answers, 0);
}

Test(grant, of_a_dead_key_moves_no_byte_from_the_notice_on)
{
	struct grant_counts closed;

	give_lease(4);
	for (unsigned i = 0; i < 5; i++)
		enter(i, "raeh_one");
	verdict(1, 4);
	closed = kill(5, 1);

	cr_assert_eq(closed.ingest, 3);
	cr_assert_eq(closed.subscribe, 2);
	for (unsigned i = 0; i < 5; i++) {
		cr_assert_not(good(i), "before it was told");
		cr_assert(grant_principal(&user[i].base) == NULL);
	}
	turn();
	for (unsigned i = 0; i < 5; i++) {
		cr_assert_eq(user[i].deaths, 1);
		cr_assert_eq(user[i].answers, 1);
		cr_assert_str_eq(user[i].why, GRANT_REFUSED);
	}
	cr_assert_eq(count(1).ingest + count(1).subscribe, 0);
}

Test(grant, closes_a_dead_keys_sockets_in_slices)
{
	unsigned told = 0, turns = 0;

	give_lease(4);
	for (unsigned i = 0; i < USERS; i++)
		enter(i, "raeh_one");
	verdict(1, 4);
	(void)kill(5, 1);
	while (told < USERS && turns < 10) {
		unsigned before = told;

		turn();
		turns++;
		for (told = 0; told < USERS && user[told].deaths; told++)
			;
		cr_assert_leq(told - before, 512);
	}
	cr_assert_eq(told, USERS);
	cr_assert_eq(turns, 3);
}

Test(grant, of_a_dead_key_may_be_left_between_the_slices)
{
	give_lease(4);
	for (unsigned i = 0; i < USERS; i++)
		enter(i, "raeh_one");
	verdict(1, 4);
	(void)kill(5, 1);
	turn();
	for (unsigned i = 0; i < USERS; i++)
		grant_leave(grants, &user[i].base);
	turn();

	cr_assert_eq(user[USERS - 1].deaths, 0, "who has left is told nothing");
	enter(0, "raeh_one");
	cr_assert_eq(asked_count("auth"), 1, "and the credential is asked about anew");
}

Test(grant, kills_every_credential_of_the_key_and_those_who_wait_too)
{
	give_lease(4);
	enter(0, "another_of_the_key");
	verdict(1, 4);
	enter(1, "raeh_one");
	verdict(1, 4);
	enter(2, "raeh_other");
	verdict(2, 4);
	register_anew(4); /* known, but asked about again: they wait */
	enter(4, "raeh_one");
	cr_assert_eq(kill(5, 1).ingest, 2);
	turn();

	cr_assert_eq(user[0].deaths, 1);
	cr_assert_eq(user[1].deaths, 1);
	cr_assert_eq(user[4].err, ERR_DENIED, "it was never answered: refused");
	cr_assert_eq(user[4].deaths, 0);
	cr_assert_eq(user[2].deaths, 0);
	while (asked("auth")) /* the answers under way find nobody */
		refuse_key(asked("auth"), 401);
	pass(1000);
	cr_assert_eq(count(1).ingest, 0);
}

Test(grant, is_freed_with_its_question_under_way_when_its_key_died)
{
	give_lease(4);
	enter(0, "raeh_one");
	verdict(1, 4);
	register_anew(4);
	(void)kill(5, 1);
	turn();
	cr_assert_eq(user[0].deaths, 1);
	cr_assert_eq(asked_count("auth"), 1);
	/* The end of the test frees it: nothing may be left behind. */
}

Test(grant, counts_the_sockets_of_a_key_and_no_requests)
{
	user[2].base.kind = NET_HTTP;
	user[3].base.kind = NET_ECHO;
	give_lease(0);
	for (unsigned i = 0; i < 4; i++)
		enter(i, "raeh_one");
	cr_assert_eq(count(1).ingest, 0, "not known yet whose they are");
	verdict(1, 0);

	cr_assert_eq(count(1).ingest, 1);
	cr_assert_eq(count(1).subscribe, 2);
	grant_leave(grants, &user[0].base);
	grant_leave(grants, &user[1].base);
	cr_assert_eq(count(1).ingest, 0);
	cr_assert_eq(count(1).subscribe, 1);
}

Test(grant, is_verified_again_after_a_registration_before_a_byte_moves)
{
	give_lease(4);
	enter(0, "raeh_one");
	verdict(1, 4);
	register_anew(6);
	cr_assert_not(good(0));
	cr_assert(grant_principal(&user[0].base) != NULL, "its key is not dead");
	verdict(1, 6); /* the same key: nothing has changed */

	cr_assert(good(0));
	cr_assert_eq(user[0].answers, 1);
	cr_assert_eq(revived, 1);
	cr_assert_eq(count(1).ingest, 1);
}

Test(grant, that_is_refused_after_a_registration_dies)
{
	give_lease(4);
	enter(0, "raeh_one");
	verdict(1, 4);
	register_anew(6);
	refuse_key(asked("auth"), 401);
	turn();

	cr_assert_eq(user[0].deaths, 1);
	cr_assert_eq(user[0].answers, 1);
}

Test(grant, that_belongs_to_another_key_after_a_registration_is_counted_there)
{
	give_lease(4);
	enter(0, "raeh_one");
	verdict(1, 4);
	register_anew(6);
	verdict(2, 6);

	cr_assert_eq(count(1).ingest, 0);
	cr_assert_eq(count(2).ingest, 1);
	cr_assert_eq(kill(7, 2).ingest, 1);
}

Test(grant, refuses_an_unknown_key_with_the_same_words_as_a_revoked_one)
{
	give_lease(0);
	enter(0, "raeh_one");
	refuse_key(asked("auth"), 401);
	cr_assert_eq(user[0].answers, 0, "not from inside");
	turn();

	cr_assert_eq(user[0].err, ERR_DENIED);
	cr_assert_str_eq(user[0].why, GRANT_REFUSED);
	cr_assert_eq(user[0].deaths, 0);
}

Test(grant, asks_again_while_auth_is_away_refuses_to_say_or_talks_nonsense)
{
	Auth__AuthReply other = AUTH__AUTH_REPLY__INIT;
	Raeh__Empty empty = RAEH__EMPTY__INIT;

	other.result_case = AUTH__AUTH_REPLY__RESULT_DONE;
	other.done = &empty;
	give_lease(0);
	enter(0, "raeh_one");
	world_lose(asked("auth"));
	pass(200);
	refuse_key(asked("auth"), 503);
	pass(200);
	world_answer_bytes(asked("auth"), OK, BYTES("\xff", 1));
	pass(200);
	world_answer(asked("auth"), &other.base);
	pass(200);
	verdict(1, 0);

	cr_assert(good(0));
}

Test(grant, does_not_believe_ids_of_another_length)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Auth__Verdict told = AUTH__VERDICT__INIT;
	Raeh__Principal principal = RAEH__PRINCIPAL__INIT;

	principal.key = principal.account = wire_bytes(BYTES("short", 5));
	told.principal = &principal;
	reply.result_case = AUTH__AUTH_REPLY__RESULT_VERDICT;
	reply.verdict = &told;
	give_lease(0);
	enter(0, "raeh_one");
	world_answer(asked("auth"), &reply.base);
	cr_assert_eq(user[0].answers, 0);
	pass(200);
	cr_assert_eq(asked_count("auth"), 1);
}

Test(grant, ends_when_it_expires)
{
	give_lease(0);
	enter(0, "raeh_one");
	give_verdict(asked("auth"),
	             (struct fake_key){ .key = 1, .expires_ms = clock_wall_ms() + 5000 });
	cr_assert(good(0));
	world.now_us += 4999000;
	cr_assert(good(0));
	world.now_us += 1000;
	cr_assert_not(good(0));
	cr_assert_eq(user[0].deaths, 0);
	pass(10);
	cr_assert_eq(user[0].deaths, 1, "its socket is closed");
}

Test(grant, that_ends_after_a_long_time_lives_as_long_and_may_be_forgotten_before)
{
	give_lease(0);
	enter(0, "raeh_one");
	give_verdict(asked("auth"),
	             (struct fake_key){ .key = 1, .expires_ms = clock_wall_ms() + 100000 });
	pass(25000);
	register_anew(0);
	give_verdict(asked("auth"),
	             (struct fake_key){ .key = 1, .expires_ms = clock_wall_ms() + 20000 });
	pass(19900);
	cr_assert_eq(user[0].deaths, 0);
	pass(200);
	cr_assert_eq(user[0].deaths, 1);
}

Test(grant, lets_the_last_leave_while_auth_is_asked)
{
	give_lease(0);
	enter(0, "raeh_one");
	enter(1, "raeh_one");
	grant_leave(grants, &user[0].base);
	grant_leave(grants, &user[1].base);
	grant_leave(grants, &user[1].base); /* harmless */
	verdict(1, 0);

	cr_assert_eq(user[0].answers + user[1].answers, 0);
	cr_assert_eq(count(1).ingest, 0);
}

Test(grant, lets_everybody_leave_on_the_answer)
{
	give_lease(0);
	for (unsigned i = 0; i < 3; i++) {
		user[i].leave = true;
		enter(i, "raeh_one");
	}
	verdict(1, 0);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(user[i].answers, 1);
	enter(3, "raeh_one");
	cr_assert(good(3), "what auth said is remembered");
}

Test(grant, remembers_no_more_credentials_than_agreed)
{
	char credential[32];

	give_lease(0);
	for (unsigned i = 0; i < MOST + 1; i++) {
		(void)snprintf(credential, sizeof credential, "raeh_%u", i);
		enter(i, credential);
		verdict(i + 1, 0);
		grant_leave(grants, &user[i].base);
	}
	enter(20, "raeh_4");
	cr_assert(good(20), "the newest is remembered");
	enter(21, "raeh_0");
	cr_assert_not(good(21), "the oldest was let go");
	cr_assert_eq(asked_count("auth"), 1);
}

Test(grant, serves_more_credentials_in_use_than_it_may_remember)
{
	char credential[32];

	give_lease(0);
	for (unsigned i = 0; i < 3 * MOST; i++) {
		(void)snprintf(credential, sizeof credential, "raeh_%u", i);
		enter(i, credential);
		verdict(i + 1, 0);
	}
	for (unsigned i = 0; i < 3 * MOST; i++)
		cr_assert(good(i), "user %u", i);
}

Test(grant, forgets_unused_credentials_with_a_registration)
{
	give_lease(4);
	enter(0, "raeh_one");
	verdict(1, 4);
	grant_leave(grants, &user[0].base);
	register_anew(6);

	cr_assert_eq(asked_count("auth"), 0);
	enter(1, "raeh_one");
	cr_assert_not(good(1));
	cr_assert_eq(asked_count("auth"), 1);
}

Test(grant, wipes_the_credential_when_nobody_uses_it_any_more)
{
	secret = "raeh_secret"; /* libsodium wipes it too, where it is hashed */
	give_lease(4);
	enter(0, "raeh_secret");
	verdict(1, 4);
	wiped = 0;
	grant_leave(grants, &user[0].base);
	cr_assert_eq(wiped, 1);

	enter(0, "raeh_secret");
	cr_assert(good(0), "and is known again with its next user");
	wiped = 0;
	register_anew(6);
	cr_assert_eq(wiped, 1, "the question, packed");
	verdict(1, 6);
	cr_assert(good(0));
	(void)kill(7, 1);
	turn();
	cr_assert_eq(wiped, 2);
}

Test(grant, tells_the_use_of_each_key_once)
{
	const struct net_request request = { .peer = "192.0.2.7", .user_agent = "watch/1" };
	AUTO(origin_free) struct origin *origin = origin_new(&request);
	struct grant_use use[8];
	struct uuid first = id_of(1);

	give_lease(0);
	enter(0, "raeh_one");
	verdict(1, 0);
	enter(2, "raeh_two");
	verdict(2, 0);
	cr_assert_eq(grants_used(grants, use, 8), 2);
	cr_assert_eq(grants_used(grants, use, 8), 0);
	pass(10);
	enter(1, "raeh_one");
	cr_assert_eq(grants_used(grants, use, 8), 1);
	cr_assert(uuid_equal(&use[0].key, &first));
	cr_assert_eq(use[0].ms, clock_wall_ms());
	cr_assert_null(use[0].origin);
	user[3].base.from = origin;
	enter(3, "raeh_one");
	cr_assert_eq(grants_used(grants, use, 8), 1);
	cr_assert(origin_equal(use[0].origin, origin) && use[0].origin != origin);
	origin_free(use[0].origin);
}

/* ---- rights ---- */

static bool needs_read(const struct grant_user *base, const Raeh__Principal *rights)
{
	(void)base;
	return rights->scopes & SCOPE_READ;
}

static struct grant_counts change(uint64_t number, unsigned key, uint32_t scopes,
                                  const int64_t *expires_ms)
{
	Raeh__Principal rights = RAEH__PRINCIPAL__INIT;
	struct uuid id = id_of(key);
	struct notice_of space;
	Auth__Notice *notice = notice_fill(&space, number, key);

	rights.account = wire_bytes_of(&id);
	rights.key = wire_bytes_of(&id);
	rights.scopes = scopes;
	rights.notice = number;
	rights.has_expires_ms = expires_ms != NULL;
	rights.expires_ms = expires_ms ? *expires_ms : 0;
	notice->rights = &rights;
	return grants_apply(grants, notice);
}

Test(grant, closes_those_alone_that_need_a_right_that_is_gone)
{
	struct grant_counts gone;

	give_lease(4);
	user[0].base.may_go_on = user[1].base.may_go_on = needs_read;
	for (unsigned i = 0; i < 4; i++)
		enter(i, "raeh_one");
	verdict(1, 4);
	gone = change(5, 1, SCOPE_INGEST, NULL);
	cr_assert(!good(0) && !good(1) && good(2) && good(3), "at once");
	cr_assert_eq(gone.ingest, 1);
	cr_assert_eq(gone.subscribe, 1);
	cr_assert_eq(count(1).ingest + count(1).subscribe, 2, "the others are counted on");
	turn();

	cr_assert_eq(user[0].deaths, 1);
	cr_assert_str_eq(user[0].why, GRANT_NARROWED);
	cr_assert_eq(user[1].deaths, 1);
	cr_assert_eq(user[2].deaths + user[3].deaths, 0);
	cr_assert_eq(grant_principal(&user[2].base)->scopes, SCOPE_INGEST);
	cr_assert_eq(asked_count("auth"), 0, "nobody is asked");
}

Test(grant, gives_a_right_to_those_who_stay_and_to_those_who_come)
{
	give_lease(4);
	enter(0, "raeh_one");
	verdict(1, 4);
	(void)change(5, 1, SCOPES_ALL, NULL);
	enter(2, "raeh_one");

	cr_assert_eq(grant_principal(&user[0].base)->scopes, SCOPES_ALL);
	cr_assert_eq(grant_principal(&user[2].base)->scopes, SCOPES_ALL);
	cr_assert_eq(user[0].deaths, 0);
}

Test(grant, forgets_a_grant_whose_last_user_was_put_out)
{
	give_lease(4);
	user[0].base.may_go_on = needs_read;
	enter(0, "raeh_one");
	verdict(1, 4);
	(void)change(5, 1, SCOPE_INGEST, NULL);
	turn();
	cr_assert_eq(user[0].deaths, 1);
	enter(2, "raeh_one");

	cr_assert(good(2), "the key itself lives");
	(void)kill(6, 1);
	cr_assert_not(good(2));
}

Test(grant, asks_again_for_a_verdict_older_than_a_change_of_its_key)
{
	give_lease(4);
	enter(0, "raeh_one");
	(void)change(5, 1, SCOPE_INGEST, NULL);
	verdict(1, 4);
	cr_assert_eq(user[0].answers, 0);
	verdict(1, 5);

	cr_assert(good(0));
}

Test(grant, holds_those_who_wait_for_a_new_verdict_to_it)
{
	give_lease(4);
	user[0].base.may_go_on = needs_read;
	enter(0, "raeh_one");
	enter(2, "raeh_one");
	verdict(1, 4);
	register_anew(9);
	give_verdict(asked("auth"),
	             (struct fake_key){ .key = 1, .notice = 9, .scopes = SCOPE_INGEST });
	turn();

	cr_assert_eq(user[0].deaths, 1);
	cr_assert(good(2));
}

Test(grant, ends_a_key_whose_end_was_brought_forward)
{
	int64_t soon_ms = clock_wall_ms() + 1000, late_ms = soon_ms + 100000;

	give_lease(4);
	enter(0, "raeh_one");
	verdict(1, 4);
	(void)change(5, 1, SCOPES_ALL, &soon_ms);
	(void)change(6, 1, SCOPES_ALL, &late_ms);
	pass(1500);
	cr_assert(good(0), "and put off again");
	soon_ms = clock_wall_ms() + 1000;
	(void)change(7, 1, SCOPES_ALL, &soon_ms);
	pass(1500);

	cr_assert_not(good(0));
	cr_assert_eq(user[0].deaths, 1);
}

/* ---- tokens ---- */

static Raeh__Principal rights_of(unsigned key, uint64_t notice, uint32_t scopes)
{
	static struct uuid id;
	Raeh__Principal rights = RAEH__PRINCIPAL__INIT;

	id = id_of(key);
	rights.account = wire_bytes_of(&id);
	rights.key = wire_bytes_of(&id);
	rights.scopes = scopes;
	rights.notice = notice;
	return rights;
}

/* A token of the key, numbered so that each is another. */
static const char *token(unsigned key, unsigned number, uint32_t scopes)
{
	static char text[TOKEN_TEXT];
	Raeh__Principal rights = rights_of(key, number, scopes);

	rights.has_is_token = rights.is_token = rights.has_expires_ms = true;
	rights.expires_ms = clock_wall_ms() + 600000;
	token_make(&rights, fake_token_seed, text);
	return text;
}

/* What auth says of a token of this key. */
static void token_verdict(unsigned key, uint64_t notice, uint32_t scopes, uint32_t of_parent)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Auth__Verdict verdict = AUTH__VERDICT__INIT;
	Raeh__Principal own = rights_of(key, notice, scopes);
	Raeh__Principal parent = rights_of(key, notice, of_parent);

	own.has_is_token = own.is_token = own.has_expires_ms = true;
	own.expires_ms = clock_wall_ms() + 600000;
	verdict.principal = &own;
	verdict.parent = &parent;
	reply.result_case = AUTH__AUTH_REPLY__RESULT_VERDICT;
	reply.verdict = &verdict;
	world_answer(asked("auth"), &reply.base);
}

Test(grant, asks_once_about_all_tokens_of_a_key)
{
	give_lease(4);
	enter(0, token(1, 1, SCOPE_READ));
	cr_assert_eq(asked_count("auth"), 1);
	token_verdict(1, 4, SCOPE_READ, SCOPES_ALL);
	cr_assert(good(0));
	enter(1, token(1, 2, SCOPE_SUBSCRIBE));

	cr_assert(good(1), "the key is known to live");
	cr_assert_eq(asked_count("auth"), 0);
	cr_assert_eq(grant_principal(&user[1].base)->scopes, SCOPE_SUBSCRIBE);
	enter(2, token(2, 1, SCOPE_READ));
	cr_assert_eq(asked_count("auth"), 1, "another key is another question");
}

Test(grant, takes_tokens_under_the_verdict_of_the_key_itself)
{
	give_lease(4);
	enter(0, "raeh_one");
	verdict(1, 4);
	enter(1, token(1, 1, SCOPE_READ));

	cr_assert(good(1));
	cr_assert_eq(count(1).ingest + count(1).subscribe, 2);
	(void)kill(5, 1);
	cr_assert(!good(0) && !good(1), "it dies with its key");
	turn();
	cr_assert_eq(user[1].deaths, 1);
	enter(3, token(1, 2, SCOPE_READ));
	cr_assert_eq(asked_count("auth"), 1, "nothing is known of the key any more");
}

Test(grant, refuses_a_token_that_was_not_made_here_or_is_over)
{
	static const uint8_t other[TOKEN_SEED_BYTES] = { 6 };
	Raeh__Principal rights = rights_of(1, 1, SCOPE_READ);
	char text[TOKEN_TEXT];

	give_lease(4);
	rights.has_is_token = rights.is_token = rights.has_expires_ms = true;
	rights.expires_ms = clock_wall_ms() + 1000;
	token_make(&rights, other, text);
	enter(0, text);
	rights.expires_ms = clock_wall_ms();
	token_make(&rights, fake_token_seed, text);
	enter(1, text);
	turn();

	cr_assert_eq(asked_count("auth"), 0);
	cr_assert_eq(user[0].err, ERR_DENIED);
	cr_assert_eq(user[1].err, ERR_DENIED);
}

Test(grant, asks_what_is_left_of_a_token_whose_key_lost_a_right)
{
	give_lease(4);
	user[0].base.may_go_on = needs_read;
	enter(0, token(1, 1, SCOPE_READ | SCOPE_SUBSCRIBE));
	enter(2, token(1, 2, SCOPE_SUBSCRIBE));
	token_verdict(1, 4, SCOPE_READ | SCOPE_SUBSCRIBE, SCOPES_ALL);
	token_verdict(1, 4, SCOPE_SUBSCRIBE, SCOPES_ALL);
	(void)change(5, 1, SCOPE_SUBSCRIBE, NULL);
	cr_assert_not(good(0), "nothing moves until auth has said");
	cr_assert(good(2), "it needs nothing of what is gone");
	turn();
	cr_assert_eq(asked_count("auth"), 1);
	token_verdict(1, 5, SCOPE_SUBSCRIBE, SCOPE_SUBSCRIBE);
	turn();

	cr_assert_eq(user[0].deaths, 1);
	cr_assert_eq(user[2].deaths, 0);
	enter(4, token(1, 3, SCOPE_READ));
	cr_assert_eq(asked_count("auth"), 1, "more than its key has: auth must say");
}

Test(grant, asks_about_tokens_anew_after_a_registration)
{
	give_lease(4);
	enter(0, token(1, 1, SCOPE_READ));
	token_verdict(1, 4, SCOPE_READ, SCOPES_ALL);
	register_anew(4);
	cr_assert_not(good(0));
	enter(1, token(1, 2, SCOPE_READ));
	cr_assert_eq(asked_count("auth"), 2, "what was known is forgotten");
	token_verdict(1, 4, SCOPE_READ, SCOPES_ALL);
	token_verdict(1, 4, SCOPE_READ, SCOPES_ALL);

	cr_assert(good(0) && good(1));
}

Test(grant, ends_a_token_with_its_time)
{
	give_lease(4);
	enter(0, "raeh_one");
	verdict(1, 4);
	enter(1, token(1, 1, SCOPE_READ));
	for (int i = 0; i < 610; i++) {
		pass(1000);
		while (asked("auth.lease"))
			give_lease(4);
	}

	cr_assert(good(0));
	cr_assert_eq(user[1].deaths, 1);
}
