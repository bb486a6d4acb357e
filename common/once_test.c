#include "common/once.h"

#include "auth.pb-c.h"
#include "common/clock.h"
#include "common/journal.h"
#include "common/wire.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* A service with one command: it makes a thing, numbered, and answers with it. */
static struct world {
	int64_t now_us;
	struct loop *loop;
	struct store *store;
	struct journal *journal;
	struct once *once;
	bool repeatable, with_secret, refuses, holds_back, drops;
	unsigned made;
	struct bus_call *waiting; /* holds_back */
} world;

/* What a client got. */
struct answered {
	struct bus_call base;
	unsigned replies, drops;
	struct buf reply;
};

static int64_t now_us(void *ctx)
{
	(void)ctx;
	return world.now_us;
}

static void apply(void *ctx, uint64_t seq, struct bytes event, struct store_batch *view)
{
	ProtobufCMessage *kept = wire_unpack(&raeh__kept__descriptor, event);

	(void)ctx;
	(void)seq;
	once_apply((Raeh__Kept *)kept, clock_wall_ms(), view);
	wire_free(kept);
}

static void append(void *service, const Raeh__Kept *kept, once_appended_fn *fn, void *ctx)
{
	struct buf buf = { 0 };
	struct bytes packed = wire_pack(&buf, &kept->base);

	cr_assert_eq(service, &world);
	journal_append(world.journal, &packed, 1, fn, ctx);
	buf_free(&buf);
}

static void answer_made(struct bus_call *call)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Auth__Key key = AUTH__KEY__INIT;
	Raeh__Error error = RAEH__ERROR__INIT;
	struct buf buf = { 0 };
	char id[16];

	(void)snprintf(id, sizeof id, "thing-%u", ++world.made);
	key.id = id;
	key.label = key.hint = (char *)"";
	key.key = world.with_secret ? (char *)"a secret" : NULL;
	error.status = 409;
	error.detail = (char *)"refused";
	if (world.refuses) {
		reply.error = &error;
	} else {
		reply.result_case = AUTH__AUTH_REPLY__RESULT_KEY;
		reply.key = &key;
	}
	bus_reply(call, wire_pack(&buf, &reply.base));
	buf_free(&buf);
}

static void run(void *service, struct bus_call *call, struct bytes request)
{
	(void)service;
	cr_assert_eq(request.len, 4);
	if (world.drops)
		bus_drop(call);
	else if (world.holds_back)
		world.waiting = call;
	else
		answer_made(call);
}

static void service_starts(void)
{
	world.journal = journal_open(world.store, world.loop, apply, NULL);
	world.once = once_new(&(struct once_deps){
	        .loop = world.loop,
	        .store = world.store,
	        .reply = &auth__auth_reply__descriptor,
	        .repeatable = world.repeatable,
	        .append = append,
	        .run = run,
	        .service = &world,
	});
}

static void service_stops(void)
{
	once_stop(world.once);
	journal_close(world.journal);
	once_free(world.once);
}

static void pass(int64_t ms)
{
	int64_t end_us = world.now_us + ms * 1000;

	loop_dispatch(world.loop);
	while (world.now_us < end_us) {
		world.now_us += ms > 60000 ? 1000000 : 1000;
		loop_dispatch(world.loop);
	}
}

static void open_world(void)
{
	world = (struct world){ .now_us = 1000000 };
	clock_set_source(now_us, NULL, 1700000000000);
	world.loop = loop_new_virtual();
	world.store = store_open_memory(world.loop, 1);
	service_starts();
}

static void close_world(void)
{
	service_stops();
	store_close(world.store);
	loop_free(world.loop);
	clock_set_source(NULL, NULL, 0);
}

TestSuite(once, .init = open_world, .fini = close_world);

static void take_reply(struct bus_call *call, struct bytes reply)
{
	struct answered *answered = (struct answered *)call;

	answered->replies++;
	buf_append(&answered->reply, reply.data, reply.len);
}

static void take_drop(struct bus_call *call)
{
	((struct answered *)call)->drops++;
}

static const struct bus_ops client_ops = { .reply = take_reply, .drop = take_drop };

struct ask {
	unsigned account, key, name, body, op;
};

static void ask(struct answered *answered, struct ask ask)
{
	Raeh__Once named = RAEH__ONCE__INIT;
	const struct once_asker asker = { uuid_numbered(1, ask.account),
		                          uuid_numbered(2, ask.key) };
	struct uuid name = uuid_numbered(3, ask.name), body = uuid_numbered(4, ask.body);

	*answered = (struct answered){ .base.ops = &client_ops };
	named.name = wire_bytes_of(&name);
	named.body = wire_bytes_of(&body);
	once_call(world.once, &answered->base, BYTES("make", 4), &asker, &named,
	          BYTES(&ask.op, sizeof ask.op));
	pass(5);
}

/* "200 thing-1", "409 thing-1", "422" … */
static const char *said(struct answered *answered)
{
	static char text[80];
	ProtobufCMessage *message;
	const Auth__AuthReply *reply;

	cr_assert_eq(answered->replies, 1, "%u replies", answered->replies);
	message = wire_unpack(&auth__auth_reply__descriptor,
	                      BYTES(answered->reply.data, answered->reply.len));
	reply = (const Auth__AuthReply *)message;
	cr_assert(reply != NULL);
	if (reply->error)
		(void)snprintf(text, sizeof text, "%u%s%s", reply->error->status,
		               reply->error->made_id ? " " : "",
		               reply->error->made_id ? reply->error->made_id : "");
	else
		(void)snprintf(text, sizeof text, "200 %s%s%s", reply->key->id,
		               reply->key->key ? " " : "", reply->key->key ? reply->key->key : "");
	wire_free(message);
	buf_free(&answered->reply);
	return text;
}

Test(once, tells_a_repeat_the_first_answer_and_does_nothing)
{
	struct answered first, repeat;

	ask(&first, (struct ask){ 1, 1, 1, 1, 1 });
	ask(&repeat, (struct ask){ 1, 1, 1, 1, 2 });
	cr_assert_str_eq(said(&first), "200 thing-1");
	cr_assert_str_eq(said(&repeat), "200 thing-1");
	cr_assert_eq(world.made, 1);
}

Test(once, tells_it_after_a_restart_too)
{
	struct answered first, repeat;

	ask(&first, (struct ask){ 1, 1, 1, 1, 1 });
	cr_assert_str_eq(said(&first), "200 thing-1");
	service_stops();
	store_memory_crash(world.store);
	service_starts();
	ask(&repeat, (struct ask){ 1, 1, 1, 1, 2 });
	cr_assert_str_eq(said(&repeat), "200 thing-1");
}

Test(once, tells_a_secret_once_and_then_only_what_was_made)
{
	struct answered first, repeat, later;

	world.with_secret = true;
	ask(&first, (struct ask){ 1, 1, 1, 1, 1 });
	cr_assert_str_eq(said(&first), "200 thing-1 a secret");
	ask(&repeat, (struct ask){ 1, 1, 1, 1, 2 });
	cr_assert_str_eq(said(&repeat), "409 thing-1");
	service_stops();
	service_starts();
	ask(&later, (struct ask){ 1, 1, 1, 1, 3 });
	cr_assert_str_eq(said(&later), "409 thing-1");
	cr_assert_eq(world.made, 1);
}

Test(once, gives_the_bus_that_asks_again_the_very_answer)
{
	struct answered first, again;

	world.with_secret = true;
	ask(&first, (struct ask){ 1, 1, 1, 1, 1 });
	cr_assert_str_eq(said(&first), "200 thing-1 a secret");
	ask(&again, (struct ask){ 1, 1, 1, 1, 1 });
	cr_assert_str_eq(said(&again), "200 thing-1 a secret");
	pass(ONCE_ECHO_MS + 20000);
	ask(&again, (struct ask){ 1, 1, 1, 1, 1 });
	cr_assert_str_eq(said(&again), "409 thing-1");
}

Test(once, refuses_the_same_name_with_another_body)
{
	struct answered first, other;

	ask(&first, (struct ask){ 1, 1, 1, 1, 1 });
	ask(&other, (struct ask){ 1, 1, 1, 2, 2 });
	cr_assert_str_eq(said(&first), "200 thing-1");
	cr_assert_str_eq(said(&other), "422");
}

Test(once, knows_the_names_of_each_key_and_account_apart)
{
	struct answered first, key, account, name;

	ask(&first, (struct ask){ 1, 1, 1, 1, 1 });
	ask(&key, (struct ask){ 1, 2, 1, 1, 1 });
	ask(&account, (struct ask){ 2, 3, 1, 1, 1 });
	ask(&name, (struct ask){ 1, 1, 2, 1, 1 });
	cr_assert_str_eq(said(&first), "200 thing-1");
	cr_assert_str_eq(said(&key), "200 thing-2");
	cr_assert_str_eq(said(&account), "200 thing-3");
	cr_assert_str_eq(said(&name), "200 thing-4");
}

Test(once, lets_a_refused_one_be_tried_again)
{
	struct answered first, repeat;

	world.refuses = true;
	ask(&first, (struct ask){ 1, 1, 1, 1, 1 });
	cr_assert_str_eq(said(&first), "409");
	world.refuses = false;
	ask(&repeat, (struct ask){ 1, 1, 1, 1, 2 });
	cr_assert_str_eq(said(&repeat), "200 thing-2");
}

Test(once, has_repeats_wait_while_the_first_is_under_way)
{
	struct answered first, repeat, other;

	world.holds_back = true;
	ask(&first, (struct ask){ 1, 1, 1, 1, 1 });
	ask(&repeat, (struct ask){ 1, 1, 1, 1, 2 });
	ask(&other, (struct ask){ 1, 1, 1, 2, 3 });
	cr_assert_str_eq(said(&other), "422");
	cr_assert_eq(first.replies + repeat.replies, 0);
	answer_made(world.waiting);
	cr_assert_eq(first.replies, 0, "told before it was kept");
	pass(5);
	cr_assert_str_eq(said(&first), "200 thing-1");
	cr_assert_str_eq(said(&repeat), "200 thing-1");
}

Test(once, drops_the_oldest_of_too_many_that_wait)
{
	struct answered all[ONCE_WAITERS + 1];

	world.holds_back = true;
	for (unsigned i = 0; i < ARRAY_LEN(all); i++)
		ask(&all[i], (struct ask){ 1, 1, 1, 1, i });
	cr_assert_eq(all[0].drops, 1);
	answer_made(world.waiting);
	pass(5);
	for (unsigned i = 1; i < ARRAY_LEN(all); i++)
		cr_assert_str_eq(said(&all[i]), "200 thing-1");
}

Test(once, forgets_one_that_the_service_drops)
{
	struct answered first, repeat;

	world.drops = true;
	ask(&first, (struct ask){ 1, 1, 1, 1, 1 });
	cr_assert_eq(first.drops, 1);
	world.drops = false;
	ask(&repeat, (struct ask){ 1, 1, 1, 1, 1 });
	cr_assert_str_eq(said(&repeat), "200 thing-1");
}

Test(once, does_not_do_again_what_a_crash_cut_off)
{
	struct answered first, repeat;

	world.holds_back = true;
	ask(&first, (struct ask){ 1, 1, 1, 1, 1 });
	service_stops();
	store_memory_crash(world.store);
	world.holds_back = false;
	service_starts();
	ask(&repeat, (struct ask){ 1, 1, 1, 1, 1 });
	cr_assert_str_eq(said(&repeat), "409");
	cr_assert_eq(world.made, 0);
	cr_assert_eq(first.drops, 1);
}

Test(once, does_it_again_where_that_changes_nothing)
{
	struct answered first, repeat;

	service_stops();
	world.repeatable = world.holds_back = true;
	service_starts();
	ask(&first, (struct ask){ 1, 1, 1, 1, 1 });
	service_stops();
	world.holds_back = false;
	service_starts();
	ask(&repeat, (struct ask){ 1, 1, 1, 1, 2 });
	cr_assert_str_eq(said(&repeat), "200 thing-1");
}

Test(once, tries_its_record_again_when_another_writer_was_first)
{
	struct answered first;

	journal_set_faults(world.journal, 2, 2);
	ask(&first, (struct ask){ 1, 1, 1, 1, 1 });
	pass(20);
	cr_assert_str_eq(said(&first), "200 thing-1");
	cr_assert_eq(world.made, 1);
}

Test(once, forgets_after_a_day_and_deletes_the_row)
{
	struct answered first, late;
	struct store_scan *scan;
	struct bytes key, value;
	unsigned rows = 0;

	ask(&first, (struct ask){ 1, 1, 1, 1, 1 });
	cr_assert_str_eq(said(&first), "200 thing-1");
	pass(ONCE_KEEP_MS + 60000);
	scan = scan_open(world.store, BYTES("", 0), BYTES("\xff\xff\xff", 3), false);
	while (scan_next(scan, &key, &value))
		rows += key.len > 19 && strchr("12", ((const char *)key.data)[18]) != NULL;
	scan_close(scan);
	cr_assert_eq(rows, 0, "%u rows are left", rows);
	ask(&late, (struct ask){ 1, 1, 1, 1, 9 });
	cr_assert_str_eq(said(&late), "200 thing-2");
}
