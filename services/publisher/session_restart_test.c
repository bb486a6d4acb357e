/* A session that is rebuilt, at any point and in any way, goes on as if it never had been:
 * the same insights, bit by bit, each once. With the real analysis. */
#include "services/publisher/publisher_rig.h"

#include <math.h>
#include <stdio.h>

#define T0      (RIG_WALL_MS + 777)
#define SECONDS 240

/* What must be the same of an insight. */
struct seen {
	char type[16];
	int64_t t;
	double value, confidence;
};

struct run_result {
	struct seen *at;
	size_t n;
};

/* A second of light with a pulse of about 72 bpm and of breath, or of acceleration. */
static size_t signal_frame(int64_t second, bool motion, uint8_t ret[256])
{
	struct frame frame = { .slot_id = motion ? 3 : 0,
		               .sample_count = 25,
		               .t0_epoch_ms = T0 + second * 1000 };
	size_t channels = motion ? 3 : 1;

	frame_head(&frame, ret);
	for (size_t i = 0; i < 25 * channels; i++) {
		double t = (double)second + floor((double)i / channels) / 25;
		double beat = sin(2 * M_PI * 1.2 * t) + 0.4 * sin(4 * M_PI * 1.2 * t + 0.7);
		double breath = 0.2 * sin(2 * M_PI * 0.25 * t);
		double value = motion ? 300 * sin(2 * M_PI * 0.9 * t + (double)(i % 3))
		                      : 5000 + 400 * (1 + breath) * beat + 300 * breath;
		int16_t sample = (int16_t)lrint(value);

		memcpy(ret + FRAME_HEAD_BYTES + 2 * i, &sample, 2);
	}
	return FRAME_HEAD_BYTES + 50 * channels;
}

static void send_second(struct rig *rig, struct rig_session *session, int64_t second)
{
	uint8_t bytes[2][256];
	ProtobufCBinaryData frames[2];

	for (int i = 0; i < 2; i++)
		frames[i] =
		        (ProtobufCBinaryData){ signal_frame(second, i == 1, bytes[i]), bytes[i] };
	session->next = rig_take(rig, &(struct rig_run){ .session = session,
	                                                 .first = session->next,
	                                                 .frames = frames,
	                                                 .n_frames = 2 })
	                        .next;
}

static struct run_result all_insights(struct rig *rig, const struct rig_session *session)
{
	static const char *const types[] = { "hr", "rr", "hrv_rmssd", "hrv_sdnn", "motion" };
	struct run_result result = { xcalloc(4096, sizeof(struct seen)), 0 };

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		Publisher__PublisherReply *reply = rig_insights(rig, session, types[i]);

		for (size_t j = 0; j < reply->insights->n_items; j++) {
			const Publisher__Insight *insight = reply->insights->items[j];
			struct seen *seen = &result.at[result.n++];

			cr_assert_leq(result.n, 4096);
			(void)snprintf(seen->type, sizeof seen->type, "%s", insight->type);
			seen->t = insight->t;
			seen->value = insight->value;
			seen->confidence = insight->confidence;
		}
		wire_free(&reply->base);
	}
	return result;
}

typedef void disturb_fn(struct rig *rig, int64_t second);

static struct run_result stream(disturb_fn *disturb)
{
	struct rig *rig = rig_new(1);
	struct rig_session session = rig_session(rig, 5);
	struct run_result result;

	rig_open(rig, &session);
	for (int64_t second = 0; second < SECONDS; second++) {
		send_second(rig, &session, second);
		disturb(rig, second);
	}
	(void)rig_close(rig, &session);
	result = all_insights(rig, &session);
	rig_free(rig);
	return result;
}

static void leave_alone(struct rig *rig, int64_t second)
{
	(void)rig;
	(void)second;
}

static void crash_at_random(struct rig *rig, int64_t second)
{
	(void)second;
	if (randombytes_uniform(8) == 0)
		rig_crash(rig);
}

/* SIGTERM: with checkpoints. */
static void restart_at_random(struct rig *rig, int64_t second)
{
	(void)second;
	if (randombytes_uniform(8) == 0) {
		rig_stop(rig);
		rig_start(rig);
	}
}

/* Over a minute of the boot clock, so that a frame writes a checkpoint, then a crash. */
static void crash_behind_checkpoints(struct rig *rig, int64_t second)
{
	if (randombytes_uniform(10) == 0)
		rig_run(rig, 61000);
	if (second % 7 == 6)
		rig_crash(rig);
}

static void assert_same(const struct run_result *a, const struct run_result *b)
{
	cr_assert_eq(a->n, b->n, "%zu insights, then %zu", a->n, b->n);
	for (size_t i = 0; i < a->n; i++) {
		const struct seen *x = &a->at[i], *y = &b->at[i];

		cr_assert_str_eq(x->type, y->type);
		cr_assert_eq(x->t, y->t, "%s", x->type);
		cr_assert_eq(memcmp(&x->value, &y->value, sizeof x->value), 0,
		             "%s at %lld: %.17g, then %.17g", x->type, (long long)x->t, x->value,
		             y->value);
		cr_assert_eq(memcmp(&x->confidence, &y->confidence, sizeof x->value), 0);
	}
}

static void compare(disturb_fn *disturb, int times)
{
	struct run_result whole = stream(leave_alone);

	cr_assert_geq(whole.n, SECONDS / 2 - 5, "the signal yields insights: %zu", whole.n);
	for (int i = 0; i < times; i++) {
		struct run_result parts = stream(disturb);

		assert_same(&whole, &parts);
		mem_free(parts.at);
	}
	mem_free(whole.at);
}

Test(session_restart, yields_the_same_insights_after_power_cuts_at_random_points)
{
	compare(crash_at_random, 4);
}

Test(session_restart, yields_the_same_insights_after_orderly_restarts)
{
	compare(restart_at_random, 4);
}

Test(session_restart, yields_the_same_insights_from_checkpoints_on)
{
	compare(crash_behind_checkpoints, 4);
}
