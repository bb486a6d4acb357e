/*
 * Random openings, repeats, closings, crashes, conflicts and slow commits; after each step
 * that settles, what the router says must fit what it has answered. A seed that fails is named.
 */
#include "services/router/world.h"

#define SEEDS    60
#define STEPS    120
#define DEVICES  3
#define SESSIONS STEPS

/* What was asked for, and what came of it. */
struct attempt {
	const struct user *user;
	struct device device;
	struct uuid id;
	struct question *question; /* the first copy */
	bool opened;               /* answered so */
	bool closed;               /* a close of it was answered */
};

struct chaos {
	unsigned seed;
	uint64_t state;
	char model[2][UUID_TEXT];
	struct attempt attempt[SESSIONS];
	uint32_t n;
};

static const struct user *const users[2] = { &alice, &bob };
static const char *const device_ids[DEVICES] = { "a", "b", "c" };

/* splitmix64: the same schedule for a seed everywhere. */
static uint32_t roll(struct chaos *chaos, uint32_t sides)
{
	uint64_t z = chaos->state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (uint32_t)((z ^ (z >> 31)) >> 32) % sides;
}

static void open_new(struct chaos *chaos)
{
	struct attempt *attempt = &chaos->attempt[chaos->n++];
	uint32_t who = roll(chaos, 2);

	attempt->user = users[who];
	attempt->device = (struct device){ chaos->model[who], device_ids[roll(chaos, DEVICES)],
		                           roll(chaos, 2), 1 };
	pass(1); /* ids of one edge are made in order */
	attempt->id = session_id(attempt->user, &attempt->device, chaos->n);
	attempt->question = send_open(attempt->user, &attempt->device, &attempt->id);
}

/* The first answer again; or why not. */
static void check_repeat(const struct chaos *chaos, struct attempt *attempt,
                         struct question *repeat)
{
	Router__RouterReply *reply = reply_to(repeat);

	if (!reply->error && attempt->question->answered && attempt->opened) {
		cr_assert_eq(repeat->reply.len, attempt->question->reply.len, "seed %u",
		             chaos->seed);
		cr_assert_eq(memcmp(repeat->reply.data, attempt->question->reply.data,
		                    repeat->reply.len),
		             0, "seed %u: a repeat got another answer", chaos->seed);
	}
	if (reply->error && attempt->opened)
		cr_assert(reply->error->close_code == 4009 ||
		                  (reply->error->close_code == 1013 &&
		                   (attempt->closed || reply->error->status == 503)),
		          "seed %u: %s", chaos->seed, reply->error->detail);
	DONE_WITH(reply);
}

static void note_answers(struct chaos *chaos)
{
	for (uint32_t i = 0; i < chaos->n; i++) {
		struct attempt *attempt = &chaos->attempt[i];
		Router__RouterReply *reply;

		if (attempt->opened || !attempt->question->answered)
			continue;
		reply = reply_to(attempt->question);
		attempt->opened = reply->error == NULL;
		DONE_WITH(reply);
	}
}

static const Router__Session *find_listed(const Router__SessionList *list, const struct uuid *id)
{
	char text[UUID_TEXT];

	uuid_text(id, text);
	for (size_t i = 0; i < list->n_items; i++)
		if (strcmp(list->items[i]->id, text) == 0)
			return list->items[i];
	return NULL;
}

static void check_account(const struct chaos *chaos, const struct user *user)
{
	Router__RouterReply *all = list_sessions(user, 200, NULL);
	Router__RouterReply *open = list_sessions(user, 200, "open");
	Router__RouterReply *closed = list_sessions(user, 200, "closed");
	size_t seen[DEVICES] = { 0 };

	cr_assert_eq(all->sessions->n_items, open->sessions->n_items + closed->sessions->n_items,
	             "seed %u", chaos->seed);
	for (size_t i = 0; i < open->sessions->n_items; i++)
		for (size_t d = 0; d < DEVICES; d++)
			seen[d] += strcmp(open->sessions->items[i]->device_id, device_ids[d]) == 0;
	for (size_t d = 0; d < DEVICES; d++)
		cr_assert_leq(seen[d], 1, "seed %u: two open sessions of one device", chaos->seed);
	for (uint32_t i = 0; i < chaos->n; i++) {
		const struct attempt *attempt = &chaos->attempt[i];
		const Router__Session *listed = find_listed(all->sessions, &attempt->id);

		if (attempt->user != user) {
			cr_assert_null(listed, "seed %u: a session of another account",
			               chaos->seed);
			continue;
		}
		if (attempt->opened)
			cr_assert_not_null(listed, "seed %u: an opened session is gone",
			                   chaos->seed);
		if (attempt->closed && listed)
			cr_assert_str_eq(listed->status, "closed", "seed %u", chaos->seed);
	}
	DONE_WITH(all);
	DONE_WITH(open);
	DONE_WITH(closed);
}

static void close_any(struct chaos *chaos)
{
	struct attempt *attempt = &chaos->attempt[roll(chaos, chaos->n)];
	Router__RouterReply *reply;

	reply = reply_to(send_close(attempt->user, &attempt->id, 1000));
	note_answers(chaos); /* it may have waited for the opening's commit */
	if (!reply->error && attempt->opened)
		attempt->closed = true;
	DONE_WITH(reply);
}

static void repeat_any(struct chaos *chaos)
{
	struct attempt *attempt = &chaos->attempt[roll(chaos, chaos->n)];
	struct question *repeat = send_open(attempt->user, &attempt->device, &attempt->id);

	if (roll(chaos, 2))
		return; /* under way together with others */
	DONE_WITH(reply_to(repeat));
	note_answers(chaos);
	check_repeat(chaos, attempt, repeat);
}

static void step(struct chaos *chaos)
{
	uint32_t what = roll(chaos, 20);

	if (what < 9 || chaos->n == 0)
		open_new(chaos);
	else if (what < 13)
		repeat_any(chaos);
	else if (what < 15)
		close_any(chaos);
	else if (what < 16)
		router_set_faults(world.router, roll(chaos, 30), 2 + roll(chaos, 4));
	else if (what < 17) {
		note_answers(chaos);
		restart();
	} else
		pass(roll(chaos, 40));
}

static void run(unsigned seed)
{
	struct chaos *chaos = xcalloc(1, sizeof *chaos);

	setup();
	chaos->seed = seed;
	chaos->state = seed;
	given_model(&alice, "watch", 1, chaos->model[0]);
	given_model(&bob, "watch", 2, chaos->model[1]);
	for (int i = 0; i < STEPS; i++)
		step(chaos);
	router_set_faults(world.router, 0, 0);
	pass(1000);
	note_answers(chaos);
	check_account(chaos, &alice);
	check_account(chaos, &bob);
	restart();
	check_account(chaos, &alice);
	check_account(chaos, &bob);
	for (uint32_t i = 0; i < chaos->n; i++)
		check_repeat(chaos, &chaos->attempt[i],
		             send_open(chaos->attempt[i].user, &chaos->attempt[i].device,
		                       &chaos->attempt[i].id));
	teardown();
	mem_free(chaos);
}

Test(chaos, whatever_happens_one_device_has_one_session_and_answers_are_kept)
{
	for (unsigned seed = 1; seed <= SEEDS; seed++)
		run(seed);
}
