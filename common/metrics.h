/*
 * metrics - numbers of one process, as Prometheus text.
 *
 * A service lists its metrics once, as an X-macro, and gets a struct of uint64_t and
 * the descriptions:
 *
 *     #define ROUTER_METRICS(M) \
 *         M(COUNTER, sessions_opened_total, "sessions opened since start") \
 *         M(GAUGE, sessions_open, "sessions open now")
 *     METRICS_DECLARE(router, ROUTER_METRICS);     -> struct router_metrics, router_metric[]
 *
 * No label ever holds a key, an account or anything a client chose.
 */
#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H

#include "common/mem.h"

struct metric {
	const char *kind, *name, *help;
};

#define METRIC_COUNTER                  "counter"
#define METRIC_GAUGE                    "gauge"
#define METRIC_FIELD_(kind, name, help) uint64_t name;
#define METRIC_ROW_(kind, name, help)   { METRIC_##kind, #name, help },
#define METRICS_DECLARE(service, LIST)                                                             \
	struct service##_metrics {                                                                 \
		LIST(METRIC_FIELD_)                                                                \
	};                                                                                         \
	static const struct metric service##_metric[]                                              \
	        __attribute__((unused)) = { LIST(METRIC_ROW_) }

/* Appends "# HELP raeh_<service>_<name> …" and the value line of each. process is the
 * label, as "edge-0". */
void metrics_text(const char *service, const char *process, const struct metric *rows, size_t n,
                  const void *values, struct buf *ret);

#endif
