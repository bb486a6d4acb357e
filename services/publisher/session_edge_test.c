/* A publisher behind a bus that loses, repeats and reorders, with edges that go back to what
 * is expected, and power cuts: every acknowledged frame is stored once and in order. */
#include "common/keys.h"
#include "services/publisher/analysis_fake.h"
#include "services/publisher/publisher_rig.h"

#define SESSIONS 6
#define FRAMES   60
#define IN_AIR   24
#define T0       (RIG_WALL_MS + 777)

static uint64_t seed;

static uint32_t chance(uint32_t most)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % most;
}

struct edge_session {
	struct rig_session session;
	uint64_t acked; /* the most that was acknowledged */
};

/* A request on its way, that may be given several times. */
struct in_air {
	bool used;
	size_t of;
	uint64_t first, n;
	struct rig_call *call; /* NULL: not given yet, or its answer was lost */
};

static const uint64_t items_of_session = FRAMES + 2;

static void give(struct rig *rig, struct edge_session *edge, struct in_air *air)
{
	uint8_t bytes[FRAMES][RIG_FRAME_BYTES];
	ProtobufCBinaryData frames[FRAMES];
	struct rig_run run = { .session = &edge->session, .first = air->first, .frames = frames };

	run.opening = air->first == 0;
	run.closing = air->first + air->n == items_of_session;
	for (uint64_t number = air->first; number < air->first + air->n; number++) {
		if (number == 0 || number == items_of_session - 1)
			continue;
		rig_frame(T0 + (int64_t)number * 1000, (int16_t)air->of, bytes[run.n_frames]);
		frames[run.n_frames] =
		        (ProtobufCBinaryData){ RIG_FRAME_BYTES, bytes[run.n_frames] };
		run.n_frames++;
	}
	air->call = rig_send_runs(rig, &run, 1);
}

static void take_answer(struct edge_session *edges, struct in_air *air)
{
	struct edge_session *edge = &edges[air->of];
	bool lost = chance(5) == 0;
	Publisher__PublisherReply *reply = rig_reply(TAKE(air->call));

	air->used = reply == NULL || chance(4) == 0; /* given again later: a repeat */
	if (!reply)
		return;
	if (!lost) {
		struct rig_taken taken = rig_taken(reply, 0);

		cr_assert_eq(taken.close_code, 0);
		if (taken.next > edge->acked)
			edge->acked = taken.next;
		edge->session.next = edge->acked;
	}
	wire_free(&reply->base);
}

static void send_more(struct edge_session *edges, struct in_air *air)
{
	size_t of = chance(SESSIONS);
	struct edge_session *edge = &edges[of];
	uint64_t left = items_of_session - edge->session.next;

	if (left == 0 || chance(10) == 0)
		edge->session.next = edge->acked; /* go back */
	left = items_of_session - edge->session.next;
	if (left == 0)
		return;
	*air = (struct in_air){ true, of, edge->session.next, 1 + chance((uint32_t)left), NULL };
	edge->session.next += air->n;
}

static bool all_acked(const struct edge_session *edges)
{
	for (size_t i = 0; i < SESSIONS; i++)
		if (edges[i].acked < items_of_session)
			return false;
	return true;
}

/* The rows of a session: its frames by number, each as it was sent. */
static void check_rows(struct rig *rig, const struct edge_session *edge, size_t of)
{
	struct key from, to;
	struct store_scan *scan;
	struct bytes key, value;
	uint64_t number = 1;
	uint8_t bytes[RIG_FRAME_BYTES];

	key_start(&from, (uint16_t)edge->session.partition, &rig->account, 'f');
	key_add_uuid(&from, &edge->session.id);
	key_end_of(&from, &to);
	scan = scan_open(rig->store, key_bytes(&from), key_bytes(&to), false);
	for (; scan_next(scan, &key, &value); number++) {
		cr_assert_eq(key_read_u64((const uint8_t *)key.data + key.len - 8), number);
		rig_frame(T0 + (int64_t)number * 1000, (int16_t)of, bytes);
		cr_assert(value.len == sizeof bytes &&
		          memcmp(value.data, bytes, sizeof bytes) == 0);
	}
	scan_close(scan);
	cr_assert_eq(number, FRAMES + 1);
}

static void check_insights(struct rig *rig, const struct edge_session *edge)
{
	Publisher__PublisherReply *reply = rig_insights(rig, &edge->session, NULL);

	cr_assert_eq(reply->insights->n_items, FRAMES / 2 + 1);
	for (size_t i = 0; i < FRAMES / 2; i++)
		cr_assert_eq(reply->insights->items[i]->t, T0 + 1000 + 2000 * ((int64_t)i + 1));
	cr_assert_str_eq(reply->insights->items[FRAMES / 2]->type, "rr");
	wire_free(&reply->base);
}

static void play(uint64_t with_seed)
{
	struct rig *rig = rig_new(1 + (int64_t)(with_seed % 7));
	struct edge_session edges[SESSIONS] = { 0 };
	struct in_air air[IN_AIR] = { 0 };

	seed = with_seed;
	for (size_t i = 0; i < SESSIONS; i++)
		edges[i].session = rig_session(rig, (uint32_t)i);
	for (int step = 0; !all_acked(edges); step++) {
		struct in_air *one = &air[chance(IN_AIR)];

		cr_assert_lt(step, 200000, "no progress");
		if (!one->used)
			send_more(edges, one);
		else if (!one->call && chance(3) > 0)
			give(rig, &edges[one->of], one);
		else if (!one->call)
			one->used = false; /* lost on the way */
		else if (one->call->answered || one->call->dropped)
			take_answer(edges, one);
		if (chance(120) == 0)
			rig_crash(rig);
		if (chance(3) == 0)
			rig_run(rig, chance(4));
	}
	rig_run(rig, 100);
	for (size_t i = 0; i < IN_AIR; i++)
		if (air[i].call)
			take_answer(edges, &air[i]);
	rig_crash(rig);
	for (size_t i = 0; i < SESSIONS; i++) {
		check_rows(rig, &edges[i], i);
		check_insights(rig, &edges[i]);
	}
	rig_free(rig);
}

Test(session_edge, loses_and_repeats_no_frame_whatever_the_bus_does)
{
	uint64_t first = randombytes_random();

	for (uint64_t i = 0; i < 200; i++) {
		(void)fprintf(stderr, "seed %llu\n", (unsigned long long)(first + i));
		play(first + i);
	}
}
