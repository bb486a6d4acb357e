#include "common/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void metrics_text(const char *service, const char *process, const struct metric *rows, size_t n,
                  const void *values, struct buf *ret)
{
	const uint64_t *value = values;

	for (size_t i = 0; i < n; i++) {
		char line[512];
		int len = snprintf(line, sizeof line,
		                   "# HELP raeh_%s_%s %s\n# TYPE raeh_%s_%s %s\n"
		                   "raeh_%s_%s{process=\"%s\"} %" PRIu64 "\n",
		                   service, rows[i].name, rows[i].help, service, rows[i].name,
		                   rows[i].kind, service, rows[i].name, process, value[i]);

		MUST(len > 0 && (size_t)len < sizeof line);
		buf_append(ret, line, (size_t)len);
	}
}
