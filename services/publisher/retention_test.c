/* What is too old goes; what is needed stays. */
#include "services/publisher/analysis_fake.h"
#include "services/publisher/publisher_rig.h"
#include "services/publisher/retention.h"

#define T0     (RIG_WALL_MS + 777)
#define MINUTE 60000

static size_t rows_of(struct rig *rig, const struct rig_session *session, char table)
{
	struct session_name name = { session->account, session->id, (uint16_t)session->partition };
	struct key from, to;
	struct store_scan *scan;
	struct bytes key, value;
	size_t n = 0;

	session_key(&from, &name, table);
	key_end_of(&from, &to);
	scan = scan_open(rig->store, key_bytes(&from), key_bytes(&to), false);
	while (scan_next(scan, &key, &value))
		n++;
	scan_close(scan);
	return n;
}

static void restart_with(struct rig *rig, int64_t frames_ms, int64_t insights_ms)
{
	rig_stop(rig);
	rig->publisher = publisher_new(&(struct publisher_deps){
	        .loop = rig->loop,
	        .bus = &rig->bus,
	        .store = rig->store,
	        .secret = rig->secret,
	        .number = rig->number,
	        .publishers = rig->publishers,
	        .retain_frames_ms = frames_ms,
	        .retain_insights_ms = insights_ms,
	});
	cr_assert(rig->publisher);
	rig_run(rig, 20);
}

static void skip(struct rig *rig, int64_t ms)
{
	rig->now_us += ms * 1000;
}

static struct rig_session streamed(struct rig *rig, int seconds)
{
	struct rig_session session = rig_session(rig, 5);

	rig_open(rig, &session);
	for (int i = 0; i < seconds; i++)
		(void)rig_second(rig, &session, T0 + i * 1000);
	return session;
}

Test(retention, frames_of_a_session_go_when_it_ended_so_long_ago)
{
	struct rig *rig = rig_new(1);
	struct rig_session old, young;
	Publisher__PublisherReply *reply;

	restart_with(rig, 10 * MINUTE, 0);
	old = streamed(rig, 5);
	(void)rig_close(rig, &old);
	skip(rig, 9 * MINUTE);
	young = streamed(rig, 5);
	(void)rig_close(rig, &young);
	rig_run(rig, 40000);
	cr_assert_eq(rows_of(rig, &old, 'f'), 5);
	skip(rig, 2 * MINUTE);
	rig_run(rig, 40000);
	cr_assert_eq(rows_of(rig, &old, 'f'), 0);
	cr_assert_eq(rows_of(rig, &young, 'f'), 5);
	reply = rig_detail(rig, &old);
	cr_assert_eq(reply->session->frames, 5, "it says what it has stored");
	cr_assert_gt(reply->session->n_last_insights, 0, "insights have a time of their own");
	wire_free(&reply->base);
	rig_free(rig);
}

/* Ten frames a second. */
static void stream_more(struct rig *rig, struct rig_session *session, int from, int n)
{
	uint8_t bytes[100][RIG_FRAME_BYTES];
	ProtobufCBinaryData frames[100];

	for (int i = 0; i < n; i += 100) {
		for (int k = 0; k < 100; k++) {
			rig_frame(T0 + (from + i + k) * 100, 0, bytes[k]);
			frames[k] = (ProtobufCBinaryData){ RIG_FRAME_BYTES, bytes[k] };
		}
		session->next = rig_take(rig, &(struct rig_run){ .session = session,
		                                                 .first = session->next,
		                                                 .frames = frames,
		                                                 .n_frames = 100 })
		                        .next;
	}
}

Test(retention, an_open_session_keeps_what_is_young_and_what_it_is_rebuilt_from)
{
	struct rig *rig = rig_new(1);
	struct rig_session session;
	uint64_t next;

	restart_with(rig, 60 * MINUTE, 0);
	session = streamed(rig, 1);
	stream_more(rig, &session, 1, 3000);
	skip(rig, 11 * MINUTE);
	stream_more(rig, &session, 3001, 3000);
	skip(rig, 50 * MINUTE);
	stream_more(rig, &session, 6001, 1000);
	rig_run(rig, 200000);
	/* Too old are those before the mark of the first minutes; the last 5,000 stay. */
	cr_assert_lt(rows_of(rig, &session, 'f'), 7001);
	cr_assert_geq(rows_of(rig, &session, 'f'), RETENTION_KEEP);
	rig_crash(rig);
	next = session.next;
	cr_assert_eq(rig_second(rig, &session, T0 + 7001 * 100), next + 1, "it goes on");
	rig_free(rig);
}

Test(retention, insights_go_from_every_list_when_they_are_too_old)
{
	struct rig *rig = rig_new(1);
	struct rig_session old, young;
	Publisher__ListInsights list = PUBLISHER__LIST_INSIGHTS__INIT;
	Publisher__PublisherReply *reply;

	restart_with(rig, 0, 10 * MINUTE);
	old = streamed(rig, 6);
	(void)rig_close(rig, &old);
	skip(rig, 9 * MINUTE);
	young = streamed(rig, 6);
	skip(rig, 2 * MINUTE);
	rig_run(rig, 40000);
	cr_assert_eq(rows_of(rig, &old, 'x'), 0);
	cr_assert_eq(rows_of(rig, &old, 't'), 0);
	cr_assert_eq(rows_of(rig, &old, 'f'), 6);
	cr_assert_eq(rows_of(rig, &young, 'x'), 3);
	reply = rig_list(rig, NULL, &list);
	cr_assert_eq(reply->insights->n_items, 3);
	wire_free(&reply->base);
	reply = rig_insights(rig, &old, NULL);
	cr_assert_eq(reply->insights->n_items, 0);
	wire_free(&reply->base);
	rig_free(rig);
}

Test(retention, keeps_all_for_ever_unless_told_otherwise)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = streamed(rig, 6);

	(void)rig_close(rig, &session);
	skip(rig, INT64_C(1000) * 24 * 60 * MINUTE);
	rig_run(rig, 20000);
	cr_assert_eq(rows_of(rig, &session, 'f'), 6);
	cr_assert_gt(rows_of(rig, &session, 'x'), 0);
	rig_free(rig);
}
