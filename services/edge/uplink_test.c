#include "services/edge/fake_bus.h"
#include "services/edge/uplink.h"

#define PUBLISHERS 2

struct owner {
	struct stream *stream;
	unsigned opened, acked_calls, room, refused;
	uint64_t acked;
	int code;
	bool close_when_refused;
};

static struct uplinks *uplinks;
static struct owner owner[8];
static unsigned finished;
static int finished_code;
static uint32_t before_opening; /* slots of the next opening */
static uint64_t epoch;          /* of it */

static void on_open(void *ctx)
{
	((struct owner *)ctx)->opened++;
}

static void on_acked(void *ctx, uint64_t frames)
{
	((struct owner *)ctx)->acked_calls++;
	((struct owner *)ctx)->acked = frames;
}

static void on_room(void *ctx)
{
	((struct owner *)ctx)->room++;
}

static void on_refused(void *ctx, int code, const char *reason)
{
	struct owner *told = ctx;

	told->refused++;
	told->code = code;
	if (told->close_when_refused)
		stream_close(TAKE(told->stream), code, reason, 1);
}

static const struct stream_events events = { on_open, on_acked, on_room, on_refused };

static void on_finished(void *ctx, const struct uuid *account, const struct uuid *session,
                        uint64_t of_epoch, const Publisher__Closing *closing)
{
	(void)ctx;
	cr_assert_eq(of_epoch, epoch);
	(void)account;
	cr_assert(stream_find(uplinks, session) == NULL);
	finished++;
	finished_code = (int)closing->close_code;
}

static void end_turn(void)
{
	uplinks_turn_end(uplinks);
}

static void open_with(size_t most_bytes)
{
	world_open();
	memset(owner, 0, sizeof owner);
	finished = 0;
	finished_code = 0;
	before_opening = 1;
	epoch = 0;
	uplinks = uplinks_new(&(struct uplinks_deps){
	        .loop = world.loop,
	        .bus = &world.bus,
	        .publishers = PUBLISHERS,
	        .most_bytes = most_bytes,
	        .on_finished = on_finished,
	});
	world.each_ms = end_turn;
}

static void open_uplinks(void)
{
	open_with(64u * 1024 * 1024);
}

static void close_uplinks(void)
{
	uplinks_free(uplinks);
	world_close();
}

TestSuite(uplink, .init = open_uplinks, .fini = close_uplinks);

static struct stream *open_stream(unsigned session, uint16_t partition, struct owner *who)
{
	Publisher__Opening opening = PUBLISHER__OPENING__INIT;
	Raeh__Principal principal = RAEH__PRINCIPAL__INIT;
	Raeh__Slot slot = RAEH__SLOT__INIT, *slots[256];
	struct uuid account = id_of(900), id = id_of(session);
	struct stream *stream;

	slot.modality_channel_id = (char *)"0192f0c0-0000-7000-8000-000000000000";
	slot.modality = (char *)"ppg_green";
	for (size_t i = 0; i < before_opening; i++)
		slots[i] = &slot;
	principal.account = principal.key = principal.mac = wire_bytes_of(&account);
	opening.device_id = (char *)"watch";
	opening.device_model_id = (char *)"model";
	opening.principal = &principal;
	opening.n_slots = before_opening;
	opening.slots = slots;
	stream = stream_new(uplinks, &account, &id, partition, epoch, &opening, &events, who);
	if (who)
		who->stream = stream;
	return stream;
}

static void add(struct stream *stream, size_t bytes, unsigned count)
{
	uint8_t *frame = xcalloc(1, bytes);

	while (count-- > 0)
		stream_add(stream, BYTES(frame, bytes));
	mem_free(frame);
}

/* What the oldest batch to publisher-0 holds of its nth session. */
struct seen {
	size_t sessions, frames;
	uint64_t first, end;
	bool opening, closing;
};

static struct seen seen_in(const struct question *question, size_t nth)
{
	AUTO(wire_free)
	ProtobufCMessage *message =
	        question_as(question, &publisher__publisher_request__descriptor);
	const Publisher__Items *items = ((Publisher__PublisherRequest *)message)->items;
	const Publisher__SessionItems *entry;
	struct seen seen = { .sessions = items->n_sessions };

	cr_assert_lt(nth, items->n_sessions);
	entry = items->sessions[nth];
	seen.frames = entry->n_frames;
	seen.first = entry->first;
	seen.opening = entry->opening != NULL;
	seen.closing = entry->closing != NULL;
	seen.end = entry->first + seen.opening + seen.frames + seen.closing;
	cr_assert_eq(seen.opening, entry->first == 0, "the opening is item 0");
	return seen;
}

static struct seen seen(void)
{
	return seen_in(asked("publisher-0"), 0);
}

static bool puts_off; /* the next answer */

static void answer(struct question *question, unsigned session, uint64_t next, int code)
{
	Publisher__PublisherReply reply = PUBLISHER__PUBLISHER_REPLY__INIT;
	Publisher__ItemsTaken items = PUBLISHER__ITEMS_TAKEN__INIT;
	Publisher__Taken taken = PUBLISHER__TAKEN__INIT, *all = &taken;
	struct uuid id = id_of(session);

	taken.session = wire_bytes_of(&id);
	taken.next = next;
	taken.has_later = taken.later = puts_off;
	puts_off = false;
	taken.has_close_code = code != 0;
	taken.close_code = (uint32_t)code;
	taken.close_reason = code ? (char *)"because" : NULL;
	items.n_sessions = 1;
	items.sessions = &all;
	reply.result_case = PUBLISHER__PUBLISHER_REPLY__RESULT_ITEMS_TAKEN;
	reply.items_taken = &items;
	world_answer(question, &reply.base);
}

static void take(unsigned session, uint64_t next)
{
	answer(asked("publisher-0"), session, next, 0);
}

/* Every session of the batch is durable as far as it was sent. */
static void take_all(struct question *question)
{
	AUTO(wire_free)
	ProtobufCMessage *message =
	        question_as(question, &publisher__publisher_request__descriptor);
	const Publisher__Items *items = ((Publisher__PublisherRequest *)message)->items;
	Publisher__PublisherReply reply = PUBLISHER__PUBLISHER_REPLY__INIT;
	Publisher__ItemsTaken all = PUBLISHER__ITEMS_TAKEN__INIT;
	Publisher__Taken *taken = xcalloc(items->n_sessions, sizeof *taken);

	all.sessions = xcalloc(items->n_sessions, sizeof(Publisher__Taken *));
	for (size_t i = 0; i < items->n_sessions; i++) {
		publisher__taken__init(&taken[i]);
		taken[i].session = items->sessions[i]->session;
		taken[i].next = items->sessions[i]->first + items->sessions[i]->n_frames + 1;
		all.sessions[all.n_sessions++] = &taken[i];
	}
	reply.result_case = PUBLISHER__PUBLISHER_REPLY__RESULT_ITEMS_TAKEN;
	reply.items_taken = &all;
	world_answer(question, &reply.base);
	mem_free(all.sessions);
	mem_free(taken);
}

/* A stream whose opening is durable. */
static struct stream *opened(unsigned session, struct owner *who)
{
	struct stream *stream = open_stream(session, 0, who);

	turn();
	take(session, 1);
	return stream;
}

Test(uplink, sends_the_opening_as_item_0_to_the_publisher_of_the_partition)
{
	struct seen item;

	open_stream(1, 5, &owner[0]);
	turn();
	cr_assert_eq(asked_count("publisher-0"), 0);
	item = seen_in(asked("publisher-1"), 0);
	cr_assert(item.opening && item.first == 0 && item.frames == 0);
	cr_assert_eq(owner[0].opened, 0, "not before it is durable");
	answer(asked("publisher-1"), 1, 1, 0);

	cr_assert_eq(owner[0].opened, 1);
	cr_assert_eq(owner[0].acked_calls, 0);
}

Test(uplink, numbers_frames_from_1_without_holes)
{
	struct stream *stream = opened(1, &owner[0]);

	add(stream, 100, 3);
	turn();
	cr_assert_eq(seen().first, 1);
	cr_assert_eq(seen().frames, 3);
	take(1, 4);
	cr_assert_eq(owner[0].acked, 3);
	add(stream, 100, 1);
	turn();
	cr_assert_eq(seen().first, 4);
}

Test(uplink, gathers_the_frames_of_a_turn_and_of_all_sessions_in_one_batch)
{
	struct stream *one = opened(1, &owner[0]), *two = opened(2, &owner[1]);

	add(one, 100, 2);
	add(two, 100, 3);
	turn();
	cr_assert_eq(asked_count("publisher-0"), 1);
	cr_assert_eq(seen().sessions, 2);
	cr_assert_eq(seen().frames, 2);
	cr_assert_eq(seen_in(asked("publisher-0"), 1).frames, 3);
}

Test(uplink, waits_a_little_for_more_while_a_batch_is_in_the_air)
{
	struct stream *stream = opened(1, &owner[0]);

	add(stream, 100, 1);
	turn();
	add(stream, 100, 1);
	turn();
	cr_assert_eq(asked_count("publisher-0"), 1);
	pass(UPLINK_BATCH_MS);
	cr_assert_eq(asked_count("publisher-0"), 2);
	add(stream, UPLINK_BATCH_BYTES, 1);
	turn();
	cr_assert_eq(asked_count("publisher-0"), 3, "a full batch does not wait");
}

Test(uplink, sends_no_more_batches_than_agreed_before_an_answer)
{
	struct stream *stream = opened(1, &owner[0]);

	for (int i = 0; i < 12; i++) {
		add(stream, UPLINK_BATCH_BYTES, 1);
		turn();
	}
	cr_assert_eq(asked_count("publisher-0"), UPLINK_IN_AIR);
	take(1, 2);
	turn();
	cr_assert_eq(asked_count("publisher-0"), UPLINK_IN_AIR);
	cr_assert_eq(seen_in(asked_nth("publisher-0", UPLINK_IN_AIR - 1), 0).frames, 4,
	             "the rest in one");
}

Test(uplink, goes_back_to_the_number_that_is_expected)
{
	struct stream *stream = opened(1, &owner[0]);

	add(stream, 100, 5); /* 1 to 5 */
	turn();
	take(1, 3);
	cr_assert_eq(owner[0].acked, 2);
	turn();
	cr_assert_eq(seen().first, 3);
	cr_assert_eq(seen().frames, 3);
	cr_assert_eq(uplinks_counts(uplinks)->resent, 3);
}

Test(uplink, goes_back_behind_a_batch_that_the_publisher_never_got)
{
	struct stream *stream = opened(1, &owner[0]);

	add(stream, UPLINK_BATCH_BYTES, 1);
	turn();
	add(stream, UPLINK_BATCH_BYTES, 1);
	turn();
	cr_assert_eq(asked_count("publisher-0"), 2);
	answer(asked_nth("publisher-0", 1), 1, 1, 0); /* it expects the first */
	world_lose(asked("publisher-0"));
	pass(100);

	cr_assert_eq(asked_count("publisher-0"), 1);
	cr_assert_eq(seen().first, 1);
	cr_assert_eq(seen().frames, 2);
}

Test(uplink, sends_what_was_lost_again_from_the_last_acknowledged)
{
	struct stream *stream = opened(1, &owner[0]);

	add(stream, 100, 4);
	turn();
	pass(2000); /* unanswered: given up */
	cr_assert_eq(asked_count("publisher-0"), 0, "it holds off for a moment");
	pass(100);
	cr_assert_eq(seen().first, 1);
	cr_assert_eq(seen().frames, 4);
	take(1, 5);
	cr_assert_eq(owner[0].acked, 4);
	cr_assert_eq(uplinks_counts(uplinks)->held_bytes, 0);
}

Test(uplink, sends_again_what_was_answered_with_an_error_or_nonsense)
{
	Publisher__PublisherReply reply = PUBLISHER__PUBLISHER_REPLY__INIT;
	Raeh__Error error = RAEH__ERROR__INIT;
	struct stream *stream = opened(1, &owner[0]);

	error.status = 503;
	error.detail = (char *)"full";
	reply.error = &error;
	add(stream, 100, 1);
	turn();
	world_answer(asked("publisher-0"), &reply.base);
	pass(100);
	cr_assert_eq(seen().first, 1);
	world_answer_bytes(asked("publisher-0"), OK, BYTES("\xff\xff", 2));
	pass(100);
	cr_assert_eq(seen().first, 1);
}

Test(uplink, holds_off_when_nothing_was_taken)
{
	struct stream *stream = opened(1, &owner[0]);

	add(stream, 100, 2);
	turn();
	take(1, 1);
	turn();
	cr_assert_eq(asked_count("publisher-0"), 0);
	pass(99);
	cr_assert_eq(asked_count("publisher-0"), 0);
	pass(1);
	cr_assert_eq(seen().first, 1);
	cr_assert_eq(seen().frames, 2);
}

Test(uplink, sends_a_stream_that_is_put_off_again_in_a_while_and_the_others_meanwhile)
{
	struct stream *stream = opened(1, &owner[0]), *other = opened(2, &owner[1]);

	add(stream, 100, 5); /* 1 to 5 */
	turn();
	puts_off = true;
	take(1, 2);
	cr_assert_eq(owner[0].acked, 1);
	add(other, 100, 1);
	turn();
	cr_assert_eq(seen().sessions, 1);
	take(2, 2);
	cr_assert_eq(owner[1].acked, 1, "nobody waits for the other");
	pass(20);
	turn();
	cr_assert_eq(seen().first, 2);
	cr_assert_eq(seen().frames, 1, "one, to see whether it is taken now");
	add(stream, 100, 1);
	turn();
	cr_assert_eq(asked_count("publisher-0"), 1);
	puts_off = true;
	take(1, 2);
	pass(20);
	turn();
	take(1, 3);
	turn();
	cr_assert_eq(seen().first, 3);
	cr_assert_eq(seen().frames, 4);
	take(1, 7);
	cr_assert_eq(owner[0].acked, 6);
}

Test(uplink, is_not_led_back_by_a_stale_answer)
{
	struct stream *stream = opened(1, &owner[0]);
	struct question *first;

	add(stream, UPLINK_BATCH_BYTES, 1);
	turn();
	first = asked("publisher-0");
	add(stream, UPLINK_BATCH_BYTES, 1);
	turn();
	answer(asked_nth("publisher-0", 1), 1, 3, 0);
	cr_assert_eq(owner[0].acked, 2);
	answer(first, 1, 2, 0);
	pass(200);

	cr_assert_eq(asked_count("publisher-0"), 0, "everything is durable");
	cr_assert_eq(owner[0].acked, 2);
	cr_assert_eq(uplinks_counts(uplinks)->resent, 0);
	cr_assert_eq(uplinks_counts(uplinks)->held_bytes, 0);
}

Test(uplink, takes_an_answer_that_came_after_it_went_back)
{
	struct stream *stream = opened(1, &owner[0]);
	struct question *first;

	add(stream, UPLINK_BATCH_BYTES, 1);
	turn();
	first = asked("publisher-0");
	add(stream, UPLINK_BATCH_BYTES, 1);
	turn();
	world_lose(asked_nth("publisher-0", 1)); /* back to 1 */
	answer(first, 1, 2, 0);
	pass(100);

	cr_assert_eq(owner[0].acked, 1);
	cr_assert_eq(asked_count("publisher-0"), 1);
	cr_assert_eq(seen().first, 2);
	cr_assert_eq(seen().frames, 1);
}

Test(uplink, sends_nothing_of_a_stream_that_was_acknowledged_after_it_went_back)
{
	struct stream *one = opened(1, &owner[0]), *two = opened(2, &owner[1]);
	struct question *first;

	add(one, UPLINK_BATCH_BYTES, 1);
	turn();
	first = asked("publisher-0");
	add(two, UPLINK_BATCH_BYTES, 1);
	turn();
	add(one, UPLINK_BATCH_BYTES, 1);
	turn();
	world_lose(asked_nth("publisher-0", 2)); /* of the first: back to 1 */
	answer(first, 1, 3, 0);                  /* but the publisher has it all */
	answer(asked("publisher-0"), 2, 2, 0);
	pass(200);

	cr_assert_eq(asked_count("publisher-0"), 0);
}

Test(uplink, does_not_believe_in_items_that_were_never_made)
{
	struct stream *stream = opened(1, &owner[0]);

	add(stream, 100, 2);
	turn();
	take(1, 1000);
	cr_assert_eq(owner[0].acked, 2);
	add(stream, 100, 1);
	turn();
	cr_assert_eq(seen().first, 3);
}

Test(uplink, ignores_answers_about_sessions_it_does_not_know)
{
	struct stream *stream = opened(1, &owner[0]);

	add(stream, 100, 1);
	turn();
	answer(asked("publisher-0"), 77, 5, 4009);
	cr_assert_eq(owner[0].refused, 0);
	cr_assert_eq(uplinks_count(uplinks), 1);
}

Test(uplink, sends_the_closing_last_and_ends_when_it_is_durable)
{
	struct stream *stream = opened(1, &owner[0]);
	struct uuid id = id_of(1), listed[4];

	add(stream, 100, 2);
	stream_close(stream, 1000, "bye", 5);
	turn();
	cr_assert(seen().closing && seen().frames == 2);
	cr_assert(stream_find(uplinks, &id) != NULL, "it outlives its socket");
	cr_assert(stream_owner(stream) == NULL);
	cr_assert_eq(uplinks_sessions(uplinks, listed, 4), 1);
	take(1, 3); /* all but the closing */
	cr_assert_eq(finished, 0);
	cr_assert_eq(owner[0].acked_calls, 0, "the owner is told nothing more");
	turn();
	cr_assert_eq(seen().first, 3);
	cr_assert(seen().closing);
	take(1, 4);

	cr_assert_eq(finished, 1);
	cr_assert_eq(finished_code, 1000);
	cr_assert_eq(uplinks_count(uplinks), 0);
}

Test(uplink, opens_and_closes_a_session_that_nobody_waited_for)
{
	struct stream *stream = open_stream(1, 0, &owner[0]);

	stream_close(stream, 1001, "", 5);
	turn();
	cr_assert(seen().opening && seen().closing);
	take(1, 2);
	cr_assert_eq(finished, 1);
	cr_assert_eq(owner[0].opened, 0);
}

Test(uplink, is_full_at_its_bound_and_tells_when_it_is_half_empty)
{
	struct stream *stream = opened(1, &owner[0]);
	uint64_t next = 1;

	while (!stream_full(stream))
		add(stream, UPLINK_BATCH_BYTES, 1);
	cr_assert_eq(uplinks_counts(uplinks)->held_bytes, UPLINK_STREAM_BYTES);
	turn();
	while (uplinks_counts(uplinks)->held_bytes > UPLINK_STREAM_BYTES / 2) {
		cr_assert_eq(owner[0].room, 0);
		turn();
		take(1, ++next);
	}
	cr_assert_eq(owner[0].room, 1);
	cr_assert_not(stream_full(stream));
}

Test(uplink, bounds_all_streams_together)
{
	struct stream *one, *two;

	close_uplinks();
	open_with(3 * UPLINK_BATCH_BYTES);
	one = opened(1, &owner[0]);
	two = opened(2, &owner[1]);
	add(one, UPLINK_BATCH_BYTES, 3);
	cr_assert(stream_full(two), "though nothing of it is held");
	cr_assert(stream_full(one));
	cr_assert_eq(uplinks_counts(uplinks)->full, 2);
	turn();
	take(1, 2);

	cr_assert_eq(owner[0].room, 1);
	cr_assert_eq(owner[1].room, 1);
	cr_assert_not(stream_full(two));
}

Test(uplink, does_not_tell_of_room_when_it_was_closed_meanwhile)
{
	struct stream *stream = opened(1, &owner[0]);

	while (!stream_full(stream))
		add(stream, UPLINK_BATCH_BYTES, 1);
	stream_close(stream, 1000, "", 5);
	turn();
	take(1, 1000);
	cr_assert_eq(owner[0].room, 0);
	cr_assert_eq(finished, 1);
}

Test(uplink, tells_once_that_the_socket_must_go)
{
	struct stream *stream = opened(1, &owner[0]);

	add(stream, 100, 1);
	turn();
	answer(asked("publisher-0"), 1, 2, 4009);
	cr_assert_eq(owner[0].refused, 1);
	cr_assert_eq(owner[0].code, 4009);
	add(stream, 100, 1); /* it has not gone yet */
	turn();
	answer(asked("publisher-0"), 1, 3, 4009);
	cr_assert_eq(owner[0].refused, 1);
	cr_assert_eq(uplinks_count(uplinks), 1, "until its closing is durable");
}

Test(uplink, gives_up_an_opening_that_is_refused_for_good)
{
	const int codes[] = { 4001, 4004, 1013 };

	for (unsigned i = 0; i < ARRAY_LEN(codes); i++) {
		owner[i].close_when_refused = true;
		open_stream(10 + i, 0, &owner[i]);
		turn();
		answer(asked("publisher-0"), 10 + i, 0, codes[i]);
		cr_assert_eq(owner[i].code, codes[i]);
		cr_assert_eq(finished, i + 1, "code %d", codes[i]);
		cr_assert_eq(finished_code, codes[i]);
	}
	cr_assert_eq(uplinks_count(uplinks), 0);
	pass(1000);
	cr_assert_eq(asked_count("publisher-0"), 0);
}

Test(uplink, gives_up_a_refused_opening_of_a_closed_socket_too)
{
	stream_close(open_stream(1, 0, &owner[0]), 1006, "", 5);
	turn();
	answer(asked("publisher-0"), 1, 0, 4001);

	cr_assert_eq(owner[0].refused, 0);
	cr_assert_eq(finished, 1);
	cr_assert_eq(finished_code, 1006);
}

Test(uplink, keeps_what_a_publisher_cannot_take_now)
{
	owner[0].close_when_refused = true;
	open_stream(1, 0, &owner[0]);
	turn();
	answer(asked("publisher-0"), 1, 0, 4009);
	cr_assert_eq(uplinks_count(uplinks), 1, "superseded: its closing still goes there");
	pass(100);
	cr_assert(seen().opening && seen().closing);
}

Test(uplink, sends_a_frame_over_the_size_of_a_batch_alone)
{
	struct stream *stream = opened(1, &owner[0]);

	add(stream, UPLINK_BATCH_MOST + 1000, 1);
	add(stream, 100, 1);
	turn();
	cr_assert_eq(seen().frames, 1);
	take(1, 2);
	turn();
	cr_assert_eq(seen().first, 2);
}

/* Each batch is held against the bus's bound by the fake bus. */
Test(uplink, keeps_a_batch_of_many_large_openings_within_one_message)
{
	unsigned batches = 0;

	before_opening = 64;
	for (unsigned i = 0; i < 3000; i++)
		open_stream(100 + i, 0, NULL);
	turn();
	while (asked("publisher-0")) {
		cr_assert_lt(++batches, 20);
		take_all(asked("publisher-0"));
		turn();
	}
	cr_assert_gt(batches, 1);
}

Test(uplink, keeps_a_batch_of_many_small_frames_within_one_message)
{
	struct stream *stream = opened(1, &owner[0]);

	add(stream, 13, 200000);
	turn();
	cr_assert_gt(seen().frames, 100000);
}

static void say_obsolete(struct question *question, unsigned session)
{
	Publisher__PublisherReply reply = PUBLISHER__PUBLISHER_REPLY__INIT;
	Publisher__ItemsTaken all = PUBLISHER__ITEMS_TAKEN__INIT;
	Publisher__Taken taken = PUBLISHER__TAKEN__INIT, *list = &taken;
	struct uuid id = id_of(session);

	taken.session = wire_bytes_of(&id);
	taken.next = 7;
	taken.has_close_code = taken.has_obsolete = taken.obsolete = 1;
	taken.close_code = 4009;
	all.n_sessions = 1;
	all.sessions = &list;
	reply.result_case = PUBLISHER__PUBLISHER_REPLY__RESULT_ITEMS_TAKEN;
	reply.items_taken = &all;
	world_answer(question, &reply.base);
}

Test(uplink, resumes_behind_the_number_that_the_publisher_says)
{
	struct stream *stream;

	epoch = 2;
	stream = open_stream(1, 0, &owner[0]);
	turn();
	cr_assert_eq(seen().end, 1, "the opening alone");
	take(1, 41);
	cr_assert_eq(stream_acked(stream), 40);
	add(stream, 100, 3);
	turn();
	cr_assert_eq(seen().first, 41);
	cr_assert_eq(seen().frames, 3);
	take(1, 44);
	cr_assert_eq(stream_acked(stream), 43);
	stream_close(stream, 1000, "", 0);
	turn();
	cr_assert_eq(seen().first, 44);
	cr_assert(seen().closing);
	take(1, 45);
	cr_assert_eq(finished, 1);
}

Test(uplink, closes_a_session_that_is_being_resumed_behind_its_number)
{
	struct stream *stream;

	epoch = 1;
	stream = open_stream(1, 0, &owner[0]);
	turn();
	stream_close(stream, 1006, "", 0);
	turn();
	cr_assert_eq(asked_count("publisher-0"), 1, "where its closing goes is not known");
	take(1, 10);
	turn();
	cr_assert_eq(seen().first, 10);
	cr_assert(seen().closing);
	take(1, 11);
	cr_assert_eq(finished, 1);
}

Test(uplink, drops_what_it_holds_of_a_session_that_goes_on_elsewhere)
{
	struct stream *stream = opened(1, &owner[0]);

	add(stream, 1000, 5);
	turn();
	say_obsolete(asked("publisher-0"), 1);
	turn();
	cr_assert_eq(uplinks_count(uplinks), 0);
	cr_assert_eq(uplinks_counts(uplinks)->held_bytes, 0);
	cr_assert_eq(finished, 0, "its end is nobody's news");
	cr_assert_eq(owner[0].code, 4009);
}

Test(uplink, does_not_take_an_answer_to_an_older_stream_for_its_own)
{
	struct stream *old = opened(1, &owner[0]), *stream;

	add(old, 100, 5);
	turn();
	stream_discard(old);
	epoch = 1;
	stream = open_stream(1, 0, &owner[1]);
	turn();
	answer(asked("publisher-0"), 1, 6, 0);
	cr_assert_eq(stream_acked(stream), 0);
	take(1, 3);
	cr_assert_eq(stream_acked(stream), 2);
}
