#include "common/metrics.h"

#include <criterion/criterion.h>
#include <string.h>

#define DOOR_METRICS(M)                                                                            \
	M(COUNTER, opened_total, "times opened since start")                                       \
	M(GAUGE, open, "1 while it is open")
METRICS_DECLARE(door, DOOR_METRICS);

Test(metrics, are_text_that_prometheus_reads)
{
	struct door_metrics metrics = { .opened_total = UINT64_MAX, .open = 1 };
	struct buf got = { 0 };

	metrics_text("door", "door-3", door_metric, ARRAY_LEN(door_metric), &metrics, &got);
	buf_append(&got, "", 1);

	cr_assert_str_eq((char *)got.data,
	                 "# HELP raeh_door_opened_total times opened since start\n"
	                 "# TYPE raeh_door_opened_total counter\n"
	                 "raeh_door_opened_total{process=\"door-3\"} 18446744073709551615\n"
	                 "# HELP raeh_door_open 1 while it is open\n"
	                 "# TYPE raeh_door_open gauge\n"
	                 "raeh_door_open{process=\"door-3\"} 1\n");
	buf_free(&got);
}

Test(metrics, stand_behind_what_the_buffer_held)
{
	struct door_metrics metrics = { 0 };
	struct buf got = { 0 };

	buf_append(&got, "before\n", 7);
	metrics_text("door", "door-0", door_metric, 1, &metrics, &got);
	metrics_text("door", "door-0", door_metric, 0, &metrics, &got);
	buf_append(&got, "", 1);

	cr_assert_eq(strncmp((char *)got.data, "before\n# HELP raeh_door_opened_total ", 36), 0);
	cr_assert(strstr((char *)got.data, "} 0\n"));
	buf_free(&got);
}

Test(metrics, have_a_row_for_each_value)
{
	cr_assert_eq(ARRAY_LEN(door_metric) * sizeof(uint64_t), sizeof(struct door_metrics));
}
