/* The outbox alone: numbers, trimming, what its rows say. */
#include "common/clock.h"
#include "common/wire.h"
#include "services/publisher/outbox.h"

#include <criterion/criterion.h>
#include <math.h>
#include <sodium.h>

struct bench {
	struct loop *loop;
	struct store *store;
	struct store_batch *batch;
	struct session *session;
	struct outbox outbox;
};

static struct bench *bench_new(void)
{
	struct bench *bench = xcalloc(1, sizeof *bench);
	Events__StoredOpening opening = EVENTS__STORED_OPENING__INIT;
	struct session_name name = { .partition = 7 };

	cr_assert(sodium_init() >= 0);
	name.account = uuid_new(clock_wall_ms());
	name.id = uuid_new(clock_wall_ms());
	opening.device_id = (char *)"watch-1";
	opening.device_model_id = (char *)"";
	bench->loop = loop_new_virtual();
	bench->store = store_open_memory(bench->loop, 0);
	bench->batch = batch_new();
	bench->session = session_new(&name);
	bench->session->opening = (Events__StoredOpening *)wire_copy(&opening.base);
	cr_assert_eq(outbox_init(&bench->outbox, bench->store), OK);
	return bench;
}

static void bench_free(struct bench *bench)
{
	outbox_done(&bench->outbox);
	session_free(bench->session);
	batch_free(bench->batch);
	store_close(bench->store);
	loop_free(bench->loop);
	mem_free(bench);
}

static bool add(struct bench *bench, enum insight_type type, int64_t t_ms, double value,
                double confidence)
{
	return outbox_add(&bench->outbox, bench->batch, bench->session,
	                  &(struct analysis_insight){ .type = type,
	                                              .t_ms = t_ms,
	                                              .value = value,
	                                              .confidence = confidence,
	                                              .uncalibrated = type == INSIGHT_SPO2 });
}

static void write_batch(struct bench *bench)
{
	outbox_trim(&bench->outbox, bench->batch);
	cr_assert_eq(store_write(bench->store, bench->batch), OK);
	batch_clear(bench->batch);
	outbox_settle(&bench->outbox, true);
}

/* What is read from `from` on, as an InsightsPublished. */
static Publisher__InsightsPublished *read_from(struct bench *bench, uint64_t from, size_t limit)
{
	struct buf fields = { 0 };
	Publisher__InsightsPublished *read;
	static const uint8_t newest[] = { 2 << 3, 0 };

	(void)outbox_read(&bench->outbox, from, UINT64_MAX - 1, limit, &fields);
	buf_append(&fields, newest, sizeof newest);
	read = (Publisher__InsightsPublished *)wire_unpack(
	        &publisher__insights_published__descriptor, BYTES(fields.data, fields.len));
	cr_assert(read);
	buf_free(&fields);
	return read;
}

Test(outbox, marks_spo2_without_calibration_and_rounds)
{
	struct bench *bench = bench_new();
	Publisher__InsightsPublished *read;
	const Publisher__Insight *insight;

	cr_assert(add(bench, INSIGHT_SPO2, -5, 97.349, 1.5));
	cr_assert(add(bench, INSIGHT_HR, -5, 71.96, -0.5));
	write_batch(bench);
	read = read_from(bench, 1, 10);
	cr_assert_eq(read->n_insights, 2);
	insight = read->insights[0]->insight;
	cr_assert_str_eq(insight->type, "spo2");
	cr_assert_str_eq(insight->unit, "%");
	cr_assert_float_eq(insight->value, 97.3, 1e-12);
	cr_assert_eq(insight->confidence, 1);
	cr_assert(insight->uncalibrated);
	cr_assert_eq(insight->t, -5);
	insight = read->insights[1]->insight;
	cr_assert_float_eq(insight->value, 72, 1e-12);
	cr_assert_eq(insight->confidence, 0);
	cr_assert_str_eq(insight->sqi_class, "unfit");
	cr_assert(!insight->has_uncalibrated, "only what is so says so");
	wire_free(&read->base);
	bench_free(bench);
}

Test(outbox, publishes_no_value_that_is_not_a_number)
{
	struct bench *bench = bench_new();

	cr_assert(!add(bench, INSIGHT_HR, 1000, NAN, 1));
	cr_assert(!add(bench, INSIGHT_HR, 1000, INFINITY, 1));
	cr_assert(!add(bench, INSIGHT_HR, 1000, 60, NAN));
	cr_assert_eq(bench->outbox.newest, 0, "and spends no number on it");
	cr_assert(add(bench, INSIGHT_HR, 1000, 60, 1));
	bench_free(bench);
}

Test(outbox, emits_a_time_of_a_type_once_whether_written_or_not)
{
	struct bench *bench = bench_new();

	cr_assert(add(bench, INSIGHT_HR, 5000, 60, 1));
	cr_assert(!add(bench, INSIGHT_HR, 5000, 61, 1));
	cr_assert(add(bench, INSIGHT_RR, 5000, 15, 1));
	cr_assert(add(bench, INSIGHT_HR, 3000, 60, 1), "the clock stepped back");
	cr_assert(!add(bench, INSIGHT_HR, 3000, 60, 1), "in the same batch");
	write_batch(bench);
	cr_assert(!add(bench, INSIGHT_HR, 3000, 60, 1), "in the store");
	cr_assert(!add(bench, INSIGHT_HR, 5000, 60, 1));
	cr_assert(add(bench, INSIGHT_HR, 4000, 60, 1));
	bench_free(bench);
}

Test(outbox, gives_numbers_back_when_a_batch_is_refused)
{
	struct bench *bench = bench_new();

	cr_assert(add(bench, INSIGHT_HR, 1000, 60, 1));
	write_batch(bench);
	cr_assert(add(bench, INSIGHT_HR, 2000, 60, 1));
	batch_clear(bench->batch);
	outbox_settle(&bench->outbox, false);
	cr_assert_eq(bench->outbox.newest, 1);
	bench_free(bench);
}

Test(outbox, keeps_the_newest_hundred_thousand)
{
	struct bench *bench = bench_new();
	const uint64_t total = OUTBOX_KEPT + 3 * OUTBOX_TRIM_STEP + 500;
	Publisher__InsightsPublished *read;
	uint64_t oldest;

	for (uint64_t n = 1; n <= total; n++) {
		cr_assert(add(bench, INSIGHT_HR, (int64_t)n * 1000, 60, 1));
		if (n % 250 == 0)
			write_batch(bench);
	}
	write_batch(bench);
	read = read_from(bench, 1, 1);
	cr_assert_eq(read->n_insights, 1);
	oldest = read->insights[0]->number;
	wire_free(&read->base);
	cr_assert_leq(oldest, total - OUTBOX_KEPT + 1);
	cr_assert_gt(oldest, total - OUTBOX_KEPT - OUTBOX_TRIM_STEP);

	outbox_done(&bench->outbox);
	cr_assert_eq(outbox_init(&bench->outbox, bench->store), OK);
	cr_assert_eq(bench->outbox.newest, total, "numbers go on after a restart");
	cr_assert_eq(bench->outbox.trimmed, oldest);
	bench_free(bench);
}

Test(outbox, bounds_what_it_reads_at_once)
{
	struct bench *bench = bench_new();
	Publisher__InsightsPublished *read;

	for (int64_t n = 1; n <= 8000; n++)
		cr_assert(add(bench, INSIGHT_HR, n * 1000, 60, 1));
	write_batch(bench);
	read = read_from(bench, 1, SIZE_MAX);
	cr_assert_lt(read->n_insights, 8000);
	cr_assert_gt(read->n_insights, 1000);
	wire_free(&read->base);
	bench_free(bench);
}
