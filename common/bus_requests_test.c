#include "common/bus_requests.h"
#include "common/clock.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

/* A virtual loop, and a wire that only writes down what it is given. */

static struct loop *loop;
static struct bus_requests *requests;
static int64_t now_us;
static bool is_open;
static uint32_t sent[1000];
static int n_sent, n_refused;

static int64_t read_clock(void *ctx)
{
	(void)ctx;
	return now_us;
}

static bool send_one(void *ctx, uint32_t id, struct bytes body)
{
	(void)ctx, (void)body;
	cr_assert(id & 0x80000000u);
	if (!is_open) {
		n_refused++;
		return false;
	}
	cr_assert_lt(n_sent, (int)ARRAY_LEN(sent));
	sent[n_sent++] = id;
	return true;
}

static void advance(int64_t ms)
{
	for (int64_t i = 0; i < ms; i++) {
		now_us += 1000;
		loop_dispatch(loop);
	}
}

static void given(void)
{
	clock_set_source(read_clock, NULL, 0);
	loop = loop_new_virtual();
	requests = bus_requests_new(loop, send_one, NULL);
	is_open = true;
}

static void done(void)
{
	bus_requests_free(requests);
	cr_assert_eq(loop_next_due_ms(loop), INT64_MAX, "a timer was left behind");
	loop_free(loop);
	clock_set_source(NULL, NULL, 0);
}

struct answer {
	int n;
	enum err err;
};

static void on_answer(void *ctx, enum err err, struct bytes reply)
{
	struct answer *answer = ctx;

	(void)reply;
	answer->n++;
	answer->err = err;
}

static void add(struct answer *answer, int64_t deadline_ms)
{
	bus_requests_add(requests, BYTES("body", 4), deadline_ms, on_answer, answer);
}

static void answer_to(uint32_t id)
{
	bus_requests_answer(requests, id, OK, BYTES("reply", 5));
}

TestSuite(bus_requests, .init = given, .fini = done);

Test(bus_requests, sends_no_more_at_a_time_than_may_be_in_the_air)
{
	struct answer a = { 0 };

	for (int i = 0; i < 3 * BUS_MAX_IN_AIR; i++)
		add(&a, 10000);
	cr_assert_eq(n_sent, BUS_MAX_IN_AIR);
	answer_to(sent[7]);
	cr_assert_eq(n_sent, BUS_MAX_IN_AIR + 1);
	for (int i = 0; i < n_sent; i++)
		answer_to(sent[i]);
	cr_assert_eq(a.n, 3 * BUS_MAX_IN_AIR);
	cr_assert_eq(n_sent, 3 * BUS_MAX_IN_AIR);
}

Test(bus_requests, gives_each_request_an_id_of_its_own)
{
	struct answer a = { 0 };

	for (int i = 0; i < 500; i++) {
		add(&a, 10000);
		for (int j = 0; j < i; j++)
			cr_assert_neq(sent[i], sent[j]);
		answer_to(sent[i]);
	}
}

Test(bus_requests, calls_back_once_whatever_is_answered)
{
	struct answer a = { 0 }, b = { 0 };

	add(&a, 1000);
	answer_to(sent[0]);
	answer_to(sent[0]);
	add(&b, 1000);
	answer_to(sent[0]);
	answer_to(0);
	answer_to(UINT32_MAX);
	cr_assert_eq(a.n, 1);
	cr_assert_eq(b.n, 0);
	advance(1000);
	cr_assert_eq(b.n, 1);
	cr_assert_eq(b.err, ERR_UNAVAILABLE);
	answer_to(sent[1]);
	cr_assert_eq(b.n, 1);
	cr_assert_eq(a.n, 1);
}

Test(bus_requests, sends_again_what_is_not_answered)
{
	struct answer a = { 0 };

	add(&a, 10 * BUS_RESEND_MS);
	advance(BUS_RESEND_MS - 1);
	cr_assert_eq(n_sent, 1);
	advance(1);
	cr_assert_eq(n_sent, 2);
	cr_assert_eq(sent[0], sent[1]);
	advance(3 * BUS_RESEND_MS);
	cr_assert_eq(n_sent, 5);
	answer_to(sent[0]);
	advance(3 * BUS_RESEND_MS);
	cr_assert_eq(n_sent, 5);
	cr_assert_eq(a.n, 1);
}

Test(bus_requests, tries_again_soon_where_nothing_can_be_sent)
{
	struct answer a = { 0 };

	is_open = false;
	for (int i = 0; i < 10; i++)
		add(&a, 10000);
	n_refused = 0;
	advance(200);
	cr_assert_leq(n_refused, 10 + 200 / 20, "one try a round is enough, not %d", n_refused);
	is_open = true;
	advance(20);
	cr_assert_eq(n_sent, 10);
}

Test(bus_requests, sends_all_in_the_air_again_over_a_new_connection)
{
	struct answer a = { 0 };

	for (int i = 0; i < 10; i++)
		add(&a, 10000);
	answer_to(sent[3]);
	bus_requests_again(requests);
	cr_assert_eq(n_sent, 10 + 9);
	advance(BUS_RESEND_MS - 1);
	cr_assert_eq(n_sent, 10 + 9);
}

Test(bus_requests, that_wait_in_the_queue_meet_their_deadline_too)
{
	struct answer first = { 0 }, queued = { 0 };

	for (int i = 0; i < BUS_MAX_IN_AIR; i++)
		add(&first, 10000);
	add(&queued, 300);
	advance(299);
	cr_assert_eq(queued.n, 0);
	advance(1);
	cr_assert_eq(queued.n, 1);
	cr_assert_eq(queued.err, ERR_UNAVAILABLE);
	cr_assert_eq(first.n, 0);
}

Test(bus_requests, over_a_limit_are_told_so_by_the_loop)
{
	struct answer waiting = { 0 }, refused = { 0 }, large = { 0 };
	uint8_t *body = xcalloc(1, BUS_MAX_BYTES + 1);

	is_open = false;
	bus_requests_add(requests, BYTES(body, BUS_MAX_BYTES + 1), 100, on_answer, &large);
	for (int i = 0; i < BUS_MAX_WAITING; i++)
		add(&waiting, 100);
	add(&refused, 100);
	cr_assert_eq(refused.n + large.n, 0);
	advance(0);
	loop_dispatch(loop);
	cr_assert_eq(refused.err, ERR_LIMIT);
	cr_assert_eq(large.err, ERR_LIMIT);
	advance(100);
	cr_assert_eq(refused.n, 1);
	cr_assert_eq(large.n, 1);
	cr_assert_eq(waiting.n, BUS_MAX_WAITING);
	refused.n = 0;
	add(&refused, 100);
	cr_assert_eq(refused.n, 0, "there is room again");
	mem_free(body);
}

static void ask_more(void *ctx, enum err err, struct bytes reply)
{
	int *left = ctx;

	cr_assert_eq(err, OK);
	cr_assert_eq(reply.len, 5);
	if (--*left > 0)
		bus_requests_add(requests, BYTES("more", 4), 1000, ask_more, left);
}

Test(bus_requests, may_be_made_by_the_callback_of_another)
{
	int left = 100;

	bus_requests_add(requests, BYTES("first", 5), 1000, ask_more, &left);
	for (int i = 0; i < n_sent; i++)
		answer_to(sent[i]);
	cr_assert_eq(left, 0);
	cr_assert_eq(n_sent, 100);
}

static void end_it(void *ctx, enum err err, struct bytes reply)
{
	(void)ctx, (void)err, (void)reply;
	bus_requests_free(requests);
}

Test(bus_requests, are_not_freed_by_a_callback_of_theirs, .signal = SIGABRT)
{
	bus_requests_add(requests, BYTES("x", 1), 1000, end_it, NULL);
	answer_to(sent[0]);
}
